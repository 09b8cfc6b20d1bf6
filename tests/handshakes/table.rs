//! Handshakes that clients and proxies send, or might, and what others answer.

/// Who was asked, in the order of [`Row::peers`].
pub const PEERS: [&str; 5] = [
    "websockets 17.4",
    "aiohttp 3.14.5",
    "tornado 6.6.1",
    "ws 8.23.0",
    "Bun 1.4.5",
];

/// One way to write a handshake.
#[derive(Clone, Copy)]
pub struct Row {
    /// What it has in place of the lines of the plain one: a request line, header lines for all of
    /// that name, `-Name` for none of it.
    pub variant: &'static str,
    /// What each of [`PEERS`] answered when it was tried: a status, or `end` for the end of the
    /// connection, or `...` for nothing within a second.
    pub peers: &'static str,
    /// What this relay answers.
    pub ours: u16,
    /// Why some of the others make a session of it and this relay does not, or the other way round.
    pub why: &'static str,
}

impl Row {
    /// Whether each of [`PEERS`] made a session of it.
    pub fn taken(&self) -> Vec<bool> {
        let answers = self.peers.split_whitespace();
        answers.map(|answer| answer == "101").collect()
    }

    /// The head of the request.
    pub fn head(&self) -> String {
        const PLAIN: &str = "GET / HTTP/1.1\r\nHost: relay.example\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let name = |line: &str| {
            let name = line.trim_start_matches('-').split(':').next();
            name.unwrap_or_default().trim().to_ascii_lowercase()
        };
        let is_request = |line: &&str| line.contains(" HTTP/");
        let mut request = self.variant.lines().filter(is_request);
        let request = request.next().unwrap_or("GET / HTTP/1.1");
        let replaced: Vec<_> = self.variant.lines().map(name).collect();
        let kept = PLAIN.lines().skip(1);
        let kept = kept.filter(|line| !replaced.contains(&name(line)));
        let added = self.variant.split_inclusive("\r\n");
        let added = added.filter(|line| !is_request(line) && !line.starts_with('-'));
        let mut head = format!("{request}\r\n");
        kept.for_each(|line| head += &format!("{line}\r\n"));
        added.for_each(|line| head += line);
        if !head.ends_with('\n') {
            head += "\r\n";
        }
        head + "\r\n"
    }
}

const fn row(variant: &'static str, peers: &'static str, ours: u16, why: &'static str) -> Row {
    Row {
        variant,
        peers,
        ours,
        why,
    }
}

const TOKENS: &str = "RFC 9110 §7.6.1: options are bare tokens. Bun does not look at Connection";
const NAMED: &str = "RFC 6455 §4.2.1, 4: Connection has to name Upgrade. Bun does not look at it";
const OWS: &str = "RFC 9110 §5.6.3: a tab is a blank. ws does not look for one";
const LISTED: &str = "RFC 9110 §7.8, §5.3: Upgrade is a list, in one line or more, of which a server picks \
    what it knows; empty elements count for nothing (§5.6.1)";
const PADDED: &str = "RFC 6455 §4.2.1, 5: base64 of 16 bytes. tornado takes any key";
const LENIENT: &str =
    "RFC 4648 §3.3: what has other characters is refused. aiohttp and tornado skip them";
const ONCE: &str =
    "RFC 6455 §11.3.1, §11.3.5: one at most; else others on the way may go by another";
const VERSION: &str = "RFC 6455 §4.2.1, 6: the value is 13, written so. ws takes what JavaScript reads as 13, \
    and as aiohttp does, drafts older than the RFC";
const HTTP: &str =
    "RFC 9110 §7.8: Upgrade means nothing before HTTP/1.1. No version is above it here";
const METHOD: &str = "RFC 6455 §4.2.1, 1: the method is GET";
const HOST: &str = "RFC 9112 §3.2: one Host, which may be empty, or 400";
const BODY: &str =
    "RFC 9112 §6.3: its body would be taken for frames here, and others read it as a body";
const TARGET: &str = "What is asked for is not looked at: the relay has one service";

/// All of them.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row("", "101 101 101 101 101", 101, ""),
    // As lighttpd 1.4.69 sends it on, with all that it adds.
    row("Connection: close, upgrade\r\nX-Forwarded-For: 192.0.2.1\r\nX-Host: relay.example\r\n\
         X-Forwarded-Host: relay.example\r\nX-Forwarded-Proto: http", "101 101 101 101 101", 101, ""),
    row("Connection: upgrade", "101 101 101 101 101", 101, ""),
    row("Connection: UPGRADE", "101 101 101 101 101", 101, ""),
    row("Connection: close, upgrade", "101 101 101 101 101", 101, ""),
    row("Connection: upgrade, close", "101 101 101 101 101", 101, ""),
    row("Connection: Close, Upgrade", "101 101 101 101 101", 101, ""),
    row("Connection: keep-alive, Upgrade", "101 101 101 101 101", 101, ""),
    row("Connection: Upgrade, keep-alive", "101 101 101 101 101", 101, ""),
    row("Connection: Upgrade,Keep-Alive,TE", "101 101 101 101 101", 101, ""),
    row("Connection: keep-alive\r\nConnection: Upgrade", "101 101 101 101 101", 101, ""),
    row("Connection: Upgrade\r\nConnection: close", "101 101 101 101 101", 101, ""),
    row("Connection: close\r\nConnection: Upgrade", "101 101 101 101 101", 101, ""),
    row("Connection: upgrade\r\nConnection: upgrade", "101 101 101 101 101", 101, ""),
    row("Connection: ,,upgrade", "101 101 101 101 101", 101, ""),
    row("Connection: upgrade, ,", "101 101 101 101 101", 101, ""),
    row("Connection: \tupgrade\t", "101 101 101 426 101", 101, OWS),
    row("Connection: upgrade;q=1", "400 400 400 426 101", 400, TOKENS),
    row("Connection: \"upgrade\"", "400 400 400 426 101", 400, TOKENS),
    row("Connection: upgrades", "426 400 400 426 101", 400, NAMED),
    row("Connection: x-upgrade", "426 400 400 426 101", 400, NAMED),
    row("Connection: close upgrade", "400 400 400 426 101", 400, NAMED),
    row("Connection: close", "426 400 400 426 101", 400, NAMED),
    row("Connection: keep-alive", "426 400 400 426 101", 400, NAMED),
    row("Connection: ", "400 400 400 426 101", 400, NAMED),
    row("-Connection", "426 400 400 426 101", 400, NAMED),
    row("Upgrade: WebSocket", "101 101 101 101 101", 101, ""),
    row("Upgrade: WEBSOCKET", "101 101 101 101 101", 101, ""),
    row("Upgrade: h2c, websocket", "426 400 400 400 101", 101, LISTED),
    row("Upgrade: websocket, h2c", "426 400 400 400 101", 101, LISTED),
    row("Upgrade: h2c\r\nUpgrade: websocket", "426 400 400 400 101", 101, LISTED),
    row("Upgrade: websocket\r\nUpgrade: h2c", "426 101 400 400 101", 101, LISTED),
    row("Upgrade: websocket\r\nUpgrade: websocket", "426 101 400 400 101", 101, LISTED),
    row("Upgrade: websocket, websocket", "426 400 400 400 101", 101, LISTED),
    row("Upgrade: ,,websocket", "101 400 400 400 101", 101, LISTED),
    row("Upgrade: websocket,", "101 400 400 400 101", 101, LISTED),
    row("Upgrade: \twebsocket\t", "101 101 101 101 101", 101, ""),
    row("Upgrade: websocket/13", "426 400 400 400 400", 426, ""),
    row("Upgrade: WebSocket/13, h2c", "426 400 400 400 400", 426, ""),
    row("Upgrade: h2c/1, websocket", "426 400 400 400 101", 101, LISTED),
    row("Upgrade: \"websocket\"", "400 400 400 400 400", 426, ""),
    row("Upgrade: websocket;q=1", "400 400 400 400 400", 426, ""),
    row("Upgrade: websocket h2c", "400 400 400 400 400", 426, ""),
    row("Upgrade: websockets", "426 400 400 400 400", 426, ""),
    row("Upgrade: h2c", "426 400 400 400 400", 426, ""),
    row("Upgrade: ", "400 400 400 426 400", 426, ""),
    row("-Upgrade", "426 400 400 426 400", 426, ""),
    row("Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==", "101 101 101 101 101", 101, ""),
    row("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "101 101 101 101 101", 101, ""),
    row("Sec-WebSocket-Key:  \tdGhlIHNhbXBsZSBub25jZQ== \t", "101 101 101 101 101", 101, ""),
    row("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", "400 400 101 400 400", 400, PADDED),
    row("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=", "400 400 101 400 400", 400, PADDED),
    row("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ====", "400 101 101 400 400", 400, LENIENT),
    row("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=", "400 400 101 400 400", 400, PADDED),
    row("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j", "400 400 101 400 400", 400, PADDED),
    row("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==", "400 400 101 400 400", 400, PADDED),
    row("Sec-WebSocket-Key: -_hlIHNhbXBsZSBub25jZQ==", "400 400 101 400 400", 400, PADDED),
    row("Sec-WebSocket-Key: dGhlIHNhbXBs ZSBub25jZQ==", "400 101 101 400 400", 400, LENIENT),
    row("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "400 101 101 400 400", 400, ONCE),
    row("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "400 101 101 400 400", 400, ONCE),
    row("Sec-WebSocket-Key: ", "400 400 400 400 400", 400, ""),
    row("-Sec-WebSocket-Key", "400 400 400 400 400", 400, ""),
    row("Sec-WebSocket-Version:  13\t", "101 101 101 101 101", 101, ""),
    row("Sec-WebSocket-Version: 13, 8", "400 400 426 400 426", 426, ""),
    row("Sec-WebSocket-Version: 8, 13", "400 400 426 400 426", 426, ""),
    row("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13", "400 101 426 400 426", 400, ONCE),
    row("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8", "400 101 426 400 426", 400, ONCE),
    row("Sec-WebSocket-Version: 13, 13", "400 400 426 400 426", 426, ""),
    row("Sec-WebSocket-Version: 8", "400 101 426 101 426", 426, VERSION),
    row("Sec-WebSocket-Version: 7", "400 101 426 400 426", 426, VERSION),
    row("Sec-WebSocket-Version: 12", "400 400 426 400 426", 426, ""),
    row("Sec-WebSocket-Version: 14", "400 400 426 400 426", 426, ""),
    row("Sec-WebSocket-Version: 013", "400 400 426 101 426", 426, VERSION),
    row("Sec-WebSocket-Version: 13.0", "400 400 426 101 426", 426, VERSION),
    row("Sec-WebSocket-Version: +13", "400 400 426 101 426", 426, VERSION),
    row("Sec-WebSocket-Version: 0xd", "400 400 426 101 426", 426, VERSION),
    row("Sec-WebSocket-Version: \"13\"", "400 400 426 400 426", 426, ""),
    row("Sec-WebSocket-Version: x", "400 400 426 400 426", 426, ""),
    row("Sec-WebSocket-Version: ", "400 400 426 400 426", 426, ""),
    row("-Sec-WebSocket-Version", "400 400 426 400 426", 400, ""),
    row("GET / HTTP/1.0", "505 101 101 101 101", 400, HTTP),
    row("GET / HTTP/1.2", "end 400 101 400 505", 400, HTTP),
    row("GET / HTTP/2.0", "end 101 400 101 505", 400, HTTP),
    row("POST / HTTP/1.1", "405 405 405 405 400", 405, ""),
    row("HEAD / HTTP/1.1", "405 101 405 405 400", 405, METHOD),
    row("OPTIONS / HTTP/1.1", "405 405 405 405 400", 405, ""),
    row("CONNECT relay.example:80 HTTP/1.1", "405 404 405 end 400", 405, ""),
    row("GET http://relay.example/ HTTP/1.1", "101 101 101 101 101", 101, ""),
    row("GET ws://relay.example/ HTTP/1.1", "101 101 101 101 400", 101, TARGET),
    row("GET * HTTP/1.1", "101 400 101 101 400", 101, TARGET),
    row("-Host", "101 400 400 101 400", 400, HOST),
    row("Host: relay.example\r\nHost: relay.example", "101 400 400 101 101", 400, HOST),
    row("Host:", "101 101 400 101 101", 101, HOST),
    row("host: relay.example\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "101 101 101 101 101", 101, ""),
    row("HOST: relay.example\r\nUPGRADE: WEBSOCKET\r\nCONNECTION: UPGRADE\r\nSEC-WEBSOCKET-VERSION: 13\r\nSEC-WEBSOCKET-KEY: dGhlIHNhbXBsZSBub25jZQ==", "101 101 101 101 101", 101, ""),
    row("Upgrade:websocket\r\nConnection:Upgrade\r\nSec-WebSocket-Version:13", "101 101 101 101 101", 101, ""),
    row("Upgrade : websocket", "end 400 400 400 400", 400, ""),
    row("Connection: keep-alive,\r\n Upgrade", "end 400 400 400 400", 400, ""),
    row("Content-Length: 0", "101 101 101 101 101", 101, ""),
    row("Content-Length: 5", "end 101 ... 101 101", 400, BODY),
    row("Content-Length: 0\r\nContent-Length: 5", "end 400 400 400 400", 400, ""),
    row("Content-Length: x", "end 400 400 400 400", 400, ""),
    row("Transfer-Encoding: chunked", "end 101 ... 101 101", 400, BODY),
    row("Transfer-Encoding: identity", "end 101 400 101 400", 400, BODY),
    row("Transfer-Encoding: gzip", "end 101 400 101 400", 400, BODY),
    row("Transfer-Encoding: chunked\r\nContent-Length: 5", "end 400 400 400 400", 400, ""),
    row("Expect: 100-continue", "101 101 101 101 101", 101, ""),
    row("X: a\0b", "end 400 400 400 400", 400, ""),
    row("X: a\rb", "end 400 400 400 400", 400, ""),
    row("X: é", "101 101 101 101 101", 101, ""),
    row("nonsense", "end 400 400 400 400", 400, ""),
];
