//! Plain HTTP: the pages for the relay's operator, the page for everybody (`page`), and a word to who asks for
//! neither and brings no WebSocket.
//!
//! The former are for the operator (`operator`) alone; whether the relay is well, its settings may let everybody
//! see.

use std::sync::Arc;

use actix_web::{
    App, HttpRequest, HttpResponse, Route, guard,
    http::header::{self, Accept, Header, HeaderValue},
    web::{self, Data},
};
use relay_wire::ending::Ending;

use super::{
    handshake::{answer, client},
    operator, page, scrape, status,
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
        .route("/healthz", read().to(healthz))
        .route("/readyz", read().to(readyz))
        .route("/metrics", read().to(metrics))
        .route("/status", read().to(status))
        .default_service(web::to(others))
}

/// A page that is asked for, or its head alone.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Answers what asks for none of these: the page for everybody, or a word.
async fn others(request: HttpRequest, state: Data<State>) -> HttpResponse {
    page::answer(&request, &state).unwrap_or_else(|| not_a_websocket(&request, &state))
}

/// Tells who asks for no page and no WebSocket what there is.
fn not_a_websocket(request: &HttpRequest, state: &State) -> HttpResponse {
    let mut response = refused(Ending::NotAWebSocket, request, state);
    response
        .headers_mut()
        .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

/// The answer to a request that gets no page.
fn refused(ending: Ending, request: &HttpRequest, state: &State) -> HttpResponse {
    let peer = request.peer_addr();
    let client = peer.map(|peer| client(request.head(), peer.ip(), &state.live().trust));
    let visitor = client.map(|client| Visitor::new(client.addr));
    answer(ending, visitor.as_ref(), state).into()
}

/// Why this request may not be of the relay's operator, in one sentence; nothing if it is.
fn doubt(request: &HttpRequest, state: &State) -> Option<&'static str> {
    match request.peer_addr() {
        Some(peer) => operator::doubt(request.head(), peer.ip(), &state.live()),
        None => Some("It is not known where this request comes from."),
    }
}

/// A page for the operator, and a refusal for others.
fn for_operator(
    request: &HttpRequest,
    state: &State,
    page: impl FnOnce() -> HttpResponse,
) -> HttpResponse {
    match doubt(request, state) {
        None => page(),
        Some(why) => not_shown(why, request, state),
    }
}

/// The refusal of a page, and `why`: it may be the operator after all.
fn not_shown(why: &str, request: &HttpRequest, state: &State) -> HttpResponse {
    let sentence = Ending::PageNotAllowed.sentence().unwrap_or_default();
    refused(Ending::PageNotAllowed, request, state)
        .set_body(format!("{sentence} {why}\n"))
        .map_into_boxed_body()
}

/// Whether the relay runs.
async fn healthz(request: HttpRequest, state: Data<State>) -> HttpResponse {
    let stopping = state.is_stopping().then_some("stopping");
    health(&request, &state, "ok", stopping)
}

/// Whether somebody new would be served.
async fn readyz(request: HttpRequest, state: Data<State>) -> HttpResponse {
    health(&request, &state, "ready", state.unready())
}

/// That all is `well`, or the `trouble`, for whoever looks for it; which relay says so, its operator sees
/// alone.
fn health(request: &HttpRequest, state: &State, well: &str, trouble: Option<&str>) -> HttpResponse {
    let word = trouble.unwrap_or(well);
    let text = match doubt(request, state) {
        None => format!("{word} {}\n", version::SHOWN),
        Some(_) if state.live().config.health_open => format!("{word}\n"),
        Some(why) => return not_shown(why, request, state),
    };
    let mut response = match trouble {
        None => HttpResponse::Ok(),
        Some(_) => HttpResponse::ServiceUnavailable(),
    };
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.body(text)
}

/// In one of two formats, whichever the scraper likes better.
async fn metrics(request: HttpRequest, state: Data<State>) -> HttpResponse {
    for_operator(&request, &state, || {
        let accept = Accept::parse(&request).ok();
        let format = scrape::format(accept.as_ref());
        match state.page_of_metrics(format) {
            Ok(text) => HttpResponse::Ok()
                .content_type(format.media_type())
                .insert_header((header::VARY, "Accept"))
                .body(text),
            Err(_) => HttpResponse::InternalServerError().finish(),
        }
    })
}

async fn status(request: HttpRequest, state: Data<State>) -> HttpResponse {
    for_operator(&request, &state, || status::answer(&request, &state))
}
