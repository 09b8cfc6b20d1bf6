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
    /// Reads the settings from where they were read at the start, takes over what can be, logs what that
    /// is, and returns it in words. Where one cannot be used, nothing changes.
    ///
    /// # Errors
    ///
    /// Why nothing has changed, in a sentence.
    pub async fn read(&mut self) -> Result<String, String> {
        const STOPPING: &str = "the settings are not read again: the relay is stopping";
        if self.running.state.is_stopping() {
            info!("{STOPPING}");
            return Err(STOPPING.to_owned());
        }
        // Whatever the settings are: who rotates files does not ask for them.
        self.running.state.events.reopen();
        systemd::reloading();
        let flags = self.flags.clone();
        // Elsewhere, as nobody knows how long a disk takes.
        let read = spawn_blocking(move || config::load(&flags)).await;
        if self.running.state.is_stopping() {
            // It has told the service manager so.
            return Err(STOPPING.to_owned());
        }
        let settings = match read {
            // Else a file that is away for a moment would take all limits along.
            Ok(Ok(settings)) if self.file.is_some() && settings.file != self.file => {
                let gone = self.file.iter().map(|file| file.display());
                Err(gone.map(|file| format!("{file} is gone")).collect())
            }
            Ok(Ok(settings)) => Ok(settings),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(format!("they cannot be read: {error}")),
        };
        let said = match settings {
            Ok(settings) => Ok(self.take_over(settings)),
            Err(why) => {
                let why = format!("the settings stay as they were: {why}");
                error!("{why}");
                Err(why)
            }
        };
        systemd::ready();
        said
    }

    /// Has the log take what this filter lets through, in the syntax of `RUST_LOG`, until the settings are
    /// read again; returns that in words.
    ///
    /// # Errors
    ///
    /// What of it has no effect; then the log stays as it is.
    pub fn log(&mut self, filter: String) -> Result<String, String> {
        if let Some(complaint) = logging::set_filter(Some(&filter)) {
            // It was in use until now: what there was to say of it was said.
            let _ = logging::set_filter(self.log_filter.as_deref());
            return Err(complaint);
        }
        info!("the operator has the log show {filter}");
        let said = format!(
            "the log shows {filter} until the settings are read again (claude-distill-relay reload)"
        );
        self.log_filter = Some(filter);
        Ok(said)
    }

    /// What there is to say of a drain that is to begin.
    ///
    /// # Errors
    ///
    /// That the relay stops already.
    pub(super) fn before_drain(&self) -> Result<String, String> {
        let state = &self.running.state;
        if state.is_stopping() {
            return Err("the relay is stopping already".to_owned());
        }
        let next = match systemd::is_there() {
            true => "; systemd starts it again (to have it stay down: systemctl stop)",
            false => "",
        };
        let most = state.live().config.drain_timeout.as_secs();
        Ok(format!(
            "nobody new is let in, pairs have {most} s to finish, and then the relay ends{next}"
        ))
    }

    fn take_over(&mut self, settings: Settings) -> String {
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
        let mut said = match changes.as_slice() {
            [] => "settings read again: no change".to_owned(),
            changes => format!("settings read again: {}", changes.join(", ")),
        };
        if told_before {
            info!("{said}");
        }
        let complaint = logging::set_filter(settings.log_filter.as_deref());
        if !told_before {
            info!("{said}");
        }
        self.log_filter = settings.log_filter;
        self.file = settings.file;
        let mut waiting = waiting
            .iter()
            .filter(|change| change.knob.needs_restart)
            .peekable();
        if waiting.peek().is_some() {
            let all: Vec<_> = waiting.map(shown).collect();
            let needed = format!("a restart is needed for {}", all.join(", "));
            warn!("{needed}");
            said += &format!("; {needed}");
        }
        for warning in complaint.into_iter().chain(settings.warnings) {
            warn!("{warning}");
            said += &format!("; {warning}");
        }
        said
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
