//! Where the relay listens: each address of its host, and both families.

use std::{
    net::{SocketAddr, TcpStream},
    process::id,
};

use relay_testing::{
    netns::{ip, on_host},
    process,
    program::{Process, Program},
    skip::skip,
};

/// A host of its own, gone when dropped.
struct Host(String);

impl Host {
    /// Makes it; `None`, and said so, where this process may not.
    fn new(test: &str) -> Option<Self> {
        let name = format!("relay-host-{}-{test}", id());
        let made = ip(&format!("netns add {name}"));
        let host = Self(name);
        match made.and_then(|()| ip(&format!("-n {} link set lo up", host.0))) {
            Ok(()) => Some(host),
            Err(why) => {
                skip(&format!("network namespaces ({})", why.trim()));
                None
            }
        }
    }

    /// Starts a relay there that has these names for itself, after a script.
    fn start(&self, script: &str, hosts: &str, host: &str, port: u16) -> Process {
        let script = format!(
            "{script}\nmount --make-rprivate / && mount --bind \"$PWD/hosts\" /etc/hosts && exec \"$@\""
        );
        let relay = Program::new("unshare")
            .args(["-m", "sh", "-e", "-c", &script, "sh"])
            .args([process::program()])
            .file("hosts", hosts)
            .env("RELAY_HOST", host)
            .env("RELAY_PORT", port);
        on_host(&self.0, move || relay.spawn().unwrap())
    }

    /// Whether somebody takes a connection there.
    fn answers(&self, address: &str) -> bool {
        let address: SocketAddr = address.parse().unwrap();
        on_host(&self.0, move || TcpStream::connect(address).is_ok())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // There may be none, where it could not be made.
        drop(ip(&format!("netns delete {}", self.0)));
    }
}

const BOTH: &str = "127.0.0.1 relay\n127.0.0.2 relay\n::1 relay\n";
const NO_IPV6: &str = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 || \
    echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6";

#[test]
fn a_name_with_several_addresses_is_listened_on_at_each() {
    let Some(host) = Host::new("several") else {
        return;
    };
    let mut relay = host.start("", BOTH, "relay", 0);
    let line = relay.line_with("listening on ");
    let listed = line.split_once("listening on ").unwrap().1;
    let listed = listed.split(": ").next().unwrap();
    let addresses: Vec<_> = listed.split(", ").collect();
    assert_eq!(addresses.len(), 3, "{line}");
    let port = |address: &str| address.rsplit_once(':').unwrap().1.to_owned();
    let first = port(addresses[0]);
    for address in addresses {
        assert_eq!(port(address), first, "{line}");
        assert!(host.answers(address), "{address}");
    }
    // None but these.
    assert!(!host.answers(&format!("127.0.0.3:{first}")));
}

#[test]
fn every_address_is_of_both_families_whatever_the_system_thinks() {
    let Some(host) = Host::new("both") else {
        return;
    };
    let v6_only = "echo 1 >/proc/sys/net/ipv6/bindv6only";
    let mut relay = host.start(v6_only, BOTH, "::", 9784);
    relay.line_with("listening on [::]:9784: ");
    for address in ["[::1]:9784", "127.0.0.1:9784"] {
        assert!(host.answers(address), "{address}");
    }
}

#[test]
fn an_address_that_this_machine_lacks_is_named_and_the_others_are_served() {
    let Some(host) = Host::new("lacks") else {
        return;
    };
    let mut relay = host.start(NO_IPV6, BOTH, "relay", 9784);
    let warning = relay.line_with("WARN");
    let sentence = "RELAY_HOST relay is ::1 as well, where nobody can listen: ";
    assert!(warning.contains(sentence), "{warning}");
    relay.line_with("listening on 127.0.0.1:9784, 127.0.0.2:9784: ");
    assert!(host.answers("127.0.0.2:9784"));
}

#[tokio::test]
async fn where_none_of_its_addresses_is_there_the_start_ends() {
    let Some(host) = Host::new("none") else {
        return;
    };
    let names = "::1 relay\n2001:db8::1 relay\n";
    let mut relay = host.start(NO_IPV6, names, "relay", 9784);
    assert_eq!(relay.ended().await.code(), Some(1));
    assert_eq!(
        relay.lines_with("RELAY_HOST relay is not an address of this machine"),
        1
    );
}
