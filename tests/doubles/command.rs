//! The program as an operator runs a check with it, and what comes of that.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use relay_testing::{process, program::Program};
use serde_json::Value;

/// A check about to be run: in a directory of its own, with nothing of ours in its environment.
pub struct Check(Program);

/// What came of it.
pub struct Outcome {
    pub exit: i32,
    pub json: Value,
}

impl Check {
    pub fn new(arguments: &[&str]) -> Self {
        Self(Program::new(process::program()).args(arguments))
    }

    /// Of the relay on `port` of this machine, without what stands around it.
    pub fn local(port: u16, arguments: &[&str]) -> Self {
        let port = port.to_string();
        let relay = ["--port", &port, "check", "--relay-only"];
        Self::new(&[&relay, arguments].concat())
    }

    /// The same as a user whom permissions of files bind, which they do not for root.
    pub fn unprivileged(port: u16) -> Self {
        let port = port.to_string();
        let relay = ["--port", &port, "check", "--relay-only"];
        let is_root = fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
        if !is_root {
            return Self::new(&relay);
        }
        let setpriv = ["--bounding-set=-dac_override,-dac_read_search"];
        let program = Program::new("setpriv").args(setpriv);
        Self(program.args([process::program()]).args(relay))
    }

    /// Trusts this certificate, and no other.
    pub fn trusting(self, pem: &str) -> Self {
        let path = self.directory().join("roots.pem");
        fs::write(&path, pem).unwrap();
        self.env("SSL_CERT_FILE", path.display())
    }

    pub fn env(self, name: &str, value: impl ToString) -> Self {
        Self(self.0.env(name, value))
    }

    /// Where it runs.
    pub fn directory(&self) -> &Path {
        self.0.directory()
    }

    pub fn text(self) -> (i32, String) {
        let (exit, text, errors) = self.all();
        assert_eq!(errors, "");
        (exit, text)
    }

    /// Its status, and what it says on its standard output and its standard error.
    pub fn all(self) -> (i32, String, String) {
        let output = self.0.output();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    pub fn json(self) -> Outcome {
        let (exit, text) = Self(self.0.args(["--json"])).text();
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
