//! The files that the system lets the process open, and what they are for: a socket is one.

use log::warn;

use crate::{
    admin,
    config::Config,
    http::accept::{MAX_HANDSHAKES, PLACES_FOR_ONE_LEAVING},
};

/// Files of the process's own: its standard streams, what it hears signals by, the operator's socket with
/// its connections, and a few to spare.
const OWN: usize = 16 + admin::CONNECTIONS;
/// Files of a worker's own, beside its connections and its listeners: its runtime's.
const OWN_OF_WORKER: usize = 5;
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

/// Raises the limit of open files to what the sessions need, beside so many listeners. Where the system
/// does not allow as many, lowers `RELAY_MAX_SESSIONS` to what there is, and says so. Returns how many
/// connections may be on their way to becoming sessions, for each worker.
pub(super) fn fit(config: &mut Config, listeners: usize) -> usize {
    fit_beside(config, listeners, None)
}

/// The same for a relay that runs already, with so many places for such connections.
pub(super) fn fit_again(config: &mut Config, listeners: usize, handshakes: usize) {
    fit_beside(config, listeners, Some(handshakes));
}

fn fit_beside(config: &mut Config, listeners: usize, handshakes: Option<usize>) -> usize {
    let (sessions, workers) = (config.max_sessions, config.workers);
    // One whose room is on another node has a connection there, too.
    let each = if config.cluster().is_some() { 2 } else { 1 };
    let own = own(workers, listeners);
    let wanted = own + wanted(sessions * each, workers);
    match rlimit::increase_nofile_limit(wanted as u64) {
        Ok(allowed) => {
            let sockets = (allowed.min(wanted as u64) as usize).saturating_sub(own);
            let fitting = divide(sockets, sessions * each, workers, handshakes);
            let fitting = Sockets {
                sessions: (fitting.sessions / each).max(1),
                ..fitting
            };
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
            handshakes.unwrap_or(MAX_HANDSHAKES)
        }
    }
}

/// The files that are for no connection. The process has every listener, and so has each worker.
fn own(workers: usize, listeners: usize) -> usize {
    OWN + listeners + workers * (OWN_OF_WORKER + listeners)
}

/// Sockets for so many sessions, and for all connections that there may be beside them.
fn wanted(sessions: usize, workers: usize) -> usize {
    let leaving = MAX_HANDSHAKES.div_ceil(PLACES_FOR_ONE_LEAVING);
    workers * (MAX_HANDSHAKES + leaving) + sessions
}

/// What so many sockets are divided into, for a relay that is to have so many sessions, where the places
/// for handshakes are given or not. There is at least one of each.
fn divide(sockets: usize, sessions: usize, workers: usize, handshakes: Option<usize>) -> Sockets {
    let kept = sockets.saturating_sub(sessions).max(sockets / KEPT);
    // Beside those that have a place there are some that have lost theirs.
    let with_place = kept / workers * PLACES_FOR_ONE_LEAVING / (PLACES_FOR_ONE_LEAVING + 1);
    let handshakes = handshakes.unwrap_or(with_place.clamp(1, MAX_HANDSHAKES));
    let leaving = handshakes.div_ceil(PLACES_FOR_ONE_LEAVING);
    let left = sockets.saturating_sub(workers * (handshakes + leaving));
    Sockets {
        sessions: sessions.min(left).max(1),
        handshakes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(sockets: usize, sessions: usize, workers: usize) -> (usize, usize) {
        let divided = divide(sockets, sessions, workers, None);
        (divided.sessions, divided.handshakes)
    }

    #[test]
    fn with_files_enough_there_is_all_that_is_wanted() {
        let wanted = wanted(10_000, 2);
        for sockets in [wanted, usize::MAX / 64] {
            assert_eq!(divided(sockets, 10_000, 2), (10_000, MAX_HANDSHAKES));
        }
        assert_eq!(divided(wanted - 2, 10_000, 2), (9_998, MAX_HANDSHAKES));
    }

    #[test]
    fn with_too_few_a_quarter_is_kept_for_who_is_no_session() {
        assert_eq!(divided(132, 10_000, 1), (99, 32));
        assert_eq!(divided(132, 99, 1), (99, 32));
        assert_eq!(divided(132, 33, 1), (33, 96));
        let kept = MAX_HANDSHAKES + MAX_HANDSHAKES / 32;
        assert_eq!(divided(8_000, 10_000, 1), (8_000 - kept, 1024));
    }

    #[test]
    fn what_is_given_out_is_never_more_than_there_is() {
        for workers in [1, 2, 7] {
            for sockets in 8 * workers..3000 {
                for sessions in [1, 100, 2000] {
                    let (sessions, handshakes) = divided(sockets, sessions, workers);
                    let leaving = handshakes.div_ceil(PLACES_FOR_ONE_LEAVING);
                    let given = sessions + workers * (handshakes + leaving);
                    assert!(given <= sockets, "{given} of {sockets}");
                }
            }
        }
    }

    #[test]
    fn places_that_are_there_already_are_not_given_to_sessions() {
        let (few, places) = divided(132, 33, 1);
        assert_eq!(few, 33);
        let again = divide(132, 10_000, 1, Some(places));
        assert_eq!((again.sessions, again.handshakes), (33, places));
        let more = divide(1_000, 10_000, 1, Some(places));
        assert_eq!((more.sessions, more.handshakes), (1_000 - 96 - 3, places));
    }

    #[test]
    fn there_is_one_of_each_in_any_case() {
        assert_eq!(divided(0, 10_000, 1), (1, 1));
    }
}
