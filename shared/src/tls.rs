//! TLS to the upstream and to the cache: the one cryptography provider, and whom to trust.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

/// The largest file of certificates that is read: more than a whole system's.
const MAX_BYTES: u64 = 4 << 20;

/// Makes ring the process's provider. Called once, early in `main`; a second call changes nothing.
pub fn install_provider() {
    // Fails only when a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The certificates of those who may sign a server's certificate, read from a file in PEM.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PathBuf")]
pub struct Authorities {
    file: PathBuf,
    pem: Arc<[u8]>,
}

impl Authorities {
    /// Reads a file that holds at least one certificate.
    ///
    /// # Errors
    /// A sentence for people, when it cannot be read or holds something else.
    pub fn read(file: &Path) -> Result<Self, String> {
        let pem = read(file).map_err(|error| format!("cannot read the file: {error}"))?;
        let mut known = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            certificate
                .map_err(|error| error.to_string())
                .and_then(|certificate| known.add(certificate).map_err(|error| error.to_string()))
                .map_err(|error| format!("the file holds an unusable certificate: {error}"))?;
        }
        if known.is_empty() {
            return Err("the file holds no certificate in PEM".into());
        }
        Ok(Self {
            file: file.to_owned(),
            pem: pem.into(),
        })
    }

    /// The certificates as they are in the file.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut pem = Vec::new();
    std::fs::File::open(file)?
        .take(MAX_BYTES)
        .read_to_end(&mut pem)?;
    Ok(pem)
}

impl TryFrom<PathBuf> for Authorities {
    type Error = String;

    fn try_from(file: PathBuf) -> Result<Self, Self::Error> {
        Self::read(&file)
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.file)
    }
}
