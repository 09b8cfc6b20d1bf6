//! What one client can take from the others of nginx's, with more connections than it should have.

use std::{fs, time::Duration};

use relay_testing::{Raw, TestRelay, frame, http::Response, pairs::paired, process, reply, within};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    hosts::{CLIENTS, Hosts},
    server::{Nginx, Start, UPGRADE},
};

/// What the site lets one client have.
const PER_CLIENT: usize = 100;
/// More than nginx has connections for, at two for each.
const CROWD: usize = 400;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The head of a request for a session, up to the line where further headers go.
fn head() -> String {
    format!("GET / HTTP/1.1\r\nHost: relay.example.com\r\n{UPGRADE}")
}

/// Asks for a session, as the program of a tunnel does for a client of that address.
async fn ask_for(raw: &mut Raw, forwarded_for: &str) -> Response {
    let header = match forwarded_for {
        "" => String::new(),
        client => format!("X-Forwarded-For: {client}\r\n"),
    };
    raw.write(format!("{}{header}\r\n", head()).as_bytes())
        .await;
    raw.response().await
}

/// nginx and a relay on a host of their own.
struct Site {
    nginx: Nginx,
    _relay: process::Relay,
    hosts: Hosts,
}

impl Site {
    /// `None` where there can be none here. The relay gives up who takes nothing within a second, and
    /// who answers no Ping a little later.
    async fn start(adjust: impl FnOnce(Start) -> Start) -> Option<Self> {
        let hosts = Hosts::new()?;
        let impatient = process::Start::new()
            .env("RELAY_STALL_TIMEOUT", 1)
            .env("RELAY_PING_INTERVAL", 5)
            .env("RELAY_PING_TIMEOUT", 3);
        let relay = hosts.run(impatient);
        let start = Start::through(hosts.command("nginx"), relay.addr().port())?;
        let nginx = adjust(start.behind_a_default_site()).run();
        let site = Self {
            nginx,
            _relay: relay,
            hosts,
        };
        within("nginx", async {
            while site.hosts.dial_locally(site.port()).is_none() {
                sleep(LOOK_AGAIN).await;
            }
        })
        .await;
        Some(site)
    }

    fn port(&self) -> u16 {
        self.nginx.addr.port()
    }

    fn dial(&self, from: &str) -> Raw {
        self.hosts.dial(from, self.port())
    }

    /// How many connections nginx has, with its two listening sockets' and the like.
    fn connections(&self) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fd", self.nginx.child.id())).unwrap();
        let targets = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
        targets
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }

    async fn until(&self, awaited: &str, holds: impl Fn(usize) -> bool) {
        within(awaited, async {
            while !holds(self.connections()) {
                sleep(LOOK_AGAIN).await;
            }
        })
        .await;
    }

    /// Two users who have come just now, one through a tunnel and one without, meet in a room.
    async fn serves_others(&self) {
        let mut sender = self.hosts.dial_locally(self.port()).unwrap();
        assert_eq!(ask_for(&mut sender, "198.51.100.7").await.status, 101);
        let mut receiver = self.dial(CLIENTS[2]);
        receiver.upgrade(&head()).await;
        let code = sender.create_room().await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        sender.send(frame(2, "hello")).await;
        assert_eq!(&receiver.data(5, "what was sent").await[..], b"hello");
    }
}

#[tokio::test]
async fn who_reads_nothing_takes_little_from_the_others_and_not_for_long() {
    let sooner = |start: Start| {
        start
            .sooner("send_timeout", "2s")
            .sooner("proxy_send_timeout", "2s")
    };
    let Some(site) = Site::start(sooner).await else {
        return;
    };
    let before = site.connections();
    // They claim to speak for others, each for another one; but it is not a tunnel that says so.
    let (mut refused, mut admitted) = (0, Vec::new());
    for number in 0..CROWD {
        let mut attacker = site.dial(CLIENTS[0]);
        let other = format!("203.0.113.{}", number % 256);
        match ask_for(&mut attacker, &other).await.status {
            101 => admitted.push(attacker),
            429 => refused += 1,
            status => panic!("{status}"),
        }
    }
    assert_eq!(refused, CROWD - PER_CLIENT);
    assert!(site.connections() >= 2 * PER_CLIENT);
    let mut attackers = JoinSet::new();
    while let (Some(sender), Some(receiver)) = (admitted.pop(), admitted.pop()) {
        let (mut sender, receiver) = paired(sender, receiver).await;
        attackers.spawn(async move {
            // More than nginx and the system take for a receiver that does not read.
            let messages = frame(2, vec![7; 1 << 20]).encode().repeat(4);
            // To the end, or until the relay takes no more, and then ends it.
            drop(sender.try_write(&messages).await);
            [sender, receiver]
        });
    }
    site.serves_others().await;

    // None of them has hung up, or read a byte, when nginx is rid of them.
    let attackers = attackers.join_all().await;
    site.until("the attackers' end", |now| now <= before).await;
    assert_eq!(attackers.as_flattened().len(), PER_CLIENT);
    site.serves_others().await;
    let mut reformed = site.dial(CLIENTS[0]);
    assert_eq!(ask_for(&mut reformed, "").await.status, 101);
}

/// Another site of nginx's comes first, and it is that one's times that count until nginx knows whom
/// a request is for.
#[tokio::test]
async fn half_a_request_is_not_waited_for() {
    let sooner = |start: Start| start.sooner("client_header_timeout", "1s");
    let Some(site) = Site::start(sooner).await else {
        return;
    };
    let before = site.connections();
    let mut halves = Vec::new();
    for _ in 0..CROWD {
        let mut half = site.dial(CLIENTS[0]);
        half.write(b"GET / HTTP/1.1\r\nHost: relay.exa").await;
        halves.push(half);
    }
    site.serves_others().await;
    site.until("their end", |now| now <= before).await;
}

#[tokio::test]
async fn without_a_tunnel_nginx_is_believed_and_its_clients_are_not() {
    let Some(hosts) = Hosts::new() else {
        return;
    };
    let relay = hosts.run(process::Start::new().env("RELAY_ADDRESS_RATE_LIMIT_MAX", 1));
    let Some(start) = Start::through(hosts.command("nginx"), relay.addr().port()) else {
        return;
    };
    let nginx = start.run();
    let port = nginx.addr.port();
    within("nginx", async {
        while hosts.dial_locally(port).is_none() {
            sleep(LOOK_AGAIN).await;
        }
    })
    .await;
    let mut first = hosts.dial(CLIENTS[0], port);
    ask_for(&mut first, "198.51.100.1").await;
    first.create_room().await;
    let mut second = hosts.dial(CLIENTS[0], port);
    ask_for(&mut second, "198.51.100.2").await;
    second.send(frame(1, reply::CREATE)).await;
    second.expect_error("rate_limited").await;
}

#[tokio::test]
async fn a_client_of_the_tunnel_is_counted_by_what_the_tunnel_calls_it() {
    let relay = TestRelay::start(|_| {});
    let Some(nginx) = Nginx::start(&relay).await else {
        return;
    };
    let dial = async || {
        let stream = tokio::net::TcpStream::connect(nginx.addr).await.unwrap();
        Raw::over(stream)
    };
    // One subscriber has all addresses that begin like this one. What it claims itself is left of
    // what the tunnel has seen.
    let mut kept = Vec::new();
    for number in 0..PER_CLIENT {
        let mut session = dial().await;
        let client = format!("127.0.0.1, 2001:db8:1:2::{number:x}");
        assert_eq!(ask_for(&mut session, &client).await.status, 101);
        kept.push(session);
    }
    for (client, status) in [
        ("2001:db8:1:2:ffff::1", 429),
        ("203.0.113.1, 2001:db8:1:2::1", 429),
        ("2001:db8:1:3::1", 101),
        ("198.51.100.1", 101),
        // Whoever is on this machine, and speaks for nobody.
        ("", 101),
    ] {
        let answer = ask_for(&mut dial().await, client).await;
        assert_eq!(answer.status, status, "{client}");
        assert_eq!(
            answer.header("retry-after").is_some(),
            status == 429,
            "{answer:?}"
        );
    }
    drop(kept);
}
