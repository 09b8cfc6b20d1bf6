//! The NATS subjects of a cluster. Each begins with the relay's name and the cluster's tag, so that several clusters can
//! share their NATS servers.

use super::{
    secret::{Keys, RoomHash, hex},
    words::NodeId,
};

/// What is told to all.
pub(super) fn all(keys: &Keys) -> String {
    subject(keys, "nodes")
}

/// What is told to one node.
pub(super) fn to(keys: &Keys, node: NodeId) -> String {
    subject(keys, &format!("to.{}", node.token()))
}

/// All questions.
pub(super) fn questions(keys: &Keys) -> String {
    subject(keys, "find.*")
}

/// The question who has this room.
pub(super) fn question(keys: &Keys, room: &RoomHash) -> String {
    subject(keys, &format!("find.{}", hex(room)))
}

fn subject(keys: &Keys, what: &str) -> String {
    format!("claude-distill-relay.{}.{what}", keys.tag())
}

/// The room that a question is about.
pub(super) fn room_of(subject: &str) -> Option<RoomHash> {
    let token = subject.rsplit('.').next()?;
    let number = u128::from_str_radix(token, 16).ok()?;
    (token.len() == 32).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_in_a_subject_is_read_back() {
        let keys = Keys::new("0123456789abcdef0123456789abcdef", [1; 16]);
        let room = [0xab; 16];
        assert_eq!(room_of(&question(&keys, &room)), Some(room));
        for bad in ["find.abc", "", &"g".repeat(32)] {
            assert_eq!(room_of(bad), None, "{bad}");
        }
    }
}
