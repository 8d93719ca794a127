//! What a client gets.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::site::PATIENCE;

/// The answer of each application.
pub(crate) const WHOLE: &str = "first half, second half\n";

/// What a client got for its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All of it.
    Whole,
    /// Nobody listens.
    Refused,
    /// Less than all, or nothing; the text shows how it ended.
    Lost(String),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// Answered at once.
    Fast,
    /// Answered when the test says so.
    Slow,
}

impl Page {
    /// How long a client waits for it.
    fn patience(self) -> Duration {
        match self {
            Self::Fast => Duration::from_secs(2),
            Self::Slow => PATIENCE,
        }
    }
}

/// Sends a request and reads what comes until the connection ends. The body is taken from it by `body`.
pub(crate) fn exchange(
    address: SocketAddr,
    request: &[u8],
    page: Page,
    body: fn(&[u8]) -> Vec<u8>,
) -> Answer {
    let talk = || -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&address, page.patience())?;
        stream.set_read_timeout(Some(page.patience()))?;
        stream.write_all(request)?;
        Ok(stream)
    };
    let mut stream = match talk() {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Answer::Refused,
        Err(error) => return Answer::Lost(error.to_string()),
    };
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    if body(&answer).ends_with(WHOLE.as_bytes()) {
        return Answer::Whole;
    }
    Answer::Lost(format!("{end:?} after {:?}", String::from_utf8_lossy(&answer)))
}

/// Asks by HTTP.
pub(crate) fn get(address: SocketAddr, page: Page) -> Answer {
    let path = match page {
        Page::Fast => "/fast",
        Page::Slow => "/slow",
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    exchange(address, request.as_bytes(), page, <[u8]>::to_vec)
}
