//! The URL of a relay: `ws://` or `wss://`, a host, perhaps a port and a path.

use std::fmt;

use tokio_tungstenite::tungstenite::http::{Uri, uri::InvalidUri};

/// Where a relay is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether it is a `wss://` URL.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// The port, which is 443 or 80 where the URL has none.
    pub port: u16,
    /// Path and query, from the slash on.
    pub path: String,
    /// User and password, as in `user:password@host`.
    pub user: Option<String>,
}

/// Why a text is not the URL of a relay.
#[derive(Debug)]
pub enum UrlError {
    /// It is no URL at all.
    Syntax(InvalidUri),
    /// It has this scheme, which is neither `ws` nor `wss`; empty where it has none.
    Scheme(String),
    /// It has no host.
    NoHost,
    /// Something follows the host that is no port from 1 to 65535.
    Port,
}

impl Url {
    /// Reads a URL as a person gives it.
    ///
    /// # Errors
    ///
    /// [`UrlError`], by what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(UrlError::Syntax)?;
        let tls = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            other => return Err(UrlError::Scheme(other.unwrap_or_default().to_owned())),
        };
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        // What follows the host and is no port is not refused by the parser.
        let given = uri.authority().map_or("", |authority| authority.as_str());
        let with_port = given
            .rsplit_once(host)
            .is_some_and(|(_, rest)| !rest.is_empty());
        if uri.port_u16().is_none_or(|port| port == 0) && with_port {
            return Err(UrlError::Port);
        }
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(default_port(tls)),
            path: uri.path_and_query().map_or("/".into(), ToString::to_string),
            user: given.rsplit_once('@').map(|(user, _)| user.to_owned()),
        })
    }

    /// The URL as a request for it has it: with its query, which may hold a secret, and without its user.
    pub(crate) fn to_ask_for(&self) -> String {
        format!("{}{}", self.origin(), self.path)
    }

    /// Scheme, host and port, without a port that the scheme implies.
    pub(crate) fn origin(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}", self.authority())
    }

    /// Host and port as a `Host` header has them (RFC 9110 §7.2), without a port that the scheme implies.
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.clone(),
        };
        match *port == default_port(self.tls) {
            true => host,
            false => format!("{host}:{port}"),
        }
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// The URL for people to see: without its query and its user, which may be secrets.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, more) = match self.path.split_once('?') {
            Some((path, _)) => (path, "?…"),
            None => (self.path.as_str(), ""),
        };
        write!(f, "{}{path}{more}", self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_what_it_says_and_gains_its_port() {
        for (text, host, port, shown) in [
            ("wss://a.example", "a.example", 443, "wss://a.example/"),
            ("ws://a.example/x?y", "a.example", 80, "ws://a.example/x?…"),
            ("ws://[::1]:9784", "::1", 9784, "ws://[::1]:9784/"),
            (
                "wss://me:secret@a.example:8443/",
                "a.example",
                8443,
                "wss://a.example:8443/",
            ),
        ] {
            let url = Url::parse(text).unwrap_or_else(|why| unreachable!("{why:?}"));
            assert_eq!((url.host.as_str(), url.port), (host, port));
            assert_eq!(url.to_string(), shown);
        }
    }

    #[test]
    fn what_may_be_a_secret_is_asked_with_and_not_shown() {
        let url = Url::parse("wss://me:secret@a.example:8443/x?key=secret");
        let url = url.unwrap_or_else(|why| unreachable!("{why:?}"));
        assert_eq!(url.user.as_deref(), Some("me:secret"));
        assert_eq!(url.to_ask_for(), "wss://a.example:8443/x?key=secret");
        assert_eq!(url.to_string(), "wss://a.example:8443/x?…");
    }
}
