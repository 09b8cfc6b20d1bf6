//! Where the relays of a cluster find each other, and what they prove to each other that they belong together.

use std::{fmt, ops::RangeInclusive};

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

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
        let read = |url: &str| Some(url).filter(known)?.parse().ok();
        let servers = urls.map(|url| read(url).filter(|it: &ServerAddr| !it.host().is_empty()));
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
}
