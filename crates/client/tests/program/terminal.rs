//! At a terminal: questions, a bar that is drawn, a picture of the link.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Instant,
};

use nix::{
    pty::{Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, tcgetattr},
    },
    unistd::Pid,
};
use relay_testing::{DEADLINE, noise, seeded, skip};

use super::setup::{PASSPHRASE, User, ended, relay};

/// `distill` at a terminal of its own.
struct Screen {
    child: Child,
    keys: File,
    drawn: Receiver<Vec<u8>>,
    seen: String,
}

impl Screen {
    /// `None` where there is no `setsid`, by which it becomes the terminal's own.
    fn start(
        user: &User,
        relay: &str,
        columns: u16,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Option<Self> {
        if skip::find("setsid").is_none() {
            skip("setsid");
            return None;
        }
        let size = Winsize {
            ws_row: 50,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let terminal = openpty(&size, None).unwrap();
        let stream = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let child = Command::new("setsid")
            .args(["--ctty", env!("CARGO_BIN_EXE_distill")])
            .args(arguments)
            .current_dir(user.home())
            .env_clear()
            .env("HOME", user.home())
            .env("TERM", "xterm-256color")
            .env("DISTILL_RELAY", relay)
            .envs(variables.iter().copied())
            .stdin(stream(&terminal.slave))
            .stdout(stream(&terminal.slave))
            .stderr(stream(&terminal.slave))
            .spawn()
            .unwrap();
        drop(terminal.slave);
        let mut reader = File::from(terminal.master.try_clone().unwrap());
        let (send, drawn) = mpsc::channel();
        // It ends with an error once nobody has the other side.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let _ = send.send(buffer[..count].to_vec());
            }
        });
        let keys = File::from(terminal.master);
        Some(Self {
            child,
            keys,
            drawn,
            seen: String::new(),
        })
    }

    fn until_shown(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.seen.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.drawn.recv_timeout(left);
            assert!(more.is_ok(), "no {text:?} in {}", self.seen);
            self.seen += &String::from_utf8_lossy(&more.unwrap());
        }
    }

    /// Waits for a question whose answer is not shown.
    fn until_asked(&mut self, question: &str) {
        self.until_shown(question);
        let deadline = Instant::now() + DEADLINE;
        while echoes(&self.keys) {
            assert!(Instant::now() < deadline, "what is typed is shown");
            thread::yield_now();
        }
    }

    fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
    }

    /// Its status at its end, and all that was shown.
    fn ends(mut self) -> (i32, String) {
        let status = self.child.wait().unwrap();
        while let Ok(more) = self.drawn.recv_timeout(DEADLINE) {
            self.seen += &String::from_utf8_lossy(&more);
        }
        (status.code().expect("an end of its own"), self.seen.clone())
    }
}

/// Whether the terminal shows what is typed.
fn echoes(keys: &File) -> bool {
    tcgetattr(keys)
        .unwrap()
        .local_flags
        .contains(LocalFlags::ECHO)
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It fails only where it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_is_asked_twice_and_draws_the_link() {
    let relay = relay();
    let address = format!("ws://{}", relay.addr());
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    alice.file("a.txt", b"a");
    let Some(mut screen) = Screen::start(
        &alice,
        &address,
        100,
        &["share", "a.txt", "--ask-passphrase"],
        &[],
    ) else {
        return;
    };
    screen.until_asked("Passphrase: ");
    screen.types(&format!("{PASSPHRASE}\n"));
    screen.until_asked("The same again: ");
    screen.types(&format!("{PASSPHRASE}\n"));
    screen.until_shown("Ctrl-C ends the share");
    // Half blocks, black on white.
    screen.until_shown("\x1b[38;5;16;48;5;231m");
    screen.until_shown("▀");
    screen.until_shown("Waiting for somebody");
    let code = screen.seen.split("distill receive ").nth(1).unwrap();
    let code = code.split_whitespace().next().unwrap().to_owned();
    let said = ended(
        bob.distill(["receive", &code])
            .env("DISTILL_PASSPHRASE", PASSPHRASE),
    )
    .await;
    assert_eq!(said.status, 0, "{}", said.err);
    let (status, seen) = screen.ends();
    assert_eq!(status, 0, "{seen}");
    assert!(!seen.contains("correct horse"), "what was typed is shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_passphrases_that_differ_share_nothing() {
    let user = User::at("ws://127.0.0.1:9");
    user.file("a.txt", b"a");
    let arguments = ["share", "a.txt", "--ask-passphrase"];
    let Some(mut screen) = Screen::start(&user, "ws://127.0.0.1:9", 80, &arguments, &[]) else {
        return;
    };
    screen.until_asked("Passphrase: ");
    screen.types("one\n");
    screen.until_asked("The same again: ");
    screen.types("other\n");
    let (status, seen) = screen.ends();
    assert!(
        status == 2 && seen.contains("not the same"),
        "{status}: {seen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_asked_once_and_no_colours_are_none_on_a_narrow_terminal() {
    let relay = relay();
    let address = format!("ws://{}", relay.addr());
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    alice.file("a.txt", &noise(&mut seeded(2), 4 << 20));
    let mut sender = alice.in_json(["share", "a.txt"]);
    let (code, passphrase) = sender.opened();
    let arguments = ["receive", &code];
    let Some(mut screen) = Screen::start(&bob, &address, 30, &arguments, &[("NO_COLOR", "1")])
    else {
        return;
    };
    screen.until_asked("Passphrase: ");
    screen.types(&format!("{passphrase}\n"));
    let (status, seen) = screen.ends();
    assert_eq!(status, 0, "{seen}");
    assert!(
        seen.contains("Saved as ") && !seen.contains(&passphrase),
        "{seen}"
    );
    assert!(!seen.contains("\x1b[3"), "a colour: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_at_a_question_ends_it_and_leaves_the_terminal_as_it_was() {
    let user = User::at("ws://127.0.0.1:9");
    let Some(mut screen) =
        Screen::start(&user, "ws://127.0.0.1:9", 80, &["receive", "a7f3k2"], &[])
    else {
        return;
    };
    screen.until_asked("Passphrase: ");
    screen.types("\x03");
    let keys = screen.keys.try_clone().unwrap();
    let (status, seen) = screen.ends();
    assert_eq!(status, 130, "{seen}");
    assert!(echoes(&keys));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_at_a_question_ends_it_as_well() {
    let user = User::at("ws://127.0.0.1:9");
    let Some(mut screen) =
        Screen::start(&user, "ws://127.0.0.1:9", 80, &["receive", "a7f3k2"], &[])
    else {
        return;
    };
    screen.until_asked("Passphrase: ");
    let id = i32::try_from(screen.child.id()).unwrap();
    kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
    let keys = screen.keys.try_clone().unwrap();
    let (status, seen) = screen.ends();
    assert_eq!(status, 130, "{seen}");
    assert!(echoes(&keys));
}
