//! `distill share`.

use std::{path::PathBuf, time::Duration};

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
    options::{Relay, ShareOptions, What},
    share,
};

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
    let Relay { url, key } = &options.relay;
    show.say(News::Invitation(Box::new(Invitation {
        relay: url.clone(),
        made_up,
        for_others: !options.version_2_only && share::is_for_others(&options.what),
        keyed: key.is_some() || url.user.is_some() || url.path.contains('?'),
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
