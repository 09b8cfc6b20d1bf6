//! The relay behind a real nginx, with the site that our script writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[cfg(target_os = "linux")]
#[path = "nginx/crowds.rs"]
mod crowds;
#[cfg(target_os = "linux")]
#[path = "nginx/hosts.rs"]
mod hosts;

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use common::{Client, TestRelay, noise, reply, seeded, text, within};
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
    folder: TempDir,
}

/// An nginx that is about to be started.
struct Start {
    command: Command,
    addr: SocketAddr,
    site: String,
    before: String,
}

impl Start {
    /// In front of the relay on that port, or says why there can be none here.
    fn before(relay_port: u16) -> Option<Self> {
        Self::through(Command::new("nginx"), relay_port)
    }

    /// The same, as `command` starts it.
    fn through(mut command: Command, relay_port: u16) -> Option<Self> {
        let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        if !path
            .split(':')
            .any(|folder| Path::new(folder).join("nginx").exists())
        {
            assert!(env::var_os("RELAY_TEST_ALL").is_none(), "no nginx");
            eprintln!("skipped: no nginx");
            return None;
        }
        command.env("PATH", path);
        let addr = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let site = Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/deploy/setup-nginx-relay.sh"
        ))
        .args(["relay.example.com", &relay_port.to_string()])
        .args(["--listen", &addr.port().to_string(), "--print"])
        .output()
        .unwrap();
        assert!(site.status.success(), "{site:?}");
        Some(Self {
            command,
            addr,
            site: String::from_utf8(site.stdout).unwrap(),
            before: String::new(),
        })
    }

    /// With another site before ours, as the one for whatever nginx knows no name of.
    fn behind_a_default_site(mut self) -> Self {
        let listen = format!("listen {} default_server; return 404;", self.addr.port());
        self.before = format!("server {{ {listen} }}");
        self
    }

    /// With another time in place of one that takes too long for a test.
    fn sooner(mut self, directive: &str, time: &str) -> Self {
        let (mut site, mut found) = (String::new(), 0);
        for line in self.site.lines() {
            let ours = line.trim_start().strip_prefix(directive);
            match ours.filter(|rest| rest.starts_with(' ')) {
                Some(_) => {
                    found += 1;
                    site += &format!("{directive} {time};\n");
                }
                None => site += &format!("{line}\n"),
            }
        }
        assert_eq!(found, 1, "{directive} in {}", self.site);
        self.site = site;
        self
    }

    /// Starts it.
    fn run(mut self) -> Nginx {
        let folder = TempDir::new().unwrap();
        // As many connections as Debian's has.
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr warn;
            events {{ worker_connections 768; }}
            http {{
                access_log off;
                client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
                uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                {}
                {}
            }}",
            self.before,
            self.site.replace(
                "/var/log/claude-distill-relay",
                &folder.path().to_string_lossy()
            )
        );
        fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let child = self
            .command
            .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Nginx {
            child,
            addr: self.addr,
            folder,
        }
    }
}

impl Nginx {
    /// Starts one in front of the relay, or says why there can be none here.
    async fn start(relay: &TestRelay) -> Option<Self> {
        let nginx = Start::before(relay.addr().port())?.run();
        let addr = nginx.addr;
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
async fn what_stands_behind_a_path_is_not_logged() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    nginx.get("/a%20path?secret=x").await;
    let answer = nginx.ask("/session?secret=x", UPGRADE).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    nginx.get("/metrics?secret=x").await;
    // And where nginx has something to complain of.
    drop(relay);
    nginx.get("/late?secret=x").await;

    let log = |name: &str| fs::read_to_string(nginx.folder.path().join(name)).unwrap();
    within("the last line", async {
        while !log("access.log").contains("/late") {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let (access, errors) = (log("access.log"), log("error.log"));
    for line in [
        r#"127.0.0.1 ["#,
        r#"] "GET /a path HTTP/1.1" 426 "#,
        r#"] "GET /session HTTP/1.1" 101 "#,
        r#"] "GET /metrics HTTP/1.1" 404 "#,
        r#"] "GET /late HTTP/1.1" 502 "#,
    ] {
        assert!(access.contains(line), "no {line} in {access}");
    }
    assert!(!(access + &errors).contains("secret"), "{errors}");
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
