//! With today's clients, both ways and unchanged: a double of them, in Python, is the other side.
#![cfg(feature = "distill")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod ends;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
};

use relay_client::engine::{event::Event, fault::Fault, options::Secret, sessions::Sessions};
use relay_testing::{process::Relay, python::with_websockets, skip};
use tokio::task::spawn_blocking;

use self::ends::{Folders, PASSPHRASE, noise, receiving, sharing, start_receive, start_share};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/today.py");

/// The interpreter, where it has all that the double needs.
fn python() -> Option<String> {
    let python = with_websockets()?;
    let probe = Command::new(&python)
        .args(["-c", "import cryptography"])
        .output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip(&format!("{python} with cryptography"));
    None
}

/// One of today's clients at work, killed when dropped.
struct Today {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Today {
    fn start(python: &str, role: &str, url: &str, words: &[&str]) -> Self {
        let mut process = Command::new(python)
            .args([SCRIPT, role, url, PASSPHRASE])
            .args(words)
            .env("NO_PROXY", "*")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The rest of what it prints, and whether it ended well.
    async fn end(mut self) -> (String, bool) {
        let ended = spawn_blocking(move || {
            let mut rest = String::new();
            self.output.read_to_string(&mut rest).unwrap();
            (rest, self.process.wait().unwrap().success())
        });
        ended.await.unwrap()
    }
}

impl Drop for Today {
    fn drop(&mut self) {
        // Either may fail, and only because it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn url(relay: &Relay) -> String {
    format!("ws://{}/", relay.addr())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distillation_goes_to_them_and_comes_from_them() {
    let Some(python) = python() else { return };
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let content = "Fünf Wörter, 보고서. ".repeat(40_000);
    let path = folders.file("distillation.md", content.as_bytes());

    let share = start_share(sharing(&url(&relay), &path));
    let code = share.code().await;
    let (got, well) = Today::start(&python, "receive", &url(&relay), &[&code])
        .end()
        .await;
    assert!(well && got == content);
    assert_eq!(share.end().await.unwrap().receivers, 1);

    let mut sender = Today::start(&python, "send", &url(&relay), &[text(&path)]);
    let code = sender.line();
    let received = start_receive(receiving(&url(&relay), &code, &folders.there))
        .end()
        .await;
    assert!(fs::read_to_string(received.unwrap().path.unwrap()).unwrap() == content);
    assert!(sender.end().await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passphrases_and_what_does_not_fit_are_refused_in_their_words() {
    let Some(python) = python() else { return };
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let path = folders.file("noise", &noise(1000));
    let mut options = sharing(&url(&relay), &path);
    options.stay = true;
    let share = start_share(options);
    let code = share.code().await;
    let (told, well) = Today::start(&python, "receive", &url(&relay), &[&code])
        .end()
        .await;
    assert!(!well && told.contains("receive it with distill"), "{told}");
    drop(share.stop().await);

    let mut options = sharing(&url(&relay), &folders.file("a", b"text"));
    options.passphrase = Some(Secret::new("another"));
    let share = start_share(options);
    let code = share.code().await;
    let (told, well) = Today::start(&python, "receive", &url(&relay), &[&code])
        .end()
        .await;
    assert_eq!((told.trim_end(), well), ("ended: invalid_proof", false));
    drop(share.stop().await);

    let mut sender = Today::start(&python, "send", &url(&relay), &[text(&path)]);
    let mut options = receiving(&url(&relay), &sender.line(), &folders.there);
    options.passphrase = Secret::new("another");
    assert_eq!(
        start_receive(options).end().await,
        Err(Fault::WrongPassphrase)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_go_to_them_and_come_from_them() {
    let Some(python) = python() else { return };
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let line = r#"{"type":"user","message":{"content":"Build it"}}"#;
    folders.file("first.jsonl", format!("{line}\n").as_bytes());
    folders.file("second.jsonl", format!("{line}\n{line}\n").as_bytes());

    let share = start_share(sharing(&url(&relay), &folders.here));
    let code = share.code().await;
    let (got, well) = Today::start(&python, "pick", &url(&relay), &[&code, "second"])
        .end()
        .await;
    let (list, session) = got.split_once('\n').unwrap();
    assert!(
        well && list.contains(r#""firstPrompt": "Build it""#),
        "{got}"
    );
    assert_eq!(session, format!("{line}\n{line}\n"));
    share.end().await.unwrap();

    for ours in [true, false] {
        let (code, share);
        let mut theirs = None;
        if ours {
            share = Some(start_share(sharing(&url(&relay), &folders.here)));
            code = share.as_ref().unwrap().code().await;
        } else {
            share = None;
            let sender = theirs.insert(Today::start(
                &python,
                "share",
                &url(&relay),
                &[text(&folders.here)],
            ));
            code = sender.line();
        }
        let options = receiving(&url(&relay), &code, &folders.there);
        let mut sessions = Sessions::open(options, Arc::new(|_: Event| {}))
            .await
            .unwrap();
        let mut ids: Vec<_> = sessions.list().iter().map(|it| it.id.clone()).collect();
        ids.sort();
        assert_eq!(ids, ["first", "second"]);
        let refused = sessions.fetch("third").await;
        assert_eq!(refused, Err(Fault::Denied("session_not_found".into())));
        let received = sessions.fetch("first").await.unwrap();
        assert_eq!(
            fs::read_to_string(received.path.unwrap()).unwrap(),
            format!("{line}\n")
        );
        sessions.done().await;
        if let Some(share) = share {
            share.end().await.unwrap();
        }
    }
}
