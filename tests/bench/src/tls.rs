//! The certificates of a run: one authority, one server certificate for 127.0.0.1, and clients that trust it.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use fermata_test_cluster::{
    Scratch,
    credentials::{Authority, Identity, write_private},
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::TLS13,
};

/// A server's certificate and key as files, and who signed them.
#[derive(Debug)]
pub(crate) struct ServerCertificate {
    /// The authority that signed it.
    pub(crate) authority: Authority,
    /// The certificate, in PEM.
    pub(crate) certificate: PathBuf,
    /// Its key, in PEM.
    pub(crate) key: PathBuf,
}

impl ServerCertificate {
    /// Issues one for 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn issue(scratch: &Scratch) -> anyhow::Result<Self> {
        let authority = Authority::new("fermata-bench")?;
        let Identity { certificate: certificate_pem, key: key_pem } =
            authority.issue_server(&["127.0.0.1"])?;
        let certificate = scratch.path().join("server.crt");
        let key = scratch.path().join("server.key");
        write_private(&certificate, &certificate_pem)?;
        write_private(&key, &key_pem)?;
        Ok(Self { authority, certificate, key })
    }
}

/// A client that trusts one authority, and is somebody or nobody; TLS 1.3 only, and each handshake in full.
///
/// # Errors
///
/// When a certificate is broken.
pub(crate) fn client(authority: &[u8], identity: Option<&Identity>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority))?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
            builder.with_client_auth_cert(vec![certificate], key).context("a broken client certificate")?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
