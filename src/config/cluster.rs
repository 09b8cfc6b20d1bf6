//! Where the relays of a cluster find each other, and what they prove to each other that they belong together.

use std::{fmt, ops::RangeInclusive};

use async_nats::ServerAddr;

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
pub struct Secret(String);

impl Secret {
    /// Reads a secret; or the path of a file, with its text behind it from the next line on. Nothing is no
    /// secret.
    pub fn parse(text: &str) -> Option<Self> {
        let secret = match text.starts_with('/') {
            true => text.split_once('\n')?.1.trim(),
            false => text,
        };
        let is_one =
            SECRET.contains(&secret.len()) && secret.bytes().all(|it| it.is_ascii_graphic());
        (is_one || text.is_empty()).then(|| Self(secret.to_owned()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "(not shown)" })
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
        assert!(NatsServers::parse("").unwrap().addresses().is_empty());
        for bad in ["a.example", "http://a.example", "ws://a.example", "nats://"] {
            assert!(NatsServers::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_long_or_in_a_file_and_never_shown() {
        let secret = Secret::parse(SOME).unwrap();
        assert_eq!(secret.reveal(), SOME);
        assert_eq!(format!("{secret:?}"), "(not shown)");
        assert!(secret == Secret::parse(&format!("/run/secret\n{SOME}\n")).unwrap());
        assert_eq!(Secret::parse("").unwrap().reveal(), "");
        for bad in [
            "short",
            "/run/secret",
            "/run/secret\n",
            "/run/secret\nshort",
            &format!("{SOME} x"),
        ] {
            assert!(Secret::parse(bad).is_none(), "{bad:?}");
        }
    }
}
