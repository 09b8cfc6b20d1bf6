//! Which upgrades become sessions.

use std::{io, net::IpAddr, sync::Arc};

use actix::Addr;
use actix_codec::Encoder;
use actix_http::{
    ConnectionType, Request, RequestHead, Response,
    body::{BodySize, BoxBody, MessageBody},
    h1::{Codec, Message},
    ws,
};
use actix_web::http::{
    StatusCode,
    header::{self, HeaderName},
};
use actix_web_actors::ws::HandshakeError;
use bytes::{Bytes, BytesMut};
use log::warn;
use relay_wire::{
    ending::{Ending, Retry, Told},
    extension::{self, Answer},
    text::escaped,
};
use tokio::io::AsyncWriteExt;

use super::{head::OneHead, own_check, proxy, upgrade};
use crate::{
    actors::{
        directory::Directory,
        registry::RoomRegistry,
        session::{Brought, Session, Upgraded},
    },
    cluster::roads::hold_little,
    cluster::visit::HEADER,
    config::Config,
    flow::credit::{Full, Share},
    limits::{
        access::{Shown, Visitor},
        address::{Client, Named, Source, Trust, client_addr},
        origin::{may_connect, may_have_a_page},
        rules::Rule,
    },
    observe::logging::log_client,
    state::{Live, State},
};

/// Seconds after which a client that met a passing trouble may try again.
const RETRY_AFTER: &str = "10";
/// How a key may be shown (RFC 9110 §11.6.1), beside the way of our own.
const CHALLENGE: &str =
    r#"Bearer realm="claude-distill-relay", Basic realm="claude-distill-relay""#;
/// Bytes of an `Origin` that the log shows.
const MAX_SHOWN: usize = 200;

/// Where an upgrade becomes a session.
pub struct Door {
    /// The relay.
    pub state: Arc<State>,
    /// Its workers.
    pub directory: Arc<Directory>,
    /// The registry of this thread.
    pub registry: Addr<RoomRegistry>,
}

impl Door {
    /// Makes a session of a request for a WebSocket, or answers why not. `codec` has read it from
    /// `connection`, on which the TCP peer is `peer`.
    ///
    /// # Errors
    ///
    /// Where the answer cannot be written: the client is gone.
    pub(super) async fn upgrade(
        &self,
        request: Request,
        codec: Codec,
        connection: OneHead,
        peer: IpAddr,
    ) -> io::Result<()> {
        let (live, head) = (self.state.live(), request.head());
        if let (Some(cluster), Some(proof)) = (&self.state.cluster, head.headers.get(HEADER)) {
            let admitted = self.admit_node(head, peer, cluster, proof.as_bytes());
            return self.begin(admitted, codec, connection).await;
        }
        let ours = own_check::is_ours(head, peer, connection.local_ip(), &live);
        let client = client(head, peer, &live.trust);
        let admitted = self.admit(head, peer, &client, ours, &live);
        self.state.callers.came(client.key());
        self.begin(admitted, codec, connection).await
    }

    /// Begins the session of a request that is admitted, or answers why it is not.
    async fn begin(
        &self,
        admitted: Result<Admitted, Response<BoxBody>>,
        mut codec: Codec,
        connection: OneHead,
    ) -> io::Result<()> {
        match admitted {
            Ok(Admitted {
                response,
                visitor,
                slot,
                compression,
                brought,
            }) => {
                let mut head = BytesMut::new();
                let message = Message::Item((response.drop_body(), BodySize::None));
                codec.encode(message, &mut head)?;
                self.state.metrics.session_began();
                let (socket, rest) = connection.into_parts();
                if brought.is_some() {
                    hold_little(&socket);
                }
                let upgraded = Upgraded {
                    socket,
                    head: head.freeze(),
                    unread: rest,
                    visitor,
                    slot,
                    compression,
                    brought,
                };
                Session::begin(upgraded, &self.state, &self.directory, &self.registry);
                Ok(())
            }
            Err(response) => refuse(connection, codec, response).await,
        }
    }

    /// Whether this request becomes a session by the settings of now: it must be a handshake, and there
    /// must be room. `ours`: whether it is a check's.
    fn admit(
        &self,
        head: &RequestHead,
        peer: IpAddr,
        client: &Client,
        ours: bool,
        live: &Live,
    ) -> Result<Admitted, Response<BoxBody>> {
        let mut visitor = Visitor {
            check: ours,
            ..Visitor::new(client.addr)
        };
        self.verify(head, client, &visitor, live)?;
        let refused = |visitor: &Visitor, ending| answer(ending, Some(visitor), &self.state);
        let admitted = self.state.access.admit(shown(head));
        visitor.key = admitted.map_err(|ending| refused(&visitor, ending))?;
        let slot = slot(&visitor, &self.state).map_err(|ending| refused(&visitor, ending))?;
        let silent = client.source == Source::SilentProxy && !ours;
        if silent && proxy::shows_itself(head, peer, live) {
            warn_of_silent_proxy(live);
        }
        let compression = self.compression(head, &live.config);
        Ok(Admitted {
            response: accepted(head, client, compression),
            visitor,
            slot,
            compression: compression.is_some(),
            brought: None,
        })
    }

    /// Whether a request is a handshake, and of nobody who is kept out.
    fn verify(
        &self,
        head: &RequestHead,
        client: &Client,
        visitor: &Visitor,
        live: &Live,
    ) -> Result<(), Response<BoxBody>> {
        let refused = |ending| answer(ending, Some(visitor), &self.state);
        if !upgrade::is_well_formed(head) {
            return Err(refused(Ending::BadHandshake));
        }
        if let Rule::Blocked = self.state.rule(visitor) {
            return Err(refused(Ending::AddressBlocked));
        }
        upgrade::verify(head).map_err(|error| {
            log_client!(
                Debug,
                visitor.network,
                "what is wrong with a handshake: {error}"
            );
            // With the headers that tell the client what would be right.
            Response::from(error).set_body(refused(ending_of(&error)).into_body())
        })?;
        let origins = || lines(head, header::ORIGIN);
        if may_connect(&live.sites, origins(), hosts(head, client)) {
            return Ok(());
        }
        let origin = origins().next().unwrap_or_default();
        let shown = String::from_utf8_lossy(&origin[..origin.len().min(MAX_SHOWN)]);
        log_client!(
            Debug,
            visitor.network,
            "a web page of {} may not connect",
            escaped(&shown)
        );
        Err(refused(Ending::OriginNotAllowed))
    }

    /// What is answered to the client's offers of compression. Browsers, which have an `Origin`, are not
    /// offered any: Safari ends over compressed messages.
    fn compression(&self, head: &RequestHead, config: &Config) -> Option<Answer> {
        let offers = head.headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS);
        let negotiated = extension::negotiate(offers.map(|line| line.as_bytes()));
        let wanted = config.compression && !head.headers.contains_key(header::ORIGIN);
        let answer = negotiated.answer().filter(|_| wanted);
        self.state.metrics.negotiated(negotiated, answer);
        answer
    }
}

/// A request that becomes a session.
pub(super) struct Admitted {
    pub(super) response: Response<BoxBody>,
    pub(super) visitor: Visitor,
    pub(super) slot: Share,
    pub(super) compression: bool,
    pub(super) brought: Option<Brought>,
}

/// A place for one session more of this visitor's address.
pub(super) fn slot(visitor: &Visitor, state: &State) -> Result<Share, Ending> {
    if state.is_refusing() {
        return Err(Ending::RelayRestarting);
    }
    let places = state.pools.sessions.of(visitor.network);
    Share::try_take(&places, 1).map_err(|full| match full {
        Full::Whole => Ending::RelayFull,
        Full::Part => Ending::AddressSessions,
    })
}

/// What a handshake of a page of this origin would be refused for just now, if it came from where `head` did and
/// showed the key that `head` shows.
pub(super) fn refusal(
    head: &RequestHead,
    client: &Client,
    origin: Option<&[u8]>,
    state: &State,
) -> Option<Ending> {
    let visitor = Visitor::new(client.addr);
    if let Rule::Blocked = state.rule(&visitor) {
        return Some(Ending::AddressBlocked);
    }
    if !may_connect(&state.live().sites, origin.into_iter(), hosts(head, client)) {
        return Some(Ending::OriginNotAllowed);
    }
    let admitted = state.access.admit(shown(head));
    admitted.and_then(|_| slot(&visitor, state)).err()
}

/// The answer to a handshake that is accepted, which tells a check whether the relay sees its client.
fn accepted(head: &RequestHead, client: &Client, compression: Option<Answer>) -> Response<BoxBody> {
    let whose = match client.forwarded() {
        true => "forwarded",
        false => "direct",
    };
    let mut response = ws::handshake_response(head);
    response.insert_header(("x-relay-client", whose));
    if let Some(answer) = compression {
        response.insert_header((header::SEC_WEBSOCKET_EXTENSIONS, answer.to_string()));
    }
    response.finish().map_into_boxed_body()
}

fn warn_of_silent_proxy(live: &Live) {
    live.warn_unnamed(|| {
        warn!(
            "a trusted proxy says nothing of who is behind it: all of its clients share \
             the budgets and shares of one address (set X-Forwarded-For there, or \
             RELAY_TRUSTED_PROXIES here)"
        );
    });
}

/// What a request shows of an access key.
pub(super) fn shown(head: &RequestHead) -> Shown<'_> {
    let authorization = head.headers.get(header::AUTHORIZATION);
    Shown {
        query: head.uri.query(),
        authorization: authorization.map(|line| line.as_bytes()),
    }
}

/// Whose request this is that came from the TCP peer `peer`.
pub(super) fn client(head: &RequestHead, peer: IpAddr, trust: &Trust) -> Client {
    let headers = &head.headers;
    let own = trust.header.as_deref();
    let named = Named {
        alone: own
            .and_then(|name| headers.get_all(name).next_back())
            .map(|value| value.as_bytes()),
        chain: headers
            .get_all(header::X_FORWARDED_FOR)
            .map(|value| value.as_bytes()),
    };
    client_addr(peer, named, trust)
}

/// Whether a page of the relay's own could connect that is asked for by this request.
pub(super) fn may_show_page(head: &RequestHead, peer: IpAddr, live: &Live) -> bool {
    let client = client(head, peer, &live.trust);
    may_have_a_page(&live.sites, hosts(head, &client))
}

/// The names by which the relay is asked for.
fn hosts<'a>(head: &'a RequestHead, client: &Client) -> impl Iterator<Item = &'a [u8]> {
    // RFC 9112 §3.2.2: a target with a host goes over the header.
    let target = head
        .uri
        .authority()
        .map(|target| target.as_str().as_bytes());
    let host = target.or_else(|| lines(head, header::HOST).next());
    // Of proxies that ask for the relay by a name of their own. A page cannot set it.
    let is_of_proxy = client.source != Source::Peer;
    let forwarded = lines(head, header::X_FORWARDED_HOST).filter(move |_| is_of_proxy);
    let forwarded = forwarded.flat_map(|line| line.split(|&byte| byte == b','));
    host.into_iter().chain(forwarded)
}

fn lines(head: &RequestHead, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    head.headers.get_all(name).map(|line| line.as_bytes())
}

fn ending_of(error: &HandshakeError) -> Ending {
    match error {
        HandshakeError::GetMethodRequired
        | HandshakeError::NoWebsocketUpgrade
        | HandshakeError::NoConnectionUpgrade => Ending::NotAWebSocket,
        HandshakeError::NoVersionHeader
        | HandshakeError::UnsupportedVersion
        | HandshakeError::BadWebsocketKey => Ending::BadHandshake,
    }
}

/// The answer in plain HTTP to a client whose request ends so, which is counted and told.
pub(super) fn answer(
    ending: Ending,
    visitor: Option<&Visitor>,
    state: &State,
) -> Response<BoxBody> {
    state.handshake_refused(visitor, ending);
    let status = match ending.told() {
        Told::Http(status) => StatusCode::from_u16(status).ok(),
        Told::Error | Told::Close(_) | Told::Echo | Told::Nothing => None,
    };
    let mut response = Response::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    if ending.retry() == Retry::Later {
        response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
    }
    if ending == Ending::AccessKeyRequired {
        response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
    }
    let sentence = ending.sentence().unwrap_or_default();
    response.body(format!("{sentence}\n")).map_into_boxed_body()
}

/// Answers in plain HTTP, and closes.
async fn refuse(
    mut connection: OneHead,
    codec: Codec,
    response: Response<BoxBody>,
) -> io::Result<()> {
    connection.write_all(&encode(codec, response)?).await?;
    connection.shutdown().await
}

/// An answer in plain HTTP, behind which the connection ends, as bytes.
///
/// # Errors
///
/// None that a response of ours could cause.
pub(super) fn encode(mut codec: Codec, response: Response<BoxBody>) -> io::Result<BytesMut> {
    let (mut response, body) = response.into_parts();
    response
        .head_mut()
        .set_connection_type(ConnectionType::Close);
    let body = body.try_into_bytes().unwrap_or_else(|_| Bytes::new());
    let mut answer = BytesMut::new();
    codec.encode(
        Message::Item((response, BodySize::Sized(body.len() as u64))),
        &mut answer,
    )?;
    codec.encode(Message::Chunk(Some(body)), &mut answer)?;
    Ok(answer)
}
