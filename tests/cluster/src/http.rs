//! A plain HTTP GET on loopback, for readiness and metrics endpoints.
//!
//! HTTP/1.0 keeps it this small: the server neither chunks the body nor holds the connection open.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long one request may take.
const BOUND: Duration = Duration::from_secs(5);

/// An HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Fetches an `http://HOST:PORT/PATH` URL.
///
/// # Errors
///
/// When the URL is of another form, nobody answers, or the answer is not HTTP.
pub async fn get(url: &str) -> anyhow::Result<Response> {
    timeout(BOUND, exchange(url))
        .await
        .with_context(|| format!("{url} did not answer within {} s", BOUND.as_secs()))?
        .with_context(|| format!("failed to get {url}"))
}

async fn exchange(url: &str) -> anyhow::Result<Response> {
    let rest = url.strip_prefix("http://").context("expected a URL that starts with http://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    parse(&String::from_utf8_lossy(&answer))
}

fn parse(answer: &str) -> anyhow::Result<Response> {
    let (head, body) = answer.split_once("\r\n\r\n").context("expected an HTTP response head")?;
    let mut words = head.split_ascii_whitespace();
    ensure!(words.next().is_some_and(|version| version.starts_with("HTTP/")), "expected an HTTP status line");
    let status = words.next().context("expected an HTTP status code")?.parse()?;
    Ok(Response { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_taken_apart() -> anyhow::Result<()> {
        let response = parse("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno")?;
        assert_eq!(response, Response { status: 503, body: "no".to_owned() });
        Ok(())
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert!(parse("SSH-2.0-OpenSSH\r\n\r\n").is_err());
        assert!(parse("").is_err());
    }
}
