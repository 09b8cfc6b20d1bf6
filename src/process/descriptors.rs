//! The files that the system lets the process open, and what they are for: a socket is one.

use log::warn;

use crate::{
    config::Config,
    http::accept::{LEAVING, MAX_HANDSHAKES},
};

/// Files of the process's own: its standard streams, the listener, what it hears signals by, and a few
/// to spare.
const OWN: usize = 32;
/// Files of a worker's own, beside its connections: its runtime's, and its listener.
const OWN_OF_WORKER: usize = 8 + LEAVING;
/// The part of the sockets that is kept for connections which are no sessions, or not yet: those that
/// ask how the relay is are among them.
const KEPT: usize = 4;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sockets {
    /// Sessions, over all workers.
    sessions: usize,
    /// Connections on their way to becoming sessions, for each worker.
    handshakes: usize,
}

/// Raises the limit of open files to what the sessions need. Where the system does not allow as many,
/// lowers `RELAY_MAX_SESSIONS` to what there is, and says so. Returns how many connections may be on
/// their way to becoming sessions, for each worker.
pub(super) fn fit(config: &mut Config) -> usize {
    let (sessions, workers) = (config.max_sessions, config.workers);
    let wanted = own(workers) + workers * MAX_HANDSHAKES + sessions;
    match rlimit::increase_nofile_limit(wanted as u64) {
        Ok(allowed) => {
            let fitting = divide(allowed.try_into().unwrap_or(usize::MAX), sessions, workers);
            if fitting.sessions < sessions {
                warn!(
                    "RELAY_MAX_SESSIONS is {sessions}, which takes {wanted} open files, but the \
                     system allows {allowed}: the relay has {} sessions at most (raise the limit: \
                     LimitNOFILE=, ulimit -n)",
                    fitting.sessions
                );
            }
            config.max_sessions = fitting.sessions;
            fitting.handshakes
        }
        Err(error) => {
            warn!("the limit of open files cannot be read or raised: {error}");
            MAX_HANDSHAKES
        }
    }
}

fn own(workers: usize) -> usize {
    OWN + workers * OWN_OF_WORKER
}

/// What so many files are divided into, for a relay that is to have so many sessions. There is at least
/// one of each.
fn divide(files: usize, sessions: usize, workers: usize) -> Sockets {
    let sockets = files.saturating_sub(own(workers));
    let kept = sockets.saturating_sub(sessions).max(sockets / KEPT);
    let handshakes = (kept / workers).clamp(1, MAX_HANDSHAKES);
    let left = sockets.saturating_sub(workers * handshakes);
    Sockets {
        sessions: sessions.min(left).max(1),
        handshakes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(files: usize, sessions: usize, workers: usize) -> (usize, usize) {
        let sockets = divide(files, sessions, workers);
        (sockets.sessions, sockets.handshakes)
    }

    #[test]
    fn with_files_enough_there_is_all_that_is_wanted() {
        let wanted = own(2) + 2 * MAX_HANDSHAKES + 10_000;
        for files in [wanted, usize::MAX] {
            assert_eq!(divided(files, 10_000, 2), (10_000, MAX_HANDSHAKES));
        }
        assert_eq!(divided(wanted - 1, 10_000, 2), (10_000, MAX_HANDSHAKES - 1));
    }

    #[test]
    fn with_too_few_a_quarter_is_kept_for_who_is_no_session() {
        let own = own(1);
        assert_eq!(divided(own + 100, 10_000, 1), (75, 25));
        assert_eq!(divided(own + 100, 75, 1), (75, 25));
        assert_eq!(divided(own + 100, 10, 1), (10, 90));
        assert_eq!(divided(own + 8_000, 10_000, 1), (8_000 - 1024, 1024));
    }

    #[test]
    fn what_is_given_out_is_never_more_than_there_is() {
        for workers in [1, 2, 7] {
            for files in own(workers) + 4 * workers..3000 {
                for sessions in [1, 100, 2000] {
                    let (sessions, handshakes) = divided(files, sessions, workers);
                    assert!(own(workers) + sessions + workers * handshakes <= files);
                }
            }
        }
    }

    #[test]
    fn there_is_one_of_each_in_any_case() {
        assert_eq!(divided(0, 10_000, 1), (1, 1));
    }
}
