//! What TLS on the way to a relay tells, and what its failures mean.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use relay_client::{
    stream::{Io, Stream, TooMuch},
    tls::{Secured, SetupError, Tls, TlsError},
};

use super::{
    net::flood,
    note::{Note, Outcome},
    target::Target,
};

/// A day, in seconds.
const DAY: u64 = 24 * 60 * 60;
/// How long before its end a certificate is worth a warning. certbot renews one of 90 days at 30.
const SOON: Duration = Duration::from_secs(14 * DAY);

/// What handshakes with the target need: nothing for a `ws://` one.
pub(super) fn prepare(target: &Target) -> Result<Option<Tls>, Note> {
    let host = &target.url.host;
    let tls = target.url.tls.then(|| Tls::new(host)).transpose();
    tls.map_err(|error| match error {
        SetupError::NoRoots => Note::fail("this machine trusts no certificate authority at all")
            .means("its list of them is not installed; the relay may be well")
            .next("sudo apt install ca-certificates"),
        SetupError::Roots(error) => Note::fail(format!(
            "the certificate authorities that this machine trusts are of no use: {error}"
        )),
        SetupError::Library(error) => Note::fail(format!("TLS cannot be set up: {error}")),
        SetupError::Name(error) => {
            Note::fail(format!("{host} is no name for a certificate: {error}"))
        }
    })
}

/// TLS where the target wants it, over a connection that is there.
pub(super) async fn secure(tls: Option<&Tls>, stream: impl Io + 'static) -> Outcome<Stream> {
    let Some(tls) = tls else {
        return Ok((Box::new(stream), Note::skip("ws:// has none")));
    };
    let secured = tls.handshake(stream).await;
    let Secured {
        stream,
        version,
        name,
        expires,
    } = secured.map_err(|error| failure(&error).expires(tls.expires()))?;
    let note = expires
        .and_then(|end| expiring(&name, end, SystemTime::now()))
        .unwrap_or_else(|| Note::ok(format!("{version}, with a valid certificate for {name}")));
    Ok((stream, note.expires(expires)))
}

/// What there is to say of a certificate that ends then, if that is soon.
fn expiring(name: &str, end: SystemTime, now: SystemTime) -> Option<Note> {
    let left = end.duration_since(now).unwrap_or_default();
    let days = match left.as_secs() / DAY {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let date = Timestamp::try_from(end).map_or_else(
        |_| String::new(),
        |end| format!(" (on {})", end.strftime("%Y-%m-%d")),
    );
    (left < SOON).then(|| {
        Note::warn(format!("the certificate for {name} ends in {days}{date}"))
            .means("its renewal has stopped, or the renewed one was not loaded; once it has ended, clients get no further")
            .next("sudo certbot renew && sudo nginx -s reload   (where it is kept)")
    })
}

/// A failed handshake in words. Certificates are their issuer's work: a relay knows of none.
fn failure(error: &TlsError) -> Note {
    match error {
        TlsError::Expired(why) => Note::fail(format!("the certificate has expired ({why})"))
            .means("its renewal has stopped, or the renewed one was never loaded")
            .next("sudo certbot renew && sudo nginx -s reload   (where it is kept); date   (is it right here?)"),
        TlsError::NotYetValid(why) => {
            Note::fail(format!("the certificate is not valid yet ({why})"))
                .means("the clock of this machine is wrong, more often than the certificate")
                .next("date -u   (on this machine)")
        }
        TlsError::OtherName(why) => {
            Note::fail(format!("the certificate is for another name ({why})"))
                .means(
                    "the name leads to another site's server, or its own site is not set up there",
                )
                .next("deploy/setup-nginx-relay.sh with this name, or the tunnel's route for it")
        }
        TlsError::SelfSigned => {
            Note::fail("the certificate is self-signed: nobody vouches for it")
                .means("clients refuse it, unless they were told to trust this very one")
                .next("a certificate of a public authority (sudo certbot --nginx), or a tunnel, which brings its own")
        }
        TlsError::UnknownIssuer => Note::fail("the certificate's issuer is unknown here")
            .means(
                "its intermediate certificate is not sent along, or something \
                 on the way (an office's proxy, an antivirus) opens TLS",
            )
            .next("the full chain in nginx's ssl_certificate (fullchain.pem, not cert.pem)"),
        TlsError::Certificate(why) => {
            Note::fail(format!("the certificate cannot be accepted: {why}"))
                .means("it is made for another use than a server's, or against today's rules")
                .next("a certificate of a public authority, or the tunnel's own")
        }
        TlsError::NoCertificate(alert) => Note::fail(format!(
            "the server has no certificate for this name ({alert:?})"
        ))
        .means(
            "the name is not set up there; Cloudflare's free certificate covers \
             relay.example.com, but nothing below it such as a.relay.example.com",
        )
        .next("Cloudflare dashboard: SSL/TLS → Edge Certificates"),
        TlsError::Incompatible(why) => {
            Note::fail(format!("no common version or cipher of TLS ({why:?})"))
                .means("the server only speaks a TLS older than 1.2, or its settings are broken")
                .next("ssl_protocols TLSv1.2 TLSv1.3;   (in its nginx site)")
        }
        TlsError::NotTls => Note::fail("what answers there does not speak TLS")
            .means("the port is one for plain HTTP, or for something else altogether")
            .next(WITHOUT_TLS),
        TlsError::HungUp => Note::fail("the server hung up in the middle of the TLS handshake")
            .means("the port does not speak TLS, or a firewall ends the connection")
            .next(WITHOUT_TLS),
        TlsError::Other(error) if TooMuch::is_in(error) => flood(),
        TlsError::Other(error) => Note::fail(format!("TLS failed: {error}")),
    }
}

const WITHOUT_TLS: &str = "the same check with ws:// in place of wss://, or with another port";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_in_its_last_fourteen_days() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let after = |days: u64, seconds: u64| {
            expiring(
                "a.example",
                now + Duration::from_secs(days * DAY + seconds),
                now,
            )
        };
        assert!(after(14, 0).is_none() && after(90, 0).is_none());
        let note = after(13, DAY - 1).map(|it| it.detail);
        assert_eq!(
            note.as_deref(),
            Some("the certificate for a.example ends in 13 days (on 2023-11-28)")
        );
        assert!(after(0, 0).is_some());
    }
}
