//! What a server's certificate says of itself. Whether it is accepted is rustls's to decide: a witness
//! hands every question on to the verifier that it stands before, and only looks at what is shown.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio_rustls::rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use x509_parser::parse_x509_certificate;

/// What was seen of a certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// When its time is over.
    pub(crate) expires: Option<SystemTime>,
    /// Whether its issuer has the name of its subject.
    pub(crate) self_signed: bool,
}

impl Seen {
    fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, read) = parse_x509_certificate(certificate).ok()?;
        let seconds = u64::try_from(read.validity().not_after.timestamp()).ok();
        Some(Self {
            expires: seconds
                .and_then(|it| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(it))),
            self_signed: read.issuer() == read.subject(),
        })
    }
}

/// Stands before the verifier of certificates, and remembers the last one that was shown.
#[derive(Debug)]
pub(crate) struct Witness {
    judge: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<Seen>>,
}

impl Witness {
    pub(crate) fn new(judge: Arc<WebPkiServerVerifier>) -> Self {
        Self {
            judge,
            seen: Mutex::new(None),
        }
    }

    pub(crate) fn seen(&self) -> Option<Seen> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::read(end_entity);
        self.judge
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
