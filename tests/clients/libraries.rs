//! The libraries that clients are made of, each with a program that plays one, where `install.sh`
//! puts them.

use std::path::{Path, PathBuf};

use relay_testing::{
    program::Program,
    skip::{find, skip},
};

use super::double::Double;

/// What `install.sh` fills.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients");
/// Where the scripts are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// A client library.
pub struct Library {
    pub name: &'static str,
    /// What runs its script: among what is installed, or on the `PATH`.
    runs: &'static str,
    script: &'static str,
    /// Where the library is, among what is installed.
    folder: &'static str,
}

/// All of them.
pub const LIBRARIES: [Library; 5] = [
    python("websockets-10", "with_websockets.py"),
    python("websockets", "with_websockets.py"),
    python("aiohttp", "with_aiohttp.py"),
    javascript("ws", "node", "with_ws.mjs"),
    javascript("bun", "bun", "with_bun.mjs"),
];

const fn python(name: &'static str, script: &'static str) -> Library {
    Library {
        name,
        runs: "python/bin/python",
        script,
        folder: name,
    }
}

const fn javascript(name: &'static str, runs: &'static str, script: &'static str) -> Library {
    Library {
        name,
        runs,
        script,
        folder: "node_modules",
    }
}

impl Library {
    /// Those of the libraries that are here. Says which are not.
    pub fn installed() -> Vec<&'static Self> {
        let (here, missing): (Vec<_>, Vec<_>) =
            LIBRARIES.iter().partition(|it| it.program().is_some());
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|it| it.name).collect();
            skip(&format!("{} (tests/clients/install.sh)", names.join(", ")));
        }
        here
    }

    /// A client on it.
    pub fn double(&self) -> Double {
        let folder = Path::new(INSTALLED).join(self.folder);
        let program = Program::new(self.program().expect("an installed library"))
            .args([Path::new(SCRIPTS).join(self.script)])
            .env("PYTHONPATH", folder.display())
            .env("NODE_PATH", folder.display())
            .env("PYTHONDONTWRITEBYTECODE", 1)
            .env("NO_PROXY", "*");
        Double::program(self.name, program)
    }

    fn program(&self) -> Option<PathBuf> {
        let installed = Path::new(INSTALLED);
        let own = installed.join(self.runs);
        let program = Some(own)
            .filter(|it| it.is_file())
            .or_else(|| find(self.runs));
        program.filter(|_| installed.join(self.folder).is_dir())
    }
}
