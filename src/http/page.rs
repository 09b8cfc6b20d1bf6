//! The page by which people share from a browser: its files, which the program carries ([`relay_page`]),
//! and what it asks of the relay beside its WebSocket.
//!
//! It is for everybody and has no secret in it. A folder is where the page is, whatever stands in front of its
//! name, and a file is known by the last part of its path: a proxy may have the relay under any path. Nothing
//! that is asked for is looked for outside of the program.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    dev::RequestHead,
    http::{
        Method, StatusCode,
        header::{
            self, Accept, AcceptEncoding, ContentEncoding, ETag, Encoding, EntityTag, Header,
            IfNoneMatch, Quality,
        },
    },
};
use relay_page::{File, INDEX};
use relay_wire::ending::Ending;
use serde_json::json;

use super::handshake;
use crate::{limits::access::Visitor, state::State};

/// Where the page asks what it needs to know of the relay, from its own folder on.
const CONFIG: &str = "/page/config";
/// Where the page has its browser go for a download that its service worker answers, from its own folder on.
const DOWNLOAD: &str = "/download";
/// What a browser is told where no page of the relay's own could connect.
const NOT_ALLOWED: &str =
    "This relay shows no page here: RELAY_ALLOWED_ORIGINS has neither \"own\" nor this address.";
/// What a browser may do with the page: run and show what comes from here, and connect to here (which for a
/// WebSocket is `'self'` as well, CSP Level 3 §6.7.2.8).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What of a browser's the page may use: none of what asks people first.
const PERMISSIONS: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), midi=(), \
    payment=(), usb=(), screen-wake-lock=(self), clipboard-write=(self)";
/// For names that have a hash of what is in them.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// For all others: kept, and asked for whether it is still the same.
const ASK_AGAIN: &str = "no-cache";

/// How files may be coded, the shortest first.
const CODINGS: [ContentEncoding; 3] = [
    ContentEncoding::Brotli,
    ContentEncoding::Gzip,
    ContentEncoding::Identity,
];

/// The answer to a request for the page or for one of its files, to what the page itself asks for, and to nothing
/// else.
///
/// The page itself is for browsers, which name it in their `Accept`: programs that ask for a folder have
/// forgotten to upgrade, and are told so elsewhere. Where no page of the relay's own could connect, there is none,
/// and a browser is told why.
pub(super) fn answer(request: &HttpRequest, state: &State) -> Option<HttpResponse> {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    if !reads || !state.live().config.page {
        return None;
    }
    let path = request.path();
    if !is_allowed(request, state) {
        let asked = path.ends_with('/') && names_a_page(request);
        return asked.then(|| HttpResponse::Forbidden().body(format!("{NOT_ALLOWED}\n")));
    }
    if path.ends_with(CONFIG) {
        return Some(config(request, state));
    }
    let (folder, name) = path.rsplit_once('/')?;
    if folder.ends_with(DOWNLOAD) {
        // The service worker is not there any more: on this a browser stays on the page.
        return Some(guarded(StatusCode::NO_CONTENT).finish());
    }
    match name {
        "" => names_a_page(request).then(|| file(INDEX, request))?,
        name => file(name, request),
    }
}

/// Whether the page could connect that is asked for.
fn is_allowed(request: &HttpRequest, state: &State) -> bool {
    let peer = request.peer_addr();
    peer.is_some_and(|peer| handshake::may_show_page(request.head(), peer.ip(), &state.live()))
}

/// Whether `Accept` names a page (RFC 9110 §12.5.1). Browsers do where somebody goes to an address;
/// programs take anything.
fn names_a_page(request: &HttpRequest) -> bool {
    let accepted = Accept::parse(request).map_or_else(|_| Vec::new(), |accept| accept.0);
    accepted
        .iter()
        .any(|it| it.item.essence_str() == "text/html" && it.quality > Quality::ZERO)
}

/// A file of the page, in the coding that its browser likes best; none where there is no such file.
fn file(name: &str, request: &HttpRequest) -> Option<HttpResponse> {
    let forms = CODINGS.into_iter().filter_map(|coding| {
        let file = relay_page::file(name, coding.as_str())?;
        Some((coding, file))
    });
    let forms: Vec<(ContentEncoding, File)> = forms.collect();
    let there: Vec<_> = forms
        .iter()
        .map(|&(coding, _)| Encoding::Known(coding))
        .collect();
    // Who says nothing, or takes none of them, is sent what needs no decoding.
    let accepted = AcceptEncoding::parse(request).ok();
    let chosen = accepted.and_then(|accepted| accepted.negotiate(there.iter()));
    let is_chosen = |coding| chosen.as_ref() == Some(&Encoding::Known(coding));
    let place = forms.iter().position(|&(coding, _)| is_chosen(coding));
    let last = forms.len().checked_sub(1)?;
    let (coding, file) = forms.into_iter().nth(place.unwrap_or(last))?;
    let tag = EntityTag::new_strong(hex(&file.digest));
    let known = IfNoneMatch::parse(request).is_ok_and(|known| matches(&known, &tag));
    let status = match known {
        true => StatusCode::NOT_MODIFIED,
        false => StatusCode::OK,
    };
    let mut response = guarded(status);
    let kept = if relay_page::is_immutable(name) {
        FOR_EVER
    } else {
        ASK_AGAIN
    };
    response
        .insert_header((header::CACHE_CONTROL, kept))
        .insert_header((header::VARY, "Accept, Accept-Encoding"))
        .insert_header(ETag(tag));
    if known {
        return Some(response.finish());
    }
    response.content_type(file.media_type);
    if coding != ContentEncoding::Identity {
        response.insert_header((header::CONTENT_ENCODING, coding.as_str()));
    }
    Some(response.body(file.bytes))
}

/// Whether a browser has what has this tag (RFC 9110 §13.1.2). A proxy that has compressed it anew has made
/// the tag a weak one.
fn matches(known: &IfNoneMatch, tag: &EntityTag) -> bool {
    match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(known) => known.iter().any(|it| it.weak_eq(tag)),
    }
}

/// What the page cannot find out by a WebSocket: what holds here, and for what one of this visitor's would be
/// refused just now, as a browser keeps the answer to a handshake to itself.
fn config(request: &HttpRequest, state: &State) -> HttpResponse {
    let (live, head) = (state.live(), request.head());
    let peer = request.peer_addr();
    let client = peer.map(|peer| handshake::client(head, peer.ip(), &live.trust));
    let refusal = client.and_then(|client| {
        let refusal = handshake::refusal(head, &client, origin(head), state)?;
        // Whoever tries keys here is counted as who tries them by handshakes.
        if refusal == Ending::AccessKeyRequired && handshake::shown(head).is_any() {
            state.handshake_refused(Some(&Visitor::new(client.addr)), refusal);
        }
        Some(refusal.name())
    });
    let config = &live.config;
    guarded(StatusCode::OK)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({
            "access_key": config.access_keys.required,
            "max_message": config.sender_message(),
            "refused": refusal,
        }))
}

/// Which origin the page that asks says it is of. A browser says it of itself with a WebSocket, and not with what a page
/// asks of its own host.
fn origin(head: &RequestHead) -> Option<&[u8]> {
    let mut fields = head.uri.query()?.split('&');
    let origin = fields.find_map(|field| field.strip_prefix("origin="));
    origin.map(str::as_bytes)
}

/// An answer that a browser lets nobody else use, and uses for nothing else.
fn guarded(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::PERMISSIONS_POLICY, PERMISSIONS))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header(("cross-origin-resource-policy", "same-origin"));
    response
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
