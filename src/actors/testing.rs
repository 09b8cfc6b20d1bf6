//! What the tests of the actors share: a worker without a listener, and clients of it that say
//! exactly what they are told to.

use std::{ops::Deref, sync::Arc};

use actix::Addr;
use bytes::Bytes;
use relay_wire::frame::{Opcode, encode_masked};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::{
    directory::Directory,
    registry::RoomRegistry,
    session::{Session, Upgraded},
};
use crate::{
    cluster::Cluster,
    config::Config,
    flow::{buffers::UNSENT, credit::Share},
    limits::access::Visitor,
    observe::metrics::Format,
    state::State,
};

/// A worker on this thread.
pub(super) struct Worker {
    state: Arc<State>,
    directory: Arc<Directory>,
    pub(super) registry: Addr<RoomRegistry>,
}

impl Deref for Worker {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl Worker {
    /// The only worker of a relay.
    pub(super) fn new(config: Config) -> Self {
        let [worker] = Self::of(config);
        worker
    }

    /// The only worker of a node of a cluster that has reached no other.
    pub(super) fn of_node(config: Config, cluster: Cluster) -> Self {
        let state = State::new(config).in_cluster(Some(Arc::new(cluster)));
        let [worker] = Self::all_of(state);
        worker
    }

    /// All workers of a relay.
    pub(super) fn of<const N: usize>(config: Config) -> [Self; N] {
        Self::all_of(State::new(Config {
            workers: N,
            ..config
        }))
    }

    fn all_of<const N: usize>(state: State) -> [Self; N] {
        let state = Arc::new(state);
        let directory = Arc::new(Directory::new(N));
        std::array::from_fn(|index| Self {
            registry: directory.begin(&state, index),
            state: Arc::clone(&state),
            directory: Arc::clone(&directory),
        })
    }

    /// A session, and its client.
    pub(super) async fn connect(&self) -> (Addr<Session>, TcpStream) {
        self.connect_by(TcpSocket::new_v4().unwrap(), false).await
    }

    /// The same, as a check of this machine has them.
    pub(super) async fn connect_as_check(&self) -> (Addr<Session>, TcpStream) {
        self.connect_by(TcpSocket::new_v4().unwrap(), true).await
    }

    /// A session, and its client whose system takes little that it does not read.
    pub(super) async fn connect_narrow(&self) -> (Addr<Session>, TcpStream) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        self.connect_by(socket, false).await
    }

    async fn connect_by(&self, client: TcpSocket, check: bool) -> (Addr<Session>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = SockRef::from(&listener);
        // So that a flood can be ahead of its reader, as it gets on a connection that lasts.
        options.set_recv_buffer_size(4 << 20).unwrap();
        options.set_tcp_notsent_lowat(UNSENT).unwrap();
        let address = listener.local_addr().unwrap();
        let client = client.connect(address).await.unwrap();
        let (socket, peer) = listener.accept().await.unwrap();
        let upgraded = Upgraded {
            brought: None,
            compression: false,
            socket,
            head: Bytes::from_static(b"head"),
            unread: Bytes::new(),
            visitor: Visitor {
                check,
                ..Visitor::new(peer.ip())
            },
            slot: Share::take(self.state.pools.sessions.whole(), 1),
        };
        let session = Session::begin(upgraded, &self.state, &self.directory, &self.registry);
        (session, client)
    }

    /// The metrics as text.
    pub(super) fn metrics(&self) -> String {
        self.state.page_of_metrics(Format::OpenMetrics).unwrap()
    }
}

/// Sends a request.
pub(super) async fn ask(client: &mut TcpStream, request: &str) {
    let frame = encode_masked(Opcode::Text, true, request.as_bytes(), [1, 2, 3, 4]);
    client.write_all(&frame).await.unwrap();
}

/// Says something to its peer.
pub(super) async fn say(client: &mut TcpStream, what: &[u8]) {
    let frame = encode_masked(Opcode::Binary, true, what, [1, 2, 3, 4]);
    client.write_all(&frame).await.unwrap();
}

/// Reads until `text` has come.
pub(super) async fn hear(client: &mut TcpStream, text: &str) -> String {
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(text) {
        assert!(
            client.read_buf(&mut heard).await.unwrap() > 0,
            "{text} never came"
        );
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// Opens a room, and returns its code.
pub(super) async fn create(client: &mut TcpStream) -> String {
    ask(client, r#"{"type":"CREATE_ROOM"}"#).await;
    let created = hear(client, "1800}").await;
    created.split('"').nth(7).unwrap().to_owned()
}

/// Asks to join the room of this code.
pub(super) async fn join(client: &mut TcpStream, code: &str) {
    ask(
        client,
        &format!(r#"{{"type":"JOIN_ROOM","room_id":"{code}"}}"#),
    )
    .await;
}
