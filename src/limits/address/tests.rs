use proptest::{collection::vec, prelude::*};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn trust(ranges: &[&str]) -> Trust {
    let proxies = ranges.iter().map(|range| range.parse().unwrap()).collect();
    Trust {
        proxies,
        header: None,
    }
}

fn default_trust() -> Trust {
    trust(&["127.0.0.0/8", "::1/128", "10.0.0.0/8"])
}

fn trust_with_header() -> Trust {
    let mut trust = default_trust();
    trust.header = Some("cf-connecting-ip".to_owned());
    trust
}

/// The lines of a request that name its client.
#[derive(Default)]
struct Headers {
    alone: Vec<Vec<u8>>,
    forwarded: Vec<Vec<u8>>,
}

fn client_of(peer: IpAddr, headers: &Headers, trust: &Trust) -> Client {
    let alone = headers.alone.last().filter(|_| trust.header.is_some());
    let named = Named {
        alone: alone.map(Vec::as_slice),
        chain: headers.forwarded.iter().map(Vec::as_slice),
    };
    client_addr(peer, named, trust)
}

fn chain(lines: &[&[u8]]) -> Headers {
    Headers {
        forwarded: lines.iter().map(|line| line.to_vec()).collect(),
        ..Headers::default()
    }
}

/// What a loopback proxy's `X-Forwarded-For` lines come to.
fn through_proxy(lines: &[&[u8]]) -> Client {
    client_of(ip("127.0.0.1"), &chain(lines), &default_trust())
}

#[test]
fn an_untrusted_peer_is_the_client_whatever_it_says() {
    let mut headers = chain(&[b"1.2.3.4"]);
    headers.alone.push(b"5.6.7.8".to_vec());
    let trust = trust_with_header();
    let client = client_of(ip("203.0.113.9"), &headers, &trust);
    assert_eq!(client, Client::new(ip("203.0.113.9"), Source::Peer));
    assert!(!client.forwarded());
}

#[test]
fn the_chain_is_walked_from_the_right() {
    let cases: &[(&[&[u8]], &str)] = &[
        // Plain.
        (&[b"1.2.3.4"], "1.2.3.4"),
        (&[b"6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        (&[b"6.6.6.6,1.2.3.4, 10.1.1.1 ,127.0.0.1"], "1.2.3.4"),
        // All trusted: the leftmost.
        (&[b"10.0.0.2, 10.0.0.1"], "10.0.0.2"),
        // Several lines are one list.
        (&[b"6.6.6.6", b"1.2.3.4"], "1.2.3.4"),
        (&[b"6.6.6.6, 1.2.3.4", b"10.0.0.1", b"127.0.0.1"], "1.2.3.4"),
        // Empty elements and blanks.
        (&[b" \t1.2.3.4 ,, ", b"", b","], "1.2.3.4"),
        // Ports, brackets, quotes.
        (&[b"1.2.3.4:567"], "1.2.3.4"),
        (&[b"[2001:db8::1]:567"], "2001:db8::1"),
        (&[b"[2001:db8::1]"], "2001:db8::1"),
        (&[b"2001:db8::1"], "2001:db8::1"),
        (&[b"\"[2001:db8::1]:567\""], "2001:db8::1"),
        (&[b"\"1.2.3.4\""], "1.2.3.4"),
        (&[b"6.6.6.6, [::1]:80, 127.0.0.1:80"], "6.6.6.6"),
        // IPv4-mapped, as client and as proxy.
        (&[b"::ffff:1.2.3.4"], "1.2.3.4"),
        (&[b"[::ffff:102:304]:567"], "1.2.3.4"),
        (&[b"1.2.3.4, ::ffff:10.0.0.1"], "1.2.3.4"),
        // Garbage left of the answer does not matter.
        (&[b"unknown, 1.2.3.4"], "1.2.3.4"),
    ];
    for (lines, expected) in cases {
        let client = through_proxy(lines);
        assert_eq!(
            client,
            Client::new(ip(expected), Source::Proxy),
            "{lines:?}"
        );
        assert!(client.forwarded());
    }
}

#[test]
fn a_proxy_that_names_nobody_is_told_apart() {
    let cases: &[&[&[u8]]] = &[
        &[],
        &[b""],
        &[b" , ,"],
        &[b"unknown"],
        &[b"1.2.3.4, _hidden"],
        &[b"1.2.3.4:"],
        &[b"1.2.3.4:99999"],
        &[b"1.2.3"],
        &[b"[1.2.3.4]"],
        &[b"[::1"],
        &[b"\"1.2.3.4"],
        &[b"\""],
        &[b"1.2.3.4 5.6.7.8"],
        &[b"1.2.3.4", b"\xff"],
    ];
    for lines in cases {
        let silent = Client::new(ip("127.0.0.1"), Source::SilentProxy);
        assert_eq!(through_proxy(lines), silent, "{lines:?}");
    }
}

#[test]
fn garbage_before_a_trusted_hop_makes_that_hop_a_silent_proxy() {
    let cases: &[(&[&[u8]], &str)] = &[
        (&[b"1.2.3.4, unknown, 10.0.0.1"], "10.0.0.1"),
        (&[b"1.2.3.4, \xff\xfe, 10.0.0.2, 10.0.0.1"], "10.0.0.2"),
        (&[b"1.2.3.4", b"_hidden, 10.0.0.1"], "10.0.0.1"),
    ];
    for (lines, hop) in cases {
        let silent = Client::new(ip(hop), Source::SilentProxy);
        assert_eq!(through_proxy(lines), silent, "{lines:?}");
        assert!(!silent.forwarded());
    }
}

#[test]
fn a_mapped_peer_matches_ipv4_ranges() {
    let peer = ip("::ffff:127.0.0.1");
    let client = client_of(peer, &chain(&[b"1.2.3.4"]), &default_trust());
    assert_eq!(client.addr, ip("1.2.3.4"));
    let client = client_of(peer, &Headers::default(), &trust(&[]));
    assert_eq!(client, Client::new(ip("127.0.0.1"), Source::Peer));
}

#[test]
fn a_named_header_is_preferred_if_it_is_valid() {
    let named = trust_with_header();
    let addr_of = |values: &[&[u8]], trust| {
        let mut headers = chain(&[b"1.2.3.4"]);
        for value in values {
            headers.alone.push(value.to_vec());
        }
        client_of(ip("::1"), &headers, trust).addr
    };
    assert_eq!(addr_of(&[b" 5.6.7.8 "], &named), ip("5.6.7.8"));
    assert_eq!(
        addr_of(&[b"6.6.6.6", b"2001:db8::1"], &named),
        ip("2001:db8::1")
    );
    assert_eq!(addr_of(&[], &named), ip("1.2.3.4"));
    assert_eq!(addr_of(&[b""], &named), ip("1.2.3.4"));
    assert_eq!(addr_of(&[b"5.6.7.8, 6.6.6.6"], &named), ip("1.2.3.4"));
    assert_eq!(addr_of(&[b"\xff"], &named), ip("1.2.3.4"));
    assert_eq!(
        addr_of(&[b"5.6.7.8"], &default_trust()),
        ip("1.2.3.4"),
        "not configured"
    );
}

#[test]
fn the_walk_is_bounded() {
    let proxies = ", 10.0.0.1".repeat(MAX_HOPS);
    let line = format!("1.2.3.4{proxies}");
    assert_eq!(through_proxy(&[line.as_bytes()]).addr, ip("10.0.0.1"));
    let empty = format!("1.2.3.4{}", ",".repeat(MAX_HOPS));
    assert_eq!(
        through_proxy(&[empty.as_bytes()]).source,
        Source::SilentProxy
    );
}

#[test]
fn keys_are_ipv4_addresses_and_ipv6_networks() {
    let cases = [
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
    ];
    for (addr, expected) in cases {
        assert_eq!(AddressKey::from(ip(addr)).to_string(), expected);
    }
    assert_ne!(
        AddressKey::from(ip("2001:db8:1:2::1")),
        AddressKey::from(ip("2001:db8:1:3::1"))
    );
}

#[test]
fn an_ipv6_client_counts_in_three_networks() {
    let levels = |addr| AddressKey::from(ip(addr)).levels().collect::<Vec<_>>();
    let shown = levels("2001:db8:1:2:3:4:5:6").into_iter();
    let shown: Vec<_> = shown.map(|level| level.to_string()).collect();
    let expected = ["2001:db8:1:2::/64", "2001:db8:1::/56", "2001:db8:1::/48"];
    assert_eq!(shown, expected);
    assert_eq!(levels("1.2.3.4"), [AddressKey::from(ip("1.2.3.4"))]);

    // What is the same, of two addresses, from the narrowest to the widest.
    for (other, same) in [
        ("2001:db8:1:2::1", [true, true, true]),
        ("2001:db8:1:ff::1", [false, true, true]),
        ("2001:db8:1:100::1", [false, false, true]),
        ("2001:db8:2:2::1", [false, false, false]),
    ] {
        let pairs = levels("2001:db8:1:2:3:4:5:6")
            .into_iter()
            .zip(levels(other));
        let found: Vec<_> = pairs.map(|(one, other)| one == other).collect();
        assert_eq!(found, same, "{other}");
    }
}

/// Any bytes a header value may hold, with those that mean something made likely.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(b"0123456789.:[], \"f\t\xff".to_vec()),
        any::<u8>().prop_filter("not in a header", |&b| b == b'\t' || (b >= 32 && b != 127)),
    ];
    vec(byte, 0..60)
}

/// Both kinds of header with the same lines.
fn headers_of(lines: &[Vec<u8>]) -> Headers {
    Headers {
        alone: lines.to_vec(),
        forwarded: lines.to_vec(),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(lines in vec(value(), 0..4), named: bool) {
        let trust = if named { trust_with_header() } else { default_trust() };
        client_of(ip("127.0.0.1"), &headers_of(&lines), &trust);
    }

    #[test]
    fn any_element_is_survived(element: Vec<u8>) {
        parse(&element);
    }

    #[test]
    fn headers_of_an_untrusted_peer_never_matter(lines in vec(value(), 0..4), peer: u32) {
        let peer = IpAddr::from(peer.to_be_bytes());
        prop_assume!(!default_trust().covers(peer));
        let trust = trust_with_header();
        let client = client_of(peer, &headers_of(&lines), &trust);
        prop_assert_eq!(client, Client::new(peer, Source::Peer));
    }

    #[test]
    fn nothing_on_the_left_changes_what_a_proxy_appended(
        lines in vec(value(), 0..4),
        own_line: bool,
        client: u128,
        proxies in vec(any::<[u8; 3]>(), 0..5),
    ) {
        let client = IpAddr::from(client.to_be_bytes()).to_canonical();
        prop_assume!(!default_trust().covers(client));
        let mut appended = client.to_string();
        for [b, c, d] in proxies {
            appended += &format!(", 10.{b}.{c}.{d}");
        }
        let mut lines = lines;
        match lines.last_mut() {
            Some(last) if !own_line => last.extend_from_slice(format!(", {appended}").as_bytes()),
            _ => lines.push(appended.into_bytes()),
        }
        let found = client_of(ip("127.0.0.1"), &headers_of(&lines), &default_trust());
        prop_assert_eq!(found, Client::new(client, Source::Proxy));
    }
}
