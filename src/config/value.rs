//! From a knob's text to its value, or to the sentence that says what is wrong with it.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use ipnet::IpNet;

use super::{
    knob::{Kind, Knob},
    site::Sites,
    source::{Error, Origin, Source, quote},
};

/// The knob's value in the first of `sources` that has one, or else its default.
pub(super) fn read<T: Value>(knob: &Knob, sources: &[Source]) -> Result<T, Error> {
    let mut sources = sources.iter();
    let found = sources.find_map(|source| Some((source.get(knob.variable)?, source.origin)));
    let text = found.map_or(knob.default, |(text, _)| text);
    T::parse(text.trim(), knob.kind).ok_or_else(|| {
        // The place as whoever set it would look for it.
        let origin = match found.map(|(_, origin)| origin) {
            None => "its default".to_owned(),
            Some(Origin::Flags) => format!("the flag --{}", knob.flag()),
            Some(other) => other.to_string(),
        };
        Error(format!(
            "{}, from {origin}, is {}: it must be {}",
            knob.variable,
            quote(text),
            knob.kind.allowed()
        ))
    })
}

/// A type that a knob can have. `None` where the text is not one of those that `kind` allows.
pub(super) trait Value: Sized {
    fn parse(text: &str, kind: Kind) -> Option<Self>;
}

impl Value for u64 {
    fn parse(text: &str, kind: Kind) -> Option<Self> {
        let (Kind::Count(min, max) | Kind::Bytes(min, max) | Kind::Seconds(min, max)) = kind else {
            return None;
        };
        let number = text.parse().ok()?;
        (min..=max).contains(&number).then_some(number)
    }
}

impl Value for usize {
    fn parse(text: &str, kind: Kind) -> Option<Self> {
        u64::parse(text, kind)?.try_into().ok()
    }
}

impl Value for u16 {
    fn parse(text: &str, kind: Kind) -> Option<Self> {
        u64::parse(text, kind)?.try_into().ok()
    }
}

impl Value for Duration {
    fn parse(text: &str, kind: Kind) -> Option<Self> {
        u64::parse(text, kind).map(Duration::from_secs)
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
}

/// Networks. An address alone is a network of one; IPv4 written as IPv6 is IPv4, as clients' addresses
/// are.
impl Value for Vec<IpNet> {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| {
                let address = || entry.parse().map(|address: IpAddr| address.into());
                let network = entry.parse().or_else(|_| address()).ok()?;
                Some(canonical(network))
            })
            .collect()
    }
}

fn canonical(network: IpNet) -> IpNet {
    let mapped = network.addr().to_canonical();
    match network.prefix_len().checked_sub(96) {
        Some(len) if mapped.is_ipv4() && network.addr().is_ipv6() => {
            IpNet::new(mapped, len).unwrap_or(network)
        }
        _ => network,
    }
}

/// A header name, of the characters RFC 9110 has for one.
impl Value for Option<String> {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        text.bytes()
            .all(token)
            .then(|| (!text.is_empty()).then(|| text.to_owned()))
    }
}

impl Value for Sites {
    fn parse(text: &str, _: Kind) -> Option<Self> {
        Self::parse(text)
    }
}
