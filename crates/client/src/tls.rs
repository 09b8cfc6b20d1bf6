//! TLS towards a relay, judged by the roots that this machine trusts. The relay itself speaks none:
//! whoever answers is a proxy in front of it.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        AlertDescription, CertificateError, ClientConfig, Error, PeerIncompatible, ProtocolVersion,
        RootCertStore,
        crypto::ring,
        pki_types::{InvalidDnsNameError, ServerName},
    },
};

use crate::stream::Stream;

/// What handshakes with one host need.
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// Why TLS cannot even be tried.
#[derive(Debug)]
pub enum SetupError {
    /// This machine trusts no certificate authority.
    NoRoots,
    /// The TLS library cannot be set up.
    Library(Error),
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
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(SetupError::Library)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name: ServerName::try_from(host.to_owned()).map_err(SetupError::Name)?,
        })
    }

    /// Makes `stream` a connection with TLS.
    ///
    /// # Errors
    ///
    /// [`TlsError`], as far as the library tells them apart.
    pub async fn handshake(&self, stream: TcpStream) -> Result<Secured, TlsError> {
        let connecting = self.connector.connect(self.name.clone(), stream);
        let stream = connecting.await.map_err(TlsError::from)?;
        let version = match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        };
        Ok(Secured {
            stream: Box::new(stream),
            version,
            name: self.name.to_str().into_owned(),
        })
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
