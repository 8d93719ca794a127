//! A container's own `httpGet` hook, asked for as the kubelet would.
//!
//! As the kubelet does, it follows up to ten redirects as long as they stay on the same host. It does not follow one
//! to HTTPS: the shim speaks no TLS, and such an answer counts as it is, which is a success. Unlike the kubelet,
//! which ignores the status of a hook, it fails on one that is no success, so that an Event tells of it.

mod own_address;
mod response;
#[cfg(test)]
mod tests;

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use fermata_stop_plan::HttpGet;

use self::{own_address::own_addresses, response::Response};

/// How long the request may take, redirects included.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How much of an answer is read.
const LONGEST_ANSWER: usize = 64 * 1024;
/// How many redirects are followed.
const MOST_REDIRECTS: u32 = 10;

/// Asks, and says why it failed.
///
/// # Errors
///
/// When nobody answers in time, or the answer is neither a success nor a redirect.
pub(super) fn ask(get: &HttpGet) -> Result<(), String> {
    ask_within(get, TIMEOUT)
}

fn ask_within(get: &HttpGet, timeout: Duration) -> Result<(), String> {
    let deadline = Instant::now() + timeout;
    let mut path = get.path.clone();
    let mut port = get.port;
    let mut addresses = match get.host {
        Some(host) => vec![host],
        None => own_addresses(),
    };
    for _ in 0..=MOST_REDIRECTS {
        let url = |host| format!("http://{}{path}", SocketAddr::new(host, port));
        let failed = |why: io::Error| {
            let shown = addresses.first().map_or_else(|| get.to_string(), |host| url(*host));
            format!("GET {shown}: {}", in_words(&why, timeout))
        };
        let (mut stream, peer) = connect(&addresses, port, deadline).map_err(failed)?;
        let request = request(&get.headers, peer, &path);
        let response = exchange(&mut stream, &request, deadline).map_err(failed)?;
        if !response.is_success() {
            return Err(format!("GET {}: the answer is {}", url(peer.ip()), response.status_line()));
        }
        match response.redirect(peer, &path) {
            Some(next) => (port, path) = next,
            None => return Ok(()),
        }
        // The host stays what it was, and it is the one that has answered.
        addresses = vec![peer.ip()];
    }
    Err(format!("GET {get}: it is redirected more than {MOST_REDIRECTS} times"))
}

/// Connects to the first address that takes the connection.
fn connect(
    addresses: &[std::net::IpAddr],
    port: u16,
    deadline: Instant,
) -> io::Result<(TcpStream, SocketAddr)> {
    let mut refused = io::Error::from(ErrorKind::AddrNotAvailable);
    for (index, address) in addresses.iter().enumerate() {
        let peer = SocketAddr::new(*address, port);
        match TcpStream::connect_timeout(&peer, left(deadline)?) {
            Ok(stream) => return Ok((stream, peer)),
            // The kubelet knows one address of the Pod. What it would say of that one is of use.
            Err(error) if index == 0 => refused = error,
            Err(_) => {}
        }
    }
    Err(refused)
}

/// The request. Headers that the hook gives replace those that come by themselves.
fn request(headers: &[(String, String)], peer: SocketAddr, path: &str) -> Vec<u8> {
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let host =
        headers.iter().rev().find(|(name, value)| name.eq_ignore_ascii_case("host") && !value.is_empty());
    let host = host.map_or_else(|| peer.to_string(), |(_, value)| value.clone());
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
    let mut header = |name: &str, value: &str| {
        request.extend([name, ": ", value, "\r\n"]);
    };
    if !given("user-agent") {
        header("User-Agent", concat!("fermata-shim/", env!("CARGO_PKG_VERSION")));
    }
    if !given("accept") {
        header("Accept", "*/*");
    }
    header("Connection", "close");
    for (name, value) in headers {
        // An empty Accept asks for none; one connection is all there is.
        let none = name.eq_ignore_ascii_case("accept") && value.is_empty();
        if !none && !["host", "connection"].iter().any(|own| name.eq_ignore_ascii_case(own)) {
            header(name, value);
        }
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// Sends the request and reads the answer. Once its head is there, nothing that happens to the rest is a failure:
/// it is read so that the server can finish, and nobody looks at it.
/// What the rest of an answer may take once its status is known.
const FOR_THE_BODY: Duration = Duration::from_secs(2);

fn exchange(stream: &mut TcpStream, request: &[u8], mut deadline: Instant) -> io::Result<Response> {
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut response = None;
    loop {
        match read_some(stream, &mut answer, deadline) {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) if response.is_some() => break,
            Err(error) => return Err(error),
        }
        if response.is_none() {
            response = Response::parse(&answer)?;
            if response.is_some() {
                // All is known. The rest is taken so that the server is not cut off while it writes.
                deadline = deadline.min(Instant::now() + FOR_THE_BODY);
            }
        }
        if answer.len() >= LONGEST_ANSWER || response.as_ref().is_some_and(|head| head.ends_in(&answer)) {
            break;
        }
    }
    let cut_off = || io::Error::new(ErrorKind::UnexpectedEof, "the answer is cut off or too long");
    response.ok_or_else(cut_off)
}

fn read_some(stream: &mut TcpStream, answer: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
    let mut chunk = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut chunk) {
            Ok(read) => {
                answer.extend_from_slice(&chunk[..read]);
                return Ok(read);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The time that is left, which is never zero: sockets take that for no limit.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn in_words(error: &io::Error, timeout: Duration) -> String {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => format!("no answer within {}s", timeout.as_secs()),
        _ => error.to_string(),
    }
}
