//! The head of an HTTP answer.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
};

/// The statuses that send the client elsewhere.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// What is needed of an answer.
#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    reason: String,
    location: Option<String>,
    chunked: bool,
    /// Where the body begins, and how long it is where the server says so.
    body: usize,
    length: Option<usize>,
}

impl Response {
    /// Reads the head, or returns nothing as long as it is not whole. Interim answers are skipped.
    pub(super) fn parse(answer: &[u8]) -> io::Result<Option<Self>> {
        let mut begin = 0;
        loop {
            let rest = &answer[begin..];
            let Some(end) = head_end(rest) else { return Ok(None) };
            let response = Self::of_head(&String::from_utf8_lossy(&rest[..end]), begin + end)?;
            // 101 would end HTTP, and nobody asked for it.
            if !(100..200).contains(&response.status) || response.status == 101 {
                return Ok(Some(response));
            }
            begin += end;
        }
    }

    fn of_head(head: &str, body: usize) -> io::Result<Self> {
        let malformed = || io::Error::new(ErrorKind::InvalidData, "the answer is no HTTP");
        let mut lines = head.lines();
        let status_line = lines.next().unwrap_or_default();
        let mut words = status_line.splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().filter(|digits| digits.len() == 3).and_then(|digits| digits.parse().ok());
        let status = status.filter(|_| version.starts_with("HTTP/1.")).ok_or_else(malformed)?;
        let reason = words.next().unwrap_or_default().to_owned();
        let mut response = Self { status, reason, location: None, chunked: false, body, length: None };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "location" => response.location = Some(value.to_owned()),
                "content-length" => response.length = value.parse().ok(),
                "transfer-encoding" => response.chunked = value.to_ascii_lowercase().ends_with("chunked"),
                _ => {}
            }
        }
        if matches!(status, 204 | 304) {
            response.length = Some(0);
        }
        Ok(response)
    }

    /// Whether the kubelet would take it for one, if it looked.
    pub(super) fn is_success(&self) -> bool {
        (200..400).contains(&self.status)
    }

    /// The status for people.
    pub(super) fn status_line(&self) -> String {
        format!("{} {}", self.status, self.reason).trim_end().to_owned()
    }

    /// Whether this is all of the answer. Where the server does not say how long it is, it ends with the connection.
    pub(super) fn ends_in(&self, answer: &[u8]) -> bool {
        let body = answer.get(self.body..).unwrap_or_default();
        if self.chunked {
            // The rest is not looked at, so that a body that happens to end so does no harm.
            return body.ends_with(b"0\r\n\r\n");
        }
        self.length.is_some_and(|length| body.len() >= length)
    }

    /// Port and path of where it leads, if that is to the same host and can be followed.
    pub(super) fn redirect(&self, from: SocketAddr, path: &str) -> Option<(u16, String)> {
        let location = self.location.as_deref().filter(|_| REDIRECTS.contains(&self.status))?;
        // A fragment is for browsers.
        let location = location.split('#').next()?;
        if !location.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let authority_and_path = match location.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Some(rest),
            Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => return None,
            _ => location.strip_prefix("//"),
        };
        let Some(rest) = authority_and_path else { return Some((from.port(), relative(path, location))) };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let peer = authority.parse().or_else(|_| host_alone(authority).map(|host| SocketAddr::new(host, 80)));
        let peer = peer.ok().filter(|peer: &SocketAddr| peer.ip() == from.ip() && peer.port() > 0)?;
        Some((peer.port(), if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }))
    }
}

/// An address without a port, in the brackets of a URL if it is of IPv6.
fn host_alone(authority: &str) -> Result<IpAddr, std::net::AddrParseError> {
    match authority.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse(),
        None => authority.parse::<std::net::Ipv4Addr>().map(IpAddr::from),
    }
}

/// The path that a reference leads to from another one.
fn relative(path: &str, reference: &str) -> String {
    if reference.starts_with('/') {
        return reference.to_owned();
    }
    let path = path.split('?').next().unwrap_or_default();
    if reference.is_empty() || reference.starts_with('?') {
        return format!("{path}{reference}");
    }
    let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
    format!("{folder}{reference}")
}

/// Where a head ends, the empty line included.
fn head_end(answer: &[u8]) -> Option<usize> {
    let crlf = answer.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
    let lf = answer.windows(2).position(|two| two == b"\n\n").map(|end| end + 2);
    match (crlf, lf) {
        (Some(crlf), Some(lf)) => Some(crlf.min(lf)),
        (crlf, lf) => crlf.or(lf),
    }
}
