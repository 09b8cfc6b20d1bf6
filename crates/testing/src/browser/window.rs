//! What is told and asked of a browser, over its driver.

use std::{
    io::{
        self, BufRead, BufReader,
        ErrorKind::{TimedOut, WouldBlock},
        Read, Write,
    },
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{http::Response, wait::DEADLINE};

/// What a driver calls an element by (WebDriver §12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long a look may take before it is had again, and how often it is had.
const LOOK: Duration = Duration::from_secs(10);
const LOOKS: usize = 4;

/// What is told and asked of a browser. Each of these waits on its thread.
#[derive(Clone)]
pub struct Window {
    driver: SocketAddr,
    path: String,
}

impl Window {
    /// Has the driver start a browser.
    pub(super) fn open(driver: SocketAddr, capabilities: &Value) -> Self {
        let mut window = Self {
            driver,
            path: "/session".to_owned(),
        };
        let begun = window.ask("", &json!({"capabilities": {"alwaysMatch": capabilities}}));
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

    /// The same of a body that only reads. Where the driver loses the question, as WebKit's was seen to do just after a
    /// page had come, it is asked again.
    pub fn look(&self, body: &str, arguments: &[&str]) -> Value {
        let script = json!({"script": body, "args": arguments});
        for _ in 0..LOOKS {
            match self.request_within(LOOK, "POST", "/execute/sync", &script) {
                Err(error) if [WouldBlock, TimedOut].contains(&error.kind()) => {
                    println!("{body:?} is not answered: {error}");
                }
                answer => return answer.unwrap_or_else(|error| panic!("{body:?}: {error}")),
            }
        }
        panic!("{body:?} is never answered");
    }

    /// Loads the page anew.
    pub fn reload(&self) {
        self.ask("/refresh", &json!({}));
    }

    /// Clicks on the element that a selector of CSS finds, as a person would.
    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.ask(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types a text into an element, or chooses a file there by its path.
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.ask(
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// Types a text into an element in place of what stands there.
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.ask(&format!("/element/{element}/clear"), &json!({}));
        self.type_into(selector, text);
    }

    /// The driver's name of an element.
    fn find(&self, selector: &str) -> String {
        let body = json!({"using": "css selector", "value": selector});
        let found = self.ask("/element", &body);
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    /// What a command of the Chrome DevTools Protocol results in: Chromium's alone.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.ask("/goog/cdp/execute", &body)
    }

    /// What the page and its browser have had to complain of since this was last asked: Chromium's
    /// alone.
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
    pub(super) fn request(&self, method: &str, command: &str, body: &Value) -> io::Result<Value> {
        self.request_within(DEADLINE, method, command, body)
    }

    fn request_within(
        &self,
        limit: Duration,
        method: &str,
        command: &str,
        body: &Value,
    ) -> io::Result<Value> {
        let (path, body) = (&self.path, body.to_string());
        let mut stream = TcpStream::connect(self.driver)?;
        stream.set_read_timeout(Some(limit))?;
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
