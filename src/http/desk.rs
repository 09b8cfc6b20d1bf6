//! What becomes of a connection from when it is accepted until it is a session or has its answer.
//!
//! Its head is read here, and handed on once it is whole. Who is too slow, says too much or has lost its
//! place is told so.

use std::{net::SocketAddr, pin::pin, time::Duration};

use actix_codec::Decoder;
use actix_http::{
    Request, ServiceConfig,
    error::{DispatchError, ParseError},
    h1::{Codec, Message},
};
use actix_rt::{net::TcpStream, time::timeout};
use actix_service::Service;
use bytes::BytesMut;
use futures_util::future::{Either, select};
use relay_wire::ending::Ending;

use super::{
    handshake::{self, Door},
    head::{Head, OneHead},
    places::{Lost, Place},
    upgrade,
};
use crate::{
    actors::within,
    flow::credit::Share,
    limits::{access::Visitor, address::AddressKey},
    observe::logging::log_client,
};

/// What the head of an HTTP request may take, and then the rest: its answer, for who gets no session.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that was just accepted.
pub(super) struct Arrival {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
    pub(super) lost: Lost,
    /// One of the connections on their way to becoming sessions.
    pub(super) _counted: Share,
}

/// Where the connections of a worker are received. `S` answers those that ask for a page.
pub(super) struct Desk<S> {
    pages: S,
    door: Door,
    /// For what is read and answered here. One for all, as it keeps the date.
    config: ServiceConfig,
}

impl<S> Desk<S>
where
    S: Service<(OneHead, Option<SocketAddr>), Response = (), Error = DispatchError>,
{
    pub(super) fn new(pages: S, door: Door) -> Self {
        Self {
            pages,
            door,
            config: ServiceConfig::default(),
        }
    }

    /// Reads the head of a connection's request, and has it answered.
    pub(super) async fn serve(&self, arrival: Arrival) {
        let Arrival {
            socket,
            peer,
            mut place,
            mut lost,
            _counted,
        } = arrival;
        let mut request = OneHead::new(socket);
        let visitor = Visitor::new(peer.ip());
        let client = visitor.network;
        let head = match read(&mut request, client, &mut place, &mut lost).await {
            Ok(head) => head,
            Err(Some(ending)) => return self.refuse(&request, &visitor, ending),
            Err(None) => return self.door.state.metrics.handshake_abandoned(),
        };
        let answering = async {
            if head == Head::TooLarge {
                self.refuse(&request, &visitor, Ending::HeadTooLarge);
                // If that fails, it is gone.
                let _ = request.let_go().await;
            } else {
                place.whole();
                // On the heap, so that it is no part of what a head that is half there takes.
                Box::pin(self.answer(request, peer, &visitor)).await;
            }
        };
        let answering = pin!(timeout(HEAD_TIMEOUT, answering));
        if let Either::Left((Err(_), _)) = select(answering, lost).await {
            log_client!(Debug, client, "a connection took too long over one request");
        }
    }

    /// Passes a request whose head is whole to whom it is for.
    async fn answer(&self, connection: OneHead, peer: SocketAddr, visitor: &Visitor) {
        let mut codec = Codec::new(self.config.clone());
        let ended = match parse(&mut codec, connection.head()) {
            Ok(request) if upgrade::is_wanted(request.head()) => {
                let door = &self.door;
                let answered = door.upgrade(request, codec, connection, peer.ip()).await;
                answered.map_err(|error| error.to_string())
            }
            Ok(_) => {
                let answered = self.pages.call((connection, Some(peer))).await;
                answered.map_err(|error| error.to_string())
            }
            Err(error) => {
                // By its number of headers.
                let too_large = matches!(error, ParseError::TooLarge);
                let ending = if too_large {
                    Ending::HeadTooLarge
                } else {
                    Ending::BadHandshake
                };
                self.refuse(&connection, visitor, ending);
                Err(error.to_string())
            }
        };
        if let Err(error) = ended {
            log_client!(
                Debug,
                visitor.network,
                "a connection ended before its upgrade: {error}"
            );
        }
    }

    /// Tells a client that its request is not even looked into, and why.
    fn refuse(&self, request: &OneHead, visitor: &Visitor, ending: Ending) {
        let answer = handshake::answer(ending, Some(visitor), &self.door.state);
        let codec = Codec::new(self.config.clone());
        if let Ok(answer) = handshake::encode(codec, answer) {
            request.say_last(&answer);
        }
    }
}

/// Parses a whole head. No part of a body is looked for.
fn parse(codec: &mut Codec, head: &[u8]) -> Result<Request, ParseError> {
    match codec.decode(&mut BytesMut::from(head))? {
        Some(Message::Item(request)) => Ok(request),
        // What the parser takes for a part of a head is none.
        Some(Message::Chunk(_)) | None => Err(ParseError::Incomplete),
    }
}

/// Reads the head of a request, for as long as its connection has its place. An error is what the client
/// is to be told, if it is there.
async fn read(
    request: &mut OneHead,
    client: AddressKey,
    place: &mut Place,
    lost: &mut Lost,
) -> Result<Head, Option<Ending>> {
    let reading = within(HEAD_TIMEOUT, request.read(|| place.heard()));
    match select(pin!(reading), lost).await {
        Either::Left((Ok(Ok(head)), _)) => Ok(head),
        Either::Left((Ok(Err(error)), _)) => {
            log_client!(
                Debug,
                client,
                "a connection ended before its request: {error}"
            );
            Err(None)
        }
        Either::Left((Err(_), _)) => Err(Some(Ending::HandshakeTimeout)),
        Either::Right(_) => Err(Some(Ending::TooManyHandshakes)),
    }
}
