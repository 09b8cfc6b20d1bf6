//! `distill share`.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ArgMatches;

use super::{
    failure::{Failure, Usage},
    invitation::Invitation,
    news::News,
    passphrase::{self, Chosen},
    settings,
    show::Show,
    signals::{self, Stop},
};
use crate::engine::{
    options::{ShareOptions, What},
    share,
};

/// The most bytes that today's other clients take: 50 MiB of hex.
const MOST_FOR_OTHERS: u64 = 26_000_000;
/// Bytes by which it is told whether a file is a text.
const HEAD: u64 = 64 << 10;

/// Shares until somebody has it all.
pub(super) async fn run(flags: &ArgMatches, show: &Show, stop: &mut Stop) -> Result<(), Failure> {
    let relay = settings::relay(flags)?;
    let what = what(flags)?;
    let mut options = ShareOptions {
        relay,
        what,
        passphrase: None,
        stay: flags.get_flag("stay"),
        expires_in: flags.get_one::<Duration>("expires-in").copied(),
        patience: settings::patience(flags),
        state: settings::own_folder("XDG_STATE_HOME", ".local/state"),
        anew: flags.get_flag("new"),
        version_2_only: flags.get_flag("version-2-only") || settings::refuse_version_1()?,
    };
    let mut made_up = None;
    // The passphrase of a share that is taken up is the one that it was begun with.
    let is_taken_up = !options.anew && share::can_be_taken_up(&options);
    if passphrase::is_given(flags)? || !is_taken_up {
        let chosen: Chosen = passphrase::to_share(flags, stop).await?;
        options.passphrase = Some(chosen.secret);
        made_up = chosen.made_up;
        if let Some(warning) = chosen.warning {
            show.say(News::Warning(warning));
        }
    }
    show.say(News::Invitation(Box::new(Invitation {
        relay: options.relay.url.clone(),
        made_up,
        for_others: !options.version_2_only && is_for_others(&options.what),
    })));
    share::share(options, show.tell(), signals::came(stop)).await?;
    Ok(())
}

/// What is to be shared.
fn what(flags: &ArgMatches) -> Result<What, Usage> {
    let path = flags
        .get_one::<PathBuf>("path")
        .cloned()
        .unwrap_or_default();
    match path.as_os_str() == "-" {
        false => Ok(What::Path(path)),
        true if flags.get_one::<i32>("passphrase-fd") == Some(&0) => Err(Usage(
            "standard input cannot be both what is shared and the passphrase".to_owned(),
        )),
        true => Ok(What::Stdin),
    }
}

/// Whether it seems to be something that today's other clients can receive: one text.
fn is_for_others(what: &What) -> bool {
    match what {
        What::Path(path) => is_text(path).unwrap_or(false),
        What::Stdin => false,
    }
}

fn is_text(path: &Path) -> io::Result<bool> {
    let found = path.metadata()?;
    if !found.is_file() || found.len() > MOST_FOR_OTHERS {
        return Ok(false);
    }
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    let cut_off = |error: std::str::Utf8Error| error.error_len().is_none();
    Ok(std::str::from_utf8(&head).map_or_else(cut_off, |_| true))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_for_others_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let is = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            is_for_others(&What::Path(path.clone()))
        };
        assert!(is(b"") && is("보고서 ".repeat(10_000).as_bytes()));
        assert!(!is(b"\x00\xff\xd8"));
        assert!(!is_for_others(&What::Path(folder.path().to_owned())));
        assert!(!is_for_others(&What::Stdin));
    }
}
