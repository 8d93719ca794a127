//! Takes HTTP/1.1 responses apart, as far as a load generator has to.

use anyhow::{Context as _, bail, ensure};

/// More headers than any server here sends.
const MAX_HEADERS: usize = 32;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// By `Content-Length`.
    Sized(usize),
    /// By an empty chunk.
    Chunked,
}

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// How many bytes the head takes.
    pub length: usize,
    /// How to read on.
    pub body: Body,
    /// Whether the server means to close the connection after it.
    pub close: bool,
}

/// Reads the head of a response; nothing if it has not all come yet.
///
/// # Errors
///
/// When it is not HTTP, or does not say how long its body is.
pub fn head(received: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(received)? else {
        return Ok(None);
    };
    let status = response.code.context("expected a status code")?;
    let (mut body, mut close) = (None, false);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body = Some(Body::Sized(std::str::from_utf8(header.value)?.parse()?));
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            ensure!(header.value.eq_ignore_ascii_case(b"chunked"), "expected no other encoding than chunked");
            body = Some(Body::Chunked);
        } else if header.name.eq_ignore_ascii_case("connection") {
            close |= header.value.eq_ignore_ascii_case(b"close");
        }
    }
    let Some(body) = body else {
        bail!("a response with status {status} does not say how long its body is");
    };
    Ok(Some(Head { status, length, body, close }))
}

/// Puts the chunks of a body together; says whether that was all of it.
///
/// It begins anew each time: the bodies here come in one or two reads.
///
/// # Errors
///
/// When this is no chunked body, or something follows it.
pub fn unchunk(mut received: &[u8], body: &mut Vec<u8>) -> anyhow::Result<bool> {
    body.clear();
    loop {
        let Ok(size) = httparse::parse_chunk_size(received) else {
            bail!("expected the size of a chunk");
        };
        let httparse::Status::Complete((start, size)) = size else {
            return Ok(false);
        };
        let size = usize::try_from(size)?;
        let Some(chunk) = received.get(start..start + size + 2) else {
            return Ok(false);
        };
        ensure!(chunk.ends_with(b"\r\n"), "expected a line's end after a chunk");
        body.extend_from_slice(&chunk[..size]);
        received = &received[start + size + 2..];
        if size == 0 {
            ensure!(received.is_empty(), "more came than one response");
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_how_long_the_body_is() -> anyhow::Result<()> {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(head(answer)?, Some(Head { status: 200, length: 38, body: Body::Sized(2), close: false }));
        let answer = b"HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(head(answer)?.map(|head| head.close), Some(true));
        let answer = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(head(answer)?.map(|head| head.body), Some(Body::Chunked));
        assert_eq!(head(b"HTTP/1.1 200 OK\r\ncontent-le")?, None);
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        Ok(())
    }

    #[test]
    fn chunks_are_put_together_however_they_come() -> anyhow::Result<()> {
        let answer = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
        let mut body = Vec::new();
        for received in 0..answer.len() {
            assert!(!unchunk(&answer[..received], &mut body)?, "{received} bytes are not all of it");
        }
        assert!(unchunk(answer, &mut body)?);
        assert_eq!(body, b"hello world");
        assert!(unchunk(b"0\r\n\r\nmore", &mut body).is_err());
        Ok(())
    }
}
