//! What TLS on the way to a relay tells, and what its failures mean.

use relay_client::{
    stream::Stream,
    tls::{Secured, SetupError, Tls, TlsError},
};
use tokio::net::TcpStream;

use super::{
    note::{Note, Outcome},
    target::Target,
};

/// What handshakes with the target need: nothing for a `ws://` one.
pub(super) fn prepare(target: &Target) -> Result<Option<Tls>, Note> {
    let host = &target.url.host;
    let tls = target.url.tls.then(|| Tls::new(host)).transpose();
    tls.map_err(|error| match error {
        SetupError::NoRoots => Note::fail("this machine trusts no certificate authority at all")
            .means("its list of them is not installed; the relay may be well")
            .next("sudo apt install ca-certificates"),
        SetupError::Library(error) => Note::fail(format!("TLS cannot be set up: {error}")),
        SetupError::Name(error) => {
            Note::fail(format!("{host} is no name for a certificate: {error}"))
        }
    })
}

/// TLS where the target wants it, over a connection that is there.
pub(super) async fn secure(tls: Option<&Tls>, stream: TcpStream) -> Outcome<Stream> {
    let Some(tls) = tls else {
        return Ok((Box::new(stream), Note::skip("ws:// has none")));
    };
    let secured = tls.handshake(stream).await;
    let Secured {
        stream,
        version,
        name,
    } = secured.map_err(|error| failure(&error))?;
    let note = Note::ok(format!("{version}, with a valid certificate for {name}"));
    Ok((stream, note))
}

/// A failed handshake in words. Certificates are their issuer's work: a relay knows of none.
fn failure(error: &TlsError) -> Note {
    match error {
        TlsError::Expired(why) => Note::fail(format!("the certificate has expired ({why})"))
            .means("its renewal has stopped, or the renewed one was never loaded")
            .next("sudo certbot renew && sudo systemctl reload nginx; date   (is it right here?)"),
        TlsError::NotYetValid(why) => {
            Note::fail(format!("the certificate is not valid yet ({why})"))
                .means("the clock of this machine is wrong, more often than the certificate")
                .next("timedatectl")
        }
        TlsError::OtherName(why) => {
            Note::fail(format!("the certificate is for another name ({why})"))
                .means(
                    "the name leads to another site's server, or its own site is not set up there",
                )
                .next("deploy/setup-nginx-relay.sh with this name, or the tunnel's route for it")
        }
        TlsError::UnknownIssuer => Note::fail("the certificate's issuer is unknown here")
            .means(
                "it is self-signed, its intermediate certificate is not sent along, or something \
                 on the way (an office's proxy, an antivirus) opens TLS",
            )
            .next("the full chain in nginx's ssl_certificate (fullchain.pem, not cert.pem)"),
        TlsError::Certificate(why) => {
            Note::fail(format!("the certificate cannot be accepted: {why}"))
                .means("it is self-signed, or made for another use than a server's")
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
        TlsError::Other(error) => Note::fail(format!("TLS failed: {error}")),
    }
}

const WITHOUT_TLS: &str = "the same check with ws:// in place of wss://, or with another port";
