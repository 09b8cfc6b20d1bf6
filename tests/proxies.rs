//! Who is asking, over real sockets: whose word is taken for a client's address, seen by whose
//! budget its requests are charged to.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{IpAddr, SocketAddr};

use relay_testing::{
    Raw, frame,
    http::UPGRADE,
    process::{Relay, Start},
    wire::TEXT,
    within,
};
use tokio::net::TcpSocket;

/// A relay where every address has one request.
fn start(proxies: &str, header: &str) -> Relay {
    Start::new()
        .env("RUST_LOG", "info")
        .env("RELAY_ADDRESS_RATE_LIMIT_MAX", 1)
        .env("RELAY_RATE_LIMIT_WINDOW", 3600)
        .env("RELAY_TRUSTED_PROXIES", proxies)
        .env("RELAY_CLIENT_IP_HEADER", header)
        .run()
}

/// Connects from this address with these header lines. Returns how the relay says it knows who
/// that is, and whether that one's request was already spent; it is now.
async fn ask(relay: &Relay, from: &str, lines: &str) -> (String, bool) {
    let socket = TcpSocket::new_v4().unwrap();
    let from: IpAddr = from.parse().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let stream = within("a connection", socket.connect(relay.addr())).await;
    let mut session = Raw::over(stream.unwrap());
    let answer = session.upgrade(&format!("{UPGRADE}{lines}")).await;
    let whose = answer.header("x-relay-client").unwrap().to_owned();
    session.send(frame(TEXT, "a request of a kind")).await;
    let error = session.next_json("a refusal").await;
    let spent = match error["reason"].as_str() {
        Some("invalid_request") => false,
        Some("rate_limited") => true,
        _ => panic!("{error}"),
    };
    (whose, spent)
}

fn forwarded_for(list: &str) -> String {
    format!("X-Forwarded-For: {list}\r\n")
}

#[tokio::test]
async fn the_client_is_the_last_in_the_list_that_is_no_trusted_proxy() {
    // `CLIENT` stands for an address that only this line has.
    let cases = [
        "X-Forwarded-For: CLIENT\r\n",
        "X-Forwarded-For: 6.6.6.6, CLIENT\r\n",
        "X-Forwarded-For: 6.6.6.6,CLIENT,10.0.0.9, 127.0.0.1\r\n",
        "x-forwarded-for: 6.6.6.6\r\nX-FORWARDED-FOR: CLIENT\r\n",
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: CLIENT, 10.0.0.9\r\nX-Forwarded-For: 127.0.0.1\r\n",
        "X-Forwarded-For: CLIENT:4711\r\n",
        "X-Forwarded-For: \"CLIENT:4711\"\r\n",
        "X-Forwarded-For: ::ffff:CLIENT\r\n",
        "X-Forwarded-For: [::ffff:CLIENT]:4711\r\n",
        "X-Forwarded-For: 6.6.6.6, unknown, CLIENT\r\n",
        "X-Forwarded-For: garbage <>, CLIENT, 10.0.0.9\r\n",
        "X-Forwarded-For: , ,CLIENT, ,\r\n",
        // Nobody named this header.
        "CF-Connecting-IP: 6.6.6.6\r\nX-Forwarded-For: CLIENT\r\n",
        "X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-For: CLIENT\r\n",
    ];
    let relay = start("127.0.0.0/8, 10.0.0.0/8", "");
    let spoofed = ask(&relay, "127.0.0.1", &forwarded_for("6.6.6.6")).await;
    assert_eq!(spoofed, ("forwarded".to_owned(), false));
    for (number, case) in cases.iter().enumerate() {
        let client = format!("198.51.100.{number}");
        let plain = ask(&relay, "127.0.0.1", &forwarded_for(&client)).await;
        assert_eq!(plain, ("forwarded".to_owned(), false), "{case}");
        let same = ask(&relay, "127.0.0.1", &case.replace("CLIENT", &client)).await;
        let case = case.replace("CLIENT", &client);
        assert_eq!(same, ("forwarded".to_owned(), true), "{case}");
    }
}

#[tokio::test]
async fn an_ipv6_network_is_one_client() {
    let relay = start("127.0.0.1", "");
    for (client, spent) in [
        ("2001:db8:1:2::1", false),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", true),
        ("[2001:db8:1:2:3::]:443", true),
        ("2001:db8:1:3::1", false),
    ] {
        let (_, was_spent) = ask(&relay, "127.0.0.1", &forwarded_for(client)).await;
        assert_eq!(was_spent, spent, "{client}");
    }
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_speaks_for_itself_alone() {
    let relay = start("127.0.0.1", "CF-Connecting-IP");
    let direct = |spent| ("direct".to_owned(), spent);
    let lines = |client: &str| format!("CF-Connecting-IP: {client}\r\n{}", forwarded_for(client));
    assert_eq!(ask(&relay, "127.0.0.2", "").await, direct(false));
    for client in ["198.51.100.1", "198.51.100.2", "127.0.0.1"] {
        assert_eq!(ask(&relay, "127.0.0.2", &lines(client)).await, direct(true));
    }
    // It has spent nothing of theirs.
    let (whose, spent) = ask(&relay, "127.0.0.1", &lines("198.51.100.1")).await;
    assert_eq!((whose.as_str(), spent), ("forwarded", false));
    assert_eq!(ask(&relay, "127.0.0.3", "").await, direct(false));
}

#[tokio::test]
async fn a_header_counts_where_the_operator_names_it() {
    let relay = start("127.0.0.1", "CF-Connecting-IP");
    let cases = [
        ("CF-Connecting-IP: 198.51.100.1\r\n", false),
        ("X-Forwarded-For: 198.51.100.1\r\n", true),
        (
            "X-Forwarded-For: 6.6.6.6\r\ncf-connecting-ip: 198.51.100.1\r\n",
            true,
        ),
        ("X-Forwarded-For: 6.6.6.6\r\n", false),
        (
            "CF-Connecting-IP: garbage\r\nX-Forwarded-For: 198.51.100.1\r\n",
            true,
        ),
    ];
    for (lines, spent) in cases {
        let (whose, was_spent) = ask(&relay, "127.0.0.1", lines).await;
        assert_eq!((whose.as_str(), was_spent), ("forwarded", spent), "{lines}");
    }
}

const WARNING: &str = "a trusted proxy says nothing of who is behind it";

#[tokio::test]
async fn a_proxy_that_names_nobody_is_warned_of_once() {
    let mut relay = start("127.0.0.1", "");
    for (lines, spent) in [
        ("", false),
        ("X-Forwarded-For: unknown\r\n", true),
        ("X-Forwarded-For: 198.51.100.7, unknown\r\n", true),
        ("X-Forwarded-For:\r\n", true),
    ] {
        // All of these share the proxy's own budget.
        let (whose, was_spent) = ask(&relay, "127.0.0.1", lines).await;
        assert_eq!((whose.as_str(), was_spent), ("direct", spent), "{lines}");
    }
    relay.stop().await;
    assert_eq!(relay.lines_with(WARNING), 1);
    assert_eq!(relay.lines_with(" trusting [127.0.0.1/32]"), 1);
}

#[tokio::test]
async fn each_sign_of_a_proxy_is_enough_for_the_warning() {
    for sign in [
        "Host: relay.example.com",
        "Host: relay.example.com:9784",
        "Host: 192.0.2.1:9784",
        "Host: [2001:db8::1]",
        "Host: localhost.example.com",
        "Host: localhost\r\nVia: 1.1 proxy",
        "Host: localhost\r\nForwarded: for=unknown",
        "Host: localhost\r\nX-Real-IP: 198.51.100.7",
        "Host: localhost\r\nX-Forwarded-Proto: https",
        "Host: localhost\r\nCF-Ray: 1",
        "Host: localhost\r\nCDN-Loop: cloudflare",
        "Host: localhost\r\nX-Ours: nonsense",
    ] {
        let mut relay = start("127.0.0.1", "X-Ours");
        let head = UPGRADE.replace("Host: relay.example", sign);
        assert!(head.contains(sign), "{head}");
        relay.connect_by(&head).await;
        relay.stop().await;
        assert_eq!(relay.lines_with(WARNING), 1, "{sign}");
    }
}

#[tokio::test]
async fn whoever_connects_from_this_machine_is_no_proxy() {
    let mut relay = start("127.0.0.1", "");
    for host in [
        "127.0.0.1:9784",
        "127.0.0.1",
        "[::1]:9784",
        "localhost:9784",
        "LOCALHOST",
        "relay.localhost",
    ] {
        let head = UPGRADE.replace("Host: relay.example", &format!("Host: {host}"));
        let lines = "User-Agent: x\r\nCache-Control: no-cache\r\n";
        relay.connect_by(&format!("{head}{lines}")).await;
    }
    relay.stop().await;
    assert_eq!(relay.lines_with("WARN"), 0);
}

#[tokio::test]
async fn no_warning_where_every_client_is_named() {
    let mut relay = start("127.0.0.1, 192.0.2.0/24", "");
    ask(&relay, "127.0.0.1", &forwarded_for("198.51.100.1")).await;
    ask(&relay, "127.0.0.2", "").await;
    relay.stop().await;
    assert_eq!(relay.lines_with("WARN"), 0);
    assert_eq!(
        relay.lines_with(" trusting [127.0.0.1/32, 192.0.2.0/24]"),
        1
    );
}
