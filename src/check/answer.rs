//! What it means when a WebSocket handshake is answered in plain HTTP: a proxy's error page, a
//! redirect, another site, or the relay itself with a word why not.

use relay_client::handshake::Answer;
use relay_wire::ending::Ending;

use super::{
    note::{Note, Status},
    target::{Place, Target},
};

const PROXY_SITE: &str = "nginx -T | less   (on the relay's machine: which site has this name?)";
const UPSTREAM: &str = "claude-distill-relay check   (on the relay's machine)";
const OVERLOADED: &str = "the request came too late: this machine or the way there is overloaded";
const TUNNEL: &str =
    "what this says of the tunnel: claude-distill-relay check   (on the relay's machine)";
/// Characters of a key, at least.
const LEAST_KEY: usize = 16;
/// A site of ours that is missing, disabled or of another name.
const SITE: &str =
    "deploy/setup-nginx-relay.sh, which writes the site; sudo nginx -T | grep server_name";
/// What servers say to plain HTTP on a port of theirs for TLS: nginx, Apache, and those written in Go.
const WANTS_TLS: [&str; 3] = [
    "plain HTTP request was sent to HTTPS port",
    "speaking plain HTTP to an SSL-enabled server port",
    "Client sent an HTTP request to an HTTPS server",
];

/// The answer to a handshake, in words.
pub(super) fn explain(target: &Target, answer: &Answer) -> Note {
    let detail = in_one_line(answer, target);
    match of_the_relay(answer, target, &detail) {
        Some(note) => note,
        None => of_another(answer, target, detail),
    }
}

fn in_one_line(answer: &Answer, target: &Target) -> String {
    let mut detail = format!("HTTP {}", answer.status);
    if let Some(reason) = answer.reason {
        detail += &format!(" {reason}");
    }
    if !answer.server.is_empty() {
        detail += &format!(" from {}", cut(&without_key(&answer.server, target)));
    }
    if let Some(title) = title(&answer.body) {
        detail += &format!(
            ", an HTML page titled \"{}\"",
            cut(&without_key(title, target))
        );
    }
    detail
}

/// What the relay means by it, if it is the relay's own.
fn of_the_relay(answer: &Answer, target: &Target, detail: &str) -> Option<Note> {
    let local = target.place == Place::Relay;
    let mut endings = Ending::ALL.iter().copied();
    let ending = endings.find(|&ending| ending.is_of_handshake() && says(answer, ending))?;
    match ending {
        Ending::RelayFull => Some(
            Note::warn("the relay is full: RELAY_MAX_SESSIONS are open")
                .means("it works, but takes nobody in until others leave")
                .next("a higher RELAY_MAX_SESSIONS, if the machine has the memory for it"),
        ),
        Ending::AddressSessions => Some(
            Note::warn("this address has RELAY_ADDRESS_SESSIONS open")
                .means(
                    "others get in; where all clients seem to have this address, a proxy names none",
                )
                .next("RELAY_TRUSTED_PROXIES, X-Forwarded-For; or a higher RELAY_ADDRESS_SESSIONS"),
        ),
        // It does its work, as far as can be seen: no reason to restart it.
        // As its settings have it: to have hashes alone is no fault.
        Ending::AccessKeyRequired if target.hashed => Some(
            Note::ok("the relay answers, and asks for an access key, as its settings say")
                .means("whether rooms work is not seen without a key, of which they have hashes alone")
                .next("a pair check:KEY in RELAY_ACCESS_KEYS, which a check then uses"),
        ),
        Ending::AccessKeyRequired if local => Some(
            Note::warn("the relay asks for an access key, and its settings have none in full")
                .means("it answers; whether rooms work is not seen without a key")
                .next("a pair check:KEY in RELAY_ACCESS_KEYS, which a check then uses"),
        ),
        Ending::AccessKeyRequired => Some(
            Note::fail("the relay asks for an access key, and was shown none that it knows")
                .means("it answers, and lets in who has a key of RELAY_ACCESS_KEYS")
                .next("the same check with ?key=KEY behind the URL, or NAME:KEY@ before its host"),
        ),
        // As somebody has decided: no reason to restart the relay.
        Ending::AddressBlocked => Some(
            Note::warn("the operator of the relay has blocked this address")
                .means("others get in; this check cannot tell more")
                .next("claude-distill-relay block, which lists who is blocked; then unblock"),
        ),
        Ending::RelayRestarting => Some(
            Note::warn("the relay is stopping or restarting")
                .means("it lets pairs finish, for RELAY_DRAIN_TIMEOUT at most")
                .next("the same check in half a minute"),
        ),
        // Not a fault of the relay's, and strangers can bring it about: no reason to restart it.
        Ending::TooManyHandshakes => Some(
            Note::warn("more connect to the relay at once than it has places for")
                .means("who has a session keeps it; others get in once these have come or given up")
                .next("the same check in a minute; nginx's access log shows who they are"),
        ),
        Ending::HandshakeTimeout => Some(
            Note::fail(format!("the relay has given up waiting for the request ({detail})"))
                .means(OVERLOADED)
                .next("uptime"),
        ),
        Ending::HeadTooLarge => Some(
            Note::fail(format!("the relay finds the request too long ({detail})"))
                .means("a proxy on the way adds more or longer headers than the relay takes")
                .next(PROXY_SITE),
        ),
        Ending::NotAWebSocket | Ending::BadHandshake => Some(
            Note::fail(format!(
                "the relay is reached, but as plain HTTP ({detail})"
            ))
            .means("a proxy on the way does not pass on the Upgrade and Connection headers")
            .next("deploy/setup-nginx-relay.sh writes a site that does"),
        ),
        // A rule of the relay's, in its own words.
        other => Some(
            Note::fail(format!("the relay refuses the handshake: {} ({detail})", other.name()))
                .means(other.sentence().unwrap_or_default())
                .next(PROXY_SITE),
        ),
    }
}

/// Whether the answer begins as that of `ending` does. Its first clause is enough: the rest may not
/// have come with the head.
fn says(answer: &Answer, ending: Ending) -> bool {
    let sentence = ending.sentence().unwrap_or_default();
    let clause = sentence.split([';', '.']).next().unwrap_or_default();
    !clause.is_empty() && answer.body.starts_with(clause)
}

/// What it means from anybody else.
fn of_another(answer: &Answer, target: &Target, detail: String) -> Note {
    let cloudflare = answer.server.eq_ignore_ascii_case("cloudflare");
    let note = Note::fail(detail);
    if !target.url.tls && WANTS_TLS.iter().any(|said| answer.body.contains(said)) {
        return note
            .means("the port wants TLS, and ws:// is without")
            .next("the same check with wss:// in place of ws://");
    }
    match answer.status {
        408 => note.means(OVERLOADED).next("uptime"),
        _ if target.place == Place::Relay => note
            .means("another program than the relay listens on its port")
            .next(format!("sudo ss -ltnp 'sport = :{}'", target.url.port)),
        200..=399 | 404 | 444 if target.place == Place::Nginx => note
            .means(format!(
                "another site of nginx's answers to {}: the relay's is missing, disabled, or has \
                 another name",
                target.url.host
            ))
            .next(SITE),
        421 => note
            .means("the relay's site in nginx has another name than this one")
            .next(SITE),
        502 if target.place == Place::Nginx => note
            .means("nginx is well, but finds nobody on the port that it passes on to")
            .next("the port in its site (sudo nginx -T | grep proxy_pass) beside RELAY_PORT; deploy/setup-nginx-relay.sh writes it anew"),
        200..=299 => note
            .means(
                "a web server answers that passes no WebSocket on: another site, or another port",
            )
            .next(PROXY_SITE),
        301 | 302 | 303 | 307 | 308 => redirect(&answer.location, target, note),
        401 | 403 if !cloudflare => note
            .means("an access rule of the web server's there (auth_basic, allow, deny) turns clients away")
            .next(PROXY_SITE),
        401 | 403 => note
            .means("an access rule or a firewall in front of the relay turns clients away")
            .next("Cloudflare dashboard: Access → Applications, and Security → Events"),
        404 => note
            .means("the proxy is up, but does not know this name or this path")
            .next(PROXY_SITE),
        400 | 405 | 426 => note
            .means("the proxy mangles the handshake, or this port is another site's")
            .next(PROXY_SITE),
        429 => Note {
            status: Status::Warn,
            ..note
        }
        .means("a limit of the proxy's, for this address; the relay may be well")
        .next("the same check in a minute"),
        502 if cloudflare => note
            .means("the tunnel is up, but what it leads to (nginx on port 80) does not answer")
            .next(UPSTREAM),
        502 => note
            .means("the proxy is up, but the relay behind it does not answer")
            .next(UPSTREAM),
        503 => note
            .means("the proxy has nobody to hand this to, or limits connections")
            .next(UPSTREAM),
        504 | 522 | 524 => note
            .means("the proxy waits for what is behind it, which hangs or is cut off")
            .next(UPSTREAM),
        520 | 521 | 523 => note
            .means("Cloudflare cannot reach the machine behind the name")
            .next(TUNNEL),
        525 | 526 => note
            .means("Cloudflare does not accept the TLS of the machine behind it")
            .next("type HTTP and URL localhost:80 in the tunnel's route"),
        530 => cloudflare_530(&answer.body, note),
        _ => note
            .means("not the relay but something in front of it answers")
            .next(UPSTREAM),
    }
}

fn redirect(location: &str, target: &Target, note: Note) -> Note {
    let to = shown(location);
    if location.contains("cloudflareaccess.com") {
        return note
            .means("Cloudflare Access wants a login, which no relay client can give")
            .next("Cloudflare dashboard: Access → Applications: take this name out");
    }
    if location.starts_with("https:") && !target.url.tls {
        return note
            .means(format!("the server wants TLS: it sends us to {to}"))
            .next(format!(
                "claude-distill-relay check wss://{}",
                target.url.host
            ));
    }
    note.means(format!(
        "the server sends us to {to}, and WebSocket clients do not follow"
    ))
    .next(PROXY_SITE)
}

/// Where a redirect leads. It often repeats the URL that was asked for, so that what may be a key is left out: the query,
/// and user and password.
fn shown(location: &str) -> String {
    let place = location.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match place.find("//") {
        Some(at) => place.split_at(at + "//".len()),
        None => ("", place),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match scheme {
        "" => authority,
        _ => authority.rsplit('@').next().unwrap_or_default(),
    };
    cut(&format!("{scheme}{host}{path}")).to_owned()
}

/// What is in a stranger's words of the URL's query, user and password, which may be a key: nothing.
fn without_key(text: &str, target: &Target) -> String {
    let query = target.url.path.split_once('?').map(|(_, query)| query);
    let fields = query.into_iter().flat_map(|query| query.split('&'));
    let values = fields.map(|field| field.split_once('=').map_or(field, |(_, value)| value));
    let user = target.url.user.iter().flat_map(|user| user.split(':'));
    let secrets = values.chain(user).chain(target.key.as_deref());
    // The parts of an address that are shorter are no keys.
    let secrets = secrets.filter(|it| it.len() >= LEAST_KEY);
    secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
}

/// Cloudflare's 530 is a cover; the number that counts stands in the body.
fn cloudflare_530(body: &str, mut note: Note) -> Note {
    for (code, means, next) in [
        (
            "1033",
            "Cloudflare error 1033: no cloudflared is connected for this tunnel",
            TUNNEL,
        ),
        (
            "1016",
            "Cloudflare error 1016: the name points to an origin that does not resolve",
            "Cloudflare dashboard: DNS → Records, and the tunnel's routes",
        ),
    ] {
        if body.contains(code) {
            note.detail += &format!(", error {code}");
            return note.means(means).next(next);
        }
    }
    note.means("Cloudflare has no way to the origin: most often the tunnel is down")
        .next(TUNNEL)
}

/// The title of an HTML page; empty where the page has none.
fn title(body: &str) -> Option<&str> {
    // ASCII only changes case here, so that places in one are places in the other.
    let lower = body.to_ascii_lowercase();
    if !lower.contains("<html") && !lower.contains("<!doctype html") {
        return None;
    }
    let inside = || {
        let start = lower.find("<title>")? + "<title>".len();
        let end = start + lower.get(start..)?.find("</title>")?;
        body.get(start..end)
    };
    Some(inside().unwrap_or_default().trim())
}

/// A stranger's words, not too many of them.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(80)]
}

#[cfg(test)]
mod tests;
