//! TLS to the upstream and to the cache: the only cryptography provider, and whom to trust.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

use crate::service::config::Variable;

/// The largest file of certificates to read: larger than a whole system's.
const MAX_BYTES: usize = 4 << 20;

/// Makes ring the process's provider. Call it early in `main`; a second call changes nothing.
pub fn install_provider() {
    // Fails only when a provider is already installed, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The certificates of the authorities that may sign a server's certificate, from a PEM file.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PathBuf")]
pub struct Authorities {
    file: PathBuf,
    pem: Arc<[u8]>,
}

impl Authorities {
    /// The variable that names the file.
    pub const VARIABLE: Variable = Variable::new(
        "CACHE_CA_FILE",
        "the system's",
        "Who may sign certificates of a cache with TLS (rediss://): a file of certificates in PEM",
    );

    /// Reads a file that holds at least one certificate.
    ///
    /// # Errors
    /// A sentence for people, when the file cannot be read or holds something else.
    pub fn read(file: &Path) -> Result<Self, String> {
        let pem = read(file).map_err(|error| format!("cannot read the file: {error}"))?;
        if pem.len() > MAX_BYTES {
            return Err(format!("the file is larger than {MAX_BYTES} bytes"));
        }
        // A byte order mark would hide the first certificate.
        let pem = pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&pem);
        let mut known = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            certificate
                .map_err(|error| error.to_string())
                .and_then(|certificate| known.add(certificate).map_err(|error| error.to_string()))
                .map_err(|error| format!("the file holds an unusable certificate: {error}"))?;
        }
        if known.is_empty() {
            return Err(
                "the file holds no certificate in PEM: expected -----BEGIN CERTIFICATE-----".into(),
            );
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
        .take(MAX_BYTES as u64 + 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_certificate_is_refused_in_words() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let huge = vec![b'x'; MAX_BYTES + 1];
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (bytes, expected) in [
            (&b""[..], "the file holds no certificate in PEM"),
            (b"\x30\x82", "the file holds no certificate in PEM"),
            (key.as_bytes(), "the file holds no certificate in PEM"),
            (broken.as_bytes(), "the file holds an unusable certificate"),
            (&huge, "the file is larger than 4194304 bytes"),
        ] {
            std::fs::write(file.path(), bytes).unwrap();
            let error = Authorities::read(file.path()).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = Authorities::read(Path::new("/")).unwrap_err();
        assert!(error.starts_with("cannot read the file: "), "{error}");
    }

    /// Editors on Windows write a byte order mark, and line ends of two characters.
    #[test]
    fn a_windows_editor_does_no_harm() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let certificate = testkit::redis::Certificates::make();
        let pem = std::fs::read_to_string(certificate.authority()).unwrap();
        let written = format!("\u{feff}{}", pem.replace('\n', "\r\n"));
        std::fs::write(file.path(), written).unwrap();
        Authorities::read(file.path()).unwrap();
    }
}
