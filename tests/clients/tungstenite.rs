//! A client on plain tungstenite, on a thread of the test's process. It cannot compress.

use std::{fs, net::TcpStream};

use relay_testing::{reply, text};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use super::{
    double::{Double, Play},
    share::hash,
};

/// A client on it.
pub fn double() -> Double {
    Double::new("tungstenite", false, Tungstenite)
}

struct Tungstenite;

impl Play for Tungstenite {
    fn play(&mut self, line: &str, tell: &dyn Fn(String)) {
        let words: Vec<_> = line.split(' ').collect();
        let (role, url, file) = (words[0], words[1], words[3]);
        let address = url.trim_start_matches("ws://").trim_end_matches('/');
        let stream = TcpStream::connect(address).expect("a connection");
        let (mut ws, answer) = client(url, stream).expect("an upgrade");
        let extension = answer.headers().get("sec-websocket-extensions");
        let extension = extension.map_or("none", |it| it.to_str().expect("a name"));
        let content = fs::read_to_string(file).expect("a text");
        let heard = match role {
            "send" => send(&mut ws, content, tell),
            _ => receive(&mut ws, content, words[4]),
        };
        ws.close(None).expect("room to close");
        while !matches!(ws.read(), Err(Error::ConnectionClosed)) {}
        tell(format!("heard {} {extension}", hash(heard.as_bytes())));
    }
}

type Socket = WebSocket<TcpStream>;

/// Opens a room, and shares a text with the receiver that joins it. Returns its answer.
fn send(ws: &mut Socket, payload: String, tell: &dyn Fn(String)) -> String {
    say(ws, reply::CREATE);
    tell(format!("room {}", reply::created(&reply::parse(&next(ws)))));
    reply::peer(&reply::parse(&next(ws)), "PEER_JOINED");
    say(ws, payload);
    let heard = next(ws);
    reply::peer(&reply::parse(&next(ws)), "PEER_DISCONNECTED");
    heard
}

/// Joins a room, and answers what its sender shares, which is returned.
fn receive(ws: &mut Socket, answer: String, code: &str) -> String {
    say(ws, reply::join(code));
    reply::assert_joined(&reply::parse(&next(ws)), code);
    let heard = next(ws);
    say(ws, answer);
    heard
}

fn say(ws: &mut Socket, message: impl Into<String>) {
    ws.send(text(message)).expect("room to send");
}

/// The next text.
fn next(ws: &mut Socket) -> String {
    loop {
        match ws.read().expect("a message") {
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Text(text) => return text.as_str().to_owned(),
            other => panic!("{other:?} in place of a text"),
        }
    }
}
