//! That the forwarder is as fast, as slow and as deep as it is told to be.

use super::*;
use crate::wait::within;

/// A line, and both ends of a connection through it.
async fn laid(line: Line) -> (Forwarder, TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let line = line.lay(listener.local_addr().unwrap());
    let client = TcpStream::connect(line.addr()).await.unwrap();
    client.set_nodelay(true).unwrap();
    let (relay, _) = within("a connection", listener.accept()).await.unwrap();
    relay.set_nodelay(true).unwrap();
    (line, client, relay)
}

/// How long so many bytes take from one end to the other, in seconds.
async fn seconds(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) -> f64 {
    let (start, sent) = (Instant::now(), vec![7; bytes]);
    let mut received = vec![0; bytes];
    let both = async {
        tokio::try_join!(from.write_all(&sent), to.read_exact(&mut received)).unwrap();
    };
    within("all bytes", both).await;
    assert!(received == sent);
    start.elapsed().as_secs_f64()
}

/// It takes so many seconds: never less, and the best of twenty times not much more. The rest is what a busy
/// machine adds.
async fn assert_takes(ought: f64, what: &str, once: impl AsyncFn() -> f64) {
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        best = best.min(once().await);
        println!("{what}: {best:.3} s for {ought} s");
        assert!(best > 0.97 * ought, "{what}: {best} s for {ought} s");
        if best < 1.05 * ought + 0.2 {
            return;
        }
    }
    panic!("{what}: {best} s for {ought} s");
}

/// So many bytes have arrived by this count, which follows them, and no more.
async fn assert_carried(count: impl Fn() -> u64, bytes: usize) {
    let counting = async {
        while count() < bytes as u64 {
            tokio::task::yield_now().await;
        }
    };
    within("the count", counting).await;
    assert_eq!(count(), bytes as u64);
}

#[tokio::test]
async fn each_way_has_its_rate() {
    let rates = [0.25, 2.0, 20.0, 100.0].map(mbit);
    let runs = rates.map(|rate| async move {
        let line = Line {
            down: rate,
            up: rate / 2,
            ..Line::default()
        };
        let bytes = rate as usize / 2;
        assert_takes(0.5, &format!("{rate} bytes/s down"), async || {
            let (line, mut client, mut relay) = laid(line).await;
            let took = seconds(&mut relay, &mut client, bytes).await;
            assert_carried(|| line.down(), bytes).await;
            assert_eq!(line.up(), 0);
            took
        })
        .await;
        assert_takes(
            0.5,
            &format!("{rate} bytes/s, up half of them"),
            async || {
                let (line, mut client, mut relay) = laid(line).await;
                let took = seconds(&mut client, &mut relay, bytes / 2).await;
                assert_carried(|| line.up(), bytes / 2).await;
                assert_eq!(line.down(), 0);
                took
            },
        )
        .await;
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn a_byte_is_under_way_for_as_long_as_it_is_told_and_a_thousand_no_longer() {
    let delay = Duration::from_millis(150);
    for bytes in [1, 1000, 100_000] {
        assert_takes(0.3, &format!("{bytes} bytes there and back"), async || {
            let (_line, mut client, mut relay) = laid(Line {
                delay,
                ..Line::default()
            })
            .await;
            seconds(&mut relay, &mut client, bytes).await
                + seconds(&mut client, &mut relay, bytes).await
        })
        .await;
    }
}

#[tokio::test]
async fn who_sends_is_read_up_to_the_buffer_and_no_further() {
    const BUFFER: usize = 4 << 20;
    let line = Line {
        buffer: BUFFER,
        ..Line::of(10_000)
    };
    let (_line, client, _relay) = laid(line).await;
    SockRef::from(&client)
        .set_send_buffer_size(128 << 10)
        .unwrap();
    let (mut written, chunk) = (0, [7; 16 << 10]);
    while written < BUFFER {
        within("room", client.writable()).await.unwrap();
        written += client.try_write(&chunk).unwrap_or(0);
    }
    // It never takes more once it takes nothing for a while, but for what the line carries.
    while let Ok(ready) = tokio::time::timeout(Duration::from_millis(300), client.writable()).await
        && written < 2 * BUFFER
    {
        ready.unwrap();
        written += client.try_write(&chunk).unwrap_or(0);
    }
    println!("{written} bytes were taken");
    assert!(written < BUFFER + (1 << 20), "{written}");
}

#[tokio::test]
async fn who_does_not_take_what_arrives_stops_the_line() {
    let line = Line {
        buffer: 1 << 20,
        ..Line::of(mbit(8.0))
    };
    let (_line, mut client, mut relay) = laid(line).await;
    SockRef::from(&client)
        .set_recv_buffer_size(64 << 10)
        .unwrap();
    relay.write_all(&vec![7; 1 << 20]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    client.read_exact(&mut vec![0; 1 << 20]).await.unwrap();
    let took = start.elapsed().as_secs_f64();
    // What the system's buffers and the allowed lateness hold is the rest.
    assert!(took > 0.6, "{took} seconds, and the line itself takes 1.05");
}

#[tokio::test]
async fn a_close_arrives_behind_what_was_said_and_the_other_way_goes_on() {
    let (_line, mut client, mut relay) = laid(Line::of(mbit(8.0))).await;
    client.write_all(&[7; 300_000]).await.unwrap();
    client.shutdown().await.unwrap();
    let mut all = Vec::new();
    within("a close", relay.read_to_end(&mut all))
        .await
        .unwrap();
    assert_eq!(all, [7; 300_000]);
    assert!(seconds(&mut relay, &mut client, 300_000).await > 0.28);
    drop(relay);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_reset_arrives_behind_what_was_said() {
    let (_line, mut client, mut relay) = laid(Line::of(mbit(8.0))).await;
    relay.write_all(&[7; 100_000]).await.unwrap();
    // A reset discards what the system has not sent yet; of this the forwarder has all by then.
    let mut first = [0; 50_000];
    client.read_exact(&mut first).await.unwrap();
    reset(&relay);
    drop(relay);
    client.read_exact(&mut first).await.unwrap();
    let end = within("an end", client.read(&mut [0])).await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn who_writes_to_somebody_who_has_gone_hears_of_the_reset() {
    let (_line, mut client, relay) = laid(Line::default()).await;
    client.write_all(b"never read").await.unwrap();
    relay.readable().await.unwrap();
    // With something unread, a close is a reset.
    drop(relay);
    let writing = async {
        loop {
            if let Err(error) = client.write_all(&[7; 1000]).await {
                return error.kind();
            }
            tokio::task::yield_now().await;
        }
    };
    let end = within("a reset", writing).await;
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    assert!(matches!(end, ConnectionReset | BrokenPipe), "{end}");
}

#[tokio::test]
async fn a_cut_resets_what_there_is_and_nothing_that_comes() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let line = Line::default().lay(listener.local_addr().unwrap());
    for round in 0..3 {
        let mut client = TcpStream::connect(line.addr()).await.unwrap();
        let (mut relay, _) = within("a connection", listener.accept()).await.unwrap();
        client.write_all(b"a").await.unwrap();
        assert_eq!(within("a byte", relay.read_u8()).await.unwrap(), b'a');
        line.cut();
        for end in [&mut client, &mut relay] {
            let kind = within("the cut", end.read_u8()).await.unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::ConnectionReset, "in round {round}");
        }
    }
}
