//! What speaks HTTP: the WebSocket handshake, `/healthz`, `/metrics`, and a word to browsers.
//!
//! actix-http parses every request. An upgrade leaves it here, with its socket, for a
//! [`Session`]: from then on no HTTP machinery stands between the socket and the actor, none of
//! its buffers is kept, and a session can be ended while its client reads nothing. [`OneHead`] keeps
//! HTTP to one request a connection.

mod head;

pub use head::OneHead;

use actix_codec::{Encoder, Framed, FramedParts};
use actix_http::{
    Request, Response,
    body::{BodySize, BoxBody, MessageBody},
    h1::{Codec, Message},
    ws,
};
use actix_rt::net::TcpListener;
use actix_web::{
    App, HttpResponse,
    http::{StatusCode, Version, header},
    web::{self, Data},
};
use bytes::{Bytes, BytesMut};
use log::{debug, warn};
use socket2::{SockRef, TcpKeepalive};
use std::{io, net::IpAddr, sync::Arc, time::Duration};
use tokio::io::AsyncWriteExt;

use crate::{
    client_addr::{Source, client_addr},
    config::Config,
    server::Shared,
    session::{Session, Upgraded},
    transport::credit::Credit,
    worker::Worker,
};

/// What a client is told that came to the wrong place, or without a WebSocket.
const NOT_A_WEBSOCKET: &str =
    "This is claude-distill-relay. Connect to it with a WebSocket client.\n";
/// Seconds after which a client that found the relay full may try again.
const RETRY_AFTER: &str = "10";

/// Connections that the system holds ready for us; beyond those it drops what clients send, and they
/// try again a second later. The system's own limit (`net.core.somaxconn`) may be lower.
const BACKLOG: i32 = 4096;

/// The longest silence that Linux lets keep-alive wait for (tcp(7)).
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(32_767);

/// Sets how many may wait on a listener, and what every socket it accepts is to have: they inherit
/// it.
pub fn prepare(listener: &TcpListener, config: &Config) {
    let listener = SockRef::from(listener);
    let tell = |option: &str, result: io::Result<()>| {
        if let Err(error) = result {
            warn!("{option} cannot be set: {error}");
        }
    };
    // Said anew: the standard library lets 128 wait, which a burst of clients overruns.
    tell("the backlog", listener.listen(BACKLOG));
    // Else every short answer would wait for the acknowledgement of the one before.
    tell("TCP_NODELAY", listener.set_tcp_nodelay(true));
    // The system counts in whole seconds.
    let second = Duration::from_secs(1);
    let first = config.ping_interval.clamp(second, LONGEST_KEEPALIVE);
    let keepalive = TcpKeepalive::new().with_time(first);
    // Else the system would look again after 75 seconds.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let keepalive = keepalive.with_interval(config.ping_interval.clamp(second, 5 * second));
    tell("SO_KEEPALIVE", listener.set_tcp_keepalive(&keepalive));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // For who is gone. Later than our own clock, since the system also counts a window that
        // stays closed although its reader reads, slowly and into a small buffer.
        let gone = Some(config.stall_timeout + config.ping_timeout);
        tell("TCP_USER_TIMEOUT", listener.set_tcp_user_timeout(gone));
    }
}

/// The plain HTTP side.
pub fn app(
    shared: Arc<Shared>,
) -> App<
    impl actix_web::dev::ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(Data::from(shared))
        .route("/healthz", web::get().to(healthz))
        .route("/healthz", web::head().to(healthz))
        .route("/metrics", web::get().to(metrics))
        .default_service(web::to(|| async {
            HttpResponse::build(StatusCode::UPGRADE_REQUIRED)
                .insert_header((header::UPGRADE, "websocket"))
                .body(NOT_A_WEBSOCKET)
        }))
}

async fn healthz(shared: Data<Shared>) -> HttpResponse {
    if shared.is_stopping() {
        HttpResponse::ServiceUnavailable().body("stopping\n")
    } else {
        HttpResponse::Ok().body("ok\n")
    }
}

async fn metrics(shared: Data<Shared>) -> HttpResponse {
    match shared.metrics.encode(&shared.snapshot()) {
        Ok(text) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

/// Makes a session of an upgrade request, or answers why not.
pub async fn upgrade(
    request: Request,
    framed: Framed<OneHead, Codec>,
    worker: &Worker,
) -> Result<(), actix_web::Error> {
    let mut parts = framed.into_parts();
    let Some(peer) = request.peer_addr() else {
        // It is gone already.
        return Ok(());
    };
    match admit(&request, peer.ip(), worker) {
        Ok((response, client, slot)) => {
            let mut head = BytesMut::new();
            let message = Message::Item((response.drop_body(), BodySize::None));
            parts.codec.encode(message, &mut head)?;
            worker.metrics.session_began();
            let (socket, rest) = parts.io.into_parts();
            let upgraded = Upgraded {
                socket,
                head: head.freeze(),
                unread: rest.into(),
                client,
                slot,
            };
            Session::begin(worker.next_session(), upgraded, worker);
            Ok(())
        }
        Err(response) => Ok(refuse(parts, response).await?),
    }
}

type Admitted = (Response<BoxBody>, crate::client_addr::AddressKey, Credit);

/// Whether this request becomes a session: it must be a handshake, and there must be room.
fn admit(request: &Request, peer: IpAddr, worker: &Worker) -> Result<Admitted, Response<BoxBody>> {
    if request.version() < Version::HTTP_11 {
        // RFC 6455 §4.2.1.
        let response = Response::build(StatusCode::BAD_REQUEST).body(NOT_A_WEBSOCKET);
        return Err(response.map_into_boxed_body());
    }
    let mut accepted = ws::handshake(request.head()).map_err(|error| {
        debug!("handshake refused: {error}");
        Response::from(error).set_body(BoxBody::new(NOT_A_WEBSOCKET))
    })?;
    let busy = |why: &'static str| {
        let mut response = Response::build(StatusCode::SERVICE_UNAVAILABLE);
        response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
        response.body(why).map_into_boxed_body()
    };
    if worker.is_refusing() {
        return Err(busy("The relay is restarting; try again in a moment.\n"));
    }
    let slot = Credit::try_charge(&worker.totals.sessions, 1)
        .ok_or_else(|| busy("The relay is full; try again in a moment.\n"))?;
    let client = client_addr(peer, &request.head().headers, &worker.trust);
    if client.source == Source::SilentProxy {
        worker.warn_unnamed(|| {
            warn!(
                "a trusted proxy says nothing of who is behind it: all of its clients share one \
                 budget (set X-Forwarded-For there, or RELAY_TRUSTED_PROXIES here)"
            );
        });
    }
    let whose = if client.forwarded() {
        "forwarded"
    } else {
        "direct"
    };
    let response = accepted.insert_header(("x-relay-client", whose)).finish();
    Ok((response.map_into_boxed_body(), client.key(), slot))
}

/// Answers in plain HTTP, and closes.
async fn refuse(parts: FramedParts<OneHead, Codec>, response: Response<BoxBody>) -> io::Result<()> {
    let FramedParts {
        mut io, mut codec, ..
    } = parts;
    let (mut response, body) = response.into_parts();
    response
        .head_mut()
        .set_connection_type(actix_http::ConnectionType::Close);
    let body = body.try_into_bytes().unwrap_or_else(|_| Bytes::new());
    let mut answer = BytesMut::new();
    codec.encode(
        Message::Item((response, BodySize::Sized(body.len() as u64))),
        &mut answer,
    )?;
    codec.encode(Message::Chunk(Some(body)), &mut answer)?;
    io.write_all(&answer).await?;
    io.shutdown().await
}
