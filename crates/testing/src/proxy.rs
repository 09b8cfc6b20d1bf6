//! A proxy before a relay, with or without TLS.

use std::{net::TcpListener, sync::Arc, thread, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

use crate::certificate::Certificate;

/// A proxy before a relay, which does as little as it is told to.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    relay: u16,
    certificate: Option<Certificate>,
    rewrite: (&'static str, &'static str),
    cut: Duration,
}

impl Proxy {
    /// One that leads to a relay on this machine.
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
