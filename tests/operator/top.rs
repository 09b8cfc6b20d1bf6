//! The live view, in a terminal.

use std::{
    fs::File,
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Instant,
};

use nix::{
    pty::{Winsize, openpty},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::*;

/// A live view that runs, and what it has drawn.
struct View {
    child: Child,
    keys: File,
    drawn: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl View {
    fn start(machine: &Machine) -> Self {
        let size = Winsize {
            ws_row: 30,
            ws_col: 140,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let terminal = openpty(&size, None).unwrap();
        let stream = |fd: &OwnedFd| File::from(fd.try_clone().unwrap());
        let child = Command::new(process::program())
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
        let (send, drawn) = mpsc::channel();
        // It ends with an error once nobody has the other side.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let _ = send.send(buffer[..count].to_vec());
            }
        });
        Self {
            child,
            keys: stream(&terminal.master),
            drawn,
            seen: Vec::new(),
        }
    }

    fn shows(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.seen).contains(text)
    }

    fn until_shown(&mut self, texts: &[&str]) {
        let deadline = Instant::now() + DEADLINE;
        while !texts.iter().all(|text| self.shows(text)) {
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.drawn.recv_timeout(left);
            assert!(more.is_ok(), "{}", String::from_utf8_lossy(&self.seen));
            self.seen.extend(more.unwrap());
        }
    }

    /// Waits for its end, at which the terminal is as it was: the other screen is left, and the cursor is
    /// there again.
    fn ends(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        while let Ok(more) = self.drawn.recv_timeout(DEADLINE) {
            self.seen.extend(more);
        }
        assert!(self.shows("\u{1b}[?1049l") && self.shows("\u{1b}[?25h"));
    }
}

#[tokio::test]
async fn the_live_view_shows_what_is_there_until_it_is_told_to_end() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let (_sender, _receiver, _) = pair(&relay, "192.0.2.1", "192.0.2.2").await;
    spawn_blocking(move || {
        let mut view = View::start(&machine);
        view.until_shown(&["sessions", "192.0.2.2", "q ends"]);
        view.keys.write_all(b"q").unwrap();
        view.ends();
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
            let mut view = View::start(&machine);
            view.until_shown(&["q ends"]);
            kill(Pid::from_raw(view.child.id() as i32), signal).unwrap();
            view.ends();
        }
    })
    .await
    .unwrap();
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
