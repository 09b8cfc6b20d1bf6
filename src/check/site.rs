//! nginx's configuration as text: which of its servers lead to the relay, and how they are met. Asking
//! nginx for it is left to `nginx`, going there to `way`.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::{
    target::Target,
    token::{Token, Tokens},
};
use crate::config::Config;

/// What only the site has that `deploy/setup-nginx-relay.sh` writes.
const OURS: &str = "claude_distill_relay";
/// Servers that are gone through, and ways into each: a wildcard setup may have hundreds.
const MOST: usize = 4;

/// The servers of a configuration.
#[derive(Debug, Default)]
pub(super) struct Sites {
    servers: Vec<Server>,
    /// The addresses of each `upstream`.
    upstreams: HashMap<String, Vec<String>>,
    /// What a worker may have of connections, if that is said.
    pub(super) connections: Option<usize>,
}

/// A `server` of HTTP.
#[derive(Debug, Default)]
pub(super) struct Server {
    names: Vec<String>,
    listens: Vec<Listen>,
    passes: Vec<Pass>,
    /// Whether it was written by our deployment.
    ours: bool,
    /// How long it waits for who takes nothing, if that is said.
    pub(super) patience: Option<Duration>,
    /// Whether it bounds the connections of one client.
    pub(super) is_limited: bool,
}

/// Where requests are passed on to.
#[derive(Debug)]
pub(super) struct Pass {
    to: String,
    /// The path that these begin with.
    path: String,
}

/// Where a server is met from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Listen {
    address: SocketAddr,
    tls: bool,
}

impl Sites {
    /// Reads the files of a configuration, each by itself.
    pub(super) fn read<'a>(files: impl IntoIterator<Item = &'a str>) -> Self {
        let mut sites = Self::default();
        for file in files {
            sites.add(file);
        }
        sites
    }

    fn add(&mut self, file: &str) {
        let (mut blocks, mut words) = (Vec::<Vec<String>>::new(), Vec::new());
        for token in Tokens::of(file) {
            match token {
                Token::Word(word) => words.push(word),
                Token::Opens => {
                    if words == ["server"] {
                        self.servers.push(Server::default());
                    }
                    blocks.push(std::mem::take(&mut words));
                }
                Token::Closes => {
                    blocks.pop();
                    words.clear();
                }
                Token::Ends => self.directive(&blocks, &std::mem::take(&mut words)),
            }
        }
    }

    fn directive(&mut self, blocks: &[Vec<String>], words: &[String]) {
        let Some((name, values)) = words.split_first() else {
            return;
        };
        if let Some([block, upstream]) = blocks.last().map(Vec::as_slice)
            && block == "upstream"
            && name == "server"
        {
            let servers = self.upstreams.entry(upstream.clone()).or_default();
            servers.extend(values.first().cloned());
            return;
        }
        if name == "worker_connections" && blocks == [["events"]] {
            self.connections = values.first().and_then(|number| number.parse().ok());
            return;
        }
        let inside = blocks.iter().any(|block| block == &["server"]);
        let Some(server) = self.servers.last_mut().filter(|_| inside) else {
            return;
        };
        match name.as_str() {
            "server_name" => server
                .names
                .extend(values.iter().map(|it| it.to_lowercase())),
            "listen" => server.listens.extend(Listen::parse(values)),
            "proxy_pass" => server.passes.extend(values.first().map(|to| Pass {
                to: to.clone(),
                path: path(blocks),
            })),
            "send_timeout" => server.patience = values.first().and_then(|text| time(text)),
            "limit_conn" => server.is_limited = true,
            _ => {}
        }
        server.ours |= words.iter().any(|word| word.contains(OURS));
    }

    /// The server that our deployment has written.
    pub(super) fn ours(&self) -> Option<&Server> {
        self.servers.iter().find(|server| server.ours)
    }

    /// The name of the site that our deployment has written, and whether it speaks TLS on which port.
    pub(super) fn of_deployment(&self) -> Option<(&str, Option<u16>)> {
        let server = self.ours()?;
        let tls = server.listens.iter().find(|listen| listen.tls);
        Some((server.name()?, tls.map(|listen| listen.address.port())))
    }

    /// Whether a server leads to the relay of this configuration, or should, as ours or by that name.
    pub(super) fn has(&self, config: &Config, name: Option<&str>) -> bool {
        self.of_relay(config, name).next().is_some()
    }

    fn of_relay<'a>(
        &'a self,
        config: &'a Config,
        name: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Server> {
        self.servers.iter().filter(move |server| {
            let named = name.is_some_and(|name| server.names.iter().any(|it| it == name));
            // A name alone is also that of a server which only sends on to another, from HTTP to HTTPS.
            let passes = !server.passes.is_empty();
            server.ours || named && passes || self.pass(server, config).is_some()
        })
    }

    /// What leads from a server to the relay.
    pub(super) fn pass<'a>(&self, server: &'a Server, config: &Config) -> Option<&'a Pass> {
        let mut passes = server.passes.iter();
        passes.find(|pass| self.leads_to(&pass.to, config))
    }

    fn leads_to(&self, pass: &str, config: &Config) -> bool {
        let Some(to) = pass.strip_prefix("http://") else {
            return false;
        };
        let to = to.split('/').next().unwrap_or_default();
        let one = [to.to_owned()];
        let addresses = self.upstreams.get(to).map_or(&one[..], Vec::as_slice);
        addresses.iter().any(|address| {
            let Some((host, port)) = address.rsplit_once(':') else {
                return false;
            };
            let host = host.trim_matches(['[', ']']);
            let loopback = host.parse().is_ok_and(|it: IpAddr| it.is_loopback());
            port.parse() == Ok(config.port)
                && (loopback || host == "localhost" || host == config.host)
        })
    }

    /// Every way through nginx to the relay, or to where it should be, by the name that is known, or
    /// else by the server's own.
    pub(super) fn ways(&self, config: &Config, known: Option<&str>) -> Vec<Target> {
        let mut seen = HashSet::new();
        let mut ways = Vec::new();
        for server in self.of_relay(config, known) {
            let of_known = known
                .filter(|name| server.names.iter().any(|it| it == name) || server.name().is_none());
            let host = of_known.or(server.name()).unwrap_or("localhost");
            let pass = self.pass(server, config).or(server.passes.first());
            let path = pass.map_or("/", |pass| &pass.path);
            for listen in server.met_at() {
                // IPv4 and IPv6 are two doors to one server.
                if seen.insert((host, listen.address.port(), listen.tls)) {
                    ways.push(Target::nginx(host, path, listen.address, listen.tls));
                }
            }
        }
        // A name that no server has is answered by nginx's first, whatever that is.
        if let Some(name) = known
            && ways.iter().all(|way| way.url.host != name)
        {
            let first = ways
                .first()
                .and_then(|way| Some((*way.addresses.first()?, way.url.tls)));
            let (address, tls) = first.unwrap_or(((Ipv4Addr::LOCALHOST, 80).into(), false));
            ways.insert(0, Target::nginx(name, "/", address, tls));
        }
        ways.truncate(MOST);
        ways
    }
}

/// A time, with one unit of nginx's or none.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.trim_end_matches(|it: char| it.is_alphabetic()).len());
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => return None,
    };
    number.checked_mul(factor).map(Duration::from_secs)
}

/// What the path of a request in these blocks begins with, as far as their locations say so plainly.
fn path(blocks: &[Vec<String>]) -> String {
    let mut locations = blocks.iter().rev().filter_map(|block| {
        let plain = match block.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["location", path] | ["location", "=" | "^~", path] => path,
            _ => return None,
        };
        let text = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        (plain.starts_with('/') && plain.bytes().all(text)).then_some(plain)
    });
    locations.next().unwrap_or("/").to_owned()
}

impl Server {
    /// Its first name that a client could ask for: no wildcard, no pattern.
    fn name(&self) -> Option<&str> {
        let plain = |name: &&String| {
            let text = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
            !name.is_empty() && !name.starts_with('.') && name.bytes().all(text)
        };
        self.names.iter().find(plain).map(String::as_str)
    }

    /// Where it is met: IPv4 first. One that says nothing of it listens on port 80.
    fn met_at(&self) -> Vec<Listen> {
        let mut listens = self.listens.clone();
        if listens.is_empty() {
            listens.extend(Listen::parse(&["80".to_owned()]));
        }
        listens.sort_by_key(|listen| listen.address.is_ipv6());
        listens.truncate(MOST);
        listens
    }
}

impl Listen {
    /// Reads the values of a `listen`; `None` for what a client of TCP and HTTP cannot use.
    fn parse(values: &[String]) -> Option<Self> {
        let (address, options) = values.split_first()?;
        let has = |option: &str| options.iter().any(|it| it == option);
        if has("quic") || has("proxy_protocol") {
            return None;
        }
        let address = match address.strip_prefix("*:").unwrap_or(address) {
            port if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (Ipv4Addr::LOCALHOST, port.parse().ok()?).into()
            }
            "localhost" => (Ipv4Addr::LOCALHOST, 80).into(),
            other => match other.strip_prefix("localhost:") {
                Some(port) => (Ipv4Addr::LOCALHOST, port.parse().ok()?).into(),
                None => socket(other)?,
            },
        };
        Some(Self {
            address,
            tls: has("ssl"),
        })
    }
}

/// An address with a port or without; of all addresses, the loopback one.
fn socket(text: &str) -> Option<SocketAddr> {
    let with_port = text.parse().ok();
    let bare = || {
        let address: IpAddr = text.trim_matches(['[', ']']).parse().ok()?;
        Some(SocketAddr::from((address, 80)))
    };
    let mut socket = with_port.or_else(bare)?;
    if socket.ip().is_unspecified() {
        socket.set_ip(match socket.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(text: &str, known: Option<&str>) -> Vec<String> {
        let config = Config::default();
        let ways = Sites::read([text]).ways(&config, known);
        let shown = |way: &Target| format!("{} at {}", way.url, way.addresses[0]);
        ways.iter().map(shown).collect()
    }

    #[test]
    fn the_servers_that_lead_to_the_relay_are_found_by_where_they_pass_on_to() {
        let text = r#"
            user www-data; # server { listen 1; proxy_pass http://127.0.0.1:9784; }
            http {
                map $http_upgrade $connection { default upgrade; '' close; "a;{b" c; }
                upstream relay { server 127.0.0.1:9784; keepalive 2; }
                server { listen 80 default_server; return 404; }
                server {
                    listen [::]:443 ssl; listen 443 ssl; listen 443 quic; listen unix:/run/x;
                    server_name .example.org *.example.org ~^a Relay.Example.org;
                    location /${x} { proxy_pass http://relay/; }
                }
                server { server_name b.example; listen 127.0.0.1:8080; location / { if ($a) { return 1; } proxy_pass http://localhost:9784; } }
                server { server_name c.example; listen 80; location / { proxy_pass http://127.0.0.1:9785; } }
                server { server_name d.example; location ~ \.x$ { return 403; } location ^~ /ws/ { proxy_pass http://[::1]:9784/; } }
                server { server_name c.example; listen 81; return 301 https://c.example; }
            }
            stream { server { listen 99; proxy_pass 127.0.0.1:9784; } }
        "#;
        assert_eq!(
            ways(text, None),
            [
                "wss://relay.example.org/ at 127.0.0.1:443",
                "ws://b.example:8080/ at 127.0.0.1:8080",
                "ws://d.example/ws/ at 127.0.0.1:80",
            ]
        );
        // One that is known counts, whatever stands in it, and even if it stands nowhere.
        assert_eq!(ways(text, Some("c.example")).len(), 4);
        assert_eq!(
            ways(text, Some("e.example"))[0],
            "wss://e.example/ at 127.0.0.1:443"
        );
        assert_eq!(
            ways("", Some("e.example")),
            ["ws://e.example/ at 127.0.0.1:80"]
        );
    }

    #[test]
    fn our_site_is_known_whatever_port_it_passes_on_to() {
        let text = "server { server_name relay.example.com; listen 8443 ssl; \
            limit_conn claude_distill_relay 100; location / { proxy_pass http://127.0.0.1:1/; } }";
        let sites = Sites::read([text]);
        assert_eq!(
            sites.of_deployment(),
            Some(("relay.example.com", Some(8443)))
        );
        assert!(sites.has(&Config::default(), None));
        assert!(
            Sites::read(["server { listen 80; }"])
                .of_deployment()
                .is_none()
        );
    }

    #[test]
    fn a_site_of_all_names_is_met_by_the_one_that_is_known() {
        let text = "server { server_name _; listen 0.0.0.0:81; location / { proxy_pass http://127.0.0.1:9784; } }";
        assert_eq!(
            ways(text, Some("a.example")),
            ["ws://a.example:81/ at 127.0.0.1:81"]
        );
        assert_eq!(ways(text, None), ["ws://localhost:81/ at 127.0.0.1:81"]);
    }

    #[test]
    fn text_that_is_no_configuration_has_no_servers() {
        for text in ["}}}{", "server {", "\"", "server { listen; } ; ;", "$${{"] {
            assert!(ways(text, None).len() <= 1, "{text}");
        }
    }
}
