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

/// A browser with the page open; it ends when this is dropped.
pub struct Browser {
    session: Session,
    origin: String,
    _driver: Process,
    _port: Port,
    _pages: Process,
}

impl Browser {
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
        // Whatever the browser writes goes there, too.
        let folder = driver.directory().to_string_lossy().into_owned();
        let driver = driver.env("HOME", &folder).env("TMPDIR", &folder);
        let mut driver = driver.spawn().unwrap();
        driver.listens_at(port.addr()).unwrap();
        let session = Session::begin(port.addr());
        session.ask("/url", &json!({ "url": format!("{origin}/{}", FILES[0]) }));
        Some(Self {
            session,
            origin,
            _driver: driver,
            _port: port,
            _pages: pages,
        })
    }

    /// Where its page is from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The client that its page is.
    pub fn double(&self) -> Double {
        Double::new("browser", false, self.session.clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It takes its files along, which it could not if its driver was killed. Where it cannot be told
        // to end, it does when the pipe to its driver breaks.
        let _ = self.session.request("DELETE", "", &json!({}));
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

/// What the driver knows a browser by.
#[derive(Clone)]
struct Session {
    driver: SocketAddr,
    path: String,
}

impl Session {
    /// Has the driver start a browser, which asks for nothing outside this machine. There is no sandbox
    /// for root, who the tests may be.
    fn begin(driver: SocketAddr) -> Self {
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-component-update",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--remote-debugging-pipe",
        ];
        let mut session = Self {
            driver,
            path: "/session".to_owned(),
        };
        let options = json!({"goog:chromeOptions": {"args": arguments}});
        let begun = session.ask("", &json!({"capabilities": {"alwaysMatch": options}}));
        session.path += "/";
        session.path += begun["sessionId"].as_str().expect("a session");
        session
    }

    /// What is answered to a command.
    fn ask(&self, command: &str, body: &Value) -> Value {
        let answer = self.request("POST", command, body);
        answer.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// The same, by any method.
    fn request(&self, method: &str, command: &str, body: &Value) -> io::Result<Value> {
        let (path, body) = (&self.path, body.to_string());
        let mut stream = TcpStream::connect(self.driver)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        write!(
            stream,
            "{method} {path}{command} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.driver,
            body.len()
        )?;
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        // The driver leaves the connection open.
        let answer = Response::parse(&head);
        let length = answer
            .header("content-length")
            .and_then(|it| it.parse().ok());
        let mut body: Value = serde_json::from_reader(stream.take(length.unwrap_or(0)))?;
        match answer.status {
            200 => Ok(body["value"].take()),
            _ => Err(io::Error::other(body.to_string())),
        }
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

impl Play for Session {
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
