//! The page on lines that are cut, and in a browser that loads it anew in the middle of a transfer.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use relay_testing::{
    TestRelay,
    browser::Kind,
    line::{Forwarder, Line},
    wait::DEADLINE,
};

use crate::{
    peer::{PASSPHRASE, Peer, page_at},
    sharing::{File, in_each_browser},
};

/// Bytes of a file that takes some seconds over a line of this rate.
const SIZE: usize = 8_000_000;
const RATE: u64 = 4_000_000;
/// How long a browser waits for a page that does not come: longer than it goes without reading the file.
const NO_PAGE: Duration = Duration::from_secs(4);

in_each_browser!(
    a_receiver_whose_line_is_cut_goes_on,
    a_sender_whose_line_is_cut_goes_on,
    a_sender_that_is_left_for_a_page_that_does_not_come_goes_on,
);

/// Shares a file, until some of it has come.
fn begin(sender: &Peer, receiver: &Peer, file: &File) {
    let code = sender.share(file.path(), PASSPHRASE);
    receiver.receive(&code, PASSPHRASE);
    receiver.until_moved(0.1);
}

fn a_receiver_whose_line_is_cut_goes_on(kind: Kind) {
    let relay = TestRelay::start(|_| {});
    let line = Line::of(RATE).lay(relay.addr());
    let file = File::new("film.mp4", SIZE);
    let Some(sender) = Peer::open(Kind::Chromium, &page_at(relay.addr())) else {
        return;
    };
    let Some(receiver) = Peer::open(kind, &page_at(line.addr())) else {
        return;
    };
    begin(&sender, &receiver, &file);
    line.cut();
    assert!(receiver.saved(file.size()).1 == file.content);
    // Not all anew: the head of the page and less than twice the file has come.
    assert!(line.down() < 2 * file.size(), "{} bytes", line.down());
}

fn a_sender_whose_line_is_cut_goes_on(kind: Kind) {
    let relay = TestRelay::start(|_| {});
    let line = Line::of(RATE).lay(relay.addr());
    let file = File::new("film.mp4", SIZE);
    let Some(sender) = Peer::open(kind, &page_at(line.addr())) else {
        return;
    };
    let Some(receiver) = Peer::open(Kind::Chromium, &page_at(relay.addr())) else {
        return;
    };
    begin(&sender, &receiver, &file);
    line.cut();
    assert!(receiver.saved(file.size()).1 == file.content);
    assert!(line.up() < 2 * file.size(), "{} bytes", line.up());
    sender.until_delivered(1);
}

/// WebKit refuses every read of a file from when the page begins to be left until the next one comes, or never does.
fn a_sender_that_is_left_for_a_page_that_does_not_come_goes_on(kind: Kind) {
    let relay = TestRelay::start(|_| {});
    let line = Arc::new(Line::of(RATE / 2).lay(relay.addr()));
    let file = File::new("film.mp4", 2 * SIZE);
    let Some(sender) = Peer::open(kind, &page_at(line.addr())) else {
        return;
    };
    let Some(receiver) = Peer::open(Kind::Chromium, &page_at(relay.addr())) else {
        return;
    };
    let (elsewhere, asked) = no_page(line.clone());
    begin(&sender, &receiver, &file);
    sender.leaves_for(&page_at(elsewhere));
    let up = asked.recv_timeout(DEADLINE).unwrap();
    // More is yet to be read than waits on its way.
    assert!(up < file.size() / 2, "it leaves too late: {up} bytes");
    assert!(receiver.saved(file.size()).1 == file.content);
    sender.until_delivered(1);
}

/// A server that keeps browsers waiting, and then says that there is nothing to show. It tells how many bytes the
/// line had carried up when a browser asked.
fn no_page(line: Arc<Forwarder>) -> (SocketAddr, Receiver<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (tell, asked) = channel();
    // The threads end with the process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, line, tell) = (stream.unwrap(), line.clone(), tell.clone());
            thread::spawn(move || {
                // A browser may open a connection that it asks nothing on.
                if stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {
                    tell.send(line.up()).ok();
                    thread::sleep(NO_PAGE);
                    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok();
                }
            });
        }
    });
    (addr, asked)
}

/// In browsers that keep what has come where the page finds it again. Debian's WebKit has no such place.
#[test]
fn a_receiver_that_loads_the_page_anew_goes_on() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        goes_on_anew(kind);
    }
}

fn goes_on_anew(kind: Kind) {
    let relay = TestRelay::start(|_| {});
    // A driver may take a second to load the page anew, by which the file is not to be there.
    let line = Line::of(RATE / 4).lay(relay.addr());
    let file = File::new("film.mp4", SIZE);
    let Some(sender) = Peer::open(Kind::Chromium, &page_at(relay.addr())) else {
        return;
    };
    let Some(receiver) = Peer::open(kind, &page_at(line.addr())) else {
        return;
    };
    begin(&sender, &receiver, &file);
    // It knows the code, and asks for the passphrase, which it has kept nowhere; who mistypes it tries again.
    receiver.go_on_anew("mistyped");
    assert!(receiver.fails().starts_with("The passphrase is wrong."));
    receiver.go_on_anew(PASSPHRASE);
    assert!(receiver.saved(file.size()).1 == file.content);
}

#[test]
fn a_sender_that_loads_the_page_anew_goes_on() {
    for kind in Kind::ALL {
        shares_on_anew(kind);
    }
}

/// It has kept what it shares. What is chosen meanwhile is for another time.
fn shares_on_anew(kind: Kind) {
    let relay = TestRelay::start(|_| {});
    let line = Line::of(RATE).lay(relay.addr());
    let [file, other] = ["film.mp4", "other.mp4"].map(|name| File::new(name, SIZE));
    let Some(sender) = Peer::open(kind, &page_at(line.addr())) else {
        return;
    };
    let Some(receiver) = Peer::open(Kind::Chromium, &page_at(relay.addr())) else {
        return;
    };
    begin(&sender, &receiver, &file);
    // A page that goes sooner leaves nothing to go on with.
    sender.until_kept(2);
    sender.window().type_into("#files", other.path());
    line.cut();
    receiver.until_moved(0.3);
    sender.go_on_anew(PASSPHRASE);
    assert!(receiver.saved(file.size()).1 == file.content);
}
