//! What makes a relay one of several, which are one to their clients: where they find each other, where
//! the others reach this one, and what they prove themselves with.

use std::{fmt, ops::RangeInclusive, path::PathBuf};

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;
use relay_client::url::Url;

use super::knobs::Config;

/// Characters of a secret. Whoever sees what nodes say to each other could guess a shorter one.
pub(super) const SECRET: RangeInclusive<usize> = 32..=256;

/// NATS servers, any of which will do.
#[derive(Clone, Default)]
pub struct NatsServers(Vec<ServerAddr>);

impl NatsServers {
    /// Reads URLs with commas between them; an empty list is none.
    pub fn parse(text: &str) -> Option<Self> {
        let urls = text.split(',').map(str::trim).filter(|it| !it.is_empty());
        let known = |url: &&str| url.starts_with("nats://") || url.starts_with("tls://");
        let servers = urls.map(|url| Some(url).filter(known)?.parse().ok());
        servers.collect::<Option<_>>().map(Self)
    }

    /// Each of them.
    pub fn addresses(&self) -> &[ServerAddr] {
        &self.0
    }

    /// The user of the first URL that has one, and the password; a token stands there without one.
    pub fn login(&self) -> Option<(String, Option<String>)> {
        let with_user = self.0.iter().find(|it| it.has_user_pass())?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = with_user.username().map(decoded)?;
        Some((user, with_user.password().map(decoded)))
    }
}

impl PartialEq for NatsServers {
    fn eq(&self, other: &Self) -> bool {
        let urls = |servers: &Self| {
            servers
                .0
                .iter()
                .map(|it| it.as_url_str().to_owned())
                .collect::<Vec<_>>()
        };
        urls(self) == urls(other)
    }
}

impl Eq for NatsServers {}

/// Without users and passwords.
impl fmt::Display for NatsServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|server| {
            let host = match server.host() {
                name if name.contains(':') && !name.starts_with('[') => format!("[{name}]"),
                name => name.to_owned(),
            };
            format!("{}://{host}:{}", server.scheme(), server.port())
        });
        f.write_str(&shown.collect::<Vec<_>>().join(","))
    }
}

impl fmt::Debug for NatsServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the relays of a cluster know, and nobody else.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Secret {
    /// There is none.
    #[default]
    None,
    /// It is this.
    Known(String),
    /// It stands in a file that only the relay reads.
    Unread,
}

impl Secret {
    /// Reads a secret; or the path of a file, with its text behind it from the next line on, unless it was not
    /// read. Nothing is no secret.
    pub fn parse(text: &str) -> Option<Self> {
        let secret = match (text.starts_with('/'), text.split_once('\n')) {
            (true, Some((_, secret))) => secret.trim(),
            (true, None) => return Some(Self::Unread),
            (false, _) if text.is_empty() => return Some(Self::None),
            (false, _) => text,
        };
        let is_one =
            SECRET.contains(&secret.len()) && secret.bytes().all(|it| it.is_ascii_graphic());
        is_one.then(|| Self::Known(secret.to_owned()))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::Known(_) | Self::Unread => "(not shown)",
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All that a relay needs to be one of several.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Where they find each other.
    pub nats: NatsServers,
    /// A file of credentials for that.
    pub credentials: Option<PathBuf>,
    /// Where the others reach this relay.
    pub address: Url,
    /// What they prove themselves with.
    pub secret: String,
}

impl Config {
    /// What makes this relay one of several, if it is.
    pub fn cluster(&self) -> Option<Cluster> {
        let (Some(address), Secret::Known(secret)) = (&self.cluster_address, &self.cluster_secret)
        else {
            return None;
        };
        self.incomplete_cluster().is_none().then(|| Cluster {
            nats: self.cluster_nats.clone(),
            credentials: self.cluster_nats_credentials.clone(),
            address: address.clone(),
            secret: secret.clone(),
        })
    }

    /// The first setting that is missing where some of those of a cluster are there.
    pub(super) fn incomplete_cluster(&self) -> Option<&'static str> {
        let needed = [
            ("RELAY_CLUSTER_NATS", self.cluster_nats.0.is_empty()),
            ("RELAY_CLUSTER_ADDRESS", self.cluster_address.is_none()),
            ("RELAY_CLUSTER_SECRET", self.cluster_secret == Secret::None),
        ];
        let missing = needed.iter().find(|(_, is_missing)| *is_missing);
        let wanted =
            self.cluster_nats_credentials.is_some() || needed.iter().any(|(_, missing)| !missing);
        missing.filter(|_| wanted).map(|(variable, _)| *variable)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SOME: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn servers_are_urls_and_shown_without_what_is_secret_in_them() {
        let servers = NatsServers::parse("nats://me:secret@a.example, tls://[::1]:4333").unwrap();
        assert_eq!(servers.addresses().len(), 2);
        let shown = format!("{servers:?}");
        assert_eq!(shown, "nats://a.example:4222,tls://[::1]:4333");
        let login = |text: &str| NatsServers::parse(text).unwrap().login();
        let me = ("me".to_owned(), Some("a:b@c".to_owned()));
        assert_eq!(
            login("nats://a.example,tls://me:a%3Ab%40c@b.example"),
            Some(me)
        );
        assert_eq!(
            login("nats://token@a.example"),
            Some(("token".to_owned(), None))
        );
        assert_eq!(login("nats://a.example"), None);
        assert!(NatsServers::parse("").unwrap().addresses().is_empty());
        for bad in ["a.example", "http://a.example", "ws://a.example", "nats://"] {
            assert!(NatsServers::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_long_or_in_a_file_and_never_shown() {
        let secret = Secret::parse(SOME).unwrap();
        assert!(matches!(&secret, Secret::Known(it) if it == SOME));
        assert_eq!(format!("{secret:?}"), "(not shown)");
        assert!(secret == Secret::parse(&format!("/run/secret\n{SOME}\n")).unwrap());
        assert!(Secret::parse("").unwrap() == Secret::None);
        assert!(Secret::parse("/run/secret").unwrap() == Secret::Unread);
        for bad in [
            "short",
            "/run/secret\n",
            "/run/secret\nshort",
            &format!("{SOME} x"),
        ] {
            assert!(Secret::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn all_of_a_cluster_goes_together() {
        let whole = Config {
            cluster_nats: NatsServers::parse("nats://127.0.0.1").unwrap(),
            cluster_address: Some(Url::parse("ws://127.0.0.1:9784").unwrap()),
            cluster_secret: Secret::parse(SOME).unwrap(),
            ..Config::default()
        };
        assert!(whole.cluster().is_some());
        assert!(Config::default().cluster().is_none());
        assert_eq!(Config::default().incomplete_cluster(), None);
        let no_secret = Config {
            cluster_secret: Secret::None,
            ..whole.clone()
        };
        let unread = Config {
            cluster_secret: Secret::Unread,
            ..whole.clone()
        };
        assert_eq!(unread.incomplete_cluster(), None);
        assert!(unread.cluster().is_none());
        assert_eq!(no_secret.incomplete_cluster(), Some("RELAY_CLUSTER_SECRET"));
        assert!(no_secret.cluster().is_none());
        let alone = Config {
            cluster_nats_credentials: Some("/etc/x.creds".into()),
            ..Config::default()
        };
        assert_eq!(alone.incomplete_cluster(), Some("RELAY_CLUSTER_NATS"));
    }
}
