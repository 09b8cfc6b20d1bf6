//! Which requests ask for a WebSocket, and whether they do as RFC 6455 §4.2.1 wants it: pure.
//!
//! actix-http parses the head, and refuses what could be read in two ways (folded lines, a blank in front
//! of a colon, two lengths). What the fields mean is judged here, and not by its own notion of an upgrade,
//! which takes no list in `Upgrade` and no `close` in `Connection`. Reading more generously than others on
//! the way cannot smuggle a request in: a connection has one, and nothing behind its head is read as HTTP.

use actix_http::RequestHead;
use actix_web::http::{
    Method, Version,
    header::{self, HeaderName},
};
use actix_web_actors::ws::HandshakeError;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};

/// Bytes in a `Sec-WebSocket-Key` (RFC 6455 §4.1).
const KEY_SIZE: usize = 16;
/// Base64 as RFC 4648 §3.5 permits it: the last character may have bits that mean nothing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Whether a request is for a WebSocket, well said or not. One by `CONNECT` is for a tunnel, which is no
/// page either.
pub(super) fn is_wanted(head: &RequestHead) -> bool {
    head.method == Method::CONNECT || names(head, header::UPGRADE, "websocket")
}

/// Whether a request says that it asks for an upgrade, of whatever kind (RFC 9110 §7.8).
pub(super) fn is_announced(head: &RequestHead) -> bool {
    names(head, header::CONNECTION, "upgrade")
}

/// Whether a request says that its connection ends with the answer (RFC 9112 §9.6).
pub(super) fn closes(head: &RequestHead) -> bool {
    names(head, header::CONNECTION, "close")
}

/// Whether a request is one handshake and nothing beside it: of HTTP/1.1 (RFC 9110 §7.8 has `Upgrade`
/// mean nothing before), with no second version or key (RFC 6455 §11.3.1, §11.3.5), and without a body,
/// which would be taken for frames.
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
///
/// `close` beside `upgrade` is for the HTTP connection (RFC 9110 §7.6.1), which ends with the upgrade
/// anyway: lighttpd sends it.
///
/// # Errors
///
/// What is missing.
pub(super) fn verify(head: &RequestHead) -> Result<(), HandshakeError> {
    let headers = &head.headers;
    if head.method != Method::GET {
        return Err(HandshakeError::GetMethodRequired);
    }
    if !names(head, header::UPGRADE, "websocket") {
        return Err(HandshakeError::NoWebsocketUpgrade);
    }
    if !is_announced(head) {
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

/// Whether a field that is a list of tokens has this one, in whatever line and case (RFC 9110 §5.3,
/// §5.6.1). What has a parameter or a version behind it is another token.
fn names(head: &RequestHead, field: HeaderName, token: &str) -> bool {
    let lines = head.headers.get_all(field);
    let mut elements = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}
