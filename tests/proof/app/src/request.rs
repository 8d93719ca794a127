//! HTTP/1.1, as far as a proxy speaks it to these applications: GET, without a body.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use anyhow::{Context as _, ensure};

/// More than a proxy's head takes.
const LONGEST_HEAD: usize = 16 * 1024;

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its token, which the answer repeats.
    pub(crate) token: String,
    /// Whether the connection is to be closed behind the answer.
    pub(crate) close: bool,
}

impl Request {
    /// Reads one from a connection; nothing at its end.
    pub(crate) fn read(stream: &mut TcpStream) -> anyhow::Result<Option<Self>> {
        let mut head = Vec::new();
        let mut part = [0; 4096];
        while !head.ends_with(b"\r\n\r\n") {
            let length = stream.read(&mut part)?;
            if length == 0 {
                ensure!(head.is_empty(), "the connection ended in the middle of a request");
                return Ok(None);
            }
            head.extend_from_slice(part.get(..length).unwrap_or_default());
            ensure!(head.len() <= LONGEST_HEAD, "the head of a request is too long");
        }
        Self::parse(std::str::from_utf8(&head)?).map(Some)
    }

    fn parse(head: &str) -> anyhow::Result<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target, version) = (words.next(), words.next(), words.next());
        ensure!(method == Some("GET"), "expected GET");
        let (_, query) = target.context("expected a target")?.split_once('?').unwrap_or_default();
        let token = query.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
        let connection = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("connection"))
            .map(|(_, value)| value.trim());
        let close = match connection {
            Some(value) => value.eq_ignore_ascii_case("close"),
            None => version != Some("HTTP/1.1"),
        };
        Ok(Self { token: token.to_owned(), close })
    }
}

/// Answers a request.
pub(crate) fn respond(stream: &mut TcpStream, token: &str, close: bool) -> std::io::Result<()> {
    let body = format!("token={token}\n");
    let connection = if close { "close" } else { "keep-alive" };
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_tells_its_token_and_what_becomes_of_the_connection() -> anyhow::Result<()> {
        let parse = |head: &str| Request::parse(head).map(|request| (request.token, request.close));
        assert_eq!(parse("GET /?token=7 HTTP/1.1\r\nHost: app\r\n\r\n")?, ("7".to_owned(), false));
        assert_eq!(parse("GET /?a=b&token=7 HTTP/1.0\r\nConnection: close\r\n\r\n")?, ("7".to_owned(), true));
        assert_eq!(parse("GET / HTTP/1.0\r\n\r\n")?, (String::new(), true));
        assert!(parse("POST / HTTP/1.1\r\n\r\n").is_err());
        Ok(())
    }
}
