//! Plain HTTP: is the relay well, what has it counted, and a word to who brings no WebSocket.

use std::sync::Arc;

use actix_web::{
    App, HttpRequest, HttpResponse,
    http::header::{self, Accept, Header, HeaderValue},
    web::{self, Data},
};
use relay_wire::ending::Ending;

use super::{
    handshake::{answer, client},
    scrape,
};
use crate::{limits::access::Visitor, state::State, version};

/// The plain HTTP side.
pub fn app(
    state: Arc<State>,
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
        .app_data(Data::from(state))
        .route("/healthz", web::get().to(healthz))
        .route("/healthz", web::head().to(healthz))
        .route("/metrics", web::get().to(metrics))
        .default_service(web::to(not_a_websocket))
}

/// Answers what asks for no page and no WebSocket.
async fn not_a_websocket(request: HttpRequest, state: Data<State>) -> HttpResponse {
    let head = request.head();
    let peer = request.peer_addr();
    let client = peer.map(|peer| client(head, peer.ip(), &state.live().trust));
    let visitor = client.map(|client| Visitor::new(client.addr));
    let mut response = answer(Ending::NotAWebSocket, visitor.as_ref(), &state);
    response
        .headers_mut()
        .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.into()
}

/// Its first word is for whoever looks for one, the rest says which relay answers.
async fn healthz(state: Data<State>) -> HttpResponse {
    if state.is_stopping() {
        HttpResponse::ServiceUnavailable().body(format!("stopping {}\n", version::SHOWN))
    } else {
        HttpResponse::Ok().body(format!("ok {}\n", version::SHOWN))
    }
}

/// In one of two formats, whichever the scraper likes better.
async fn metrics(request: HttpRequest, state: Data<State>) -> HttpResponse {
    let accept = Accept::parse(&request).ok();
    let format = scrape::format(accept.as_ref());
    match state.page_of_metrics(format) {
        Ok(text) => HttpResponse::Ok()
            .content_type(format.media_type())
            .insert_header((header::VARY, "Accept"))
            .body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
