//! One keep-alive connection: HTTP/1.1 over TLS, one request at a time.
//!
//! The generator must not be what a run measures. Requests are rendered once, before the run, and go out in one
//! write; of the response only the head and the end of the body are looked for.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use rustls::{ClientConfig, ProtocolVersion, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::http_response::{self, Body};

/// Where to connect, and what to trust there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The server's address.
    pub(crate) address: SocketAddr,
    /// Whom to trust, and who to be.
    pub(crate) tls: Arc<ClientConfig>,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The body, chunks put together.
    pub(crate) body: &'a [u8],
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    /// Connects, and checks that it is TLS 1.3.
    ///
    /// # Errors
    ///
    /// When nobody listens, the certificate is not trusted, or TLS is of another version.
    pub(crate) async fn open(target: &Target) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(target.address)
            .await
            .with_context(|| format!("failed to connect to {}", target.address))?;
        tcp.set_nodelay(true)?;
        let name = ServerName::IpAddress(target.address.ip().into());
        let stream = TlsConnector::from(Arc::clone(&target.tls)).connect(name, tcp).await?;
        let version = stream.get_ref().1.protocol_version();
        ensure!(version == Some(ProtocolVersion::TLSv1_3), "expected TLS 1.3, got {version:?}");
        Ok(Self { stream, received: Vec::with_capacity(64 * 1024), body: Vec::new() })
    }

    /// Sends a whole request, head and body, and waits for its whole response.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or what comes back is not one HTTP/1.1 response.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Response<'_>> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.received.clear();
        let head = loop {
            self.receive().await?;
            if let Some(head) = http_response::head(&self.received)? {
                break head;
            }
        };
        match head.body {
            Body::Sized(length) => {
                let end = head.length + length;
                while self.received.len() < end {
                    self.receive().await?;
                }
                ensure!(self.received.len() == end, "more came than one response");
                Ok(Response { status: head.status, body: &self.received[head.length..] })
            }
            Body::Chunked => {
                while !http_response::unchunk(&self.received[head.length..], &mut self.body)? {
                    self.receive().await?;
                }
                Ok(Response { status: head.status, body: &self.body })
            }
        }
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.received).await? == 0 {
            bail!("the server closed the connection in the middle of a response");
        }
        Ok(())
    }
}

/// Renders a POST of JSON.
#[must_use]
pub(crate) fn post(path: &str, host: SocketAddr, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}
