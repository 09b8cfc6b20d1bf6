//! Clients that compress, by hand: what they offer, what they say, and what they are sent as it came.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use relay_testing::{
    Raw, TestRelay, frame,
    http::{Response, UPGRADE},
    pairs::paired,
    reply,
    wire::{CONTINUATION, Outgoing, PING, TEXT},
};
use relay_wire::frame::{COMPRESSED, Header, MAX_HEADER};

/// What today's clients offer.
pub const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// Connects with this offer; what it was answered.
pub async fn offering(relay: &TestRelay, offer: &str, more: &str) -> (Raw, Response) {
    let head = format!("{UPGRADE}Sec-WebSocket-Extensions: {offer}\r\n{more}");
    Raw::upgrade_by(relay, &head).await
}

/// A client with compression, or without.
pub async fn client(relay: &TestRelay, compression: bool) -> Raw {
    match compression {
        true => offering(relay, OFFER, "").await.0,
        false => Raw::connect(relay).await,
    }
}

/// A sender and its receiver, each with compression or without.
pub async fn pair(relay: &TestRelay, sender: bool, receiver: bool) -> (Raw, Raw) {
    paired(client(relay, sender).await, client(relay, receiver).await).await
}

/// As RFC 7692 §7.2.1 has it, with a window of so many bits.
pub fn deflate_within(message: &[u8], bits: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 8 + 100);
    Compress::new_with_window_bits(Compression::default(), false, bits)
        .compress_vec(message, &mut out, FlushCompress::Sync)
        .unwrap();
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

pub fn deflate(message: &[u8]) -> Vec<u8> {
    deflate_within(message, 9)
}

pub fn inflate(compressed: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size + 1);
    Decompress::new(false)
        .decompress_vec(
            &[compressed, &[0, 0, 0xff, 0xff]].concat(),
            &mut out,
            FlushDecompress::Sync,
        )
        .unwrap();
    out
}

/// A compressed message in one frame.
pub fn compressed(opcode: u8, message: &[u8]) -> Outgoing {
    frame(opcode, deflate(message)).rsv(COMPRESSED)
}

/// These bytes as one compressed message: in frames of so many bytes, with a Ping behind the first.
pub fn in_frames(opcode: u8, bytes: &[u8], size: usize) -> Vec<Outgoing> {
    let count = bytes.chunks(size).len();
    let mut frames = Vec::new();
    for (index, piece) in bytes.chunks(size).enumerate() {
        let next = match index {
            0 => frame(opcode, piece).rsv(COMPRESSED),
            _ => frame(CONTINUATION, piece),
        };
        frames.push(if index + 1 < count { next.more() } else { next });
        if index == 0 && count > 1 {
            frames.push(frame(PING, "between"));
        }
    }
    frames
}

/// A message as it came: whether it was compressed, its opcode, its payload.
#[derive(Debug, PartialEq)]
pub struct Came {
    pub compressed: bool,
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// The next message. Only its first frame may have the bit.
pub async fn message(raw: &mut Raw) -> Came {
    let mut came: Option<Came> = None;
    loop {
        let (header, payload) = next(raw).await;
        let opcode = header.opcode as u8;
        if header.opcode.is_control() {
            assert_eq!(header.rsv, 0);
            assert!(opcode != 8, "{payload:?} instead of a message");
            if opcode == PING {
                raw.pong(&payload.into()).await;
            }
            continue;
        }
        assert_eq!(opcode == CONTINUATION, came.is_some());
        match &mut came {
            Some(came) => {
                assert_eq!(header.rsv, 0, "a bit on a further frame");
                came.payload.extend(payload);
            }
            None => {
                assert!(header.rsv & !COMPRESSED == 0);
                came = Some(Came {
                    compressed: header.rsv != 0,
                    opcode,
                    payload,
                });
            }
        }
        if let Some(came) = came.take_if(|_| header.fin) {
            return came;
        }
    }
}

/// The next text, which was not compressed.
pub async fn plain_text(raw: &mut Raw) -> String {
    let came = message(raw).await;
    assert_eq!((came.compressed, came.opcode), (false, TEXT));
    String::from_utf8(came.payload).unwrap()
}

async fn next(raw: &mut Raw) -> (Header, Vec<u8>) {
    let mut bytes = raw.take(2, "a frame").await.to_vec();
    let (header, len) = loop {
        if let Some(found) = Header::parse(&bytes).unwrap() {
            break found;
        }
        assert!(bytes.len() < MAX_HEADER);
        bytes.extend(raw.take(1, "a header").await);
    };
    assert_eq!(len, bytes.len());
    let payload = raw.take(header.len as usize, "a payload").await;
    (header, payload.to_vec())
}

/// Opens a room by a compressed request.
pub async fn create(raw: &mut Raw) -> String {
    raw.send(compressed(TEXT, reply::CREATE.as_bytes())).await;
    reply::created(&raw.next_json("ROOM_CREATED").await)
}
