//! A client in a browser: a page of a server of its own plays it, from an origin that the relay is told
//! to allow.

use std::{
    io::{self, BufRead, BufReader},
    os::unix::fs::symlink,
    path::Path,
};

use relay_testing::{
    browser::{Browser, Window},
    program::{Process, Program},
    skip::{find, skip},
};

use super::double::{Double, Play};

/// The page and its script.
const FILES: [&str; 2] = ["browser.html", "round.mjs"];

/// A browser with the page open.
pub struct Page {
    browser: Browser,
    origin: String,
    _pages: Process,
}

impl Page {
    /// One that can load the files of this folder; says so where there can be none.
    pub fn open(folder: &Path) -> Option<Self> {
        let Some(python) = find("python3") else {
            skip("python3");
            return None;
        };
        let browser = Browser::start()?;
        for file in FILES {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
            symlink(Path::new(source).join(file), folder.join(file)).unwrap();
        }
        let (pages, origin) = serve(&python, folder);
        browser.window().go_to(&format!("{origin}/{}", FILES[0]));
        Some(Self {
            browser,
            origin,
            _pages: pages,
        })
    }

    /// Where it is from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The client that it is.
    pub fn double(&self) -> Double {
        Double::new("browser", false, Player(self.browser.window().clone()))
    }
}

/// A server of the files in this folder, and its origin.
fn serve(python: &Path, folder: &Path) -> (Process, String) {
    let (from, stdout) = io::pipe().unwrap();
    let server = Program::new(python)
        .args("-u -m http.server --bind 127.0.0.1 0 --directory".split(' '))
        .args([folder])
        .stdout(stdout)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(from).read_line(&mut line).unwrap();
    // Serving HTTP on 127.0.0.1 port 34567 (http://127.0.0.1:34567/) ...
    let origin = line.split(['(', ')']).nth(1).expect("a URL");
    (server, origin.trim_end_matches('/').to_owned())
}

struct Player(Window);

impl Player {
    /// What a function of the page's resolves with.
    fn call(&self, call: &str, arguments: &[&str]) -> String {
        let body = format!("return ({call}).catch((error) => `${{error}}`);");
        let line = self.0.run(&body, arguments);
        line.as_str().expect("a line").to_owned()
    }
}

impl Play for Player {
    fn play(&mut self, line: &str, tell: &dyn Fn(String)) {
        let words: Vec<_> = line.split(' ').collect();
        let (role, url) = (words[0], words[1]);
        let file = words[3].rsplit('/').next().expect("a name");
        if role == "send" {
            tell(self.call("send(arguments[0], arguments[1])", &[url, file]));
            tell(self.call("round", &[]));
        } else {
            let call = "receive(arguments[0], arguments[1], arguments[2])";
            tell(self.call(call, &[url, file, words[4]]));
        }
    }
}
