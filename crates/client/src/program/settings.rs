//! Which relay, and with which key: a flag wins over a variable, and that over the settings file.

use std::{
    env, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ArgMatches;
use relay_wire::text::escaped;
use serde::Deserialize;

use super::failure::Usage;
use crate::{
    engine::options::{PATIENCE, Relay, Secret},
    url::{Url, UrlError},
};

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// What the settings file may have.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Settings {
    relay: Option<String>,
    key: Option<String>,
    #[serde(default)]
    version_2_only: bool,
}

/// The relay to use.
///
/// # Errors
///
/// A sentence where none is named, or where what is named cannot be used.
pub(super) fn relay(flags: &ArgMatches) -> Result<Relay, Usage> {
    let file = file();
    let settings = read_settings()?;
    let place = file.as_deref().map_or("the settings".into(), shown);
    let in_file = settings.relay.map(|text| (text, place.clone()));
    let in_variable = variable("DISTILL_RELAY")?.map(|text| (text, "DISTILL_RELAY".to_owned()));
    let ours = in_variable.or_else(|| in_file.clone());
    let flag = flags.get_one::<String>("relay");
    let flag = flag.map(|text| (text.clone(), "--relay".to_owned()));
    let (text, from) = flag.or_else(|| ours.clone()).ok_or_else(|| {
        Usage(format!(
            "no relay is named: give --relay wss://relay.example.com, or set DISTILL_RELAY, or \
             write relay = \"wss://relay.example.com\" to {place}"
        ))
    })?;
    let url = url(&text, &from)?;
    let is_for = |named: Option<(String, String)>| {
        let named = named.and_then(|(text, _)| Url::parse(text.trim()).ok());
        named.is_some_and(|named| named.origin() == url.origin())
    };
    Ok(Relay {
        key: key(
            flags,
            variable("DISTILL_KEY")?.filter(|_| is_for(ours)),
            settings.key.filter(|_| is_for(in_file)),
        )?
        .map(Secret::new),
        url,
    })
}

/// Whether the settings refuse version 1 of the exchange.
///
/// # Errors
///
/// A sentence where they cannot be read.
pub(super) fn refuse_version_1() -> Result<bool, Usage> {
    Ok(read_settings()?.version_2_only)
}

/// The access key. It is never an argument, as other users of the machine can read those. Those of the variable and
/// of the settings are for the relay that is named there: a line that somebody has sent, with `--relay` in it, is to
/// take them nowhere else.
fn key(
    flags: &ArgMatches,
    in_variable: Option<String>,
    in_settings: Option<String>,
) -> Result<Option<String>, Usage> {
    let (key, from) = if let Some(path) = flags.get_one::<PathBuf>("key-file") {
        (Some(read(path)?), shown(path))
    } else if let Some(key) = in_variable {
        (Some(key), "DISTILL_KEY".to_owned())
    } else {
        (in_settings, "the settings file".to_owned())
    };
    let key = key.map(|key| key.trim().to_owned());
    // It stands in a header (RFC 6750 §2.1).
    let fits = |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    match key {
        Some(key) if !fits(&key) => Err(Usage(format!(
            "the access key of {from} cannot be used: it must be one word of ASCII characters"
        ))),
        key => Ok(key),
    }
}

/// The URL in a text that stands in `from`. What is wrong is said without the text, which may hold a key.
fn url(text: &str, from: &str) -> Result<Url, Usage> {
    Url::parse(text.trim()).map_err(|why| {
        let why = match why {
            UrlError::Syntax(_) => "it is no URL".to_owned(),
            UrlError::Scheme(scheme) if scheme.is_empty() => {
                "it does not begin with wss:// or ws://".to_owned()
            }
            UrlError::Scheme(scheme) => {
                format!(
                    "it begins with {}:// in place of wss:// or ws://",
                    escaped(&scheme)
                )
            }
            UrlError::NoHost => "it has no host".to_owned(),
            UrlError::Port => "it has a port that is none from 1 to 65535".to_owned(),
        };
        Usage(format!(
            "the relay of {from} cannot be used: {why} (such as wss://relay.example.com)"
        ))
    })
}

/// Where the settings file is, whether or not there is one.
fn file() -> Option<PathBuf> {
    Some(own_folder("XDG_CONFIG_HOME", ".config")?.join("settings.toml"))
}

/// Our own folder in the one that the variable names, or else in this one of the user's home (XDG Base
/// Directory Specification).
pub(super) fn own_folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    let folder = |name| {
        let path = PathBuf::from(env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let shared = folder(variable).or_else(|| Some(folder("HOME")?.join(in_home)));
    Some(shared?.join("distill"))
}

/// How long to try on while nothing moves.
pub(super) fn patience(flags: &ArgMatches) -> Duration {
    flags.get_one("patience").copied().unwrap_or(PATIENCE)
}

/// What the settings file has; nothing where there is none.
fn read_settings() -> Result<Settings, Usage> {
    let Some(path) = file().filter(|path| path.exists()) else {
        return Ok(Settings::default());
    };
    parse(&read(&path)?).map_err(|why| Usage(format!("{} cannot be used: {why}", shown(&path))))
}

fn parse(text: &str) -> Result<Settings, String> {
    toml::from_str(text).map_err(|error| {
        // The library's own sentence shows the line, which may hold the key.
        let before = error
            .span()
            .map_or("", |span| text.get(..span.start).unwrap_or(text));
        let line = before.matches('\n').count() + 1;
        format!("line {line}: {}", escaped(error.message()))
    })
}

fn read(path: &Path) -> Result<String, Usage> {
    let read = || {
        let mut text = String::new();
        let read = fs::File::open(path)?
            .take(MAX_FILE + 1)
            .read_to_string(&mut text)?;
        match read as u64 > MAX_FILE {
            true => Err(io::Error::other("it has more than 64 KiB")),
            false => Ok(text),
        }
    };
    read().map_err(|error| Usage(format!("{} cannot be read: {error}", shown(path))))
}

/// A variable that is set to something.
///
/// # Errors
///
/// A sentence where it is no UTF-8.
pub(super) fn variable(name: &str) -> Result<Option<String>, Usage> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Usage(format!("{name} is no UTF-8"))),
    }
}

/// A path for a person to see.
pub(super) fn shown(path: &Path) -> String {
    escaped(&path.display().to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_settings_file_has_what_is_known_and_nothing_else() {
        let both = parse("relay = \"wss://a.example\"\nkey = \"secret\"\n").unwrap();
        let expected = ("wss://a.example", "secret");
        assert_eq!(
            (both.relay.as_deref().unwrap(), both.key.as_deref().unwrap()),
            expected
        );
        assert_eq!(parse(""), Ok(Settings::default()));
        assert!(parse("version_2_only = true").unwrap().version_2_only);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_without_secrets() {
        for (text, line) in [
            (
                "key = \"secret\"\nrelais = \"wss://a.example\"",
                "line 2: unknown field",
            ),
            ("key = secret", "line 1: "),
            ("\n\nkey = [\"secret\"]", "line 3: "),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.starts_with(line) && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_bad_url_is_named_by_where_it_stands() {
        for (text, part) in [
            ("relay.example.com", "does not begin with"),
            ("https://relay.example.com", "https:// in place of"),
            ("ws://relay.example.com:x", "port"),
            ("", "no URL"),
        ] {
            let Usage(why) = url(text, "--relay").unwrap_err();
            assert!(
                why.starts_with("the relay of --relay ") && why.contains(part),
                "{why}"
            );
        }
    }
}
