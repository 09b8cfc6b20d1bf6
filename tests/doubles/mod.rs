//! What a check can meet in a relay's place: a stranger that gives every caller the same answer.

pub mod command;

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

/// A stranger who says the same to everyone who asks.
pub struct Double {
    pub port: u16,
}

impl Double {
    pub fn answering(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = answer.to_owned();
        // Ends with the test's process.
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut request = [0; 4096];
                drop(socket.read(&mut request));
                drop(socket.write_all(answer.as_bytes()));
            }
        });
        Self { port }
    }
}
