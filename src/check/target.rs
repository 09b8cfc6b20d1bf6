//! What is checked: the relay of this machine, or the one behind a URL. Only names and numbers;
//! reaching it is left to `net`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use relay_client::url::{Url, UrlError};

use super::program::by_systemd;
use crate::config::Config;

/// Who is to be met at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The relay of this machine, by its configuration and without any proxy between.
    Relay,
    /// The nginx of this machine, in front of that relay.
    Nginx,
    /// Whoever a client finds by the URL.
    Outside,
}

/// Where a relay should be.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) place: Place,
    /// Where to connect, to the first that answers, if not to what the URL's host resolves to.
    pub(super) addresses: Vec<SocketAddr>,
    /// An access key for the relay there, where the settings have one.
    pub(super) key: Option<String>,
    /// Whether they have keys, but none in full.
    pub(super) hashed: bool,
}

impl Target {
    /// The relay that runs here with this configuration.
    pub(super) fn local(config: &Config) -> Self {
        let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
        // What listens on every address is met on a loopback one. Where there is no IPv6, that is IPv4's.
        let loopback: &[IpAddr] = match config.host.parse() {
            Ok(IpAddr::V4(address)) if address.is_unspecified() => &[v4],
            Ok(IpAddr::V6(address)) if address.is_unspecified() => &[v6, v4],
            _ => &[],
        };
        let key = config.access_keys.for_checks();
        let host = loopback.first().map(IpAddr::to_string);
        let addresses = loopback.iter().map(|&ip| (ip, config.port).into());
        Self {
            url: Url {
                tls: false,
                host: host.unwrap_or_else(|| config.host.clone()),
                port: config.port,
                path: "/".to_owned(),
                user: None,
            },
            place: Place::Relay,
            addresses: addresses.collect(),
            key: key.map(str::to_owned),
            hashed: config.access_keys.required && key.is_none(),
        }
    }

    /// The site of the name `host` in this machine's nginx, which listens there.
    pub(super) fn nginx(host: &str, path: &str, address: SocketAddr, tls: bool) -> Self {
        Self {
            url: Url {
                tls,
                host: host.to_owned(),
                port: address.port(),
                path: path.to_owned(),
                user: None,
            },
            place: Place::Nginx,
            addresses: vec![address],
            key: None,
            hashed: false,
        }
    }

    /// What clients find by a URL.
    pub(super) fn outside(url: Url) -> Self {
        Self {
            url,
            place: Place::Outside,
            addresses: Vec::new(),
            key: None,
            hashed: false,
        }
    }

    /// The same, with this access key.
    pub(super) fn with_key(self, key: Option<String>) -> Self {
        Self { key, ..self }
    }

    /// Reads a URL as an operator gives it. An error is a sentence.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        match Url::parse(url) {
            Ok(url) => Ok(Self::outside(url)),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// Where to look next when there is nothing better to say.
    pub(super) fn look(&self) -> &'static str {
        match self.place {
            Place::Relay => by_systemd(
                "journalctl -u claude-distill-relay -n 50",
                "what the relay says on its standard error",
            ),
            Place::Nginx => "sudo nginx -t; sudo tail -n 20 /var/log/nginx/error.log",
            Place::Outside => "claude-distill-relay check   (on the relay's own machine)",
        }
    }
}

fn refusal(error: &UrlError) -> String {
    let example = "such as wss://relay.example.com";
    match error {
        UrlError::Syntax(error) => format!("it is no URL {example} ({error})"),
        UrlError::Scheme(scheme) => match scheme.as_str() {
            "https" => "a relay's URL begins with wss://, not https://".to_owned(),
            "http" => "a relay's URL begins with ws://, not http://".to_owned(),
            _ => format!("a relay's URL begins with wss:// or ws://, {example}"),
        },
        UrlError::NoHost => format!("it has no host name; give one {example}"),
        UrlError::Port => "its port is no number from 1 to 65535".to_owned(),
    }
}

/// The URL, as people may see it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_of_a_relay_is_refused_with_the_right_one() {
        for (url, part) in [
            ("https://a.example", "begins with wss://, not https://"),
            ("http://a.example", "begins with ws://, not http://"),
            ("a.example", "begins with wss:// or ws://"),
            ("tcp://a.example:1", "begins with wss:// or ws://"),
            ("wss://", "no URL"),
            ("wss://a example", "no URL"),
            ("wss://a.example:65536", "no number from 1 to 65535"),
            ("wss://a.example:relay/", "no number from 1 to 65535"),
            ("wss://a.example:0", "no number from 1 to 65535"),
            ("ws://[::1]:/", "no number from 1 to 65535"),
        ] {
            let why = Target::parse(url).err().unwrap_or_default();
            assert!(why.contains(part), "{url}: {why}");
        }
    }

    #[test]
    fn every_address_is_met_on_the_loopback_one() {
        for (host, url) in [
            ("0.0.0.0", "ws://127.0.0.1:9784/"),
            ("::", "ws://[::1]:9784/"),
            ("192.0.2.1", "ws://192.0.2.1:9784/"),
            ("localhost", "ws://localhost:9784/"),
        ] {
            let host = host.to_owned();
            let config = Config {
                host,
                ..Config::default()
            };
            assert_eq!(Target::local(&config).to_string(), url);
        }
    }
}
