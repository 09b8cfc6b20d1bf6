use std::{future::poll_fn, time::Duration};

use relay_wire::frame::{encode, encode_close};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::timeout,
};

use super::*;

/// A pipe that is driven until it ends, the client's and the room's ends of it.
fn pipe(
    first: &[u8],
    rest: &[u8],
    unread: &[u8],
) -> (Pipe, DuplexStream, DuplexStream, DuplexStream) {
    let (inner, client) = duplex(1000);
    let (upstream, room) = duplex(1000);
    let upstream = Upstream {
        stream: Box::new(upstream),
        rest: rest.to_vec(),
        expires_in: 0,
        resume_within: 0,
    };
    (
        Pipe::new(upstream, first.to_vec(), unread.to_vec()),
        inner,
        client,
        room,
    )
}

/// Drives it until it ends.
async fn run(pipe: &mut Pipe, inner: &mut DuplexStream) -> End {
    let mut buffer = [0; 300];
    poll_fn(|task| {
        let turn = pipe.poll(inner, &mut buffer, task);
        if turn.more {
            task.waker().wake_by_ref();
        }
        turn.end.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

async fn read(stream: &mut DuplexStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    timeout(Duration::from_secs(5), stream.read_exact(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    bytes
}

#[tokio::test]
async fn everything_goes_both_ways_in_order_and_a_close_ends_it() {
    let (mut pipe, mut inner, mut client, mut room) = pipe(b"\x81\x01a", b"\x81\x01b", b"ahead");
    let long: Vec<u8> = (0..100_000).map(|it| it as u8).collect();
    let frame = encode(Opcode::Binary, &long);
    let said = long.clone();
    let talk = tokio::spawn(async move {
        room.write_all(&frame).await.unwrap();
        let got = read(&mut room, 5 + said.len()).await;
        assert_eq!((&got[..5], &got[5..]), (&b"ahead"[..], &said[..]));
        room.write_all(&encode_close(1001, "sender_disconnected"))
            .await
            .unwrap();
        // It ends here.
    });
    let listen = tokio::spawn(async move {
        let got = read(&mut client, 6 + 10 + long.len()).await;
        assert_eq!(
            (&got[..6], &got[16..]),
            (&b"\x81\x01a\x81\x01b"[..], &long[..])
        );
        client.write_all(&long).await.unwrap();
        let mut close = Vec::new();
        client.read_to_end(&mut close).await.unwrap();
        close
    });
    let end = run(&mut pipe, &mut inner).await;
    assert_eq!(end, End::Room(Last::Close));
    drop((pipe, inner));
    talk.await.unwrap();
    assert_eq!(
        listen.await.unwrap(),
        encode_close(1001, "sender_disconnected")
    );
}

#[tokio::test]
async fn a_node_that_dies_is_told_from_one_that_has_said_close() {
    for (said, last) in [
        (&b""[..], Last::Whole),
        (b"\x81\x01a", Last::Whole),
        (b"\x81", Last::Part),
        (b"\x82\x7e\x01\x00abc", Last::Part),
        (b"\x81\x02a", Last::Part),
        (b"\x88\x00", Last::Close),
    ] {
        let (mut pipe, mut inner, mut client, mut room) = pipe(b"", b"", b"");
        room.write_all(said).await.unwrap();
        drop(room);
        let end = run(&mut pipe, &mut inner).await;
        assert_eq!(end, End::Room(last), "{said:?}");
        assert_eq!(read(&mut client, said.len()).await, said);
    }
}

#[tokio::test]
async fn a_close_of_this_node_stands_between_two_frames() {
    let close = encode_close(1012, "server_shutdown");
    let (mut pipe, mut inner, mut client, mut room) = pipe(b"", b"", b"");
    room.write_all(b"\x82\x04ab").await.unwrap();
    let mut buffer = [0; 300];
    poll_fn(|task| {
        assert!(pipe.poll(&mut inner, &mut buffer, task).end.is_none());
        Poll::Ready(())
    })
    .await;
    assert_eq!(pipe.rest(), None, "a frame is on its way");
    pipe.close(close.clone());
    room.write_all(b"cd\x82\x02ef").await.unwrap();
    let End::Closed(rest) = run(&mut pipe, &mut inner).await else {
        unreachable!("nobody else has ended it")
    };
    assert_eq!(read(&mut client, 6).await, b"\x82\x04abcd");
    assert_eq!(rest, close);
}

#[tokio::test]
async fn a_client_that_is_gone_is_told_to_the_room_and_what_it_said_comes_first() {
    let (mut pipe, mut inner, mut client, mut room) = pipe(b"", b"", b"");
    client.write_all(b"last words").await.unwrap();
    drop(client);
    let listen = tokio::spawn(async move {
        let mut got = Vec::new();
        room.read_to_end(&mut got).await.unwrap();
        got
    });
    let end = run(&mut pipe, &mut inner).await;
    assert_eq!(end, End::Room(Last::Whole));
    assert_eq!(listen.await.unwrap(), b"last words");
}

#[tokio::test]
async fn who_does_not_read_has_little_held_for_it() {
    let (mut pipe, mut inner, client, mut room) = pipe(b"", b"", b"");
    assert_eq!(pipe.rest(), Some(&b""[..]));
    let flood = tokio::spawn(async move {
        let mut sent = 0;
        while timeout(Duration::from_millis(200), room.write_all(&[0; 100]))
            .await
            .is_ok()
        {
            sent += 100;
        }
        sent
    });
    let mut buffer = [0; 300];
    let driven = poll_fn(|task| {
        let _ = pipe.poll(&mut inner, &mut buffer, task);
        Poll::<()>::Pending
    });
    let sent = tokio::select! {
        sent = flood => sent.unwrap(),
        () = driven => unreachable!("it does not end"),
    };
    // What the two systems hold, and one read.
    assert!((2000..=2300).contains(&sent), "{sent}");
    drop(client);
}

#[tokio::test]
async fn what_a_client_said_before_it_hung_up_on_data_is_said() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (mut inner, _) = listener.accept().await.unwrap();
    let (upstream, mut room) = duplex(100_000);
    let upstream = Upstream {
        stream: Box::new(upstream),
        rest: Vec::new(),
        expires_in: 0,
        resume_within: 0,
    };
    let mut pipe = Pipe::new(upstream, b"unread".to_vec(), Vec::new());
    let mut buffer = [0; 300];
    poll_fn(|task| {
        assert!(pipe.poll(&mut inner, &mut buffer, task).end.is_none());
        Poll::Ready(())
    })
    .await;
    // Its system resets the connection, as something has come that was not read.
    let mut client = client;
    client.readable().await.unwrap();
    client.write_all(b"cancel").await.unwrap();
    drop(client);
    room.write_all(&encode(Opcode::Binary, &[0; 5000]))
        .await
        .unwrap();
    let listen = tokio::spawn(async move {
        let mut got = Vec::new();
        room.read_to_end(&mut got).await.unwrap();
        got
    });
    let end = poll_fn(|task| {
        let turn = pipe.poll(&mut inner, &mut buffer, task);
        if turn.more {
            task.waker().wake_by_ref();
        }
        turn.end.map_or(Poll::Pending, Poll::Ready)
    })
    .await;
    assert_eq!(end, End::Client);
    assert_eq!(listen.await.unwrap(), b"cancel");
}
