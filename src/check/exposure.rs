//! Who can reach the relay past its proxy: what it listens on.

use std::net::IpAddr;

use tokio::net::lookup_host;

use super::{listener, note::Note};
use crate::config::Config;

/// What follows from where the relay listens: by the system, or where it does not run, by its settings.
pub(super) async fn address(config: &Config) -> Note {
    let set = match config.host.parse() {
        Ok(address) => vec![address],
        Err(_) => lookup_host((config.host.as_str(), config.port))
            .await
            .map_or_else(|_| Vec::new(), |found| found.map(|it| it.ip()).collect()),
    };
    judge(&listener::addresses(config.port), &set, config)
}

/// Judges `real` addresses, or else those of the settings.
fn judge(real: &[IpAddr], set: &[IpAddr], config: &Config) -> Note {
    let port = config.port;
    let addresses = if real.is_empty() { set } else { real };
    if addresses.is_empty() {
        return Note::skip(format!(
            "nobody listens on port {port}, and RELAY_HOST {} does not resolve",
            config.host
        ));
    }
    let shown: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    let shown = shown.join(", ");
    let open = if addresses.iter().any(IpAddr::is_unspecified) {
        "every address of this machine"
    } else if addresses.iter().any(|&address| is_public(address)) {
        "a public address"
    } else if addresses.iter().all(|it| it.to_canonical().is_loopback()) {
        return Note::ok(format!(
            "{shown}: only this machine reaches the relay itself"
        ));
    } else {
        return Note::ok(format!(
            "{shown}: a network of one's own reaches the relay itself"
        ));
    };
    let here = if set.iter().all(IpAddr::is_loopback) {
        "127.0.0.1 in the ListenStream= of its socket (systemctl cat claude-distill-relay.socket), or a restart"
    } else {
        "RELAY_HOST=127.0.0.1"
    };
    Note::warn(format!("the relay listens on {open} ({shown}, port {port})"))
        .means(
            "whoever reaches that port goes past nginx and the tunnel: without TLS, and without nginx's \
             limit of connections",
        )
        .next(format!(
            "{here}, if nginx or the tunnel is on this machine; if not, a firewall that lets \
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
    use crate::check::note::Status::{Ok as Fine, Skip, Warn};

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
            ("nowhere.invalid", Skip),
            ("0.0.0.0", Warn),
            ("::", Warn),
            ("203.0.113.7", Warn),
            ("100.128.0.1", Warn),
            ("2001:db8::1", Warn),
        ] {
            let config = Config {
                host: host.to_owned(),
                // Where nobody listens.
                port: 0,
                ..Config::default()
            };
            assert_eq!(address(&config).await.status, status, "{host}");
        }
    }

    #[test]
    fn what_really_listens_counts_more_than_the_setting() {
        let config = Config::default();
        let at = |address: [u8; 4]| [IpAddr::from(address)];
        let (own, all) = (at([127, 0, 0, 1]), at([0; 4]));
        let note = judge(&all, &own, &config);
        assert_eq!(note.status, Warn, "{}", note.detail);
        assert!(note.next.is_some_and(|next| next.contains("ListenStream=")));
        let note = judge(&all, &all, &config);
        assert!(
            note.next
                .is_some_and(|next| next.starts_with("RELAY_HOST="))
        );
        assert_eq!(judge(&own, &all, &config).status, Fine);
    }
}
