//! Stands between the suite's client and a room, so that a client which knows nothing of rooms
//! finds itself paired with the sender of one.
//!
//! The handshake is passed on as it is. Before its answer is let through, a JOIN_ROOM is sent in
//! the client's place and the ROOM_JOINED is swallowed; after that the adapter is a plain pipe and
//! looks at no byte, so that what is judged is the relay.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use relay_wire::frame::{Opcode, encode_masked};

/// It may be anything (RFC 6455 §5.3).
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

/// Serves any number of clients, one thread each way, until the process ends.
pub fn spawn(relay: SocketAddr, room: String) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let room = room.clone();
            thread::spawn(move || {
                if let Err(error) = serve(&client, relay, &room) {
                    eprintln!("adapter: {error}");
                }
            });
        }
    });
    Ok(address)
}

fn serve(client: &TcpStream, relay: SocketAddr, room: &str) -> io::Result<()> {
    let relay = TcpStream::connect(relay)?;
    for socket in [client, &relay] {
        socket.set_nodelay(true)?;
    }
    let mut from_client = BufReader::new(client.try_clone()?);
    let mut from_relay = BufReader::new(relay.try_clone()?);

    (&relay).write_all(&read_head(&mut from_client)?)?;
    let answer = read_head(&mut from_relay)?;
    let join = format!(r#"{{"type":"JOIN_ROOM","room_id":"{room}"}}"#);
    (&relay).write_all(&encode_masked(Opcode::Text, true, join.as_bytes(), MASK))?;
    let reply = read_text(&mut from_relay)?;
    if !reply.contains(r#""ROOM_JOINED""#) {
        return Err(io::Error::other(reply));
    }
    let mut client = client;
    client.write_all(&answer)?;

    let up = thread::spawn(move || pipe(from_client, &relay));
    pipe(from_relay, client);
    let _ = up.join();
    Ok(())
}

/// Copies until the end, and passes the end on.
fn pipe(mut from: BufReader<TcpStream>, mut to: &TcpStream) {
    // Whichever side fails, the other hears of it as the end of the stream.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// An HTTP head, up to and including its empty line.
fn read_head(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// A server's text frame of less than 126 bytes.
fn read_text(from: &mut impl Read) -> io::Result<String> {
    let mut header = [0; 2];
    from.read_exact(&mut header)?;
    if header[0] != 0x81 || header[1] >= 126 {
        return Err(io::Error::other(format!("unexpected frame {header:x?}")));
    }
    let mut text = vec![0; usize::from(header[1])];
    from.read_exact(&mut text)?;
    String::from_utf8(text).map_err(io::Error::other)
}
