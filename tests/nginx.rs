//! The relay behind a real nginx, with the site that our script writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    net::{Ipv6Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use relay_testing::{
    Client, TestRelay, noise,
    port::Port,
    reply, seeded,
    skip::{find, skip},
    text, within,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use tokio_tungstenite::tungstenite::Message;

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A running nginx; dropping it ends it.
struct Nginx {
    child: Child,
    addr: SocketAddr,
    _port: Port,
    _folder: TempDir,
}

impl Nginx {
    /// Starts one in front of the relay, or says why there can be none here.
    async fn start(relay: &TestRelay) -> Option<Self> {
        let Some(program) = find("nginx") else {
            skip("nginx");
            return None;
        };
        let port = Port::reserve();
        let addr = port.addr();
        let site = Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/deploy/setup-nginx-relay.sh"
        ))
        .args(["relay.example.com", &relay.addr().port().to_string()])
        .args(["--listen", &addr.port().to_string(), "--print"])
        .output()
        .unwrap();
        assert!(site.status.success(), "{site:?}");

        let folder = TempDir::new().unwrap();
        let site = String::from_utf8(site.stdout).unwrap();
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr warn;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
                uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                {site}
            }}"
        );
        fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let child = Command::new(program)
            .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self {
            child,
            addr,
            _port: port,
            _folder: folder,
        };
        within("nginx", async {
            while TcpStream::connect(addr).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        Some(nginx)
    }

    /// A client of nginx's, with headers as a tunnel in front of it would add them.
    async fn client(&self, headers: &[(&'static str, &str)]) -> Client {
        Client::open(self.addr, headers).await.expect("an upgrade")
    }

    async fn pair(&self) -> (Client, Client) {
        let (mut sender, mut receiver) = (self.client(&[]).await, self.client(&[]).await);
        let code = sender.create_room().await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        (sender, receiver)
    }

    /// What a request for `path` is answered with, the head of it at least.
    async fn ask(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: relay.example.com\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        within("an answer", async {
            while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
                assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "no head");
            }
            // A session does not end by itself, and says nothing either.
            if !answer.starts_with(b"HTTP/1.1 101 ") {
                stream.read_to_end(&mut answer).await.unwrap();
            }
        })
        .await;
        String::from_utf8(answer).unwrap()
    }

    async fn get(&self, path: &str) -> String {
        self.ask(path, "Connection: close\r\n").await
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts nginx in front of a relay, or ends a test that cannot have one here.
macro_rules! nginx {
    ($relay:expr) => {
        match Nginx::start($relay).await {
            Some(nginx) => nginx,
            None => return,
        }
    };
}

#[tokio::test]
async fn eight_mebibytes_come_through() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let (mut sender, mut receiver) = nginx.pair().await;
    let content = Message::binary(noise(&mut seeded(1), 8 << 20));
    tokio::join!(
        sender.send(content.clone()),
        receiver.expect(content.clone())
    );
    tokio::join!(receiver.send(content.clone()), sender.expect(content));
}

#[tokio::test]
async fn a_message_is_not_held_back_until_it_is_whole() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let (mut sender, mut receiver) = nginx.pair().await;
    for turn in 0..100 {
        sender.send(format!("{turn}")).await;
        receiver.expect(text(format!("{turn}"))).await;
    }
}

/// nginx would cut after 60 s, was it not told otherwise; the relay says nothing all that time.
#[tokio::test]
async fn a_quiet_session_is_not_cut() {
    let relay = TestRelay::start(|config| config.ping_interval = Duration::from_secs(3600));
    let nginx = nginx!(&relay);
    let (mut sender, mut receiver) = nginx.pair().await;
    sleep(Duration::from_secs(65)).await;
    sender.send("still there?").await;
    receiver.expect(text("still there?")).await;
    receiver.send("yes").await;
    sender.expect(text("yes")).await;
}

#[tokio::test]
async fn a_client_is_limited_by_its_own_address() {
    let relay = TestRelay::start(|config| config.rate_limit_max = 2);
    let nginx = nginx!(&relay);
    let one = [("x-forwarded-for", "198.51.100.1")];
    // What it claims itself is left of what the tunnel has seen.
    let same = [("x-forwarded-for", "203.0.113.9, 198.51.100.1")];
    let neighbour = [("x-forwarded-for", "198.51.100.2")];
    nginx.client(&one).await.create_room().await;
    nginx.client(&same).await.create_room().await;
    for headers in [one, same] {
        let mut client = nginx.client(&headers).await;
        client.send(reply::CREATE).await;
        client.expect_error("rate_limited").await;
        client.expect_close(1008).await;
    }
    nginx.client(&neighbour).await.create_room().await;
}

#[tokio::test]
async fn without_a_tunnel_nginx_is_believed_and_its_clients_are_not() {
    let relay = TestRelay::start(|config| {
        config.rate_limit_max = 1;
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let nginx = nginx!(&relay);
    if !Path::new("/proc/net/if_inet6").exists() {
        return skip("IPv6");
    }
    // Not a trusted address, and so a stranger.
    let addr = SocketAddr::from((Ipv6Addr::LOCALHOST, nginx.addr.port()));
    let mut first = Client::open(addr, &[("x-forwarded-for", "198.51.100.1")])
        .await
        .unwrap();
    first.create_room().await;
    let mut second = Client::open(addr, &[("x-forwarded-for", "198.51.100.2")])
        .await
        .unwrap();
    second.send(reply::CREATE).await;
    second.expect_error("rate_limited").await;
}

#[tokio::test]
async fn a_stopping_relay_is_seen_as_1012() {
    let mut relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let mut waiting = nginx.client(&[]).await;
    waiting.create_room().await;
    let (_sender, mut receiver) = nginx.pair().await;
    relay.begin_shutdown();
    waiting.expect_error("server_shutdown").await;
    waiting.expect_close(1012).await;
    receiver.expect_close(1012).await;
    relay.join().await.unwrap();

    // And after that, nginx says in words what is the matter.
    let answer = nginx.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(
        answer.contains("the relay behind it does not answer"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_plain_request_gets_an_answer_to_read() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let answer = nginx.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(
        answer.ends_with("Connect to it with a WebSocket client.\n"),
        "{answer}"
    );
    assert!(
        answer.contains("\r\nServer: nginx\r\n"),
        "which version is nobody's business: {answer}"
    );
}

#[tokio::test]
async fn numbers_and_health_are_not_for_everybody() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let spellings = [
        "/metrics",
        "/metrics?x",
        "//metrics",
        "/./metrics",
        "/x/../metrics",
        "/%6detrics",
        "/metrics#x",
        "/%2e/metrics",
        "/%2Fmetrics",
        "http://relay.example.com/metrics",
        "/healthz",
        "//healthz",
        "/health%7a",
    ];
    for path in spellings {
        let answer = nginx.get(path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    // No other spelling leads there.
    for path in [
        "/%256detrics",
        "/metrics/",
        "/metrics;x",
        "/METRICS",
        "/metrics%00",
        "/metrics%20",
    ] {
        let answer = nginx.get(path).await;
        assert!(!answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn the_relay_is_told_of_the_client_behind_nginx() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let answer = nginx.ask("/any/path", UPGRADE).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(
        answer.contains("\r\nx-relay-client: forwarded\r\n"),
        "{answer}"
    );
}
