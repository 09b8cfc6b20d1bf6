//! Settings that are read again while the relay runs.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use relay_testing::{
    Raw, frame,
    http::UPGRADE,
    port::Port,
    process::{self, Relay, Start},
    program::{Process, Program},
    reply,
    wire::TEXT,
};
use relay_wire::frame::COMPRESSED;

/// A relay with a file of settings.
pub struct Configured {
    pub relay: Relay,
    file: PathBuf,
}

pub fn start(settings: &str) -> Configured {
    start_by(Program::new(process::program()), settings)
}

fn start_by(program: Program, settings: &str) -> Configured {
    let program = program.file(".env.relay", settings);
    let file = program.directory().join(".env.relay");
    let relay = Start::through(program).env("RUST_LOG", "info").run();
    Configured { relay, file }
}

impl Configured {
    /// Has it read these, and returns what it says of it.
    pub fn reload(&mut self, settings: &str) -> String {
        fs::write(&self.file, settings).unwrap();
        reload(&mut self.relay)
    }
}

fn reload(relay: &mut Process) -> String {
    relay.signal(Signal::SIGHUP);
    let line = relay.line_with("settings ");
    line.split_once("settings ").unwrap().1.to_owned()
}

/// How long a room that it opens can be joined, in seconds.
async fn lifetime(session: &mut Raw) -> u64 {
    session.send(frame(TEXT, reply::CREATE)).await;
    let created = session.next_json("ROOM_CREATED").await;
    reply::created(&created);
    created["expires_in"].as_u64().unwrap()
}

#[tokio::test]
async fn limits_change_for_who_comes_and_nobody_is_cut() {
    let mut it = start("RELAY_MAX_ROOMS=1\nRELAY_MAX_SESSIONS=3");
    let (mut sender, mut receiver) = it.relay.pair().await;
    let mut refused = it.relay.connect().await;
    refused.send(frame(TEXT, reply::CREATE)).await;
    refused.expect_error("too_many_rooms").await;

    let said = it.reload("RELAY_MAX_ROOMS=2\nRELAY_MAX_SESSIONS=3\nRELAY_ROOM_TTL=1h30m");
    assert_eq!(
        said,
        "read again: RELAY_MAX_ROOMS 1 -> 2, RELAY_ROOM_TTL 1800 -> 5400"
    );
    assert_eq!(lifetime(&mut refused).await, 5400);

    let said = it.reload("RELAY_MAX_ROOMS=1\nRELAY_MAX_SESSIONS=2\nRELAY_ROOM_TTL=1h30m");
    assert_eq!(
        said,
        "read again: RELAY_MAX_ROOMS 2 -> 1, RELAY_MAX_SESSIONS 3 -> 2"
    );
    let mut fourth = it.relay.dial().await;
    fourth.write(format!("{UPGRADE}\r\n").as_bytes()).await;
    assert_eq!(fourth.response().await.status, 503);
    sender.send(frame(TEXT, "as before")).await;
    assert_eq!(&receiver.next("data").await.payload[..], b"as before");
    assert_eq!(it.relay.metric("relay_rooms").await, 2);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_changes_nothing_and_is_told_why() {
    let mut it = start("RELAY_ROOM_TTL=60");
    for (settings, why) in [
        (
            "RELAY_ROOM_TTL=90\nRELAY_MAX_ROOMS=none",
            "RELAY_MAX_ROOMS, from .env.relay, is \"none\": it must be a whole number from 1 to 1000000",
        ),
        (
            "RELAY_ROOM_TTL=90\nRELAY_MAX_ROOMS 7",
            ".env.relay has a line that is not NAME=value (a value with blanks needs quotes): \
             the one after \"RELAY_ROOM_TTL\"",
        ),
    ] {
        let said = it.reload(settings);
        assert_eq!(said, format!("stay as they were: {why}"));
        assert_eq!(lifetime(&mut it.relay.connect().await).await, 60);
    }
    assert_eq!(it.reload("RELAY_ROOM_TTL=1m"), "read again: no change");
    it.relay.stop().await;
    assert_eq!(it.relay.lines_with(" ERROR "), 2);
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_rest_is_taken_over() {
    let port = Port::reserve();
    let relay = Program::new(process::program())
        .file(".env.relay", &format!("RELAY_PORT={}", port.number()));
    let file = relay.directory().join(".env.relay");
    let mut relay = relay.spawn().unwrap();
    relay.listens_at(port.addr()).unwrap();
    fs::write(
        file,
        "RELAY_HOST=::\nRELAY_PORT=1\nRELAY_WORKERS=2\nRELAY_WINDOW=64KiB\nRELAY_MAX_ROOM=1",
    )
    .unwrap();
    assert_eq!(
        reload(&mut relay),
        "read again: RELAY_WINDOW 262144 -> 65536"
    );
    let line = relay.line_with("a restart is needed");
    let number = port.number();
    let needs = format!(
        " WARN  a restart is needed for RELAY_HOST 127.0.0.1 -> ::, RELAY_PORT {number} -> 1, RELAY_WORKERS 1 -> 2"
    );
    assert!(line.ends_with(&needs), "{line}");
    relay.line_with("the nearest is RELAY_MAX_ROOMS");
    relay.listens_at(port.addr()).unwrap();
}

#[tokio::test]
async fn flags_and_the_environment_win_as_at_the_start() {
    let relay = Program::new(process::program())
        .args(["--max-rooms", "7"])
        .env("RELAY_ROOM_TTL", 60);
    let mut it = start_by(relay, "");
    assert_eq!(
        it.reload("RELAY_MAX_ROOMS=8\nRELAY_ROOM_TTL=90\nRUST_LOG=error"),
        "read again: no change"
    );
}

#[tokio::test]
async fn a_named_file_has_to_stay() {
    let relay = Program::new(process::program())
        .file("named.env", "RELAY_ROOM_TTL=60")
        .args(["--env-file", "named.env"]);
    let named = relay.directory().join("named.env");
    let mut it = start_by(relay, "RELAY_ROOM_TTL=90");
    fs::write(&named, "RELAY_ROOM_TTL=70").unwrap();
    assert_eq!(reload(&mut it.relay), "read again: RELAY_ROOM_TTL 60 -> 70");
    fs::remove_file(&named).unwrap();
    let said = reload(&mut it.relay);
    assert!(
        said.starts_with("stay as they were: named.env cannot be read: "),
        "{said}"
    );
}

#[tokio::test]
async fn open_sessions_keep_the_times_they_began_with() {
    let mut it = start("");
    let mut before = it.relay.connect().await;
    assert_eq!(
        it.reload("RELAY_REQUEST_TIMEOUT=1"),
        "read again: RELAY_REQUEST_TIMEOUT 30 -> 1"
    );
    let mut after = it.relay.connect().await;
    after.expect_error("request_timeout").await;
    before.create_room().await;
}

#[tokio::test]
async fn the_log_and_the_proxies_change() {
    let port = Port::reserve();
    let settings = |more: &str| format!("RELAY_PORT={}\n{more}", port.number());
    let relay = Program::new(process::program()).file(".env.relay", &settings("RUST_LOG=error"));
    let file = relay.directory().join(".env.relay");
    let mut relay = relay.spawn().unwrap();
    relay.listens_at(port.addr()).unwrap();
    let asked = async || {
        let stream = tokio::net::TcpStream::connect(port.addr()).await.unwrap();
        let lines = "X-Forwarded-For: 198.51.100.7\r\nX-Ours: 198.51.100.8\r\n";
        let answer = Raw::over(stream)
            .upgrade(&format!("{UPGRADE}{lines}"))
            .await;
        answer.header("x-relay-client").unwrap().to_owned()
    };
    assert_eq!(asked().await, "forwarded");
    // Told in the new log, as the old one shows no such line, and the other way round.
    fs::write(
        &file,
        settings("RUST_LOG=info\nRELAY_TRUSTED_PROXIES=192.0.2.1"),
    )
    .unwrap();
    assert_eq!(
        reload(&mut relay),
        "read again: RELAY_TRUSTED_PROXIES 127.0.0.0/8,::1/128 -> 192.0.2.1/32, RUST_LOG error -> info"
    );
    assert_eq!(asked().await, "direct");
    fs::write(
        &file,
        settings("RUST_LOG=nonsense=x,error\nRELAY_CLIENT_IP_HEADER=X-Ours"),
    )
    .unwrap();
    assert_eq!(
        reload(&mut relay),
        "read again: RELAY_TRUSTED_PROXIES 192.0.2.1/32 -> 127.0.0.0/8,::1/128, \
         RELAY_CLIENT_IP_HEADER empty -> (not shown), RUST_LOG info -> nonsense=x,error"
    );
    assert_eq!(asked().await, "forwarded");
    relay.stop().await;
    assert_eq!(
        relay.lines_with("stopping on"),
        0,
        "the log shows errors alone"
    );
}

#[tokio::test]
async fn without_any_file_it_goes_on_and_while_it_stops_too() {
    let mut relay = Start::new().env("RUST_LOG", "info").run();
    assert_eq!(reload(&mut relay), "read again: no change");
    let (mut sender, receiver) = relay.pair().await;
    relay.signal(Signal::SIGTERM);
    relay.line_with("stopping on SIGTERM");
    let mut refused = relay.dial().await;
    refused.write(format!("{UPGRADE}\r\n").as_bytes()).await;
    assert_eq!(refused.response().await.status, 503);
    assert_eq!(
        reload(&mut relay),
        "are not read again: the relay is stopping"
    );
    drop(receiver);
    sender.expect_peer_gone().await;
    sender.expect_error("server_shutdown").await;
    sender.expect_close(1012).await;
    assert_eq!(relay.ended().await.code(), Some(0));
}

#[tokio::test]
async fn more_sessions_have_the_files_they_need() {
    let shell = Program::new("sh").args(["-c", "ulimit -S -n 1200; exec \"$@\"", "sh"]);
    let mut it = start_by(shell.args([process::program()]), "RELAY_MAX_SESSIONS=10");
    assert_eq!(
        it.reload("RELAY_MAX_SESSIONS=300"),
        "read again: RELAY_MAX_SESSIONS 10 -> 300"
    );
    let limits = it.relay.proc("limits");
    let files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let files: usize = files
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(files > 1300, "{files}");
}

#[tokio::test]
async fn a_file_that_is_gone_or_is_none_changes_nothing() {
    let mut it = start("RELAY_MAX_ROOMS=5");
    fs::remove_file(&it.file).unwrap();
    let gone = "stay as they were: .env.relay is gone";
    assert_eq!(reload(&mut it.relay), gone);
    // Nobody writes to it; and the other has no end.
    mkfifo(&it.file, Mode::S_IRUSR).unwrap();
    let none = "stay as they were: .env.relay cannot be read: it is no regular file";
    assert_eq!(reload(&mut it.relay), none);
    fs::remove_file(&it.file).unwrap();
    symlink("/dev/zero", &it.file).unwrap();
    assert_eq!(reload(&mut it.relay), none);
    fs::remove_file(&it.file).unwrap();
    let long = it.reload(&format!("RELAY_MAX_ROOMS=6\n# {}", "x".repeat(1 << 20)));
    let long_one = "stay as they were: .env.relay cannot be read: it has more than a MiB";
    assert_eq!(long, long_one);
    let said = it.reload("RELAY_MAX_ROOMS=7");
    assert_eq!(said, "read again: RELAY_MAX_ROOMS 5 -> 7");
    it.relay.stop().await;
}

#[tokio::test]
async fn compression_is_turned_off_for_who_comes_and_left_to_who_has_it() {
    let mut it = start("");
    let head = format!("{UPGRADE}Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let mut before = it.relay.connect_by(&head).await;
    let said = it.reload("RELAY_COMPRESSION=off");
    assert_eq!(said, "read again: RELAY_COMPRESSION on -> off");
    let mut after = it.relay.dial().await;
    let answer = after.upgrade(&head).await;
    assert_eq!(answer.header("sec-websocket-extensions"), None);
    // An empty message: it is a bad request, and no breach of the protocol.
    let compressed = frame(TEXT, [0]).rsv(COMPRESSED);
    before.send(compressed.clone()).await;
    before.expect_error("invalid_request").await;
    after.send(compressed).await;
    after.expect_close(1002).await;
}
