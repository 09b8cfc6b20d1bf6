//! From a knob's text to its value, or to the sentence that says what is wrong with it.

use std::{
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use relay_client::url::Url;

use super::{
    cluster::{NatsServers, Secret},
    keys::AccessKeys,
    knob::{Kind, Knob},
    site::Sites,
    source::{Error, Origin, Source, quote},
};

/// The knob's value in the first of `sources` that has one, or else its default.
pub(super) fn read<T: Value>(knob: &Knob, sources: &[Source]) -> Result<T, Error> {
    let mut sources = sources.iter();
    let found = sources.find_map(|source| Some((source.get(knob.variable)?, &source.origin)));
    let text = found.map_or(knob.default, |(text, _)| text);
    T::parse(text.trim(), knob.kind).ok_or_else(|| {
        // The place as whoever set it would look for it.
        let origin = match found {
            None => "its default".to_owned(),
            Some((_, Origin::Flags)) => format!("the flag --{}", knob.flag()),
            Some((_, other)) => other.to_string(),
        };
        Error(format!(
            "{}, from {origin}, is {}: it must be {}",
            knob.variable,
            match knob.kind {
                Kind::Keys | Kind::Secret => without_secrets(text),
                Kind::Nats => "not shown".to_owned(),
                _ => quote(text),
            },
            knob.kind.allowed()
        ))
    })
}

/// Keys that cannot be used, in a sentence: the path of their file at most.
fn without_secrets(text: &str) -> String {
    match text.split_once('\n') {
        Some((path, _)) if path.starts_with('/') => {
            format!("{}, a file with a line that cannot be used", quote(path))
        }
        _ => "not shown".to_owned(),
    }
}

/// A type that a knob can have.
pub(super) trait Value: Sized {
    /// The value of a text; `None` where that is not one of those that `kind` allows.
    fn parse(text: &str, kind: Kind) -> Option<Self>;

    /// A text with this value, fit for a log.
    fn shown(&self) -> String;
}

/// What sizes may be given in, in bytes.
const SIZES: [(&str, u64); 9] = [
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];
/// What times may be given in, in seconds.
const TIMES: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

/// A number of bytes, which may have a unit.
pub fn bytes(text: &str) -> Option<u64> {
    amount(text, &SIZES)
}

/// A number of seconds, or a time in units of those.
pub fn seconds(text: &str) -> Option<u64> {
    amount(text, &TIMES)
}

/// A whole number, in digits alone.
fn whole(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// A whole number, or the sum of several that each have one of these units, whatever its case. The
/// deployment's scripts read times as this does.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    if let Some(number) = whole(text) {
        return Some(number);
    }
    let (mut rest, mut sum) = (text, 0_u64);
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, behind) = behind.split_at(
            behind
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(behind.len()),
        );
        let (_, factor) = units
            .iter()
            .find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

impl Value for u64 {
    fn parse(text: &str, kind: Kind) -> Option<Self> {
        let (number, min, max) = match kind {
            Kind::Count(min, max) => (whole(text)?, min, max),
            Kind::Bytes(min, max) => (bytes(text)?, min, max),
            Kind::BytesOrZero(min, max) => match bytes(text)? {
                0 => (0, 0, 0),
                number => (number, min, max),
            },
            Kind::Seconds(min, max) => (seconds(text)?, min, max),
            Kind::Host
            | Kind::Networks
            | Kind::Header
            | Kind::Sites
            | Kind::Keys
            | Kind::Addresses
            | Kind::Nats
            | Kind::Node
            | Kind::Secret
            | Kind::Switch
            | Kind::Path(_) => return None,
        };
        (min..=max).contains(&number).then_some(number)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Value for usize {
    fn parse(text: &str, kind: Kind) -> Option<Self> {
        u64::parse(text, kind)?.try_into().ok()
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Value for u16 {
    fn parse(text: &str, kind: Kind) -> Option<Self> {
        u64::parse(text, kind)?.try_into().ok()
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Value for Duration {
    fn parse(text: &str, kind: Kind) -> Option<Self> {
        u64::parse(text, kind).map(Duration::from_secs)
    }

    fn shown(&self) -> String {
        self.as_secs().to_string()
    }
}

impl Value for bool {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        let is = |name| text.eq_ignore_ascii_case(name);
        (is("on") || is("off")).then(|| is("on"))
    }

    fn shown(&self) -> String {
        if *self { "on" } else { "off" }.to_owned()
    }
}

/// A host. An IPv6 address may stand in brackets, and loses them; whether a name resolves is seen
/// when it is bound.
impl Value for String {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        if let Some(address) = bare {
            return address.parse::<Ipv6Addr>().ok().map(|_| address.to_owned());
        }
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let valid = text.parse::<IpAddr>().is_ok() || (!text.is_empty() && text.bytes().all(name));
        valid.then(|| text.to_owned())
    }

    fn shown(&self) -> String {
        self.clone()
    }
}

/// Networks. An address alone is a network of one; IPv4 written as IPv6 is IPv4, as clients' addresses
/// are.
impl Value for Vec<IpNet> {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(network)
            .collect()
    }

    fn shown(&self) -> String {
        let networks: Vec<_> = self.iter().map(IpNet::to_string).collect();
        networks.join(",")
    }
}

/// A network in CIDR, or an address, which is a network of one; IPv4 written as IPv6 is IPv4.
pub fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse().map(|address: IpAddr| address.into());
    let network: IpNet = text.parse().or_else(|_| address()).ok()?;
    let mapped = network.addr().to_canonical();
    Some(match network.prefix_len().checked_sub(96) {
        Some(len) if mapped.is_ipv4() && network.addr().is_ipv6() => {
            IpNet::new(mapped, len).unwrap_or(network)
        }
        _ => network,
    })
}

/// A header name, of the characters RFC 9110 has for one.
impl Value for Option<String> {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        text.bytes()
            .all(token)
            .then(|| (!text.is_empty()).then(|| text.to_owned()))
    }

    /// Where a client could write this header itself, its name is all that it would have to know.
    fn shown(&self) -> String {
        self.as_ref().map_or("", |_| "(not shown)").to_owned()
    }
}

impl Value for Sites {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        Self::parse(text)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Value for AccessKeys {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        Self::parse(text)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Value for NatsServers {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        Self::parse(text)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Value for Secret {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        Self::parse(text)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// Where a node is: nothing in it is to be a secret, since every node is told.
impl Value for Option<Url> {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        if text.is_empty() {
            return Some(None);
        }
        let url = Url::parse(text).ok()?;
        let plain = url.user.is_none() && !url.path.contains('?');
        plain.then_some(Some(url))
    }

    fn shown(&self) -> String {
        self.as_ref().map_or_else(String::new, Url::to_string)
    }
}

/// The path of a file or a folder of the relay's own. That it can be used is seen when it is.
impl Value for Option<PathBuf> {
    fn parse(text: &str, kind: Kind) -> Option<Self> {
        let Kind::Path(most) = kind else {
            return None;
        };
        let valid = text.len() <= most && !text.contains(char::is_control);
        valid.then(|| (!text.is_empty()).then(|| text.into()))
    }

    fn shown(&self) -> String {
        let path = self.as_ref();
        path.map_or_else(String::new, |path| path.display().to_string())
    }
}

/// How much of a client's address is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// The network around it: a /24, or a /48 of IPv6.
    Truncated,
    /// All of it.
    Full,
    /// None of it.
    None,
}

impl Value for Addresses {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        let all = [Self::Truncated, Self::Full, Self::None];
        all.into_iter()
            .find(|it| text.eq_ignore_ascii_case(&it.shown()))
    }

    fn shown(&self) -> String {
        match self {
            Self::Truncated => "truncated",
            Self::Full => "full",
            Self::None => "none",
        }
        .to_owned()
    }
}
