//! Connections that are slow, many, or not what they should be.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use fermata::server::{ConnectionLimits, mutate::ReviewLimits};
use rustls::version::{TLS12, TLS13};
use serde_json::json;

use crate::{
    client::{Client, Trust, eventually, head, request, tcp},
    fixture::{SOON, Served, Setup},
    reviews::{drain, padded, plain, review},
};

fn serve(connections: ConnectionLimits) -> Served {
    Setup { connections, ..Setup::default() }.serve()
}

#[test]
fn a_slow_head_is_ended_and_an_idle_connection_is_kept() {
    let served = serve(ConnectionLimits { head: SOON, ..ConnectionLimits::default() });
    let mut idle = served.client();
    assert_eq!(drain(&idle.review(&plain()).unwrap()), Some(15));
    let fresh = served.client();
    let begun = Instant::now();
    let mut slow = served.client();
    slow.send(b"POST /mutate HTTP/1.1\r\nhost:").unwrap();
    slow.closed();
    assert!(begun.elapsed() >= SOON);
    let mut again = idle;
    assert_eq!(drain(&again.review(&plain()).unwrap()), Some(15), "the idle one is still there");
    let mut fresh = fresh;
    assert_eq!(drain(&fresh.review(&plain()).unwrap()), Some(15), "and so is the new one");
    // A head that has begun after an answer has its limit, too.
    again.send(b"P").unwrap();
    again.closed();
}

#[test]
fn an_idle_connection_is_ended_in_its_time() {
    let served = serve(ConnectionLimits { idle: SOON, ..ConnectionLimits::default() });
    let mut used = served.client();
    used.review(&plain()).unwrap();
    let mut fresh = served.client();
    used.closed();
    fresh.closed();
    eventually("the list is empty", || served.connections.count() == 0);
}

#[test]
fn a_stuck_handshake_is_ended() {
    let served = serve(ConnectionLimits { handshake: SOON, ..ConnectionLimits::default() });
    let silent = tcp(served.address).unwrap();
    let mut begun = tcp(served.address).unwrap();
    begun.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).unwrap();
    eventually("both have come", || served.connections.count() > 0);
    eventually("both are gone", || served.connections.count() == 0);
    drop((silent, begun));
}

#[test]
fn whatever_is_not_tls_is_closed() {
    let served = Setup::default().serve();
    let garbage: [&[u8]; 5] = [
        b"POST /mutate HTTP/1.1\r\nhost: localhost\r\n\r\n",
        &[0; 16 << 10],
        &[0xff; 600],
        b"\x80\x2e\x01\x03\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for bytes in garbage {
        let mut client = Client::plain(served.address).unwrap();
        let _ = client.send(bytes);
        client.closed();
    }
    assert_eq!(drain(&served.client().review(&plain()).unwrap()), Some(15));
}

#[test]
fn http_1_1_is_the_only_protocol() {
    let served = Setup::default().serve();
    let authority = [served.authority.as_str()];
    for version in [&TLS12, &TLS13] {
        let trust = Trust::with(authority, &[version], &["h2", "http/1.1"]);
        let mut client = Client::connect(served.address, &trust).unwrap();
        assert_eq!(client.stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(drain(&client.review(&plain()).unwrap()), Some(15));
        assert!(Client::connect(served.address, &Trust::with(authority, &[version], &["h2"])).is_err());
    }
    let mut preface = served.client();
    preface.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    preface.closed();
}

#[test]
fn ambiguous_and_huge_heads_are_refused() {
    let served = Setup::default().serve();
    let body = plain();
    let huge = format!("x: {}\r\n", "x".repeat(1 << 20));
    let many = "x: y\r\n".repeat(200);
    for headers in [
        "content-type: application/json\r\ncontent-length: 5\r\n",
        "content-type: application/json\r\n folded: yes\r\n",
        &huge,
        &many,
    ] {
        let mut client = served.client();
        let _ = client.send(&[head(headers, body.len()).as_bytes(), &body].concat());
        if let Ok(answer) = client.answer() {
            assert!(matches!(answer.status, 400 | 431), "{answer:?}");
        }
        client.closed();
    }
    assert_eq!(drain(&served.client().review(&body).unwrap()), Some(15));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let served = Setup::default().serve();
    let mut client = served.client();
    let requests: Vec<u8> = (0..100)
        .flat_map(|index| request(&review(|review| review["request"]["uid"] = format!("u-{index}").into())))
        .collect();
    client.send(&requests).unwrap();
    for index in 0..100 {
        let answer = client.answer().unwrap();
        assert_eq!(answer.json()["response"]["uid"], format!("u-{index}"));
    }
}

#[test]
fn beyond_the_cap_the_one_that_is_idle_for_longest_goes() {
    let reviews = ReviewLimits { deadline: Duration::from_secs(20), ..ReviewLimits::default() };
    let connections = ConnectionLimits { connections: 3, ..ConnectionLimits::default() };
    let served = Setup { connections, reviews, ..Setup::default() }.serve();
    let [mut oldest, mut younger, mut youngest] = [(); 3].map(|()| {
        let mut client = served.client();
        assert_eq!(drain(&client.review(&plain()).unwrap()), Some(15));
        client
    });
    let mut fourth = served.client();
    assert_eq!(drain(&fourth.review(&plain()).unwrap()), Some(15));
    oldest.closed();
    let mut fifth = served.client();
    assert_eq!(drain(&fifth.review(&plain()).unwrap()), Some(15));
    younger.closed();

    // Where all are at work, the new one is refused, and no work is lost.
    let body = padded(100 << 10);
    let whole = request(&body);
    let (begin, rest) = whole.split_at(whole.len() - 1);
    for busy in [&mut youngest, &mut fourth, &mut fifth] {
        busy.send(begin).unwrap();
    }
    let all = 3 * (body.len() as u64 - 1);
    eventually("all are at work", || served.metric("fermata_body_in_flight_bytes") == all);
    eventually("a new one is refused", || {
        let refused = Client::connect(served.address, &served.trust).is_err();
        refused && served.metric("fermata_refused_requests_total{reason=\"connections\"}") > 0
    });
    for busy in [&mut youngest, &mut fourth, &mut fifth] {
        busy.send(rest).unwrap();
        assert_eq!(drain(&busy.answer().unwrap()), Some(15));
    }
}

#[test]
fn who_does_not_read_answers_is_ended() {
    let served = serve(ConnectionLimits { answer: SOON, ..ConnectionLimits::default() });
    let body = review(|review| {
        let containers: Vec<_> =
            (0..1000).map(|index| json!({ "name": format!("c{index}"), "image": "app" })).collect();
        review["request"]["object"]["spec"]["containers"] = containers.into();
    });
    let mut client = served.client();
    let whole = request(&body);
    client.stream.sock.set_write_timeout(Some(SOON)).unwrap();
    // Answers are larger than requests, and nobody reads them, until no more fits anywhere on the way.
    while client.send(&whole).is_ok() {}
    eventually("it is gone", || served.connections.count() == 0);
}
