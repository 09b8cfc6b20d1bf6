//! Where a passphrase comes from: a file descriptor, a variable, a prompt, or nobody, and then it is made
//! up. It is never an argument, as other users of the machine can read those.

use std::{
    fs::File,
    io::{self, Read},
};

use clap::ArgMatches;
use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};

use super::{
    failure::{Failure, Usage},
    settings::variable,
    signals::{self, Stop},
};
use crate::{
    engine::{fault::Fault, options::Secret},
    transfer::words::{self, Weakness},
};

/// The longest passphrase, in bytes.
const LONGEST: usize = 1024;
/// Words of one that is made up: 64.6 bits of chance.
const WORDS: usize = 5;

/// A passphrase to share under.
pub(super) struct Chosen {
    pub(super) secret: Secret,
    /// Its text, where it was made up, to be shown: the other side has to be told.
    pub(super) made_up: Option<String>,
    /// What is to be said of one that somebody could guess.
    pub(super) warning: Option<String>,
}

/// The passphrase to share under.
///
/// # Errors
///
/// Where one is named that cannot be had.
pub(super) async fn to_share(flags: &ArgMatches, stop: &mut Stop) -> Result<Chosen, Failure> {
    let own = match given(flags)? {
        None if flags.get_flag("ask-passphrase") => Some(ask_twice(stop).await?),
        own => own,
    };
    let Some(own) = own else {
        let words = words::make_passphrase(WORDS).map_err(|_| {
            let why = "No passphrase can be made up: the system has no random bytes to give.";
            Fault::Machine(why.to_owned())
        })?;
        return Ok(Chosen {
            secret: Secret::new(words.clone()),
            made_up: Some(words),
            warning: None,
        });
    };
    let warning = words::weakness(&own).map(|weakness| {
        format!(
            "This passphrase could be guessed, as it {}. Without one of your own, five words are made up.",
            why(weakness)
        )
    });
    Ok(Chosen {
        secret: Secret::new(own),
        made_up: None,
        warning,
    })
}

fn why(weakness: Weakness) -> &'static str {
    match weakness {
        Weakness::Short => "has fewer than 12 characters",
        Weakness::Simple => {
            "has hardly any different characters, or they follow each other on the keyboard"
        }
        Weakness::FewWords => "is of few words, which are among the first things to be tried",
    }
}

/// Whether a passphrase is named, or asked for to be.
///
/// # Errors
///
/// Where the variable is no UTF-8.
pub(super) fn is_given(flags: &ArgMatches) -> Result<bool, Usage> {
    Ok(flags.contains_id("passphrase-fd")
        || flags.get_flag("ask-passphrase")
        || variable("DISTILL_PASSPHRASE")?.is_some())
}

/// The passphrase to receive with.
///
/// # Errors
///
/// Where none is given, and nobody is there to be asked.
pub(super) async fn to_receive(flags: &ArgMatches, stop: &mut Stop) -> Result<Secret, Failure> {
    let typed = match given(flags)? {
        Some(own) => own,
        None => ask("Passphrase: ", stop).await?,
    };
    Ok(Secret::new(usable(typed, "what was typed")?))
}

/// The one of `--passphrase-fd` or of the variable.
fn given(flags: &ArgMatches) -> Result<Option<String>, Usage> {
    if let Some(fd) = flags.get_one::<i32>("passphrase-fd") {
        let from = format!("file descriptor {fd}");
        let line = File::open(format!("/dev/fd/{fd}")).and_then(first_line);
        let line = line.map_err(|error| Usage(format!("{from} cannot be read: {error}")))?;
        return usable(line, &from).map(Some);
    }
    match variable("DISTILL_PASSPHRASE")? {
        Some(value) => usable(value, "DISTILL_PASSPHRASE").map(Some),
        None => Ok(None),
    }
}

/// The first line of a file, without its end, and not more than is enough to see that it is too long.
/// Nothing behind it is taken: it may be somebody else's.
fn first_line(mut file: impl Read) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() <= LONGEST && file.read(&mut byte)? == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    if line.ends_with(b"\r") {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| io::Error::other("it is no UTF-8"))
}

fn usable(passphrase: String, from: &str) -> Result<String, Usage> {
    match passphrase.len() {
        0 => Err(Usage(format!("the passphrase is empty ({from})"))),
        1..=LONGEST => Ok(passphrase),
        _ => Err(Usage(format!(
            "the passphrase has more than {LONGEST} bytes ({from})"
        ))),
    }
}

async fn ask_twice(stop: &mut Stop) -> Result<String, Failure> {
    let first = usable(ask("Passphrase: ", stop).await?, "what was typed")?;
    match ask("The same again: ", stop).await? == first {
        true => Ok(first),
        false => Err(Usage("the two passphrases are not the same".to_owned()).into()),
    }
}

/// Asks at the terminal, whatever standard input is. A thread of its own waits for the answer; where we are
/// told to stop meanwhile, it is left behind, and the terminal is set right.
async fn ask(prompt: &'static str, stop: &mut Stop) -> Result<String, Failure> {
    let terminal = File::open("/dev/tty").map_err(|_| {
        Usage(
            "no passphrase is given, and there is no terminal to ask for one: set DISTILL_PASSPHRASE, \
             or use --passphrase-fd"
                .to_owned(),
        )
    })?;
    let before = tcgetattr(&terminal);
    let typed = tokio::task::spawn_blocking(move || rpassword::prompt_password(prompt));
    tokio::select! {
        typed = typed => match typed.map_err(io::Error::other).flatten() {
            Ok(typed) => Ok(typed),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Fault::Interrupted.into()),
            Err(error) => Err(Usage(format!("no passphrase was typed: {error}")).into()),
        },
        () = signals::came(stop) => {
            if let Ok(before) = before {
                // If it fails, the terminal is gone.
                let _ = tcsetattr(&terminal, SetArg::TCSANOW, &before);
            }
            Err(Fault::Interrupted.into())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_up_to_its_end_and_no_further() {
        let mut file = io::Cursor::new(b"five words\r\nand more\n");
        assert_eq!(first_line(&mut file).unwrap(), "five words");
        assert_eq!(file.position(), 12);
        assert_eq!(first_line(&b"no end"[..]).unwrap(), "no end");
        assert!(first_line(&b"\xff\n"[..]).is_err());
    }

    #[test]
    fn a_passphrase_without_an_end_takes_no_more_memory_than_one_that_is_too_long() {
        let line = first_line(io::repeat(b'a')).unwrap();
        assert_eq!(line.len(), LONGEST + 1);
        let Usage(why) = usable(line, "here").unwrap_err();
        assert!(why.contains("more than 1024 bytes"), "{why}");
    }
}
