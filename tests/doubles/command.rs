//! The program as an operator runs a check with it, and what comes of that.

use std::{
    env, fs,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A check about to be run: in a directory of its own, with nothing of ours in its environment.
pub struct Check {
    pub command: Command,
    pub directory: TempDir,
}

/// What came of it.
pub struct Outcome {
    pub exit: i32,
    pub json: Value,
}

impl Check {
    pub fn new(arguments: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_claude-distill-relay"));
        command.current_dir(&directory).stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("RELAY_") || name.starts_with("SSL_CERT_") {
                command.env_remove(name.as_ref());
            }
        }
        command.args(arguments);
        Self { command, directory }
    }

    /// Of the relay on `port` of this machine, without what stands around it.
    pub fn local(port: u16, arguments: &[&str]) -> Self {
        let port = port.to_string();
        let relay = ["--port", &port, "check", "--relay-only"];
        Self::new(&[&relay, arguments].concat())
    }

    /// Trusts this certificate, and no other.
    pub fn trusting(mut self, pem: &str) -> Self {
        let path = self.directory.path().join("roots.pem");
        fs::write(&path, pem).unwrap();
        self.command.env("SSL_CERT_FILE", path);
        self
    }

    pub fn text(mut self) -> (i32, String) {
        let output = self.command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors, "");
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }

    pub fn json(mut self) -> Outcome {
        self.command.arg("--json");
        let (exit, text) = self.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let json = serde_json::from_str(&text).unwrap();
        Outcome { exit, json }
    }
}

impl Outcome {
    pub fn steps(&self) -> impl Iterator<Item = &Value> {
        self.json["steps"].as_array().unwrap().iter()
    }

    pub fn step(&self, name: &str) -> &Value {
        let found = self.steps().find(|step| step["step"] == name);
        found.unwrap_or_else(|| panic!("no step {name} in {}", self.json))
    }

    #[track_caller]
    pub fn is(&self, step: &str, status: &str, part: &str) {
        let found = self.step(step);
        assert_eq!(found["status"], status, "{}", self.json);
        let all = found.to_string();
        assert!(all.contains(part), "{part:?} is not in {all}");
    }

    /// The one step that is neither well nor left out, with what it must say.
    #[track_caller]
    pub fn only_trouble(&self, step: &str, status: &str, part: &str) {
        self.is(step, status, part);
        let troubles = self
            .steps()
            .filter(|it| it["status"] != "ok" && it["status"] != "skip");
        assert_eq!(troubles.count(), 1, "{}", self.json);
        assert_eq!(self.exit, if status == "warn" { 1 } else { 2 });
        assert_eq!(self.json["status"], status);
        assert!(self.step(step)["next"].is_string(), "{}", self.json);
    }
}
