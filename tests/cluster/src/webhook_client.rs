//! The client by which an API server calls a webhook, in its behaviour towards connections.
//!
//! A test that sends 500 reviews a second through a real API server measures the API server. This client sends as
//! many as wanted and does what decides whether a review is lost exactly as the API server's does (Go 1.26,
//! `net/http/transport.go`; client-go 0.36, `rest/request.go`; apiserver 0.36, `util/webhook/client.go`):
//!
//! - HTTP/1.1 alone. The last connection to fall idle is the first to be used again; at most 25 idle ones are kept
//!   (`MaxIdleConnsPerHost` of client-go), for at most 90 seconds.
//! - Where none is idle, a new one is dialled, and the request takes whichever comes first: that one, or one that
//!   falls idle meanwhile (`queueForDial`); the other is kept for later. A dial that fails fails its request.
//! - A client belongs to one caBundle (it is part of the API server's cache key), and so do its connections.
//! - **A review is a POST, and thus not replayable** (`Request.isReplayable`). On a connection that has been used
//!   before it is sent again only when nothing at all of it had been written (`nothingWrittenError` in
//!   `persistConn.shouldRetryRequest`). A connection that the server closes after the first byte was written has
//!   lost the review, also when the server has not read it; and so has one that the client picks while the server's
//!   FIN is on its way (`errServerClosedIdle`). client-go repeats no POST after an error of the connection either
//!   (its `isErrRetryableFunc`).
//! - Dialling and the TLS handshake count against the webhook's `timeoutSeconds`. Giving up closes the connection.

pub mod connection;
pub mod http_response;
mod pool;

use std::{fmt, net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::TLS13,
};
use tokio::time::{Duration, timeout};

use crate::service::Service;
use connection::{Connection, Target};
use pool::Pool;

/// Why a review has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// No endpoint was ready.
    NoEndpoint,
    /// A new connection was refused, or its certificate not trusted.
    Dial,
    /// The server closed the connection in the moment in which it was picked.
    ClosedIdle,
    /// The connection broke after some of the request was written.
    Broken,
    /// Nothing came in time.
    Timeout,
}

/// A review that has no response.
#[derive(Debug)]
pub struct LostReview {
    /// Why.
    pub kind: Lost,
    /// In detail.
    pub detail: String,
}

impl fmt::Display for LostReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.detail)
    }
}

/// A response, and what it took.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// The server that gave it.
    pub server: SocketAddr,
    /// How often the request was sent again before.
    pub retries: u32,
}

/// The client for one webhook, with one caBundle.
#[derive(Debug)]
pub struct WebhookClient {
    pool: Arc<Pool>,
    timeout: Duration,
}

impl WebhookClient {
    /// A client for a webhook behind a Service, without a connection yet.
    ///
    /// # Errors
    ///
    /// When the name cannot be in a certificate, or the bundle holds anything but certificates.
    pub fn new(
        service: Arc<Service>,
        name: &str,
        ca_bundle: &str,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let name = ServerName::try_from(name.to_owned())?;
        Ok(Self { pool: Pool::new(service, name, trusting(ca_bundle)?), timeout })
    }

    /// Sends a whole request, head and body.
    ///
    /// # Errors
    ///
    /// When no response came.
    pub async fn send(&self, request: &[u8]) -> Result<Answer, LostReview> {
        timeout(self.timeout, self.round_trip(request)).await.unwrap_or_else(|_| {
            Err(LostReview { kind: Lost::Timeout, detail: format!("nothing within {:?}", self.timeout) })
        })
    }

    async fn round_trip(&self, request: &[u8]) -> Result<Answer, LostReview> {
        let mut retries = 0;
        loop {
            let mut pooled = self.pool.get().await?;
            match pooled.connection.exchange(request).await {
                Ok(response) => {
                    let (status, body, close) = (response.status, response.body.to_vec(), response.close);
                    let server = pooled.server;
                    if !close {
                        self.pool.put(pooled);
                    }
                    return Ok(Answer { status, body, server, retries });
                }
                Err(broken) if pooled.reused && broken.nothing_written => retries += 1,
                Err(broken) => {
                    let detail = format!("{}: {broken}", pooled.server);
                    return Err(LostReview { kind: Lost::Broken, detail });
                }
            }
        }
    }
}

/// A TLS client that trusts a caBundle, and makes each handshake in full, as an API server's does.
fn trusting(ca_bundle: &str) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_bundle.as_bytes()) {
        roots.add(certificate.context("the caBundle is not PEM")?)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A connection of a pool.
#[derive(Debug)]
struct Pooled {
    connection: Connection,
    server: SocketAddr,
    /// Whether it has ever been idle in the pool.
    reused: bool,
}

async fn dial(target: Target) -> Result<Pooled, LostReview> {
    match Connection::open(&target).await {
        Ok(connection) => Ok(Pooled { connection, server: target.address, reused: false }),
        Err(error) => Err(LostReview { kind: Lost::Dial, detail: format!("{error:#}") }),
    }
}
