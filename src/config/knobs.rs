//! The table of knobs: the one place where a setting's name, type, default, range and description
//! are written. `Config`, the command line and the checks all come from it, and a test holds
//! `.env.example` to it.

use std::{path::PathBuf, time::Duration};

use ipnet::IpNet;
use relay_client::url::Url;

use super::{
    cluster::{NatsServers, Secret},
    keys::AccessKeys,
    knob::{
        Kind::{self, Bytes, BytesOrZero, Count, Header, Host, Networks, Seconds, Switch},
        Knob,
    },
    site::Sites,
    source::{Error, Source},
    value::{self, Addresses, Value},
};

/// What stands beside the settings, and is none of the relay's: the health check's units read it.
const OF_UNITS: [&str; 1] = ["RELAY_ALERT_COMMAND"];

/// Whether a variable is a setting of ours, or of the units beside the relay.
pub(super) fn is_known(variable: &str) -> bool {
    KNOBS.iter().any(|knob| knob.variable == variable) || OF_UNITS.contains(&variable)
}

macro_rules! knobs {
    (@is) => { false };
    (@is restart) => { true };
    (@taken_over $new:expr, $running:expr) => { $new };
    (@taken_over $new:expr, $running:expr, restart) => { $running };
    ($(
        $group:literal {
            $(
                #[doc = $doc:literal]
                $field:ident: $type:ty = $variable:ident($default:literal, $kind:expr $(, $restart:ident)?);
            )+
        }
    )+) => {
        $($(
            const $variable: Knob = Knob {
                variable: stringify!($variable),
                default: $default,
                group: $group,
                kind: $kind,
                needs_restart: knobs!(@is $($restart)?),
                doc: $doc,
            };
        )+)+

        /// Every knob, in the order people are shown them.
        pub const KNOBS: &[Knob] = &[$($($variable),+),+];

        /// What an operator can choose, checked: every value lies in its knob's range.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $($(
                #[doc = $doc]
                pub $field: $type,
            )+)+
        }

        impl Config {
            /// Takes each value from the first of `sources` that has it, or else its default.
            pub(super) fn read(sources: &[Source]) -> Result<Self, Error> {
                Ok(Self { $($( $field: value::read(&$variable, sources)?, )+)+ })
            }

            /// These settings as far as a relay that runs with `running` can take them over.
            pub fn without_restart(self, running: &Self) -> Self {
                let running = running.clone();
                Self {
                    $($( $field: knobs!(@taken_over self.$field, running.$field $(, $restart)?), )+)+
                }
            }

            /// The settings that have another value in `new`.
            pub fn changes(&self, new: &Self) -> Vec<Change> {
                let all = [$($(
                    (self.$field != new.$field).then(|| Change {
                        knob: &$variable,
                        old: self.$field.shown(),
                        new: new.$field.shown(),
                    }),
                )+)+];
                all.into_iter().flatten().collect()
            }
        }
    };
}

/// A setting that has another value than before, each as one would write it.
#[derive(Debug)]
pub struct Change {
    /// Which.
    pub knob: &'static Knob,
    /// What it was.
    pub old: String,
    /// What it is.
    pub new: String,
}

knobs! {
    "Listening" {
        /// IP address or host name to listen on
        host: String = RELAY_HOST("127.0.0.1", Host, restart);
        /// TCP port to listen on; 0 takes any free one
        port: u16 = RELAY_PORT("9784", Count(0, 65_535), restart);
        /// Worker threads; a second one is for when the first fills its core
        workers: usize = RELAY_WORKERS("1", Count(1, 64), restart);
        /// Web pages that may connect: own (those of the host asked for), *, or origins; empty is none
        allowed_origins: Sites = RELAY_ALLOWED_ORIGINS("own", Kind::Sites);
        /// Who may connect: name:key pairs, or the path of a file of them; empty is everybody
        access_keys: AccessKeys = RELAY_ACCESS_KEYS("", Kind::Keys);
    }
    "Rooms" {
        /// Rooms open at once
        max_rooms: usize = RELAY_MAX_ROOMS("1000", Count(1, 1_000_000));
        /// How long a room can be joined, from its creation
        room_ttl: Duration = RELAY_ROOM_TTL("1800", Seconds(1, 604_800));
        /// How long a room can be joined whose sender asks for a longer life; RELAY_ROOM_TTL where that is longer
        max_room_ttl: Duration = RELAY_MAX_ROOM_TTL("86400", Seconds(1, 604_800));
        /// How long a room waits for a sender that may take it up again; 0 is not at all
        room_grace: Duration = RELAY_ROOM_GRACE("120", Seconds(0, 86_400));
        /// Characters in a room code; fewer are easier to guess
        room_code_length: usize = RELAY_ROOM_CODE_LENGTH("6", Count(4, 16));
        /// Receivers that may wait in one room
        max_queue: usize = RELAY_MAX_QUEUE("16", Count(0, 10_000));
    }
    "Data and memory" {
        /// Longest message, in bytes; 0 is 64 MiB from a sender and 10 MiB from a receiver
        max_msg_size: u64 = RELAY_MAX_MSG_SIZE("0", BytesOrZero(64, 4_294_967_296));
        /// Longest message from a receiver, which is held whole; 0 is as RELAY_MAX_MSG_SIZE says
        max_receiver_msg_size: u64 = RELAY_MAX_RECEIVER_MSG_SIZE("0", BytesOrZero(64, 4_294_967_296));
        /// Sessions open at once, in a room or not
        max_sessions: usize = RELAY_MAX_SESSIONS("10000", Count(1, 1_000_000));
        /// Bytes of incomplete messages to senders, and of messages that a slow receiver has not taken
        max_buffered: usize = RELAY_MAX_BUFFERED("268435456", Bytes(0, 1_099_511_627_776));
        /// Bytes on their way from one session before it is read on only with memory of RELAY_MAX_BUFFERED
        window: usize = RELAY_WINDOW("262144", Bytes(16_384, 16_777_216));
        /// Whether clients that offer it may compress their messages
        compression: bool = RELAY_COMPRESSION("on", Switch);
    }
    "Fairness" {
        /// Sessions of one client address; 0 is a quarter of RELAY_MAX_SESSIONS, and at least 1000
        address_sessions: usize = RELAY_ADDRESS_SESSIONS("0", Count(0, 1_000_000));
        /// Rooms of one client address; 0 is a quarter of RELAY_MAX_ROOMS, and at least 100
        address_rooms: usize = RELAY_ADDRESS_ROOMS("0", Count(0, 1_000_000));
        /// RELAY_MAX_BUFFERED of one client address; 0 is a quarter, and at least one longest message
        address_buffered: usize = RELAY_ADDRESS_BUFFERED("0", Bytes(0, 1_099_511_627_776));
        /// Requests allowed per session in one rate limit window
        rate_limit_max: usize = RELAY_RATE_LIMIT_MAX("20", Count(1, 1_000_000));
        /// Requests allowed per client address in one rate limit window
        address_rate_limit_max: usize = RELAY_ADDRESS_RATE_LIMIT_MAX("120", Count(1, 1_000_000));
        /// Length of the rate limit window
        rate_limit_window: Duration = RELAY_RATE_LIMIT_WINDOW("60", Seconds(1, 86_400));
        /// Wrong room codes allowed per client address in one failed join window
        failed_join_max: usize = RELAY_FAILED_JOIN_MAX("10", Count(1, 1_000_000));
        /// Length of the failed join window
        failed_join_window: Duration = RELAY_FAILED_JOIN_WINDOW("600", Seconds(1, 86_400));
        /// Bytes read from one session per second; 0 is no limit
        session_bytes_per_sec: u64 = RELAY_SESSION_BYTES_PER_SEC("0", Bytes(0, 1_099_511_627_776));
    }
    "Timing" {
        /// Time for a request, from connecting or from the last refusal; a third of it where sessions get scarce
        request_timeout: Duration = RELAY_REQUEST_TIMEOUT("30", Seconds(1, 86_400));
        /// Time without traffic before a session is pinged
        ping_interval: Duration = RELAY_PING_INTERVAL("20", Seconds(1, 86_400));
        /// Time for the Pong before a session is dropped
        ping_timeout: Duration = RELAY_PING_TIMEOUT("20", Seconds(1, 86_400));
        /// Time in which bytes wait for a peer and none are accepted or arrive before it is dropped
        stall_timeout: Duration = RELAY_STALL_TIMEOUT("60", Seconds(1, 86_400));
        /// Time a pair may move no data before its receiver is let go
        pair_idle: Duration = RELAY_PAIR_IDLE("1800", Seconds(1, 604_800));
        /// Time for pairs to finish once the relay is told to stop
        drain_timeout: Duration = RELAY_DRAIN_TIMEOUT("20", Seconds(0, 86_400));
    }
    "Event log" {
        /// Directory of relay-events.jsonl and daily-stats.json; empty is no event log
        log_dir: Option<PathBuf> = RELAY_LOG_DIR("", Kind::Path(MAX_FOLDER));
        /// How client addresses stand in relay-events.jsonl; truncated is their /24, or /48 of IPv6
        log_addresses: Addresses = RELAY_LOG_ADDRESSES("truncated", Kind::Addresses);
        /// Bytes of events that are kept, in all files; the oldest go first
        log_size: u64 = RELAY_LOG_SIZE("104857600", Bytes(1_048_576, 1_099_511_627_776));
        /// How long files of events are kept; each has those of one day at most
        log_keep: Duration = RELAY_LOG_KEEP("2592000", Seconds(86_400, 315_360_000));
    }
    "Behind a proxy" {
        /// Addresses and CIDR ranges whose forwarding headers are believed, separated by commas
        trusted_proxies: Vec<IpNet> = RELAY_TRUSTED_PROXIES("127.0.0.0/8,::1", Networks);
        /// Header in which they name the client, preferred to X-Forwarded-For: CF-Connecting-IP, say
        client_ip_header: Option<String> = RELAY_CLIENT_IP_HEADER("", Header);
    }
    "For its operator" {
        /// Addresses and CIDR ranges that see /status, /metrics, /healthz and /readyz, through no proxy; empty is none
        metrics_allow: Vec<IpNet> = RELAY_METRICS_ALLOW("127.0.0.0/8,::1", Networks);
        /// Whether everybody sees /healthz and /readyz, also through a proxy
        health_open: bool = RELAY_HEALTH_OPEN("off", Switch);
        /// Unix socket for status, block and the other commands; empty is admin.sock in RUNTIME_DIRECTORY, or none
        admin_socket: Option<PathBuf> = RELAY_ADMIN_SOCKET("", Kind::Path(MAX_SOCKET), restart);
        /// Folder where blocks, limits and what rooms are taken up by outlive a restart; empty is STATE_DIRECTORY, or nowhere
        state_dir: Option<PathBuf> = RELAY_STATE_DIR("", Kind::Path(MAX_FOLDER), restart);
    }
    "On several machines" {
        /// NATS servers over which the relays of several machines find each other's rooms; empty is one relay alone
        cluster_nats: NatsServers = RELAY_CLUSTER_NATS("", Kind::Nats, restart);
        /// File of credentials for them: a .creds, user:password or a token; empty is those in the URL
        cluster_nats_credentials: Option<PathBuf> = RELAY_CLUSTER_NATS_CREDENTIALS("", Kind::Path(MAX_FOLDER), restart);
        /// URL at which the others reach this relay
        cluster_address: Option<Url> = RELAY_CLUSTER_ADDRESS("", Kind::Node, restart);
        /// What they prove to each other that they belong together; the same on all, or the path of a file of it
        cluster_secret: Secret = RELAY_CLUSTER_SECRET("", Kind::Secret, restart);
    }
}

/// The longest path of a Unix socket that Linux takes, without the zero at its end (unix(7)).
const MAX_SOCKET: usize = 107;
/// The longest path of a file (PATH_MAX), without the zero and with room for a file's name.
const MAX_FOLDER: usize = 3_800;

/// The longest message of a sender where nobody says otherwise: what today's clients can send of a session
/// of 24 MiB. It passes through, and takes no memory.
const SENDER_MESSAGE: u64 = 64 * 1024 * 1024;
/// The longest message of a receiver, in the same case: it is held until it is whole.
const RECEIVER_MESSAGE: u64 = 10 * 1024 * 1024;

impl Config {
    /// How long a room lives whose sender asks for so many seconds, or for nothing.
    pub fn life(&self, asked: Option<u64>) -> Duration {
        let longest = self.max_room_ttl.max(self.room_ttl);
        asked.map_or(self.room_ttl, |seconds| {
            Duration::from_secs(seconds.max(1)).min(longest)
        })
    }

    /// Bytes that a message of a room's sender may have.
    pub fn sender_message(&self) -> u64 {
        match self.max_msg_size {
            0 => SENDER_MESSAGE,
            chosen => chosen,
        }
    }

    /// Bytes that a message of a receiver may have.
    pub fn receiver_message(&self) -> u64 {
        match (self.max_receiver_msg_size, self.max_msg_size) {
            (0, 0) => RECEIVER_MESSAGE,
            (0, chosen) | (chosen, _) => chosen,
        }
    }
}

impl Default for Config {
    /// Every knob at its default.
    #[expect(clippy::expect_used, reason = "a test reads every default")]
    fn default() -> Self {
        Self::read(&[]).expect("every default is in its range")
    }
}
