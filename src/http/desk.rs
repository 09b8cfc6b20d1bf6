//! What becomes of a connection from when it is accepted until it is a session or has its answer.
//!
//! Its head is read here, and handed on once it is whole. Who is too slow, says too much or has lost its
//! place is told so.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use actix_http::{
    ServiceConfig,
    error::{DispatchError, ParseError},
    h1::Codec,
};
use actix_rt::{net::TcpStream, time::timeout};
use actix_service::Service;
use futures_util::future::{Either, select};
use relay_wire::ending::Ending;

use super::{
    handshake,
    head::{Head, OneHead},
    places::{Lost, Place},
};
use crate::{
    actors::within, flow::credit::Share, limits::address::AddressKey, observe::logging::log_client,
    state::State,
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

/// Where the connections of a worker are received. `S` answers what they ask.
pub(super) struct Desk<S> {
    service: S,
    state: Arc<State>,
    /// For the answers to who is not even asked. One for all, as it keeps the date.
    config: ServiceConfig,
}

impl<S> Desk<S>
where
    S: Service<(OneHead, Option<SocketAddr>), Response = (), Error = DispatchError>,
{
    pub(super) fn new(service: S, state: Arc<State>) -> Self {
        Self {
            service,
            state,
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
        let client = AddressKey::from(peer.ip());
        let head = match read(&mut request, client, &mut place, &mut lost).await {
            Ok(head) => head,
            Err(Some(ending)) => return self.refuse(&request, client, ending),
            Err(None) => return,
        };
        let answering = async {
            if head == Head::TooLarge {
                self.refuse(&request, client, Ending::HeadTooLarge);
                // If that fails, it is gone.
                let _ = request.let_go().await;
            } else {
                place.whole();
                // On the heap, so that it is no part of what a head that is half there takes.
                let served = Box::pin(self.service.call((request, Some(peer)))).await;
                self.note(client, served);
            }
        };
        let answering = pin!(timeout(HEAD_TIMEOUT, answering));
        if let Either::Left((Err(_), _)) = select(answering, lost).await {
            log_client!(Debug, client, "a connection took too long over one request");
        }
    }

    /// Tells a client that its request is not even looked into, and why.
    fn refuse(&self, request: &OneHead, client: AddressKey, ending: Ending) {
        let answer = handshake::answer(ending, client, &self.state.metrics);
        let codec = Codec::new(self.config.clone());
        if let Ok(answer) = handshake::encode(codec, answer) {
            request.say_last(&answer);
        }
    }

    /// Counts a request that the parser has refused.
    fn note(&self, client: AddressKey, served: Result<(), DispatchError>) {
        let Err(error) = served else {
            return;
        };
        let ending = match error {
            // By its number of headers.
            DispatchError::Parse(ParseError::TooLarge) => Some(Ending::HeadTooLarge),
            DispatchError::Parse(_) => Some(Ending::BadHandshake),
            _ => None,
        };
        if let Some(ending) = ending {
            handshake::refused(ending, client, &self.state.metrics);
        }
        log_client!(
            Debug,
            client,
            "a connection ended before its upgrade: {error}"
        );
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
