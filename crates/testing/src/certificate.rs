//! Certificates of servers, good and bad.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};

/// A certificate for a server, its key, and the roots by which it is to be judged.
#[derive(Clone)]
pub struct Certificate {
    /// In PEM: what `SSL_CERT_FILE` may have.
    pub roots: String,
    pub(crate) config: Arc<ServerConfig>,
}

impl Certificate {
    /// A good one for this name or address.
    pub fn for_name(name: &str) -> Self {
        Authority::new("ours").certify(name, |_| {})
    }

    /// One whose time is over.
    pub fn expired() -> Self {
        let change = |it: &mut CertificateParams| it.not_after = date_time_ymd(2001, 1, 1);
        Authority::new("ours").certify("127.0.0.1", change)
    }

    /// One whose time has not begun.
    pub fn not_yet() -> Self {
        let change = |it: &mut CertificateParams| it.not_before = date_time_ymd(3001, 1, 1);
        Authority::new("ours").certify("127.0.0.1", change)
    }

    /// One of an authority that its clients do not know.
    pub fn of_nobody() -> Self {
        let certificate = Authority::new("nobody").certify("127.0.0.1", |_| {});
        Self {
            roots: Authority::new("ours").roots,
            ..certificate
        }
    }

    /// One that is its own issuer.
    pub fn self_signed() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self::new(Authority::new("ours").roots, &certificate, &key)
    }

    /// Self-signed as `openssl req -x509` does it: one that says it may issue others.
    pub fn authority() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self::new(Authority::new("ours").roots, &certificate, &key)
    }

    /// One whose time is over in so many days.
    pub fn ending_in(days: u64) -> Self {
        let end = SystemTime::now() + Duration::from_secs(days * 24 * 60 * 60 + 60);
        let change = |it: &mut CertificateParams| it.not_after = end.into();
        Authority::new("ours").certify("127.0.0.1", change)
    }

    fn new(roots: String, certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Self {
            roots,
            config: Arc::new(config),
        }
    }
}

/// Who signs certificates.
struct Authority {
    roots: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let roots = params.self_signed(&key).unwrap().pem();
        Self {
            roots,
            issuer: Issuer::new(params, key),
        }
    }

    fn certify(self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Certificate::new(self.roots, &certificate, &key)
    }
}
