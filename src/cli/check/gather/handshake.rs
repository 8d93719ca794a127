//! Calls the webhook as an API server does, up to the certificate.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use hyper::Uri;
use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{cli::check::facts::Handshake, tls};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where API servers call, and the name that they expect there.
struct Target {
    /// The name, of a Service or in a URL.
    host: String,
    /// The address to connect to, where it is known: that of a Service is found without a name server.
    address: Option<String>,
    port: u16,
}

/// Calls what is registered.
///
/// The name of a Service and its address mean something inside the cluster alone. Elsewhere, which may be a Pod of
/// another cluster, the same address may be another machine's, so that is not tried. API servers do not ask a name
/// server for a Service's address but take the `clusterIP` of the Service itself, given here; where that is not known,
/// its name has to do.
pub(super) async fn handshake(
    registered: Option<&WebhookClientConfig>,
    cluster_ip: Option<String>,
    is_inside: bool,
) -> Handshake {
    let Some(registered) = registered else {
        return Handshake::NotTried("nothing is registered".to_owned());
    };
    let target = if let Some(service) = &registered.service {
        if !is_inside {
            return Handshake::NotTried("the Service can only be called by a Pod of this cluster".to_owned());
        }
        let port = service.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
        Target { host: format!("{}.{}.svc", service.name, service.namespace), address: cluster_ip, port }
    } else {
        match target(registered.url.as_deref().unwrap_or_default()) {
            Some(target) => target,
            None => return Handshake::NotTried("the registered URL cannot be read".to_owned()),
        }
    };
    let address = format!("{}:{}", target.host, target.port);
    match timeout(PATIENCE, call(&target)).await {
        Ok(Ok(chain)) => Handshake::Presented { address, chain },
        Ok(Err(error)) => Handshake::Unreachable { address, error: error.root_cause().to_string() },
        Err(_) => {
            let error = format!("no answer within {} s", PATIENCE.as_secs());
            Handshake::Unreachable { address, error }
        }
    }
}

fn target(url: &str) -> Option<Target> {
    let url: Uri = url.parse().ok()?;
    Some(Target { host: url.host()?.to_owned(), address: None, port: url.port_u16().unwrap_or(443) })
}

async fn call(target: &Target) -> anyhow::Result<Vec<Vec<u8>>> {
    // An IPv6 address stands in brackets in a URL, and without them elsewhere.
    let host = target.host.trim_start_matches('[').trim_end_matches(']');
    let address = target.address.as_deref().unwrap_or(host);
    let stream = TcpStream::connect((address, target.port)).await?;
    let provider = tls::provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let (_, connection) = stream.get_ref();
    let chain = connection.peer_certificates().context("no certificate came")?;
    Ok(chain.iter().map(|certificate| certificate.to_vec()).collect())
}

/// Takes any certificate, as long as whoever shows it has its key. Nothing is sent to them; whether the certificate is
/// the right one is judged afterwards, with a reason.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::target;

    #[test]
    fn where_a_url_leads() {
        for (url, host, port) in [
            ("https://127.0.0.1:8443/mutate", "127.0.0.1", 8443),
            ("https://webhook.example.com/mutate", "webhook.example.com", 443),
            ("https://[::1]:9/mutate", "[::1]", 9),
        ] {
            let target = target(url).unwrap();
            assert_eq!((target.host.as_str(), target.port), (host, port), "{url}");
        }
        assert!(target("").is_none() && target("not a url").is_none());
    }
}
