//! A browser: Debian's Chromium, which chromedriver steers (<https://www.w3.org/TR/webdriver2/>).

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use serde_json::{Value, json};

use crate::{
    http::Response,
    port::Port,
    program::{Process, Program},
    skip::{find, skip},
    wait::DEADLINE,
};

/// A browser with a window; it ends when this is dropped.
pub struct Browser {
    window: Window,
    _driver: Process,
    _port: Port,
}

impl Browser {
    /// One that shows nothing yet; says so where there can be none.
    pub fn start() -> Option<Self> {
        let [Some(driver), Some(_)] = ["chromedriver", "chromium"].map(find) else {
            skip("chromium and chromium-driver");
            return None;
        };
        let port = Port::reserve();
        let driver = Program::new(driver).args([format!("--port={}", port.number())]);
        // Whatever the browser writes goes there, too.
        let folder = driver.directory().to_string_lossy().into_owned();
        let driver = driver.env("HOME", &folder).env("TMPDIR", &folder);
        let mut driver = driver.spawn().expect("chromedriver");
        driver.listens_at(port.addr()).expect("chromedriver");
        Some(Self {
            window: Window::open(port.addr()),
            _driver: driver,
            _port: port,
        })
    }

    /// Its window.
    pub fn window(&self) -> &Window {
        &self.window
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It takes its files along, which it could not if its driver was killed. Where it cannot be told
        // to end, it does when the pipe to its driver breaks.
        let _ = self.window.request("DELETE", "", &json!({}));
    }
}

/// What is told and asked of a browser. Each of these waits on its thread.
#[derive(Clone)]
pub struct Window {
    driver: SocketAddr,
    path: String,
}

impl Window {
    /// Has the driver start a browser, which asks for nothing outside this machine. There is no sandbox
    /// for root, who the tests may be.
    fn open(driver: SocketAddr) -> Self {
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-component-update",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--remote-debugging-pipe",
        ];
        let mut window = Self {
            driver,
            path: "/session".to_owned(),
        };
        let options = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let begun = window.ask("", &json!({"capabilities": {"alwaysMatch": options}}));
        window.path += "/";
        window.path += begun["sessionId"].as_str().expect("a session");
        window
    }

    /// Loads a page.
    pub fn go_to(&self, url: &str) {
        self.ask("/url", &json!({ "url": url }));
    }

    /// What a function's body returns in the page, or what it then resolves with; `arguments` are its own.
    pub fn run(&self, body: &str, arguments: &[&str]) -> Value {
        self.ask("/execute/sync", &json!({"script": body, "args": arguments}))
    }

    /// What a command of the Chrome DevTools Protocol results in.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.ask("/goog/cdp/execute", &body)
    }

    /// What the page and its browser have had to complain of since this was last asked.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.ask("/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().expect("a log");
        entries.iter().map(Value::to_string).collect()
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
}
