//! The certificate that is served right now.

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{expiry, provider};

/// A certificate chain with its key, known to belong together.
#[derive(Debug)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    expires: Option<SystemTime>,
}

impl Identity {
    /// Takes a chain, leaf first, and its key.
    ///
    /// # Errors
    ///
    /// When the key is of no kind that can sign, or not the one of the leaf.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let expires = chain.first().and_then(|leaf| expiry::not_after(leaf));
        let certified = Arc::new(CertifiedKey::from_der(chain, key, &provider())?);
        Ok(Self { certified, expires })
    }

    /// When its leaf expires, if that can be read.
    #[must_use]
    pub const fn expires(&self) -> Option<SystemTime> {
        self.expires
    }
}

/// Gives every handshake the newest certificate. Connections that are open keep theirs, so that a change
/// interrupts nothing.
#[derive(Debug)]
pub struct CertificateHolder {
    current: ArcSwap<Identity>,
}

impl CertificateHolder {
    /// Begins with a certificate.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { current: ArcSwap::from_pointee(identity) }
    }

    /// Serves another certificate from now on.
    pub fn replace(&self, identity: Identity) {
        self.current.store(Arc::new(identity));
    }

    /// When the served certificate expires.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.current.load().expires
    }
}

impl ResolvesServerCert for CertificateHolder {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().certified))
    }
}
