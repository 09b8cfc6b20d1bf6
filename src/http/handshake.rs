//! Which upgrades become sessions (RFC 6455 §4.2.1).

use std::{io, net::IpAddr, sync::Arc};

use actix::Addr;
use actix_codec::{Encoder, Framed, FramedParts};
use actix_http::{
    ConnectionType, Request, RequestHead, Response,
    body::{BodySize, BoxBody, MessageBody},
    h1::{Codec, Message},
    ws,
};
use actix_web::http::{Method, StatusCode, Version, header};
use actix_web_actors::ws::HandshakeError;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use bytes::{Bytes, BytesMut};
use log::warn;
use relay_wire::ending::{Ending, Retry, Told};
use tokio::io::AsyncWriteExt;

use super::{head::OneHead, own_check};
use crate::{
    actors::{
        directory::Directory,
        registry::RoomRegistry,
        session::{Session, Upgraded},
    },
    flow::credit::{Full, Share},
    limits::address::{AddressKey, Client, Named, Source, client_addr},
    observe::{logging::log_client, metrics::Metrics},
    state::State,
};

/// Seconds after which a client that met a passing trouble may try again.
const RETRY_AFTER: &str = "10";
/// Bytes in a `Sec-WebSocket-Key` (RFC 6455 §4.1).
const KEY_SIZE: usize = 16;
/// Base64 as RFC 4648 §3.5 permits it: the last character may have bits that mean nothing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

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
    /// Makes a session of an upgrade request, or answers why not.
    ///
    /// # Errors
    ///
    /// Where the answer cannot be written: the client is gone.
    pub async fn upgrade(
        &self,
        request: Request,
        framed: Framed<OneHead, Codec>,
    ) -> Result<(), actix_web::Error> {
        let mut parts = framed.into_parts();
        let Some(peer) = request.peer_addr() else {
            // It is gone already.
            return Ok(());
        };
        let local = parts.io.local_ip();
        let ours = own_check::is_ours(request.head(), peer.ip(), local, &self.state.trust);
        match self.admit(&request, peer.ip(), ours) {
            Ok((response, client, slot)) => {
                let mut head = BytesMut::new();
                let message = Message::Item((response.drop_body(), BodySize::None));
                parts.codec.encode(message, &mut head)?;
                self.state.metrics.session_began();
                let (socket, rest) = parts.io.into_parts();
                let upgraded = Upgraded {
                    socket,
                    head: head.freeze(),
                    unread: rest,
                    client,
                    check: ours,
                    slot,
                };
                Session::begin(upgraded, &self.state, &self.directory, &self.registry);
                Ok(())
            }
            Err(response) => Ok(refuse(parts, response).await?),
        }
    }

    /// Whether this request becomes a session: it must be a handshake, and there must be room. `ours`:
    /// whether it is a check's.
    fn admit(
        &self,
        request: &Request,
        peer: IpAddr,
        ours: bool,
    ) -> Result<Admitted, Response<BoxBody>> {
        let head = request.head();
        let client = client(head, peer, &self.state);
        let refused = |ending| answer(ending, client.key(), &self.state.metrics);
        if !is_well_formed(head) {
            return Err(refused(Ending::BadHandshake));
        }
        verify(head).map_err(|error| {
            log_client!(
                Debug,
                client.key(),
                "what is wrong with a handshake: {error}"
            );
            // With the headers that tell the client what would be right.
            let plain = refused(ending_of(&error));
            Response::from(error).set_body(plain.into_body())
        })?;
        if self.state.is_refusing() {
            return Err(refused(Ending::RelayRestarting));
        }
        let places = self.state.pools.sessions.of(client.key());
        let slot = Share::try_take(&places, 1).map_err(|full| {
            refused(match full {
                Full::Whole => Ending::RelayFull,
                Full::Part => Ending::AddressSessions,
            })
        })?;
        if client.source == Source::SilentProxy && !ours {
            self.state.warn_unnamed(|| {
                warn!(
                    "a trusted proxy says nothing of who is behind it: all of its clients share \
                     the budgets and shares of one address (set X-Forwarded-For there, or \
                     RELAY_TRUSTED_PROXIES here)"
                );
            });
        }
        let whose = if client.forwarded() {
            "forwarded"
        } else {
            "direct"
        };
        let response = ws::handshake_response(head)
            .insert_header(("x-relay-client", whose))
            .finish();
        Ok((response.map_into_boxed_body(), client.key(), slot))
    }
}

/// Whose request this is that came from the TCP peer `peer`.
pub(super) fn client(head: &RequestHead, peer: IpAddr, state: &State) -> Client {
    let (trust, headers) = (&state.trust, &head.headers);
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

type Admitted = (Response<BoxBody>, AddressKey, Share);

/// Whether a request is one handshake and nothing beside it: of HTTP/1.1, with no second version or
/// key, and without a body, which would be taken for frames.
pub(super) fn is_well_formed(head: &RequestHead) -> bool {
    let headers = &head.headers;
    let once = |name| headers.get_all(name).count() <= 1;
    let length = headers.get(header::CONTENT_LENGTH);
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| !is_zero(length.as_bytes().trim_ascii()));
    head.version >= Version::HTTP_11
        && once(header::SEC_WEBSOCKET_KEY)
        && once(header::SEC_WEBSOCKET_VERSION)
        && !has_body
}

/// Whether a `Content-Length` (RFC 9110 §8.6) is none at all.
fn is_zero(length: &[u8]) -> bool {
    !length.is_empty() && length.iter().all(|&digit| digit == b'0')
}

/// Whether a request asks for a WebSocket as RFC 6455 §4.2.1 wants it.
fn verify(head: &RequestHead) -> Result<(), HandshakeError> {
    let headers = &head.headers;
    if head.method != Method::GET {
        return Err(HandshakeError::GetMethodRequired);
    }
    let mut upgrades = headers.get_all(header::UPGRADE);
    if !upgrades.any(|line| names_websocket(line.as_bytes())) {
        return Err(HandshakeError::NoWebsocketUpgrade);
    }
    if !head.upgrade() {
        return Err(HandshakeError::NoConnectionUpgrade);
    }
    match headers.get(header::SEC_WEBSOCKET_VERSION) {
        None => return Err(HandshakeError::NoVersionHeader),
        Some(version) if version.as_bytes().trim_ascii() != b"13" => {
            return Err(HandshakeError::UnsupportedVersion);
        }
        Some(_) => {}
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.and_then(|key| BASE64.decode(key.as_bytes().trim_ascii()).ok());
    match key {
        Some(key) if key.len() == KEY_SIZE => Ok(()),
        _ => Err(HandshakeError::BadWebsocketKey),
    }
}

/// Whether a list of protocols (RFC 9110 §7.8) names WebSocket.
fn names_websocket(list: &[u8]) -> bool {
    let mut names = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    names.any(|name| name.eq_ignore_ascii_case(b"websocket"))
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

/// Counts and logs that a client's request ends so.
pub(super) fn refused(ending: Ending, client: impl Into<Option<AddressKey>>, metrics: &Metrics) {
    metrics.handshake_refused(ending);
    log_client!(Info, client, "handshake refused: {}", ending.name());
}

/// The answer in plain HTTP to a client whose request ends so, which is counted and logged.
pub(super) fn answer(
    ending: Ending,
    client: impl Into<Option<AddressKey>>,
    metrics: &Metrics,
) -> Response<BoxBody> {
    refused(ending, client, metrics);
    let status = match ending.told() {
        Told::Http(status) => StatusCode::from_u16(status).ok(),
        Told::Error | Told::Close(_) | Told::Echo | Told::Nothing => None,
    };
    let mut response = Response::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    if ending.retry() == Retry::Later {
        response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
    }
    let sentence = ending.sentence().unwrap_or_default();
    response.body(format!("{sentence}\n")).map_into_boxed_body()
}

/// Answers in plain HTTP, and closes.
async fn refuse(parts: FramedParts<OneHead, Codec>, response: Response<BoxBody>) -> io::Result<()> {
    let FramedParts { mut io, codec, .. } = parts;
    io.write_all(&encode(codec, response)?).await?;
    io.shutdown().await
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
