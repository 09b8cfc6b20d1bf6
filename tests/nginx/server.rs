//! A real nginx with the site that our script writes.

use std::{
    env, fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use relay_testing::{
    Client, TestRelay,
    nginx::{ARGUMENTS, config},
    port::Port,
    skip::{find, skip},
    within,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

/// The headers of a request for a session.
pub(crate) const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A running nginx; dropping it ends it.
pub(crate) struct Nginx {
    pub(crate) child: Child,
    pub(crate) addr: SocketAddr,
    pub(crate) folder: TempDir,
    /// Kept from everybody else.
    _port: Port,
}

/// An nginx that is about to be started.
pub(crate) struct Start {
    command: Command,
    port: Port,
    site: String,
    before: String,
}

impl Start {
    /// In front of the relay on that port, or says why there can be none here.
    pub(crate) fn before(relay_port: u16) -> Option<Self> {
        Self::through(Command::new("nginx"), relay_port)
    }

    /// The same, as `command` starts it.
    pub(crate) fn through(command: Command, relay_port: u16) -> Option<Self> {
        Self::with_options(command, relay_port, &[])
    }

    /// In front of several relays.
    pub(crate) fn before_all(relays: &[&TestRelay]) -> Option<Self> {
        let (first, others) = relays.split_first()?;
        let others: Vec<_> = others.iter().map(|it| it.addr().to_string()).collect();
        let options = ["--nodes", &others.join(",")];
        Self::with_options(Command::new("nginx"), first.addr().port(), &options)
    }

    fn with_options(mut command: Command, relay_port: u16, options: &[&str]) -> Option<Self> {
        let Some(program) = find("nginx") else {
            skip("nginx");
            return None;
        };
        // Another program may be what starts it, and finds it by its name.
        let folder = program.parent().unwrap().to_string_lossy().into_owned();
        let path = env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:{folder}"));
        let port = Port::reserve();
        let site = Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/deploy/setup-nginx-relay.sh"
        ))
        .args(["relay.example.com", &relay_port.to_string()])
        .args(["--listen", &port.number().to_string(), "--print"])
        .args(options)
        .output()
        .unwrap();
        assert!(site.status.success(), "{site:?}");
        Some(Self {
            command,
            port,
            site: String::from_utf8(site.stdout).unwrap(),
            before: String::new(),
        })
    }

    /// With another site before ours, as the one for whatever nginx knows no name of.
    pub(crate) fn behind_a_default_site(mut self) -> Self {
        let listen = format!("listen {} default_server; return 404;", self.port.number());
        self.before = format!("server {{ {listen} }}");
        self
    }

    /// With the site that somebody else has written for a relay, in place of ours; `site` is given the port.
    pub(crate) fn with_site(mut self, site: impl FnOnce(u16) -> String) -> Self {
        self.site = site(self.port.number());
        self
    }

    /// With another time in place of one that takes too long for a test.
    pub(crate) fn sooner(mut self, directive: &str, time: &str) -> Self {
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
    pub(crate) fn run(mut self) -> Nginx {
        let folder = TempDir::new().unwrap();
        let written = folder.path().to_string_lossy().into_owned();
        let site = self.site.replace("/var/log/claude-distill-relay", &written);
        let config = config(&format!("{}\n{site}", self.before));
        fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let child = self
            .command
            .args(ARGUMENTS)
            .arg(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Nginx {
            child,
            addr: self.port.addr(),
            folder,
            _port: self.port,
        }
    }
}

impl Nginx {
    /// Starts one in front of the relay, or says why there can be none here.
    pub(crate) async fn start(relay: &TestRelay) -> Option<Self> {
        Some(Start::before(relay.addr().port())?.run().listening().await)
    }

    /// Waits until it accepts connections.
    pub(crate) async fn listening(self) -> Self {
        within("nginx", async {
            while TcpStream::connect(self.addr).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        self
    }

    /// A client of nginx's, with headers as a tunnel in front of it would add them.
    pub(crate) async fn client(&self, headers: &[(&'static str, &str)]) -> Client {
        Client::open(self.addr, headers).await.expect("an upgrade")
    }

    pub(crate) async fn pair(&self) -> (Client, Client) {
        let (mut sender, mut receiver) = (self.client(&[]).await, self.client(&[]).await);
        let code = sender.create_room().await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        (sender, receiver)
    }

    /// What a request for `path` is answered with, the head of it at least.
    pub(crate) async fn ask(&self, path: &str, headers: &str) -> String {
        self.ask_as("relay.example.com", path, headers).await
    }

    /// The same, by another name.
    pub(crate) async fn ask_as(&self, host: &str, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
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

    pub(crate) async fn get(&self, path: &str) -> String {
        self.ask(path, "Connection: close\r\n").await
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
