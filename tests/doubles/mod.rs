//! What a check can meet in a relay's place: a proxy before it, with or without TLS, and a stranger
//! that gives every caller the same answer.

pub mod command;

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

/// A stranger who says the same to everyone who asks.
pub struct Double {
    pub port: u16,
}

impl Double {
    pub fn answering(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = answer.to_owned();
        // Ends with the test's process.
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut request = [0; 4096];
                drop(socket.read(&mut request));
                drop(socket.write_all(answer.as_bytes()));
            }
        });
        Self { port }
    }
}

/// A certificate for a server, its key, and the roots by which it is to be judged.
#[derive(Clone)]
pub struct Certificate {
    pub roots: String,
    config: Arc<ServerConfig>,
}

impl Certificate {
    pub fn for_name(name: &str) -> Self {
        Authority::new("ours").certify(name, |_| {})
    }

    pub fn expired() -> Self {
        let change = |it: &mut CertificateParams| it.not_after = date_time_ymd(2001, 1, 1);
        Authority::new("ours").certify("127.0.0.1", change)
    }

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

/// A proxy before a relay, which does as little as it is told to.
pub struct Proxy {
    pub port: u16,
    relay: u16,
    certificate: Option<Certificate>,
    rewrite: (&'static str, &'static str),
    cut: Duration,
}

impl Proxy {
    pub fn to(relay: u16) -> Self {
        Self {
            port: 0,
            relay,
            certificate: None,
            rewrite: ("", ""),
            cut: Duration::MAX,
        }
    }

    /// Speaks TLS to its clients.
    pub fn with(self, certificate: Certificate) -> Self {
        Self {
            certificate: Some(certificate),
            ..self
        }
    }

    /// Replaces this in the head of every request by that.
    pub fn rewriting(self, this: &'static str, that: &'static str) -> Self {
        Self {
            rewrite: (this, that),
            ..self
        }
    }

    /// Says whom it speaks for: somebody on this machine.
    pub fn naming_clients(self) -> Self {
        self.rewriting("\r\n\r\n", "\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n")
    }

    /// Ends every connection after this time.
    pub fn cutting_after(self, cut: Duration) -> Self {
        Self { cut, ..self }
    }

    /// Starts it; it ends with the test's process.
    pub fn start(self) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Arc::new(Self { port, ..self });
        let started = Arc::clone(&proxy);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(started.serve(listener));
        });
        proxy
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let proxy = Arc::clone(&self);
            tokio::spawn(async move {
                let served = async {
                    match &proxy.certificate {
                        Some(certificate) => {
                            let acceptor = TlsAcceptor::from(Arc::clone(&certificate.config));
                            // The client may well have refused the certificate.
                            if let Ok(stream) = acceptor.accept(socket).await {
                                proxy.pass_on(stream).await;
                            }
                        }
                        None => proxy.pass_on(socket).await,
                    }
                };
                drop(tokio::time::timeout(proxy.cut, served).await);
            });
        }
    }

    async fn pass_on(&self, mut client: impl AsyncRead + AsyncWrite + Unpin) {
        let mut relay = TcpStream::connect(("127.0.0.1", self.relay)).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = client.read_u8().await else {
                return;
            };
            head.push(byte);
        }
        let (this, that) = self.rewrite;
        let mut head = String::from_utf8(head).unwrap();
        if !this.is_empty() {
            head = head.replace(this, that);
        }
        relay.write_all(head.as_bytes()).await.unwrap();
        drop(copy_bidirectional(&mut client, &mut relay).await);
    }
}
