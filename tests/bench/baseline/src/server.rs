//! The baseline as a server: the naive answer behind tokio, hyper and rustls, on one thread.
//!
//! It does nothing else, and that is what makes it a baseline: no limits, no deadlines, no metrics, no logs.

use std::{convert::Infallible, net::Ipv4Addr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use fermata_baseline::naive;

/// Where the naive server listens, and as whom.
#[derive(Args, Debug)]
pub(crate) struct NaiveServer {
    /// The port on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// The certificate, in PEM
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its key, in PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl NaiveServer {
    /// Serves until the process is ended.
    ///
    /// # Errors
    ///
    /// When it cannot listen, or has no certificate.
    pub(crate) async fn serve(self) -> anyhow::Result<Infallible> {
        let certificate = CertificateDer::from_pem_file(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))
            .await
            .with_context(|| format!("failed to listen on port {}", self.port))?;
        loop {
            let (tcp, _) = listener.accept().await?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Err(error) = connection(tcp, acceptor).await {
                    eprintln!("a connection ended: {error:#}");
                }
            });
        }
    }
}

async fn connection(tcp: TcpStream, acceptor: TlsAcceptor) -> anyhow::Result<()> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(tcp).await?;
    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(review)).await?;
    Ok(())
}

async fn review(request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    let mut response = Response::new(Full::from(naive::answer(&body)?));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
