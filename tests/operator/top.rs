//! The live view, in a terminal.

use std::{
    fs::File,
    os::fd::OwnedFd,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::pty::{Winsize, openpty};

use super::*;

#[tokio::test]
async fn the_live_view_shows_what_is_there_until_it_is_told_to_end() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let (_sender, _receiver, _) = pair(&relay, "192.0.2.1", "192.0.2.2").await;
    let size = Winsize {
        ws_row: 30,
        ws_col: 140,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = openpty(&size, None).unwrap();
    let stream = |fd: &OwnedFd| File::from(fd.try_clone().unwrap());
    let mut child = Command::new(process::program())
        .args(["--admin-socket".into(), machine.socket()])
        .arg("top")
        .env("TERM", "xterm")
        .stdin(Stdio::from(terminal.slave.try_clone().unwrap()))
        .stdout(Stdio::from(terminal.slave.try_clone().unwrap()))
        .stderr(Stdio::from(terminal.slave.try_clone().unwrap()))
        .spawn()
        .unwrap();
    drop(terminal.slave);
    let mut reader = stream(&terminal.master);
    let (send, bytes) = std::sync::mpsc::channel();
    // It ends with an error once nobody has the other side.
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            let _ = send.send(buffer[..count].to_vec());
        }
    });
    let mut seen = Vec::new();
    let shows = |seen: &[u8], text: &str| String::from_utf8_lossy(seen).contains(text);
    let deadline = Instant::now() + DEADLINE;
    while !["sessions", "192.0.2.2", "q ends"]
        .iter()
        .all(|text| shows(&seen, text))
    {
        let left = deadline.saturating_duration_since(Instant::now());
        let more = bytes.recv_timeout(left);
        assert!(more.is_ok(), "{}", String::from_utf8_lossy(&seen));
        seen.extend(more.unwrap());
    }
    stream(&terminal.master).write_all(b"q").unwrap();
    let status = spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{status}");
    while let Ok(more) = bytes.recv_timeout(Duration::from_secs(1)) {
        seen.extend(more);
    }
    // The other screen is left, and the cursor is there again.
    assert!(shows(&seen, "\u{1b}[?1049l") && shows(&seen, "\u{1b}[?25h"));
}

#[tokio::test]
async fn without_a_terminal_it_says_so_and_in_json_it_is_a_line_each_second() {
    let machine = Machine::new();
    let _relay = machine.relay().run();
    let said = machine.complains(&["top"]).await;
    assert!(said.contains("top --json"), "{said}");
    let shell = format!(
        "\"$1\" --admin-socket {} top --json | head -n 2",
        machine.socket().display()
    );
    let two = Program::new("sh")
        .args(["-c", &shell, "sh"])
        .args([process::program()]);
    let output = spawn_blocking(|| two.output()).await.unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let up: Vec<_> = lines
        .map(|it| it["uptime_seconds"].as_u64().unwrap())
        .collect();
    assert!(up.len() == 2 && up[0] < up[1], "{up:?}");
}
