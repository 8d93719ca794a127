//! A certificate made in memory, for trials: an authority of its own, and one leaf signed by it.
//!
//! Its key is gone with the process, and a second replica would make its own; so this is for one replica whose
//! `caBundle` is filled in by hand or script.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::Identity;

/// A certificate, and the authority that clients must trust for it.
#[derive(Debug)]
pub struct SelfSigned {
    /// The certificate to serve.
    pub identity: Identity,
    /// The authority's certificate as PEM: the webhook's `caBundle`, once it is base64.
    pub authority: String,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    /// One of the names is not one that a certificate can hold.
    #[error("cannot make a certificate for {names:?}; --tls-name takes host names and IP addresses: {fault}")]
    Names {
        /// What was asked for.
        names: Vec<String>,
        /// What is wrong.
        fault: rcgen::Error,
    },
    /// The key could not be made, or not used.
    #[error("cannot make a certificate")]
    Key(#[from] rcgen::Error),
    /// The certificate is not one that can be served.
    #[error("cannot serve the certificate that was made")]
    Identity(#[from] rustls::Error),
}

/// Makes a certificate for these host names and IP addresses.
///
/// # Errors
///
/// When a name is none, or the system gives no random numbers.
pub fn generate(names: &[String]) -> Result<SelfSigned, SelfSignedError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Fermata trial authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let mut params = CertificateParams::new(names)
        .map_err(|fault| SelfSignedError::Names { names: names.to_vec(), fault })?;
    params.distinguished_name.push(DnType::CommonName, "Fermata");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let leaf = params.signed_by(&key, &authority)?;

    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let identity = Identity::new(vec![leaf.der().clone()], key)?;
    Ok(SelfSigned { identity, authority: authority.pem() })
}
