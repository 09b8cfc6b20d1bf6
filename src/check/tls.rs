//! TLS towards a relay, judged by the roots this machine trusts, and its failures in words.

use super::net::Io;
use super::report::{Note, Outcome};
use super::target::Target;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, ProtocolVersion, RootCertStore,
    crypto::ring,
    pki_types::{InvalidDnsNameError, ServerName},
};

/// What a handshake with one host needs.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// For a `wss://` target; `None` for a `ws://` one.
    pub(super) fn new(target: &Target) -> Result<Option<Self>, Note> {
        if !target.tls {
            return Ok(None);
        }
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(
                Note::fail("this machine trusts no certificate authority at all")
                    .means("its list of them is not installed; the relay may be well")
                    .next("sudo apt install ca-certificates"),
            );
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Note::fail(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name =
            ServerName::try_from(target.host.clone()).map_err(|error: InvalidDnsNameError| {
                Note::fail(format!(
                    "{} is no name for a certificate: {error}",
                    target.host
                ))
            })?;
        Ok(Some(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        }))
    }

    pub(super) async fn handshake(&self, stream: TcpStream) -> Outcome<Box<dyn Io>> {
        let connecting = self.connector.connect(self.name.clone(), stream);
        let stream = connecting.await.map_err(|error| failure(&error))?;
        let version = match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        };
        let name = self.name.to_str();
        let note = Note::ok(format!("{version}, with a valid certificate for {name}"));
        Ok((Box::new(stream), note))
    }
}

/// A failed handshake in words.
fn failure(error: &io::Error) -> Note {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match tls {
        Some(Error::InvalidCertificate(why)) => bad_certificate(why),
        Some(Error::InvalidMessage(_)) => Note::fail("what answers there does not speak TLS")
            .means("the port is one for plain HTTP, or for something else altogether")
            .next("the same check with ws:// in place of wss://, or with another port"),
        Some(Error::AlertReceived(
            alert @ (AlertDescription::HandshakeFailure | AlertDescription::UnrecognisedName),
        )) => Note::fail(format!(
            "the server has no certificate for this name ({alert:?})"
        ))
        .means(
            "the name is not set up there; Cloudflare's free certificate covers \
                 relay.example.com, but nothing below it such as a.relay.example.com",
        )
        .next("Cloudflare dashboard: SSL/TLS → Edge Certificates"),
        Some(Error::PeerIncompatible(why)) => {
            Note::fail(format!("no common version or cipher of TLS ({why:?})"))
                .means("the server only speaks a TLS older than 1.2, or its settings are broken")
                .next("ssl_protocols TLSv1.2 TLSv1.3;   (in its nginx site)")
        }
        Some(other) => Note::fail(format!("TLS failed: {other}")),
        None if matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
        ) =>
        {
            Note::fail("the server hung up in the middle of the TLS handshake")
                .means("the port does not speak TLS, or a firewall ends the connection")
                .next("the same check with ws:// in place of wss://, or with another port")
        }
        None => Note::fail(format!("TLS failed: {error}")),
    }
}

/// What is wrong with a certificate. Certificates are their issuer's work: a relay knows of none.
fn bad_certificate(why: &CertificateError) -> Note {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    match why {
        Expired | ExpiredContext { .. } => {
            Note::fail(format!("the certificate has expired ({why})"))
                .means("its renewal has stopped, or the renewed one was never loaded")
                .next(
                    "sudo certbot renew && sudo systemctl reload nginx; date   (is it right here?)",
                )
        }
        NotValidYet | NotValidYetContext { .. } => {
            Note::fail(format!("the certificate is not valid yet ({why})"))
                .means("the clock of this machine is wrong, more often than the certificate")
                .next("timedatectl")
        }
        NotValidForName | NotValidForNameContext { .. } => {
            Note::fail(format!("the certificate is for another name ({why})"))
                .means(
                    "the name leads to another site's server, or its own site is not set up there",
                )
                .next("deploy/setup-nginx-relay.sh with this name, or the tunnel's route for it")
        }
        UnknownIssuer => Note::fail("the certificate's issuer is unknown here")
            .means(
                "it is self-signed, its intermediate certificate is not sent along, or something \
                 on the way (an office's proxy, an antivirus) opens TLS",
            )
            .next("the full chain in nginx's ssl_certificate (fullchain.pem, not cert.pem)"),
        other => Note::fail(format!("the certificate cannot be accepted: {other}"))
            .means("it is self-signed, or made for another use than a server's")
            .next("a certificate of a public authority, or the tunnel's own"),
    }
}
