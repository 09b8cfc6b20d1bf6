//! Clients in Python for the page to share with: today's (`today.py`), and a second implementation of version 2
//! (`second.py`), which also says what the first would never say.

use relay_testing::{
    program::{Process, Program},
    python,
};

/// A client's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Double {
    /// Version 1.
    Today,
    /// Version 2.
    Second,
}

impl Double {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Today, Self::Second];

    /// The interpreter that runs them, or says why there can be none here.
    pub(crate) fn python() -> Option<String> {
        python::with(&["websockets", "cryptography"])
    }

    /// This client, about to do what `arguments` say.
    fn program(self, python: &str, arguments: &[&str]) -> Program {
        let script = match self {
            Self::Today => "today.py",
            Self::Second => "second.py",
        };
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page");
        Program::new(python)
            .args([format!("{folder}/{script}")])
            .args(arguments)
            .env("NO_PROXY", "*")
    }

    /// Starts a sender, and waits for the code of its room.
    pub(crate) fn send(self, python: &str, arguments: &[&str]) -> (Process, String) {
        let mut sender = self.program(python, arguments).spawn().unwrap();
        let line = sender.line_with("room ");
        (sender, line.trim_start_matches("room ").to_owned())
    }

    /// What a receiver gets.
    ///
    /// # Errors
    ///
    /// What it says where it gets nothing.
    pub(crate) fn receive(self, python: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
        let arguments = [&["receive"], arguments].concat();
        let output = self.program(python, &arguments).output();
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}
