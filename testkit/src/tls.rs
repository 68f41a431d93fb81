//! TLS in front of a server on 127.0.0.1 that has no TLS itself.
//!
//! Does not understand the bytes. A client that does not trust the certificate can send no byte to
//! the server.

use std::path::Path;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::redis::Certificates;

/// A running listener. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Tls {
    port: u16,
    accepting: JoinHandle<()>,
}

impl Tls {
    /// Starts a listener that presents the server's certificate and connects to a port on
    /// 127.0.0.1.
    ///
    /// # Panics
    ///
    /// When no port is free, or the certificate is not usable.
    pub async fn in_front_of(server: u16, certificates: &Certificates) -> Self {
        let acceptor = acceptor(&certificates.server(), &certificates.key());
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port on 127.0.0.1");
        let port = listener.local_addr().expect("a bound socket").port();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, acceptor.clone(), server));
            }
        });
        Self { port, accepting }
    }

    /// `https://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn acceptor(certificate: &Path, key: &Path) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate in PEM");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key in PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key belongs to the certificate");
    TlsAcceptor::from(Arc::new(config))
}

/// An error on either side ends the connection; the test sees the error at that side.
async fn carry(client: TcpStream, acceptor: TlsAcceptor, server: u16) {
    let Ok(mut client) = acceptor.accept(client).await else {
        return;
    };
    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
