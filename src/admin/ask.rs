//! A client of the operator's socket: one request, one answer.

use std::{
    env,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use actix_codec::{Decoder, Encoder};
use actix_http::{
    ConnectionType, RequestHead,
    body::BodySize,
    h1::{ClientCodec, Message, MessageType},
};
use actix_web::http::{Method, StatusCode, Uri, header};
use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    task::LocalSet,
    time::timeout,
};

use super::api::NotDone;

/// The socket of a relay that systemd runs, and that of a user's relay in that user's runtime directory.
const SYSTEM: &str = "/run/claude-distill-relay/admin.sock";
const OF_USER: &str = "claude-distill-relay/admin.sock";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest answer, in bytes: several times what as many rows take as there may be.
const MAX_ANSWER: u64 = 16 << 20;

/// A relay, by its socket.
#[derive(Debug, Clone)]
pub(super) struct Relay(PathBuf);

/// What it has answered.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    /// JSON.
    pub(super) text: String,
}

impl Relay {
    /// The relay whose settings name its socket, or else the one of this machine or of this user.
    pub(super) fn find(named: Option<PathBuf>) -> Self {
        let of_user = || Some(Path::new(&env::var_os("XDG_RUNTIME_DIR")?).join(OF_USER));
        let of_user = || of_user().filter(|path| path.exists() && !Path::new(SYSTEM).exists());
        Self(named.or_else(of_user).unwrap_or_else(|| SYSTEM.into()))
    }

    /// Asks for what is at this path.
    ///
    /// # Errors
    ///
    /// In a sentence, with what to do about it.
    pub(super) fn get(&self, path: &str) -> Result<Answer, String> {
        self.ask(Method::GET, path, Bytes::new())
    }

    /// Has it do what is at this path.
    ///
    /// # Errors
    ///
    /// As of [`Relay::get`]. That it refuses is an answer.
    pub(super) fn post(&self, path: &str, wanted: &impl Serialize) -> Result<Answer, String> {
        let body = serde_json::to_vec(wanted).map_err(|error| error.to_string())?;
        self.ask(Method::POST, path, body.into())
    }

    fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| format!("nothing can be asked: {error}"))?;
        let asked = async {
            let asked = timeout(PATIENCE, exchange(&self.0, method, path, body)).await;
            asked.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
        };
        // The codec keeps the date by a task of its own.
        let asked = LocalSet::new().block_on(&runtime, asked);
        asked.map_err(|error| self.failure(&error))
    }

    /// Why a relay cannot be asked, and what to do about it.
    fn failure(&self, error: &io::Error) -> String {
        let socket = self.0.display();
        match error.kind() {
            ErrorKind::NotFound => format!(
                "there is no relay's socket at {socket}. One that systemd runs by the unit that comes with it \
                 has it there by itself, once it runs; to any other give RELAY_ADMIN_SOCKET=PATH, restart \
                 it, and ask with the same (claude-distill-relay --admin-socket PATH status)"
            ),
            ErrorKind::PermissionDenied => {
                format!("{socket} is for its owner and its group alone: sudo claude-distill-relay")
            }
            ErrorKind::ConnectionRefused => format!(
                "nobody answers at {socket}: the relay that made it has ended (systemctl status \
                 claude-distill-relay)"
            ),
            ErrorKind::TimedOut => format!(
                "the relay at {socket} does not answer within {} s: it hangs, or is stopped",
                PATIENCE.as_secs()
            ),
            _ => format!("the relay at {socket} cannot be asked: {error}"),
        }
    }
}

impl Answer {
    /// What it says, or why what was asked for is not done.
    ///
    /// # Errors
    ///
    /// That, in a sentence.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        let of_another = |error| format!("this is the answer of another version: {error}");
        if self.status.is_success() {
            return serde_json::from_str(&self.text).map_err(of_another);
        }
        let not: NotDone = serde_json::from_str(&self.text).map_err(of_another)?;
        Err(not.error)
    }

    /// Whether it was done.
    pub(super) fn is_done(&self) -> bool {
        self.status.is_success()
    }
}

/// One request, and the answer to its end.
async fn exchange(socket: &Path, method: Method, path: &str, body: Bytes) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut codec = ClientCodec::default();
    let mut head = RequestHead::default();
    head.method = method;
    head.uri = path.parse::<Uri>().map_err(io::Error::other)?;
    let headers = &mut head.headers;
    headers.insert(header::HOST, header::HeaderValue::from_static("relay"));
    head.set_connection_type(ConnectionType::Close);
    let mut request = BytesMut::new();
    let size = BodySize::Sized(body.len() as u64);
    codec.encode(Message::Item((head.into(), size)), &mut request)?;
    codec.encode(Message::Chunk(Some(body)), &mut request)?;
    stream.write_all(&request).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    read(codec, &answer).ok_or_else(|| io::Error::other("this is no answer of a relay"))
}

/// Parses a whole answer.
fn read(mut codec: ClientCodec, answer: &[u8]) -> Option<Answer> {
    let mut answer = BytesMut::from(answer);
    let status = codec.decode(&mut answer).ok()??.status;
    let mut body = Vec::new();
    if codec.message_type() != MessageType::None {
        let mut payload = codec.into_payload_codec();
        while let Some(chunk) = payload.decode(&mut answer).ok()?? {
            body.extend_from_slice(&chunk);
        }
    }
    Some(Answer {
        status,
        text: String::from_utf8(body).ok()?,
    })
}
