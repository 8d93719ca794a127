//! Requests against a server of the test's own.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use fermata_stop_plan::HttpGet;

use super::{ask_within, own_address::own_addresses, request, response::Response};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Answers that are given one after the other, and the requests that they were given to.
struct Server {
    address: SocketAddr,
    serving: JoinHandle<Vec<String>>,
}

impl Server {
    fn start(address: &str, answers: impl FnOnce(SocketAddr) -> Vec<String>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let answers = answers(address);
        let serving =
            std::thread::spawn(move || answers.iter().map(|answer| serve(&listener, answer)).collect());
        Self { address, serving }
    }

    fn get(&self, path: &str) -> HttpGet {
        format!("http://{}{path}", self.address).parse().unwrap()
    }
}

fn serve(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            break;
        }
        request.push(byte[0]);
    }
    // The client need not wait for all of it.
    let _ = stream.write_all(answer.as_bytes());
    String::from_utf8(request).unwrap()
}

fn ask(answer: &str) -> Result<(), String> {
    let server = Server::start("127.0.0.1:0", |_| vec![answer.to_owned()]);
    ask_within(&server.get("/quit?now"), TIMEOUT).map_err(|why| {
        let shown = format!("GET http://{}/quit?now: ", server.address);
        why.strip_prefix(&shown).unwrap_or_else(|| panic!("{why}")).to_owned()
    })
}

#[test]
fn the_request_is_the_kubelets() {
    let server = Server::start("127.0.0.1:0", |_| vec!["HTTP/1.1 200 OK\r\n\r\n".into()]);
    ask_within(&server.get("/quit?now=1"), TIMEOUT).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        server.serving.join().unwrap()[0],
        format!(
            "GET /quit?now=1 HTTP/1.1\r\nHost: {}\r\nUser-Agent: fermata-shim/{version}\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n",
            server.address
        )
    );
}

#[test]
fn headers_are_sent_as_given_and_replace_those_that_come_by_themselves() {
    let headers = [("host", "shop"), ("User-agent", "me"), ("ACCEPT", ""), ("X-A", "1"), ("X-A", "2: 3")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let peer = SocketAddr::from(([10, 0, 0, 7], 80));
    let text = String::from_utf8(request(&headers, peer, "/")).unwrap();
    assert_eq!(
        text,
        "GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nUser-agent: me\r\nX-A: 1\r\nX-A: 2: 3\r\n\r\n"
    );
    let peer = "[fd00::7]:80".parse().unwrap();
    assert!(String::from_utf8(request(&[], peer, "/")).unwrap().contains("\r\nHost: [fd00::7]:80\r\n"));
}

#[test]
fn success_is_a_status_from_200_to_399() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 204 No Content\r\n\r\n",
        "HTTP/1.1 399 \r\n\r\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
    ] {
        assert_eq!(ask(answer), Ok(()), "{answer}");
    }
    for (answer, why) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "the answer is 404 Not Found"),
        ("HTTP/1.1 500\r\n\r\n", "the answer is 500"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "the answer is 101 Switching Protocols"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer is no HTTP"),
        ("HTTP/2 200\r\n\r\n", "the answer is no HTTP"),
        ("HTTP/1.1 20 OK\r\n\r\n", "the answer is no HTTP"),
        ("HTTP/1.1 -20 OK\r\n\r\n", "the answer is no HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-", "the answer is cut off or too long"),
        ("", "the answer is cut off or too long"),
    ] {
        assert_eq!(ask(answer), Err(why.to_owned()), "{answer}");
    }
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let body = "x".repeat(1 << 20);
    assert_eq!(ask(&format!("HTTP/1.1 200 OK\r\n\r\n{body}")), Ok(()));
    let head = format!("HTTP/1.1 200 OK\r\nX: {body}\r\n\r\n");
    assert_eq!(ask(&head), Err("the answer is cut off or too long".into()));
}

#[test]
fn a_server_that_is_not_there_or_says_nothing_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let get: HttpGet = format!("http://{address}/").parse().unwrap();
    let asked = Instant::now();
    let why = ask_within(&get, Duration::from_secs(1)).unwrap_err();
    assert_eq!(why, format!("GET http://{address}/: no answer within 1s"));
    assert!(asked.elapsed() >= Duration::from_secs(1));
    drop(listener);
    let why = ask_within(&get, TIMEOUT).unwrap_err();
    assert_eq!(why, format!("GET http://{address}/: Connection refused (os error 111)"));
}

#[test]
fn redirects_are_followed_on_the_same_host() {
    let server = Server::start("127.0.0.1:0", |address| {
        let to = |location: &str| format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n");
        let absolute = to(&format!("http://{address}/a/b?c"));
        vec![absolute, to("/d/e?f"), to("g"), to("?h#i"), "HTTP/1.1 200 OK\r\n\r\n".into()]
    });
    ask_within(&server.get("/"), TIMEOUT).unwrap();
    let requests = server.serving.join().unwrap();
    let paths: Vec<_> = requests.iter().map(|request| request.split(' ').nth(1).unwrap()).collect();
    assert_eq!(paths, ["/", "/a/b?c", "/d/e?f", "/d/g", "/d/g?h"]);
}

#[test]
fn redirects_elsewhere_count_as_they_are() {
    let from: SocketAddr = "10.0.0.7:8080".parse().unwrap();
    for (location, next) in [
        ("http://10.0.0.7/x", Some((80, "/x"))),
        ("HTTP://10.0.0.7:81", Some((81, "/"))),
        ("//10.0.0.7:8080?x", Some((8080, "/?x"))),
        ("https://10.0.0.7:8080/", None),
        ("http://10.0.0.8:8080/", None),
        ("http://shop/", None),
        ("http://[fd00::1]/", None),
        ("/a b", None),
    ] {
        let answer = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\n\r\n");
        let response = Response::parse(answer.as_bytes()).unwrap().unwrap();
        assert!(response.is_success());
        let next = next.map(|(port, path)| (port, path.to_owned()));
        assert_eq!(response.redirect(from, "/"), next, "{location}");
    }
    let created = b"HTTP/1.1 201 Created\r\nLocation: /x\r\n\r\n";
    assert_eq!(Response::parse(created).unwrap().unwrap().redirect(from, "/"), None);
}

#[test]
fn a_ring_of_redirects_ends() {
    let again = "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned();
    let server = Server::start("127.0.0.1:0", |_| vec![again; 11]);
    let why = ask_within(&server.get("/"), TIMEOUT).unwrap_err();
    assert!(why.ends_with("/: it is redirected more than 10 times"), "{why}");
    assert_eq!(server.serving.join().unwrap().len(), 11);
}

#[test]
fn without_a_host_the_pod_itself_is_asked() {
    let own = own_addresses();
    assert!(!own.is_empty() && own.iter().all(|address| !address.is_unspecified()), "{own:?}");
    let server = Server::start("0.0.0.0:0", |_| vec!["HTTP/1.1 200 OK\r\n\r\n".into()]);
    let get: HttpGet = format!("http://:{}/", server.address.port()).parse().unwrap();
    assert_eq!(get.host, None);
    let v4: Vec<IpAddr> = own.into_iter().filter(IpAddr::is_ipv4).collect();
    let first = v4.first().copied().unwrap_or(Ipv4Addr::LOCALHOST.into());
    ask_within(&get, TIMEOUT).unwrap();
    let host = format!("\r\nHost: {}\r\n", SocketAddr::new(first, server.address.port()));
    let requests = server.serving.join().unwrap();
    assert!(requests[0].contains(&host), "{}", requests[0]);
}
