//! HTTP on the operator's socket: a path for each command, and JSON both ways.

use std::{convert::Infallible, fmt, net::SocketAddr, pin::pin, rc::Rc, sync::Arc, time::Duration};

use actix_http::{HttpService, KeepAlive, error::DispatchError};
use actix_rt::{
    net::UnixStream,
    time::{sleep, timeout},
};
use actix_service::{Service, ServiceFactory, map_config};
use actix_web::{
    App, HttpResponse, ResponseError,
    dev::{AppConfig, ServiceRequest, ServiceResponse},
    http::StatusCode,
    web::{self, Data, Json, JsonConfig, Query, QueryConfig},
};
use futures_util::future::select;
use log::{debug, warn};
use serde::Serialize;
use tokio::sync::{Semaphore, oneshot};

use super::{
    api::{Blocking, End, Limiting, Logging, MOST_ROWS, NotDone, Rows, Unblocking},
    office::{No, Office},
    socket::AdminSocket,
};

/// Connections that are served at once; others wait.
pub const CONNECTIONS: usize = 8;
/// The longest request, in bytes.
const MAX_REQUEST: usize = 4096;
/// How long a connection may take over one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the last of them may take once the relay has nothing else to do.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How long to wait when the system has no socket to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// Addresses and rooms of a status, where nobody says how many.
const FEW: usize = 5;

/// Serves the operator until `adjourned`, which comes true where its other end is dropped, and then those
/// who have asked already.
pub async fn serve(
    socket: AdminSocket,
    office: Arc<Office>,
    adjourned: oneshot::Receiver<Infallible>,
) {
    let pages = HttpService::build()
        .client_request_timeout(PATIENCE)
        .client_disconnect_timeout(PATIENCE)
        .keep_alive(KeepAlive::Disabled)
        .h1(map_config(app(office), |()| AppConfig::default()));
    let Ok(pages) = pages.new_service(()).await else {
        // Nothing in it can fail to start.
        return;
    };
    let (pages, places) = (Rc::new(pages), Arc::new(Semaphore::new(CONNECTIONS)));
    // Dropped when it is over: it holds a place for whoever comes next.
    {
        let accepting = pin!(accept(&socket, &pages, &places));
        select(accepting, adjourned).await;
    }
    // Who takes longer is not waited for.
    let _ = timeout(LAST_ANSWERS, places.acquire_many(CONNECTIONS as u32)).await;
}

/// Accepts connections, as far as there are places, and has each answered.
async fn accept<S>(socket: &AdminSocket, pages: &Rc<S>, places: &Arc<Semaphore>)
where
    S: Service<(UnixStream, Option<SocketAddr>), Error = DispatchError> + 'static,
{
    while let Ok(place) = Arc::clone(places).acquire_owned().await {
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                let pages = Rc::clone(pages);
                actix_rt::spawn(async move {
                    let served = timeout(PATIENCE, pages.call((stream, None))).await;
                    if let Ok(Err(error)) = served {
                        debug!("a connection of the operator's ended: {error}");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                warn!("the operator's socket cannot accept: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The paths.
fn app(
    office: Arc<Office>,
) -> App<
    impl actix_web::dev::ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let bad = |error: &dyn fmt::Display| No::Bad(error.to_string()).into();
    let bodies = JsonConfig::default()
        .limit(MAX_REQUEST)
        // What curl sends by itself has another type.
        .content_type_required(false)
        .error_handler(move |error, _| bad(&error));
    let queries = QueryConfig::default().error_handler(move |error, _| bad(&error));
    App::new()
        .app_data(Data::from(office))
        .app_data(bodies)
        .app_data(queries)
        .route("/status", web::get().to(status))
        .route("/rooms", web::get().to(rooms))
        .route("/who", web::get().to(who))
        .route("/decided", web::get().to(decided))
        .route("/end", web::post().to(end))
        .route("/block", web::post().to(block))
        .route("/unblock", web::post().to(unblock))
        .route("/limit", web::post().to(limit))
        .route("/drain", web::post().to(drain))
        .route("/log", web::post().to(log))
        .route("/reload", web::post().to(reload))
        .default_service(web::to(unknown))
}

type Answer = Result<HttpResponse, No>;

fn shown(answer: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(answer)
}

async fn status(office: Data<Office>, Query(Rows { rows }): Query<Rows>) -> HttpResponse {
    shown(office.status(rows.unwrap_or(FEW)).await)
}

async fn rooms(office: Data<Office>, Query(Rows { rows }): Query<Rows>) -> HttpResponse {
    shown(office.rooms(rows.unwrap_or(MOST_ROWS)).await)
}

async fn who(office: Data<Office>, Query(Rows { rows }): Query<Rows>) -> HttpResponse {
    shown(office.who(rows.unwrap_or(MOST_ROWS)).await)
}

async fn decided(office: Data<Office>) -> HttpResponse {
    shown(office.decided())
}

async fn end(office: Data<Office>, Json(End { room }): Json<End>) -> Answer {
    office.end(&room).await.map(shown)
}

async fn block(office: Data<Office>, Json(wanted): Json<Blocking>) -> Answer {
    office.block(wanted).await.map(shown)
}

async fn unblock(office: Data<Office>, Json(wanted): Json<Unblocking>) -> Answer {
    office.unblock(wanted).await.map(shown)
}

async fn limit(office: Data<Office>, Json(wanted): Json<Limiting>) -> Answer {
    office.limit(wanted).await.map(shown)
}

async fn drain(office: Data<Office>) -> Answer {
    office.drain().await.map(shown)
}

async fn log(office: Data<Office>, Json(Logging { filter }): Json<Logging>) -> Answer {
    office.log(filter).await.map(shown)
}

async fn reload(office: Data<Office>) -> Answer {
    office.reload().await.map(shown)
}

async fn unknown() -> Answer {
    Err(No::Missing(
        "there is no such command: OPERATING.md has all of them".to_owned(),
    ))
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Missing(why) | Self::Conflict(why) | Self::Bad(why)) = self;
        f.write_str(why)
    }
}

impl ResponseError for No {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let error = self.to_string();
        HttpResponse::build(self.status_code()).json(NotDone { error })
    }
}
