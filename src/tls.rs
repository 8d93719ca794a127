//! TLS for the admission port: 1.2 and 1.3, by rustls with ring, and HTTP/1.1 as the only protocol on top.
//!
//! API servers call webhooks over HTTP/1.1 alone: over HTTP/2 all of their calls went to one replica
//! (kubernetes/kubernetes#75791). Offering nothing else leaves no surface for attacks on HTTP/2.

pub mod authority;
pub mod bundle;
pub mod certificate;
mod chance;
mod contest;
pub mod expiry;
pub mod files;
mod holder;
pub mod keeper;
pub mod lifetime;
mod pace;
pub mod registration;
pub mod rotation;
pub mod secret;
pub mod self_signed;
mod standing;
mod writes;

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};

pub use holder::{CertificateHolder, Identity};

/// The provider of all cryptography in this program. Named in full everywhere, because a second one in the tree
/// would make the implicit choice a panic.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The configuration of the admission port.
///
/// # Errors
///
/// When the provider does not know the protocol versions, which would be a mistake in the build.
pub fn server_config(holder: Arc<CertificateHolder>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(holder);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // API servers keep connections, and their client has no session cache: tickets would be bytes for nothing.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
