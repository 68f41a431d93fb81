//! An authority for one test, and the certificate that it signed for a server on 127.0.0.1.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// PEM files; dropping this removes them.
#[derive(Debug)]
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// Makes a new authority, which no client trusts yet.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn make() -> Self {
        Self::make_for("127.0.0.1", |_| {})
    }

    /// As [`make`](Self::make), for another host.
    ///
    /// # Panics
    ///
    /// As [`make`](Self::make), and when `host` is not a host.
    pub fn of_another_host(host: &str) -> Self {
        Self::make_for(host, |_| {})
    }

    /// As [`make`](Self::make), but the server's certificate has expired.
    ///
    /// # Panics
    ///
    /// As [`make`](Self::make).
    pub fn expired() -> Self {
        Self::make_for("127.0.0.1", |server| {
            server.not_before = date_time_ymd(2020, 1, 1);
            server.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    fn make_for(host: &str, alter: impl FnOnce(&mut CertificateParams)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory for certificates");
        let write = |name: &str, pem: String| {
            std::fs::write(directory.path().join(name), pem).expect("a directory to write to");
        };

        let authority_key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signed = authority
            .self_signed(&authority_key)
            .expect("a certificate");
        write("authority.pem", signed.pem());

        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().expect("a key");
        let mut server = CertificateParams::new(vec![host.to_owned()]).expect("a host");
        alter(&mut server);
        let signed = server.signed_by(&key, &issuer).expect("a certificate");
        write("server.pem", signed.pem());
        write("server.key", key.serialize_pem());
        Self { directory }
    }

    /// The authority's certificate, for clients.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// The server's certificate.
    pub fn server(&self) -> PathBuf {
        self.directory.path().join("server.pem")
    }

    /// The server's private key.
    pub fn key(&self) -> PathBuf {
        self.directory.path().join("server.key")
    }

    /// Arguments for a Redis that offers TLS on this port and demands no client certificate.
    pub fn arguments(&self, port: u16) -> Vec<String> {
        self.settings(port)
            .into_iter()
            .flat_map(|(name, value)| [format!("--{name}"), value])
            .collect()
    }

    /// The same settings for a sentinel's configuration.
    pub fn lines(&self, port: u16) -> String {
        self.settings(port)
            .into_iter()
            .map(|(name, value)| [name, " ", &value, "\n"].concat())
            .collect()
    }

    fn settings(&self, port: u16) -> [(&'static str, String); 5] {
        let file = |name| self.directory.path().join(name).display().to_string();
        [
            ("tls-port", port.to_string()),
            ("tls-cert-file", file("server.pem")),
            ("tls-key-file", file("server.key")),
            ("tls-ca-cert-file", file("authority.pem")),
            ("tls-auth-clients", "no".to_owned()),
        ]
    }
}
