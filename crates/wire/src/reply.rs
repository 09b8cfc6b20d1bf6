//! What the relay says to its clients.

use std::time::Duration;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::{
    ending::Ending,
    frame::{self, Opcode},
};

/// What the relay tells a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reply {
    /// The room is open.
    RoomCreated {
        /// Its code.
        room_id: String,
        /// Seconds it lives.
        expires_in: u64,
        /// What its sender takes it up again with, where it has asked for that.
        #[serde(flatten)]
        resume: Option<ResumeBy>,
    },
    /// The sender has its room again.
    RoomResumed {
        /// Its code.
        room_id: String,
        /// Seconds it still lives.
        expires_in: u64,
        /// What it is taken up again with the next time.
        #[serde(flatten)]
        resume: ResumeBy,
    },
    /// The receiver is in, paired or queued.
    RoomJoined {
        /// The code, as the relay writes it.
        room_id: String,
    },
    /// The receiver's place in the queue, for one that has asked to hear of it.
    Queued {
        /// 1 is the next; 0 where it is paired, and everything behind this is its sender's.
        position: usize,
    },
    /// A receiver is paired with the sender.
    PeerJoined {
        /// Its name.
        peer_id: PeerId,
    },
    /// That receiver is gone.
    PeerDisconnected {
        /// Its name.
        peer_id: PeerId,
    },
    /// A refusal, or an end.
    Error {
        /// Why, for a program.
        reason: Ending,
        /// Why, for a person.
        message: &'static str,
        /// Whole seconds to wait.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        /// When to come back, where the client is to take its room up again: not all at once.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "seconds")]
        reconnect_in: Option<Duration>,
    },
}

/// How a sender takes its room up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResumeBy {
    /// The text of its token.
    #[serde(rename = "resume_token")]
    pub token: String,
    /// Seconds that the room waits for it.
    #[serde(rename = "resume_within")]
    pub within: u64,
}

/// A time as a number of seconds, to the millisecond.
#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    let seconds = time.map(|time| time.as_millis() as f64 / 1000.0);
    seconds.serialize(serializer)
}

impl From<Ending> for Reply {
    fn from(reason: Ending) -> Self {
        Self::Error {
            reason,
            message: reason.sentence().unwrap_or_default(),
            retry_after: None,
            reconnect_in: None,
        }
    }
}

impl Reply {
    /// The refusal for rate, with the time to wait; a part of a second counts as a whole one, so
    /// that whoever waits as told is let in.
    pub fn rate_limited(wait: Duration) -> Self {
        Self::until(Ending::RateLimited, wait)
    }

    /// A refusal that is over after this time.
    pub fn until(reason: Ending, wait: Duration) -> Self {
        Self::Error {
            reason,
            message: reason.sentence().unwrap_or_default(),
            retry_after: Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            reconnect_in: None,
        }
    }

    /// The end of a relay, after which the client is to come back in this time.
    pub fn come_back(reconnect_in: Duration) -> Self {
        let reason = Ending::ServerShutdown;
        Self::Error {
            reason,
            message: reason.sentence().unwrap_or_default(),
            retry_after: None,
            reconnect_in: Some(reconnect_in),
        }
    }

    /// What has ended, if anything has.
    pub fn ending(&self) -> Option<Ending> {
        match self {
            Self::Error { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// The reply as a text frame.
    pub fn encode(&self) -> Vec<u8> {
        // Strings and numbers alone: there is nothing in a reply that could fail to serialise.
        let json = serde_json::to_vec(self).unwrap_or_default();
        frame::encode(Opcode::Text, &json)
    }
}

/// A receiver's name towards its sender: `conn_` and a UUID, new for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerId(Uuid);

impl PeerId {
    /// A name nobody has had.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("conn_{}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_read_as_the_protocol_says() {
        let json = |reply: Reply| String::from_utf8_lossy(&reply.encode()[2..]).into_owned();
        let room_id = "a7f3k2".to_owned();
        let created = Reply::RoomCreated {
            room_id: room_id.clone(),
            expires_in: 1800,
            resume: None,
        };
        assert_eq!(
            json(created),
            r#"{"type":"ROOM_CREATED","room_id":"a7f3k2","expires_in":1800}"#
        );
        assert_eq!(
            json(Reply::RoomJoined { room_id }),
            r#"{"type":"ROOM_JOINED","room_id":"a7f3k2"}"#
        );
        let peer_id = PeerId(Uuid::nil());
        assert_eq!(
            json(Reply::PeerJoined { peer_id }),
            r#"{"type":"PEER_JOINED","peer_id":"conn_00000000-0000-0000-0000-000000000000"}"#
        );
        assert!(
            json(Reply::from(Ending::RoomFull))
                .starts_with(r#"{"type":"ERROR","reason":"room_full","message":""#)
        );
        for (millis, wait) in [(1, 1), (1000, 1), (1001, 2), (2000, 2)] {
            let reply = json(Reply::rate_limited(Duration::from_millis(millis)));
            let end = format!(r#","retry_after":{wait}}}"#);
            assert!(reply.ends_with(&end), "{reply} for {millis} ms");
        }
    }

    #[test]
    fn who_asks_for_it_is_told_how_to_come_back() {
        let json = |reply: Reply| String::from_utf8_lossy(&reply.encode()[2..]).into_owned();
        let room_id = "a7f3k2".to_owned();
        let resume = ResumeBy {
            token: "T".to_owned(),
            within: 120,
        };
        let created = Reply::RoomCreated {
            room_id: room_id.clone(),
            expires_in: 60,
            resume: Some(resume.clone()),
        };
        let resumed = Reply::RoomResumed {
            room_id,
            expires_in: 60,
            resume,
        };
        let rest = r#""room_id":"a7f3k2","expires_in":60,"resume_token":"T","resume_within":120}"#;
        assert_eq!(json(created), format!(r#"{{"type":"ROOM_CREATED",{rest}"#));
        assert_eq!(json(resumed), format!(r#"{{"type":"ROOM_RESUMED",{rest}"#));
        for (millis, shown) in [(1000, "1.0"), (1234, "1.234"), (15_000, "15.0")] {
            let reply =
                String::from_utf8_lossy(&Reply::come_back(Duration::from_millis(millis)).encode())
                    .into_owned();
            assert!(
                reply.ends_with(&format!(r#","reconnect_in":{shown}}}"#)),
                "{reply}"
            );
        }
    }

    #[test]
    fn only_an_error_tells_of_an_ending() {
        let peer_id = PeerId::random();
        assert_eq!(Reply::PeerJoined { peer_id }.ending(), None);
        for ending in [Ending::RoomFull, Ending::RoomExpired] {
            assert_eq!(Reply::from(ending).ending(), Some(ending));
        }
    }
}
