//! A browser: Debian's Chromium, which chromedriver steers (<https://www.w3.org/TR/webdriver2/>). A page
//! of a server of its own plays the client, from an origin that the relay is told to allow.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::symlink,
    path::Path,
};

use relay_testing::{
    DEADLINE,
    http::Response,
    port::Port,
    program::{Process, Program},
    skip::{find, skip},
};
use serde_json::{Value, json};

use super::double::{Double, Play};

/// The page and its script.
const FILES: [&str; 2] = ["browser.html", "round.mjs"];

/// What steers browsers, and what serves their page. Browsers end with it.
pub struct Driver {
    addr: SocketAddr,
    origin: String,
    _driver: Process,
    _port: Port,
    _pages: Process,
}

impl Driver {
    /// One whose page can load the files of this folder; says so where there can be none.
    pub fn start(folder: &Path) -> Option<Self> {
        let needed = ["chromedriver", "chromium", "python3"].map(find);
        let [Some(driver), Some(_), Some(python)] = needed else {
            skip("chromium, chromium-driver and python3");
            return None;
        };
        for file in FILES {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
            symlink(Path::new(source).join(file), folder.join(file)).unwrap();
        }
        let (pages, origin) = serve(&python, folder);
        let port = Port::reserve();
        let driver = Program::new(driver).args([format!("--port={}", port.number())]);
        let folder = driver.directory().to_owned();
        let mut driver = driver.env("TMPDIR", folder.display()).spawn().unwrap();
        driver.listens_at(port.addr()).unwrap();
        Some(Self {
            addr: port.addr(),
            origin,
            _driver: driver,
            _port: port,
            _pages: pages,
        })
    }

    /// Where its pages are from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A browser with the page open.
    pub fn double(&self) -> Double {
        // It runs as root in CI, where it has no sandbox, and asks for nothing outside this machine. It
        // ends when the pipe to its driver does.
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-component-update",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--remote-debugging-pipe",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "timeouts": {"script": DEADLINE.as_millis()},
        }}});
        let session = post(self.addr, "/session", &wanted);
        let session = session["sessionId"].as_str().expect("a session");
        let browser = Browser {
            addr: self.addr,
            session: format!("/session/{session}"),
        };
        let page = format!("{}/{}", self.origin, FILES[0]);
        browser.ask("/url", &json!({ "url": page }));
        Double::new("browser", false, browser)
    }
}

/// A server of the files in this folder, and its origin.
fn serve(python: &Path, folder: &Path) -> (Process, String) {
    let (from, stdout) = io::pipe().unwrap();
    let server = Program::new(python)
        .args([
            "-u",
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            "--directory",
        ])
        .args([folder])
        .args(["0"])
        .stdout(stdout)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(from).read_line(&mut line).unwrap();
    // Serving HTTP on 127.0.0.1 port 34567 (http://127.0.0.1:34567/) ...
    let origin = line.split(['(', ')']).nth(1).expect("a URL");
    (server, origin.trim_end_matches('/').to_owned())
}

/// A browser with the page open.
struct Browser {
    addr: SocketAddr,
    session: String,
}

impl Browser {
    fn ask(&self, what: &str, body: &Value) -> Value {
        post(self.addr, &format!("{}{what}", self.session), body)
    }

    /// What a function of the page's resolves with.
    fn call(&self, call: &str, arguments: &[&str]) -> String {
        let script = format!(
            "const tell = arguments[arguments.length - 1]; \
             ({call}).then(tell, (error) => tell(`${{error}}`));"
        );
        let line = self.ask(
            "/execute/async",
            &json!({"script": script, "args": arguments}),
        );
        line.as_str().expect("a line").to_owned()
    }
}

impl Play for Browser {
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

/// What the driver answers to a command.
fn post(driver: SocketAddr, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let mut stream = TcpStream::connect(driver).expect("a driver");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("a driver that reads");
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).expect("an answer"), 0, "{path}");
    }
    let answer = Response::parse(&head);
    // It leaves the connection open.
    let length = answer.header("content-length").expect("a length");
    let body = stream.take(length.parse().expect("a number"));
    let mut body: Value = serde_json::from_reader(body).expect("JSON");
    assert_eq!(answer.status, 200, "{path}: {body}");
    body["value"].take()
}
