//! One keep-alive connection: HTTP/1.1 over TLS, one request at a time.
//!
//! The generator must not be what a run measures. Requests are rendered once, before the run, and go out in one
//! write; of the response only the head and the end of the body are looked for.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use anyhow::{Context as _, anyhow, ensure};
use rustls::{ClientConfig, ProtocolVersion, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::http_response::{self, Body};

/// Where to connect, and what to trust there.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server's address.
    pub address: SocketAddr,
    /// The name that its certificate must be for.
    pub name: ServerName<'static>,
    /// Whom to trust, and who to be.
    pub tls: Arc<ClientConfig>,
}

impl Target {
    /// A server whose certificate is for its address.
    #[must_use]
    pub fn by_address(address: SocketAddr, tls: Arc<ClientConfig>) -> Self {
        Self { address, name: ServerName::IpAddress(address.ip().into()), tls }
    }
}

/// What a server answered.
#[derive(Debug)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The body, chunks put together.
    pub body: &'a [u8],
    /// Whether the server closes the connection after it.
    pub close: bool,
}

/// Why an exchange has no response.
#[derive(Debug)]
pub struct Broken {
    /// Whether the kernel had taken nothing of the request: then the server cannot have acted on it.
    pub nothing_written: bool,
    cause: anyhow::Error,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = if self.nothing_written { "before" } else { "after" };
        write!(f, "the connection broke {written} the request was written: {:#}", self.cause)
    }
}

impl std::error::Error for Broken {}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<Counted>,
    received: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    /// Connects, and checks that it is TLS 1.3.
    ///
    /// # Errors
    ///
    /// When nobody listens, the certificate is not trusted, or TLS is of another version.
    pub async fn open(target: &Target) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(target.address)
            .await
            .with_context(|| format!("failed to connect to {}", target.address))?;
        tcp.set_nodelay(true)?;
        let tcp = Counted { inner: tcp, sent: 0 };
        let stream = TlsConnector::from(Arc::clone(&target.tls))
            .connect(target.name.clone(), tcp)
            .await
            .with_context(|| format!("failed to agree on TLS with {}", target.address))?;
        let version = stream.get_ref().1.protocol_version();
        ensure!(version == Some(ProtocolVersion::TLSv1_3), "expected TLS 1.3, got {version:?}");
        Ok(Self { stream, received: Vec::with_capacity(64 * 1024), body: Vec::new() })
    }

    /// Sends a whole request, head and body, and waits for its whole response.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or what comes back is not one HTTP/1.1 response.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>, Broken> {
        let before = self.stream.get_ref().0.sent;
        let head = match self.send(request).await {
            Ok(head) => head,
            Err(cause) => {
                let nothing_written = self.stream.get_ref().0.sent == before;
                return Err(Broken { nothing_written, cause });
            }
        };
        let body = match head.body {
            Body::Sized(length) => &self.received[head.length..head.length + length],
            Body::Chunked => &self.body,
        };
        Ok(Response { status: head.status, body, close: head.close })
    }

    async fn send(&mut self, request: &[u8]) -> anyhow::Result<http_response::Head> {
        self.received.clear();
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
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
            }
            Body::Chunked => {
                while !http_response::unchunk(&self.received[head.length..], &mut self.body)? {
                    self.receive().await?;
                }
            }
        }
        Ok(head)
    }

    /// Waits until a connection without a request is of no use any more: because the server has closed it, or has
    /// sent what nobody had asked for.
    pub async fn unusable(&mut self) {
        self.received.clear();
        self.stream.read_buf(&mut self.received).await.ok();
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.received).await? == 0 {
            return Err(anyhow!("the server has closed it"));
        }
        Ok(())
    }
}

/// A stream that counts what the kernel has taken.
#[derive(Debug)]
struct Counted {
    inner: TcpStream,
    sent: u64,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.sent += sent as u64;
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, slices))?;
        self.sent += sent as u64;
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Renders a POST of JSON.
#[must_use]
pub fn post(path: &str, host: impl fmt::Display, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}
