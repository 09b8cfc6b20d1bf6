//! A TCP forwarder that keeps what passes, and through which nothing may pass for a while.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, mpsc as threads},
    thread,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{oneshot, watch},
};

/// What becomes of what is said through it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Passes,
    /// It waits, and so do new connections: as over a network that has lost its way.
    Held,
    /// The connections end, and new ones do so at once.
    Cut,
}

/// A forwarder at work, on a thread of its own.
pub struct Tap {
    addr: SocketAddr,
    state: watch::Sender<State>,
    /// What has passed, of both directions together. It is of use for small talk alone.
    heard: Arc<Mutex<Vec<u8>>>,
    _stop: oneshot::Sender<()>,
}

impl Tap {
    /// Lays one in front of what listens there, or will.
    pub fn to(target: SocketAddr) -> Self {
        let heard = Arc::default();
        let (state, states) = watch::channel(State::Passes);
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, start) = threads::channel();
        let ears = Arc::clone(&heard);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                let listener = listener.expect("a port to listen on");
                let addr = listener.local_addr().expect("an address");
                started.send(addr).expect("somebody who waits");
                tokio::select! {
                    () = serve(listener, target, states, ears) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            addr: start.recv().expect("a forwarder"),
            state,
            heard,
            _stop: stop,
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Lets nothing pass, and tells nobody.
    pub fn hold(&self) {
        self.state.send_replace(State::Held);
    }

    /// Ends all connections, and those that come.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Lets all pass again.
    pub fn mend(&self) {
        self.state.send_replace(State::Passes);
    }

    /// What has passed until now.
    pub fn heard(&self) -> MutexGuard<'_, Vec<u8>> {
        self.heard.lock().expect("a lock")
    }

    /// Whether this has passed in one piece.
    pub fn has_heard(&self, text: &str) -> bool {
        let heard = self.heard();
        heard.windows(text.len()).any(|it| it == text.as_bytes())
    }
}

async fn serve(
    listener: TcpListener,
    target: SocketAddr,
    states: watch::Receiver<State>,
    heard: Arc<Mutex<Vec<u8>>>,
) {
    loop {
        let (near, _) = listener.accept().await.expect("a connection");
        let (mut states, heard) = (states.clone(), Arc::clone(&heard));
        tokio::spawn(async move {
            let mut other = states.clone();
            let passing = async {
                until(&mut states, State::Passes).await;
                let far = TcpStream::connect(target).await.ok()?;
                for stream in [&near, &far] {
                    stream.set_nodelay(true).ok()?;
                }
                let (from_near, to_near) = near.into_split();
                let (from_far, to_far) = far.into_split();
                tokio::join!(
                    pass(from_near, to_far, states.clone(), &heard),
                    pass(from_far, to_near, states, &heard)
                );
                Some(())
            };
            tokio::select! {
                _ = passing => {}
                () = until(&mut other, State::Cut) => {}
            }
        });
    }
}

async fn until(states: &mut watch::Receiver<State>, state: State) {
    if states.wait_for(|it| *it == state).await.is_err() {
        std::future::pending().await
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut states: watch::Receiver<State>,
    heard: &Mutex<Vec<u8>>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).await;
        until(&mut states, State::Passes).await;
        let Ok(count @ 1..) = read else {
            drop(to.shutdown().await);
            return;
        };
        heard.lock().expect("a lock").extend(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
