//! Who is really asking, when the TCP peer may be a proxy.
//!
//! A proxy speaks for its clients in request headers, and so can anybody who connects directly:
//! headers count only when the peer is one of the proxies the operator trusts, and then only the
//! part such a proxy has written itself. The module decides whose address that is; configuring
//! [`Trust`], budgets per [`AddressKey`], and warning of a [`Source::SilentProxy`] are left to others.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// How many elements of `X-Forwarded-For` are looked at, however many are sent.
const MAX_HOPS: usize = 32;

/// This machine, by its own addresses for itself.
const LOOPBACK: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];

/// Whose word is taken for a client's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The proxies; an IPv4 range also covers the IPv4-mapped IPv6 addresses of a dual-stack socket.
    pub proxies: Vec<IpNet>,
    /// A header in which they name the client alone (`CF-Connecting-IP`), preferred over
    /// `X-Forwarded-For`. Only safe to name when they never pass on a client's own.
    pub header: Option<String>,
}

impl Trust {
    /// Whether this is the address of a trusted proxy.
    pub fn covers(&self, addr: IpAddr) -> bool {
        self.proxies.iter().any(|range| range.contains(&addr))
    }

    /// Whether some address in this network may stand for everybody: one of this machine, or of a trusted
    /// proxy, is that of all clients whom a proxy does not name.
    pub fn hides_clients_in(&self, network: &IpNet) -> bool {
        let meets = |range: &IpNet| range.contains(network) || network.contains(range);
        self.proxies.iter().chain(&LOOPBACK).any(meets)
    }
}

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address, never an IPv4-mapped one.
    pub addr: IpAddr,
    /// How that is known.
    pub source: Source,
}

impl Client {
    fn new(addr: IpAddr, source: Source) -> Self {
        Self { addr, source }
    }

    /// What the client is counted under.
    pub fn key(&self) -> AddressKey {
        AddressKey::from(self.addr)
    }

    /// Whether the address is a proxy's word rather than the TCP peer's own.
    pub fn forwarded(&self) -> bool {
        self.source == Source::Proxy
    }
}

/// Where a client's address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The TCP peer, which is no trusted proxy.
    Peer,
    /// A header of the trusted proxy that is the TCP peer.
    Proxy,
    /// A trusted proxy that names nobody believable: the TCP peer, or the last one on the way of
    /// which it speaks. Worth a warning: all who come through it share one address, and its budgets.
    SilentProxy,
}

/// The lengths of the IPv6 networks that are counted, from the narrowest on: one subscriber has at
/// least a whole /64 to pick addresses from, and often a /56 or a /48 to pick those from.
const IPV6: [u8; 3] = [NARROWEST, 56, 48];
/// The longest prefix of an IPv6 network that is told from another.
pub const NARROWEST: u8 = 64;

/// A client as budgets and shares count it: an IPv4 address, or an IPv6 network.
///
/// Made of an address it is the narrowest; [`AddressKey::levels`] has those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey(IpNet);

impl AddressKey {
    /// This client and the wider ones that it counts in, from the narrowest on: an IPv4 address
    /// alone, or a /64, its /56 and its /48.
    pub fn levels(self) -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator + Clone {
        let lens: &[u8] = match self.0 {
            IpNet::V4(_) => &[32],
            IpNet::V6(_) => &IPV6,
        };
        lens.iter().map(move |&len| network(self.0.addr(), len))
    }

    /// Its addresses.
    pub fn range(self) -> IpNet {
        self.0
    }

    /// Whether all of it lies in this network.
    pub fn is_in(self, network: &IpNet) -> bool {
        network.contains(&self.0)
    }
}

fn network(addr: IpAddr, len: u8) -> AddressKey {
    // No longer than an address of its kind.
    let network = IpNet::new(addr, len).unwrap_or_else(|_| addr.into());
    AddressKey(network.trunc())
}

impl From<IpAddr> for AddressKey {
    fn from(addr: IpAddr) -> Self {
        match addr.to_canonical() {
            v4 @ IpAddr::V4(_) => Self(v4.into()),
            v6 => network(v6, IPV6[0]),
        }
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpNet::V4(one) => one.addr().fmt(f),
            IpNet::V6(network) => network.fmt(f),
        }
    }
}

/// What the headers of a request say of its client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named<'a, Lines> {
    /// The last line of [`Trust::header`]: should there be several, it is the one nearest to the
    /// proxy.
    pub alone: Option<&'a [u8]>,
    /// The lines of `X-Forwarded-For`, in their order.
    pub chain: Lines,
}

/// Finds the client behind the TCP peer `peer`, whose request names it so.
///
/// From a trusted proxy it is the address in [`Trust::header`] if there is a valid one, or else the
/// rightmost address of `X-Forwarded-For` that is not a trusted proxy itself. When all are, it is
/// the leftmost. Garbage ends the walk, since whoever let it through vouches for nothing left of
/// it: then the proxy before it counts, and as a silent one.
pub fn client_addr<'a>(
    peer: IpAddr,
    named: Named<'a, impl DoubleEndedIterator<Item = &'a [u8]>>,
    trust: &Trust,
) -> Client {
    let peer = peer.to_canonical();
    if !trust.covers(peer) {
        return Client::new(peer, Source::Peer);
    }
    match named.alone.and_then(|value| parse(value.trim_ascii())) {
        Some(addr) => Client::new(addr, Source::Proxy),
        None => walk(peer, named.chain, trust),
    }
}

fn walk<'a>(
    peer: IpAddr,
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    trust: &Trust,
) -> Client {
    let hops = lines
        .rev()
        .flat_map(|line| line.rsplit(|&byte| byte == b','))
        .take(MAX_HOPS)
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty());

    let mut client = Client::new(peer, Source::SilentProxy);
    for hop in hops {
        match parse(hop) {
            Some(addr) => client = Client::new(addr, Source::Proxy),
            None => return Client::new(client.addr, Source::SilentProxy),
        }
        if !trust.covers(client.addr) {
            break;
        }
    }
    client
}

/// Reads an address the ways proxies write it: bare, `[v6]`, `v4:port`, `[v6]:port`, or any of
/// these in double quotes.
fn parse(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element).ok()?;
    let text = between(text, '"', '"').unwrap_or(text);
    let addr = if let Ok(addr) = text.parse::<IpAddr>() {
        addr
    } else if let Ok(with_port) = text.parse::<SocketAddr>() {
        with_port.ip()
    } else {
        between(text, '[', ']')?.parse::<Ipv6Addr>().ok()?.into()
    };
    Some(addr.to_canonical())
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
