//! TLS towards a relay, judged by the roots that this machine trusts. The relay itself speaks none:
//! whoever answers is a proxy in front of it.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::SystemTime,
};

use tokio_rustls::{
    TlsConnector,
    rustls::{
        AlertDescription, CertificateError, ClientConfig, Error, PeerIncompatible, ProtocolVersion,
        RootCertStore,
        client::{VerifierBuilderError, WebPkiServerVerifier},
        crypto::ring,
        pki_types::{InvalidDnsNameError, ServerName},
    },
};

use crate::{
    stream::{Io, Stream},
    witness::Witness,
};

/// What handshakes with one host need.
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    witness: Arc<Witness>,
}

/// Why TLS cannot even be tried.
#[derive(Debug)]
pub enum SetupError {
    /// This machine trusts no certificate authority.
    NoRoots,
    /// The TLS library cannot be set up.
    Library(Error),
    /// The roots that this machine trusts are of no use.
    Roots(VerifierBuilderError),
    /// No certificate can be for this host.
    Name(InvalidDnsNameError),
}

/// A connection with TLS.
pub struct Secured {
    /// The connection.
    pub stream: Stream,
    /// The version of TLS, in words.
    pub version: &'static str,
    /// The name or address that the certificate is for.
    pub name: String,
    /// When the certificate's time is over, if that can be read in it.
    pub expires: Option<SystemTime>,
}

/// Why a handshake has failed.
#[derive(Debug)]
pub enum TlsError {
    /// The certificate's time is over.
    Expired(CertificateError),
    /// The certificate's time has not begun.
    NotYetValid(CertificateError),
    /// The certificate is for another name.
    OtherName(CertificateError),
    /// The certificate names itself as its issuer.
    SelfSigned,
    /// The certificate's issuer is none that this machine trusts.
    UnknownIssuer,
    /// The certificate cannot be accepted for another reason.
    Certificate(CertificateError),
    /// The server has no certificate for this name.
    NoCertificate(AlertDescription),
    /// The server and we have no version or cipher in common.
    Incompatible(PeerIncompatible),
    /// What the server says is no TLS.
    NotTls,
    /// The server has hung up.
    HungUp,
    /// Anything else.
    Other(io::Error),
}

impl Tls {
    /// For connections to `host`, a name or an address.
    ///
    /// # Errors
    ///
    /// [`SetupError`] for a name that no certificate can be for, or a machine without roots.
    pub fn new(host: &str) -> Result<Self, SetupError> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(SetupError::NoRoots);
        }
        let provider = Arc::new(ring::default_provider());
        let judge =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(SetupError::Roots)?;
        let witness = Arc::new(Witness::new(judge));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(SetupError::Library)?
            .dangerous() // A verifier of our own: it leaves every decision to rustls's.
            .with_custom_certificate_verifier(Arc::clone(&witness) as _)
            .with_no_client_auth();
        Ok(Self {
            witness,
            connector: TlsConnector::from(Arc::new(config)),
            name: ServerName::try_from(host.to_owned()).map_err(SetupError::Name)?,
        })
    }

    /// Makes `stream` a connection with TLS.
    ///
    /// # Errors
    ///
    /// [`TlsError`], as far as the library tells them apart.
    pub async fn handshake(&self, stream: impl Io + 'static) -> Result<Secured, TlsError> {
        let connecting = self.connector.connect(self.name.clone(), stream);
        let stream = connecting.await.map_err(|error| self.error(error))?;
        let version = match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        };
        Ok(Secured {
            stream: Box::new(stream),
            version,
            name: self.name.to_str().into_owned(),
            expires: self.expires(),
        })
    }

    /// When the certificate ends that was shown last, were it refused.
    pub fn expires(&self) -> Option<SystemTime> {
        self.witness.seen().and_then(|seen| seen.expires)
    }

    /// What an error of the library's means, with what was seen of the certificate.
    fn error(&self, error: io::Error) -> TlsError {
        let self_signed = self.witness.seen().is_some_and(|seen| seen.self_signed);
        match TlsError::from(error) {
            // One that says it may issue others is refused as a server's before its issuer is looked for.
            TlsError::UnknownIssuer | TlsError::Certificate(_) if self_signed => {
                TlsError::SelfSigned
            }
            other => other,
        }
    }
}

impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
        match tls {
            Some(Error::InvalidCertificate(why)) => Self::from(why.clone()),
            Some(Error::InvalidMessage(_)) => Self::NotTls,
            Some(Error::AlertReceived(
                alert @ (AlertDescription::HandshakeFailure | AlertDescription::UnrecognisedName),
            )) => Self::NoCertificate(*alert),
            Some(Error::PeerIncompatible(why)) => Self::Incompatible(why.clone()),
            None if matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
            ) =>
            {
                Self::HungUp
            }
            _ => Self::Other(error),
        }
    }
}

impl From<CertificateError> for TlsError {
    fn from(why: CertificateError) -> Self {
        use CertificateError::{
            Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
            NotValidYetContext, UnknownIssuer,
        };
        match why {
            Expired | ExpiredContext { .. } => Self::Expired(why),
            NotValidYet | NotValidYetContext { .. } => Self::NotYetValid(why),
            NotValidForName | NotValidForNameContext { .. } => Self::OtherName(why),
            UnknownIssuer => Self::UnknownIssuer,
            other => Self::Certificate(other),
        }
    }
}
