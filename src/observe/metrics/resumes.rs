//! Rooms that wait for their senders, and how those come back.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Why a room is not taken up again, although its code is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotResumed {
    /// The token is none of this relay's for this code, or its life is over.
    BadToken,
    /// The room has ended, or the code is another room's.
    RoomOver,
}

impl NotResumed {
    const ALL: [Self; 2] = [Self::BadToken, Self::RoomOver];

    fn name(self) -> &'static str {
        match self {
            Self::BadToken => "bad_token",
            Self::RoomOver => "room_over",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct How {
    how: &'static str,
}

/// How a room was taken up, by whether it was opened anew.
const fn how(anew: bool) -> How {
    How {
        how: if anew { "opened_anew" } else { "taken_up" },
    }
}

/// The counters of rooms that outlive their senders' connections.
#[derive(Default)]
pub struct Resumes {
    away: Counter,
    resumed: Family<How, Counter>,
    refused: Family<Why, Counter>,
}

impl Resumes {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self::default();
        registry.register(
            "senders_away",
            "Senders whose rooms began to wait for them",
            all.away.clone(),
        );
        registry.register(
            "rooms_resumed",
            "Rooms that their senders have taken up again: where they were (taken_up), or opened anew under their \
             codes, as this relay did not have them (opened_anew); relay_rooms_opened has the latter, too",
            all.resumed.clone(),
        );
        registry.register(
            "resumes_refused",
            "Requests to take a room up again that were room_not_found here, by why: no token of this relay's for the \
             code, or its life is over (bad_token); the room has ended, or the code is another room's (room_over)",
            all.refused.clone(),
        );
        for anew in [false, true] {
            all.resumed.get_or_create(&how(anew)).inc_by(0);
        }
        for why in NotResumed::ALL {
            let reason = why.name();
            all.refused.get_or_create(&Why { reason }).inc_by(0);
        }
        all
    }

    /// A room begins to wait for its sender.
    pub fn away(&self) {
        self.away.inc();
    }

    /// A room is taken up again.
    pub fn resumed(&self, anew: bool) {
        self.resumed.get_or_create(&how(anew)).inc();
    }

    /// A room is not.
    pub fn refused(&self, why: NotResumed) {
        let reason = why.name();
        self.refused.get_or_create(&Why { reason }).inc();
    }
}
