//! What an operator is told of a relay, and what it does at the operator's word: the program's own commands,
//! against the program, with two workers, and clients whom a trusted proxy names.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "operator/decisions.rs"]
mod decisions;
#[path = "operator/lasting.rs"]
mod lasting;
#[path = "operator/nodes.rs"]
mod nodes;
#[path = "operator/orders.rs"]
mod orders;
#[path = "operator/shown.rs"]
mod shown;
#[path = "operator/top.rs"]
mod top;

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Output,
};

use relay_testing::{
    DEADLINE, Raw,
    http::{Response, UPGRADE},
    process::{self, Relay, Start},
    program::Program,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

/// The folders that outlive a relay.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        Self { folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A relay that is about to be started here.
    fn relay(&self) -> Start {
        Start::new()
            .env("RUST_LOG", "info")
            .env("RELAY_WORKERS", 2)
            .env("RELAY_ADMIN_SOCKET", self.socket().display())
            .env("RELAY_STATE_DIR", self.state().display())
    }

    /// What a command ends with, while everything else goes on.
    async fn output(&self, arguments: &[&str]) -> Output {
        let program = Program::new(process::program())
            .args(["--admin-socket".into(), self.socket()])
            .args(arguments);
        spawn_blocking(|| program.output()).await.unwrap()
    }

    /// What a command that succeeds says.
    async fn says(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same in JSON.
    async fn json(&self, arguments: &[&str]) -> Value {
        let said = self.says(&[arguments, &["--json"]].concat()).await;
        assert_eq!(said.lines().count(), 1, "{said}");
        serde_json::from_str(&said).unwrap()
    }

    /// Why a command does not, in JSON.
    async fn fails(&self, arguments: &[&str]) -> String {
        let output = self.output(&[arguments, &["--json"]].concat()).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        said["error"].as_str().unwrap().to_owned()
    }

    /// What a command that does not says.
    async fn complains(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// What the socket answers to a request, byte by byte.
    fn answer(&self, request: &str) -> Response {
        // A relay that has just begun to listen may not have opened it yet.
        let began = std::time::Instant::now();
        let mut stream = loop {
            match UnixStream::connect(self.socket()) {
                Err(error)
                    if error.kind() == std::io::ErrorKind::NotFound
                        && began.elapsed() < DEADLINE =>
                {
                    std::thread::yield_now();
                }
                connected => break connected.unwrap(),
            }
        };
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut response = Response::parse(head);
        body.clone_into(&mut response.body);
        response
    }
}

/// The head of a handshake of the client at this address, as a proxy passes it on.
fn of(address: &str) -> String {
    format!("{UPGRADE}X-Forwarded-For: {address}\r\n")
}

/// A session of the client at this address.
async fn client(relay: &Relay, address: &str) -> Raw {
    relay.connect_by(&of(address)).await
}

/// The status with which a handshake of the client at this address is answered.
async fn status(relay: &Relay, address: &str) -> u16 {
    status_of(relay, &of(address)).await
}

/// The status with which a handshake of this head is answered.
async fn status_of(relay: &Relay, head: &str) -> u16 {
    let mut client = relay.dial().await;
    client.write(format!("{head}\r\n").as_bytes()).await;
    client.response().await.status
}

/// A pair of clients at these addresses, and the code of their room.
async fn pair(relay: &Relay, sender: &str, receiver: &str) -> (Raw, Raw, String) {
    let mut sender = client(relay, sender).await;
    let code = sender.create_room().await;
    let mut receiver = client(relay, receiver).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (sender, receiver, code)
}

/// The row of a list whose field has this value.
fn row<'a>(list: &'a Value, field: &str, value: &str) -> &'a Value {
    let mut rows = list.as_array().unwrap().iter();
    rows.find(|row| row[field] == value)
        .unwrap_or_else(|| panic!("no {field} {value} in {list:#}"))
}
