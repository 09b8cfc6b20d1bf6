//! A relay, and users of it on machines of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use relay_testing::{
    process::{Relay, Start},
    program::{Process, Program},
};
use serde_json::Value;
use tempfile::TempDir;

pub const PASSPHRASE: &str = "correct horse battery staple";

/// A script for [`User::run`]: `distill` in JSON, with its standard output where its errors go.
pub const IN_JSON: &str = "cd; exec \"$0\" \"$@\" --json 1>&2";

/// Somebody with a home of their own, who uses this relay.
pub struct User {
    home: TempDir,
    relay: String,
}

impl User {
    pub fn of(relay: &Relay) -> Self {
        Self::at(&format!("ws://{}", relay.addr()))
    }

    pub fn at(relay: &str) -> Self {
        Self {
            home: TempDir::new().unwrap(),
            relay: relay.to_owned(),
        }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A file in their home.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.home().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.home().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// `distill` with their settings, in their home.
    pub fn distill<A: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Program {
        self.run("cd; exec \"$0\" \"$@\"", arguments)
    }

    /// The same, with its standard output where its errors go, for lines to be awaited.
    pub fn in_json<A: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Talker {
        self.in_json_under("", arguments)
    }

    /// The same, with a passphrase of its user's own.
    pub fn in_json_under<A: AsRef<std::ffi::OsStr>>(
        &self,
        passphrase: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Talker {
        let program = self.run(IN_JSON, arguments);
        Talker(
            program
                .env("DISTILL_PASSPHRASE", passphrase)
                .spawn()
                .unwrap(),
        )
    }

    /// A script in which `"$0" "$@"` is `distill`.
    pub fn run<A: AsRef<std::ffi::OsStr>>(
        &self,
        shell: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Program {
        // Tests that are run in the background of a script hand down that SIGINT is ignored.
        let program = Program::new("env")
            .args(["--default-signal", "sh", "-c", shell])
            .args([env!("CARGO_BIN_EXE_distill")])
            .args(arguments)
            .env("HOME", self.home().display())
            .env("DISTILL_RELAY", &self.relay);
        [
            "XDG_CONFIG_HOME",
            "XDG_STATE_HOME",
            "DISTILL_KEY",
            "DISTILL_PASSPHRASE",
        ]
        .into_iter()
        .fold(program, |program, name| program.env(name, ""))
    }
}

/// A `distill` that says in JSON what happens.
pub struct Talker(pub Process);

impl Talker {
    /// The next event of this name.
    pub fn event(&mut self, name: &str) -> Value {
        let line = self.0.line_with(&format!("\"event\":\"{name}\""));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The code and the passphrase of a share that has begun.
    pub fn opened(&mut self) -> (String, String) {
        let opened = self.event("opened");
        let text = |name: &str| opened[name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("passphrase"))
    }

    /// Its exit status, once it has ended.
    pub async fn status(&mut self) -> i32 {
        self.0.ended().await.code().expect("an end of its own")
    }
}

/// A relay as it comes.
pub fn relay() -> Relay {
    Start::new().run()
}

/// What a program that has ended said, and its status.
pub struct Said {
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// Runs it to its end.
pub async fn ended(program: Program) -> Said {
    let output = tokio::task::spawn_blocking(|| program.output())
        .await
        .unwrap();
    Said {
        status: output.status.code().expect("an end of its own"),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Bytes that come by a pipe, which stays open as long as this is kept.
pub fn pipe() -> (std::io::PipeWriter, Stdio) {
    let (reader, writer) = std::io::pipe().unwrap();
    (writer, reader.into())
}
