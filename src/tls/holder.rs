//! The certificate that is served right now.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwapOption;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{certificate::Validity, provider};

/// A certificate chain with its key, known to belong together.
#[derive(Debug)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    validity: Option<Validity>,
    /// Whether it has been said that it should have been replaced.
    has_warned: AtomicBool,
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
        let validity = chain.first().and_then(Validity::of);
        let certified = Arc::new(CertifiedKey::from_der(chain, key, &provider())?);
        Ok(Self { certified, validity, has_warned: AtomicBool::new(false) })
    }

    /// How long its leaf is valid, if that can be read.
    #[must_use]
    pub const fn validity(&self) -> Option<Validity> {
        self.validity
    }

    /// Whether nobody has asked this yet of this certificate: a warning is given once.
    pub(super) fn is_first_warning(&self) -> bool {
        !self.has_warned.swap(true, Ordering::Relaxed)
    }

    /// The certificates, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }
}

/// Gives every handshake the newest certificate. Connections that are open keep theirs, so that a change
/// interrupts nothing.
#[derive(Debug, Default)]
pub struct CertificateHolder {
    current: ArcSwapOption<Identity>,
}

impl CertificateHolder {
    /// Begins with a certificate.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { current: ArcSwapOption::from_pointee(identity) }
    }

    /// Serves another certificate from now on.
    pub fn replace(&self, identity: Identity) {
        self.current.store(Some(Arc::new(identity)));
    }

    /// What is served now, if anything is.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Identity>> {
        self.current.load_full()
    }

    /// When the served certificate expires.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        Some(self.current.load().as_ref()?.validity?.not_after())
    }
}

impl ResolvesServerCert for CertificateHolder {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().as_ref()?.certified))
    }
}
