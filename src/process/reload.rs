//! Settings that are read again while the relay runs. What is open keeps what it began with.

use std::{net::TcpListener, path::PathBuf, sync::Arc};

use actix_rt::task::spawn_blocking;
use clap::ArgMatches;
use log::{Level, error, info, log_enabled, warn};

use super::{descriptors, systemd};
use crate::{
    actors::{directory::Directory, messages::KeysChanged},
    config::{self, Change, Settings},
    http::accept::{self, Origin},
    observe::logging,
    state::State,
};

/// What of a relay takes over other settings.
pub(super) struct Running {
    pub(super) state: Arc<State>,
    pub(super) directory: Arc<Directory>,
    pub(super) listeners: Arc<[TcpListener]>,
    pub(super) origin: Origin,
    /// Connections that may be on their way to becoming sessions, for each worker.
    pub(super) handshakes: usize,
}

/// Has a relay read its settings again.
pub struct Reload {
    pub(super) running: Running,
    /// The command line that it was started with.
    pub(super) flags: ArgMatches,
    /// What is logged, in the syntax of `RUST_LOG`, if anyone said.
    pub(super) log_filter: Option<String>,
    /// The file that was read, if there was one.
    pub(super) file: Option<PathBuf>,
}

impl Reload {
    /// Reads the settings from where they were read at the start, takes over what can be, and logs what
    /// that is. Where one cannot be used, nothing changes.
    pub async fn read(&mut self) {
        if self.running.state.is_stopping() {
            info!("the settings are not read again: the relay is stopping");
            return;
        }
        // Whatever the settings are: who rotates files does not ask for them.
        self.running.state.events.reopen();
        systemd::reloading();
        let flags = self.flags.clone();
        // Elsewhere, as nobody knows how long a disk takes.
        let read = spawn_blocking(move || config::load(&flags)).await;
        if self.running.state.is_stopping() {
            // It has told the service manager so.
            return;
        }
        match read {
            // Else a file that is away for a moment would take all limits along.
            Ok(Ok(settings)) if self.file.is_some() && settings.file != self.file => {
                let gone = self.file.iter().map(|file| file.display());
                let gone = gone.map(|file| format!("{file} is gone"));
                error!(
                    "the settings stay as they were: {}",
                    gone.collect::<String>()
                );
            }
            Ok(Ok(settings)) => self.take_over(settings),
            Ok(Err(error)) => error!("the settings stay as they were: {error}"),
            Err(error) => error!("the settings stay as they were: they cannot be read: {error}"),
        }
        systemd::ready();
    }

    fn take_over(&mut self, settings: Settings) {
        let Running {
            state,
            directory,
            listeners,
            origin,
            handshakes,
        } = &self.running;
        let before = Arc::clone(&state.live());
        let waiting = before.config.changes(&settings.config);
        let mut config = settings.config.without_restart(&before.config);
        descriptors::fit_again(&mut config, listeners.len(), *handshakes);
        let mut changes: Vec<_> = before.config.changes(&config).iter().map(shown).collect();
        state.configure(config);
        for registry in directory.registries() {
            registry.do_send(KeysChanged);
        }
        for listener in listeners.iter() {
            accept::prepare(listener, &state.live().config, *origin);
        }
        if settings.log_filter != self.log_filter {
            let shown =
                |filter: &Option<String>| filter.clone().unwrap_or_else(|| "unset".to_owned());
            let (old, new) = (shown(&self.log_filter), shown(&settings.log_filter));
            changes.push(format!("RUST_LOG {old} -> {new}"));
        }
        // In the log that shows it, if any of the two does.
        let told_before = log_enabled!(Level::Info);
        let tell = || match changes.as_slice() {
            [] => info!("settings read again: no change"),
            changes => info!("settings read again: {}", changes.join(", ")),
        };
        if told_before {
            tell();
        }
        let complaint = logging::set_filter(settings.log_filter.as_deref());
        if !told_before {
            tell();
        }
        self.log_filter = settings.log_filter;
        self.file = settings.file;
        let mut waiting = waiting
            .iter()
            .filter(|change| change.knob.needs_restart)
            .peekable();
        if waiting.peek().is_some() {
            let all: Vec<_> = waiting.map(shown).collect();
            warn!("a restart is needed for {}", all.join(", "));
        }
        for warning in complaint.into_iter().chain(settings.warnings) {
            warn!("{warning}");
        }
    }
}

fn shown(change: &Change) -> String {
    let shown = |value: &str| {
        if value.is_empty() {
            "empty".to_owned()
        } else {
            value.to_owned()
        }
    };
    format!(
        "{} {} -> {}",
        change.knob.variable,
        shown(&change.old),
        shown(&change.new)
    )
}
