//! What can happen, and what is known of it.

use std::time::Duration;

use relay_wire::{code::RoomCode, ending::Ending, reply::PeerId};

use crate::{
    limits::access::Visitor,
    rooms::{Passed, SessionId},
};

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A room was opened.
    RoomCreated,
    /// A receiver has come into a room, and may have to wait there.
    RoomJoined,
    /// A receiver is paired with its sender.
    RelayStarted,
    /// It no longer is, or has left before its turn came.
    RelayFinished,
    /// A room waits for its sender.
    SenderAway,
    /// A sender has its room again.
    RoomResumed,
    /// A room was closed.
    RoomClosed,
    /// Somebody may not open a room.
    CreateRoomRejected,
    /// Somebody may not join one.
    JoinRoomRejected,
    /// Somebody may not take one up again.
    ResumeRoomRejected,
    /// A handshake or any other request was refused, or none came in time.
    RequestRejected,
    /// This relay has joined the others of its cluster.
    ClusterJoined,
    /// It has its own rooms alone from here on.
    ClusterLeft,
    /// Another one is heard of, for the first time or again.
    NodeHeard,
    /// Another one is not heard of any more.
    NodeSilent,
    /// Another one has left or is dead.
    NodeGone,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::RoomCreated,
        Self::RoomJoined,
        Self::RelayStarted,
        Self::RelayFinished,
        Self::SenderAway,
        Self::RoomResumed,
        Self::RoomClosed,
        Self::CreateRoomRejected,
        Self::JoinRoomRejected,
        Self::ResumeRoomRejected,
        Self::RequestRejected,
        Self::ClusterJoined,
        Self::ClusterLeft,
        Self::NodeHeard,
        Self::NodeSilent,
        Self::NodeGone,
    ];

    /// Whether somebody was refused something. Those alone have a budget: a stranger may cause any number of
    /// them, while rooms and whoever is in them have limits of their own.
    pub(super) fn is_refusal(self) -> bool {
        match self {
            Self::CreateRoomRejected
            | Self::JoinRoomRejected
            | Self::ResumeRoomRejected
            | Self::RequestRejected => true,
            Self::RoomCreated
            | Self::RoomJoined
            | Self::RelayStarted
            | Self::RelayFinished
            | Self::SenderAway
            | Self::RoomResumed
            | Self::RoomClosed
            | Self::ClusterJoined
            | Self::ClusterLeft
            | Self::NodeHeard
            | Self::NodeSilent
            | Self::NodeGone => false,
        }
    }

    /// Its name in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoomCreated => "room_created",
            Self::RoomJoined => "room_joined",
            Self::RelayStarted => "relay_started",
            Self::RelayFinished => "relay_finished",
            Self::SenderAway => "sender_away",
            Self::RoomResumed => "room_resumed",
            Self::RoomClosed => "room_closed",
            Self::CreateRoomRejected => "create_room_rejected",
            Self::JoinRoomRejected => "join_room_rejected",
            Self::ResumeRoomRejected => "resume_room_rejected",
            Self::RequestRejected => "request_rejected",
            Self::ClusterJoined => "cluster_joined",
            Self::ClusterLeft => "cluster_left",
            Self::NodeHeard => "node_heard",
            Self::NodeSilent => "node_silent",
            Self::NodeGone => "node_gone",
        }
    }
}

/// Something that has happened, as far as it is known.
#[derive(Debug, Clone)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// Why, where there is a reason.
    pub reason: Option<Ending>,
    /// In which room.
    pub room: Option<RoomCode>,
    /// By or to which session: of a room that is opened or closed, its sender's, and else the receiver's.
    pub session: Option<SessionId>,
    /// The receiver's name towards its sender.
    pub peer: Option<PeerId>,
    /// Whose session that is.
    pub visitor: Option<Visitor>,
    /// What passed between sender and receivers.
    pub passed: Option<Passed>,
    /// Receivers that were paired.
    pub receivers: Option<u64>,
    /// How long a pair or a room lasted.
    pub duration: Option<Duration>,
    /// The address of another relay of the cluster.
    pub node: Option<String>,
}

impl Event {
    /// That this has happened, and nothing more.
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            reason: None,
            room: None,
            session: None,
            peer: None,
            visitor: None,
            passed: None,
            receivers: None,
            duration: None,
            node: None,
        }
    }
}
