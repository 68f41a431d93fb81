//! The one cryptography provider for TLS to the upstream and to the cache.

/// Makes ring the process's provider. Called once, early in `main`; a second call changes nothing.
pub fn install_provider() {
    // Fails only when a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
