//! What is checked: the relay of this machine, or the one behind a URL. Only names and numbers;
//! reaching it is left to `net`.

use crate::config::Config;
use std::fmt;
use std::net::IpAddr;
use tokio_tungstenite::tungstenite::http::Uri;

/// Where a relay should be.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Host name or address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether the URL is a `wss://` one.
    pub(super) tls: bool,
    /// Whether it is to be found by this machine's configuration, without any proxy between.
    pub(super) local: bool,
    path: String,
}

impl Target {
    /// The relay that runs here with this configuration.
    pub(super) fn local(config: &Config) -> Self {
        // What listens on every address is met on the loopback one.
        let host = match config.host.parse() {
            Ok(IpAddr::V4(address)) if address.is_unspecified() => "127.0.0.1",
            Ok(IpAddr::V6(address)) if address.is_unspecified() => "::1",
            _ => &config.host,
        };
        Self {
            host: host.to_owned(),
            port: config.port,
            tls: false,
            local: true,
            path: "/".to_owned(),
        }
    }

    /// Reads a URL as an operator gives it. An error is a sentence.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let example = "such as wss://relay.example.com";
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("it is no URL {example} ({error})"))?;
        let tls = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            Some("https") => return Err("a relay's URL begins with wss://, not https://".into()),
            Some("http") => return Err("a relay's URL begins with ws://, not http://".into()),
            _ => {
                return Err(format!(
                    "a relay's URL begins with wss:// or ws://, {example}"
                ));
            }
        };
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(format!("it has no host name; give one {example}"));
        }
        // What follows the host and is no port is not refused by the parser.
        let given = uri.authority().map_or("", |authority| authority.as_str());
        let with_port = given
            .rsplit_once(host)
            .is_some_and(|(_, rest)| !rest.is_empty());
        if uri.port_u16().is_none_or(|port| port == 0) && with_port {
            return Err("its port is no number from 1 to 65535".into());
        }
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            tls,
            local: false,
            path: uri.path_and_query().map_or("/".into(), ToString::to_string),
        })
    }

    /// Where to look next when there is nothing better to say.
    pub(super) fn look(&self) -> &'static str {
        if self.local {
            "journalctl -u claude-distill-relay -n 50"
        } else {
            "claude-distill-relay check   (on the relay's own machine)"
        }
    }
}

/// The URL, in full.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        f.write_str(if self.tls { "wss://" } else { "ws://" })?;
        if host.contains(':') {
            write!(f, "[{host}]")?;
        } else {
            f.write_str(host)?;
        }
        if *port != if self.tls { 443 } else { 80 } {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_what_it_says_and_gains_its_port() {
        for (url, host, port, shown) in [
            ("wss://a.example", "a.example", 443, "wss://a.example/"),
            ("ws://a.example/x?y", "a.example", 80, "ws://a.example/x?y"),
            ("ws://[::1]:9784", "::1", 9784, "ws://[::1]:9784/"),
            (
                "wss://me:secret@a.example:8443/",
                "a.example",
                8443,
                "wss://a.example:8443/",
            ),
        ] {
            let target = Target::parse(url).unwrap_or_else(|why| unreachable!("{why}"));
            assert_eq!((target.host.as_str(), target.port), (host, port));
            assert_eq!(target.to_string(), shown);
        }
    }

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
