//! What a knob is: a setting's names, and what its value may be.

use Kind::{
    Addresses, Bytes, BytesOrZero, Count, Header, Host, Keys, Nats, Networks, Node, Path, Seconds,
    Secret, Sites, Switch,
};

use super::{cluster, keys};

/// What every variable of the relay's begins with.
pub(super) const PREFIX: &str = "RELAY_";

/// One setting, as people meet it.
#[derive(Debug)]
pub struct Knob {
    /// The environment variable's name.
    pub variable: &'static str,
    /// The value it has when nobody sets it, as one would write it.
    pub default: &'static str,
    /// The heading it stands under in `--help`.
    pub group: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Whether a running relay keeps the value it began with, until it is restarted.
    pub needs_restart: bool,
    /// What it does, without its range.
    pub(super) doc: &'static str,
}

/// What the value of a knob may be; ranges are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IP address or a host name.
    Host,
    /// A comma separated list of addresses and CIDR ranges.
    Networks,
    /// The name of an HTTP header, or nothing.
    Header,
    /// A comma separated list of web sites, by their origin.
    Sites,
    /// A comma separated list of names and their access keys, or the path of a file of those.
    Keys,
    /// How much of client addresses is written down.
    Addresses,
    /// A comma separated list of NATS servers.
    Nats,
    /// The WebSocket URL of one machine of several.
    Node,
    /// What machines prove themselves with, or the path of a file of it.
    Secret,
    /// A path of at most so many bytes, or nothing.
    Path(usize),
    /// On or off.
    Switch,
    /// A number of things.
    Count(u64, u64),
    /// A number of bytes, which may have a unit.
    Bytes(u64, u64),
    /// The same, or 0, which stands for a choice of the relay's.
    BytesOrZero(u64, u64),
    /// A time in whole seconds, or in units of those.
    Seconds(u64, u64),
}

impl Knob {
    /// The name of its flag: `max-rooms` for `RELAY_MAX_ROOMS`.
    pub fn flag(&self) -> String {
        self.variable
            .trim_start_matches(PREFIX)
            .to_lowercase()
            .replace('_', "-")
    }

    /// What it does and what range it has, in one line.
    pub fn summary(&self) -> String {
        let doc = self.doc.trim();
        let range = match self.kind {
            Host | Networks | Header | Sites | Keys | Nats | Node | Secret | Path(_) => None,
            Addresses => Some("truncated, full or none".to_owned()),
            Switch => Some("on or off".to_owned()),
            Count(min, max) | Bytes(min, max) => Some(format!("{min} to {max}")),
            BytesOrZero(min, max) => Some(format!("0, or {min} to {max}")),
            Seconds(min, max) => Some(format!("{min} to {max} seconds")),
        };
        let restart = self.needs_restart.then(|| "needs a restart".to_owned());
        let notes: Vec<_> = range.into_iter().chain(restart).collect();
        match notes.as_slice() {
            [] => doc.to_owned(),
            notes => format!("{doc} ({})", notes.join("; ")),
        }
    }
}

impl Kind {
    /// What is allowed, to end a sentence with "it must be …".
    pub(super) fn allowed(self) -> String {
        match self {
            Host => "an IP address or a host name, without a port".to_owned(),
            Networks => "IP addresses and CIDR ranges, separated by commas".to_owned(),
            Header => "the name of an HTTP header, or empty".to_owned(),
            Switch => "on or off".to_owned(),
            Addresses => "truncated, full or none".to_owned(),
            Path(most) => format!("a path of at most {most} bytes, or empty"),
            Sites => "own, *, or origins with a scheme and without a path or a slash at the end \
                      (https://app.example.com, http://localhost:3000), separated by commas"
                .to_owned(),
            Keys => format!(
                "name:key pairs, separated by commas, or the absolute path of a file with one a line; a name \
                 has up to {} letters, digits, dots, hyphens and underscores, a key {} to {} of them, or \
                 it is sha256- and the hash of one; none is there twice, and at most {} are",
                keys::MAX_NAME,
                keys::KEY.start(),
                keys::KEY.end(),
                keys::MAX_KEYS
            ),
            Nats => {
                "nats:// or tls:// URLs of NATS servers, separated by commas, or empty".to_owned()
            }
            Node => "a ws:// or wss:// URL without user and query, or empty".to_owned(),
            Secret => format!(
                "{} to {} characters without blanks, or the absolute path of a file of them",
                cluster::SECRET.start(),
                cluster::SECRET.end()
            ),
            Count(min, max) => format!("a whole number from {min} to {max}"),
            Bytes(min, max) => {
                format!("a whole number of bytes from {min} to {max}, or as much as 64KiB or 10MB")
            }
            BytesOrZero(min, max) => format!("0, or {}", Bytes(min, max).allowed()),
            Seconds(min, max) => {
                format!("a whole number of seconds from {min} to {max}, or as long as 90s or 1h30m")
            }
        }
    }
}
