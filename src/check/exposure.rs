//! Who can reach the relay past its proxy: what it listens on, by its configuration.

use std::net::IpAddr;

use tokio::net::lookup_host;

use super::note::Note;
use crate::config::Config;

/// What follows from the relay's own address.
pub(super) async fn address(config: &Config) -> Note {
    let addresses: Vec<_> = match config.host.parse() {
        Ok(address) => vec![address],
        // What does not resolve is for the steps that need it to say.
        Err(_) => lookup_host((config.host.as_str(), config.port))
            .await
            .map_or_else(|_| Vec::new(), |found| found.map(|it| it.ip()).collect()),
    };
    judge(&addresses, config)
}

fn judge(addresses: &[IpAddr], config: &Config) -> Note {
    let (host, port) = (&config.host, config.port);
    let open = if addresses.iter().any(IpAddr::is_unspecified) {
        "every address of this machine"
    } else if addresses.iter().any(|&address| is_public(address)) {
        "a public address"
    } else if addresses.iter().all(IpAddr::is_loopback) {
        return Note::ok(format!(
            "{host}: only this machine reaches the relay itself"
        ));
    } else {
        return Note::ok(format!(
            "{host}: a network of one's own reaches the relay itself"
        ));
    };
    Note::warn(format!("the relay listens on {open} ({host}, port {port})"))
        .means(
            "whoever reaches that port goes past nginx and the tunnel: without TLS, and without nginx's \
             limit of connections",
        )
        .next(format!(
            "RELAY_HOST=127.0.0.1, if nginx or the tunnel is on this machine; if not, a firewall that lets \
             only them in: sudo ufw status; sudo ss -ltnp 'sport = :{port}'"
        ))
}

/// Whether others than a network's own members may reach the address.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10: what a provider has between itself and its customers (RFC 6598).
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || shared)
        }
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::note::Status::{Ok as Fine, Warn};

    #[tokio::test]
    async fn what_the_world_can_reach_is_a_warning() {
        for (host, status) in [
            ("127.0.0.1", Fine),
            ("::1", Fine),
            ("localhost", Fine),
            ("10.1.2.3", Fine),
            ("192.168.0.2", Fine),
            ("100.64.0.1", Fine),
            ("fd00::1", Fine),
            ("fe80::1", Fine),
            ("::ffff:10.0.0.1", Fine),
            ("nowhere.invalid", Fine),
            ("0.0.0.0", Warn),
            ("::", Warn),
            ("203.0.113.7", Warn),
            ("100.128.0.1", Warn),
            ("2001:db8::1", Warn),
        ] {
            let config = Config {
                host: host.to_owned(),
                ..Config::default()
            };
            assert_eq!(address(&config).await.status, status, "{host}");
        }
    }
}
