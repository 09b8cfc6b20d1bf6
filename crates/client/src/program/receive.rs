//! `distill receive`.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use relay_wire::code::RoomCode;

use super::{
    failure::{Failure, Usage},
    news::News,
    passphrase, settings,
    show::Show,
    signals::{self, Stop},
};
use crate::engine::{
    options::{ReceiveOptions, Where},
    receive,
};

/// Receives until it has it all.
pub(super) async fn run(flags: &ArgMatches, show: &Show, stop: &mut Stop) -> Result<(), Failure> {
    let version_2_only = flags.get_flag("version-2-only") || settings::refuse_version_1()?;
    let options = ReceiveOptions {
        version_2_only,
        ..options(flags, stop).await?
    };
    let received = receive::receive(options, show.tell(), signals::came(stop)).await?;
    show.say(News::Received(received));
    Ok(())
}

/// What it takes, from the command line and from whom it asks; in either version.
pub(super) async fn options(
    flags: &ArgMatches,
    stop: &mut Stop,
) -> Result<ReceiveOptions, Failure> {
    let to = to(flags.get_one::<PathBuf>("output").map(PathBuf::as_path))?;
    if to == Where::Stdout && flags.get_flag("json") {
        return Err(Usage(
            "standard output cannot have both what is received and --json".to_owned(),
        )
        .into());
    }
    let relay = settings::relay(flags)?;
    let code = flags.get_one::<RoomCode>("code").map(RoomCode::reveal);
    Ok(ReceiveOptions {
        relay,
        code: code.unwrap_or_default(),
        passphrase: passphrase::to_receive(flags, stop).await?,
        to,
        version_2_only: false,
        patience: settings::patience(flags),
    })
}

/// A folder is gone into; any other path is the name itself, as `cp` has it.
fn to(output: Option<&Path>) -> Result<Where, Usage> {
    match output {
        None => Ok(Where::Path(PathBuf::from("."))),
        Some(path) if path.as_os_str() == "-" => Ok(Where::Stdout),
        Some(path) if path.as_os_str().as_encoded_bytes().ends_with(b"/") && !path.is_dir() => {
            Err(Usage(format!(
                "{} is no folder: make it first, or leave out the slash at its end",
                settings::shown(path)
            )))
        }
        Some(path) => Ok(Where::Path(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_gone_into_and_a_name_is_a_name() {
        let folder = std::env::temp_dir();
        assert_eq!(to(None), Ok(Where::Path(".".into())));
        assert_eq!(to(Some(&folder)), Ok(Where::Path(folder.clone())));
        assert_eq!(to(Some(Path::new("new"))), Ok(Where::Path("new".into())));
        assert_eq!(to(Some(Path::new("-"))), Ok(Where::Stdout));
        let missing = to(Some(Path::new("new/")));
        assert!(missing.is_err_and(|Usage(why)| why.starts_with("new/ is no folder")));
    }
}
