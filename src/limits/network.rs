//! Whom an operator means by an address or a network.
//!
//! An IPv6 client is counted as its /64 (`address`), so that nothing narrower can be meant: an address alone
//! stands for the /64 around it.

use std::{fmt, str::FromStr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::address::{AddressKey, NARROWEST};
use crate::config;

/// The clients of a network: an IPv4 address, or a network of either kind, without bits behind its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

impl Network {
    /// Whether a client is one of them.
    pub fn covers(&self, client: AddressKey) -> bool {
        client.is_in(&self.0)
    }

    /// Whether all clients of another network are among them.
    pub fn includes(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// The networks that all clients are in.
    pub fn everybody() -> [Self; 2] {
        [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())].map(Self)
    }

    /// Its addresses.
    pub fn range(&self) -> &IpNet {
        &self.0
    }

    /// Bits of its prefix: of two networks that cover a client, the one with more is meant for it.
    pub fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }
}

/// What is no address and no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoNetwork;

impl fmt::Display for NoNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "it must be an IP address or a network (192.0.2.7, 192.0.2.0/24, 2001:db8::/48)",
        )
    }
}

impl std::error::Error for NoNetwork {}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let network = config::network(text.trim()).ok_or(NoNetwork)?;
        let widest = match network {
            IpNet::V4(_) => network,
            IpNet::V6(_) => IpNet::new(network.addr(), network.prefix_len().min(NARROWEST))
                .map_err(|_| NoNetwork)?,
        };
        Ok(Self(widest.trunc()))
    }
}

impl TryFrom<String> for Network {
    type Error = NoNetwork;

    fn try_from(text: String) -> Result<Self, NoNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn what_is_typed_is_read_as_clients_are_counted() {
        for (typed, read) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 192.0.2.7/32 ", "192.0.2.7"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8::1/128", "2001:db8::/64"),
            ("2001:db8:0:1::/48", "2001:db8::/48"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            let network: Network = typed.parse().unwrap();
            assert_eq!(network.to_string(), read);
            assert_eq!(read.parse(), Ok(network));
        }
        for typed in ["", "nobody", "192.0.2.7/33", "192.0.2", "192.0.2.7:80"] {
            assert_eq!(typed.parse::<Network>(), Err(NoNetwork), "{typed}");
        }
    }

    #[test]
    fn it_covers_the_clients_in_it() {
        let network = |text: &str| text.parse::<Network>().unwrap();
        let client = |text: &str| AddressKey::from(text.parse::<IpAddr>().unwrap());
        assert!(network("192.0.2.0/24").covers(client("192.0.2.255")));
        assert!(!network("192.0.2.0/24").covers(client("192.0.3.0")));
        assert!(network("2001:db8::1").covers(client("2001:db8::2")));
        assert!(!network("0.0.0.0/0").covers(client("2001:db8::2")));
        assert!(network("192.0.2.0/24").includes(&network("192.0.2.7")));
        assert!(!network("192.0.2.7").includes(&network("192.0.2.0/24")));
        for address in ["192.0.2.7", "2001:db8::2"] {
            let covers = |it: &Network| it.covers(client(address));
            assert_eq!(
                Network::everybody().iter().filter(|it| covers(it)).count(),
                1
            );
        }
    }
}
