//! What may come as a request's body, and what is said to it.

use std::{net::Shutdown, time::Duration};

use fermata::server::mutate::ReviewLimits;
use serde_json::{Value, json};

use crate::{
    client::{eventually, head, request},
    fixture::{SOON, Setup},
    reviews::{drain, padded, patch, plain, review, warnings},
};

const JSON: &str = "content-type: application/json\r\n";

#[test]
fn a_review_is_answered_and_the_connection_kept() {
    let served = Setup::default().serve();
    let mut client = served.client();
    for _ in 0..3 {
        let answer = client.review(&plain()).unwrap();
        assert_eq!(drain(&answer), Some(15));
        assert_eq!(answer.headers["content-type"], "application/json");
        assert!(!answer.closes());
    }
    assert_eq!(served.metric("fermata_reviews_total{outcome=\"patched\"}"), 3);
    assert_eq!(served.metric("fermata_review_duration_seconds_count"), 3);
}

#[test]
fn what_is_no_review_is_refused_with_a_line_and_the_connection_kept() {
    let served = Setup::default().serve();
    let mut client = served.client();
    let changes: [fn(&mut Value); 6] = [
        |review| *review = json!({}),
        |review| review["request"] = Value::Null,
        |review| review["request"]["uid"] = "".into(),
        |review| review["request"]["object"] = Value::Null,
        |review| review["apiVersion"] = "admission.k8s.io/v1beta1".into(),
        |review| review["kind"] = "Pod".into(),
    ];
    let mut bodies: Vec<_> = changes.into_iter().map(review).collect();
    let whole = plain();
    bodies.extend([
        b"".to_vec(),
        b"null".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        b"\xff\xfe".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        "[".repeat(100_000).into_bytes(),
        "{\"a\":".repeat(100_000).into_bytes(),
    ]);
    for (index, body) in bodies.iter().enumerate() {
        let answer = client.review(body).unwrap();
        assert_eq!(answer.status, 400, "{index}: {answer:?}");
        assert_eq!(answer.text().lines().count(), 1, "{index}: {}", answer.text());
        assert!(!answer.closes(), "{index}");
    }
    assert_eq!(drain(&client.review(&whole).unwrap()), Some(15));
    let refused = served.metric("fermata_refused_requests_total{reason=\"malformed\"}");
    assert_eq!(refused, u64::try_from(bodies.len()).unwrap());
}

#[test]
fn what_creates_no_pod_passes() {
    let served = Setup::default().serve();
    let mut client = served.client();
    for operation in ["UPDATE", "DELETE", "CONNECT"] {
        let body = review(|review| {
            review["request"]["operation"] = operation.into();
            if operation == "DELETE" {
                review["request"]["object"] = Value::Null;
            }
        });
        let answer = client.review(&body).unwrap();
        assert!(patch(&answer).is_empty() && warnings(&answer).is_empty(), "{operation}");
    }
}

#[test]
fn only_uncompressed_json_is_read() {
    let served = Setup::default().serve();
    for (headers, status) in [
        ("content-type: application/json; charset=utf-8\r\n", 200),
        ("Content-Type: Application/JSON\r\n", 200),
        ("content-type: application/json\r\ncontent-encoding: identity\r\n", 200),
        ("", 415),
        ("content-type: text/plain\r\n", 415),
        ("content-type: application/vnd.kubernetes.protobuf\r\n", 415),
        ("content-type: application/json\r\ncontent-encoding: gzip\r\n", 415),
        ("content-type: application/json\r\ncontent-encoding: br\r\n", 415),
    ] {
        let mut client = served.client();
        let body = plain();
        let mut request = head(headers, body.len()).into_bytes();
        request.extend(body);
        client.send(&request).unwrap();
        assert_eq!(client.answer().unwrap().status, status, "{headers:?}");
    }
}

#[test]
fn other_paths_and_methods_are_told_so() {
    let served = Setup::default().serve();
    for (line, status) in [
        ("GET /mutate", 405),
        ("PUT /mutate", 405),
        ("DELETE /mutate", 405),
        ("POST /", 404),
        ("GET /", 404),
        ("POST /mutate/", 404),
        ("GET /metrics", 404),
    ] {
        let mut client = served.client();
        client.send(format!("{line} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
        let answer = client.answer().unwrap();
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(answer.headers.get("allow").map(String::as_str), (status == 405).then_some("POST"));
    }
}

#[test]
fn the_largest_body_is_answered_and_a_larger_one_is_not_read() {
    const LARGEST: usize = 7 << 20;
    let served = Setup::default().serve();
    let mut body = plain();
    body.resize(LARGEST, b' ');
    assert_eq!(drain(&served.client().review(&body).unwrap()), Some(15));

    for length in [LARGEST + 1, 100 << 20, usize::MAX >> 1] {
        let mut client = served.client();
        client.send(head(JSON, length).as_bytes()).unwrap();
        let answer = client.answer().unwrap();
        assert_eq!(answer.status, 413, "nothing of {length} bytes was sent");
        assert!(answer.closes());
    }

    let mut client = served.client();
    let chunked = "POST /mutate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(chunked.as_bytes()).unwrap();
    let chunk = [format!("{:x}\r\n", 64 << 10).into_bytes(), vec![b' '; 64 << 10], b"\r\n".to_vec()].concat();
    for _ in 0..=LARGEST / (64 << 10) {
        client.send(&chunk).unwrap();
    }
    assert_eq!(client.answer().unwrap().status, 413);
    eventually("all room is given back", || served.metric("fermata_body_in_flight_bytes") == 0);
}

#[test]
fn a_chunked_body_is_put_together() {
    let served = Setup::default().serve();
    let mut client = served.client();
    let body = plain();
    client.send(b"POST /mutate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    for piece in body.chunks(7) {
        client.send(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).unwrap();
    }
    client.send(b"0\r\n\r\n").unwrap();
    assert_eq!(drain(&client.answer().unwrap()), Some(15));
}

#[test]
fn a_body_that_is_cut_off_harms_nobody() {
    let served = Setup::default().serve();
    let mut client = served.client();
    client.send(&[head(JSON, 1000).as_bytes(), b"{"].concat()).unwrap();
    client.stream.conn.send_close_notify();
    client.stream.conn.write_tls(&mut client.stream.sock).unwrap();
    client.stream.sock.shutdown(Shutdown::Write).unwrap();
    eventually("the body is counted as cut off", || {
        served.metric("fermata_refused_requests_total{reason=\"cut-off\"}") == 1
    });
    assert_eq!(drain(&served.client().review(&plain()).unwrap()), Some(15));
}

#[test]
fn a_slow_body_is_given_up_at_the_deadline() {
    let reviews = ReviewLimits { deadline: SOON, ..ReviewLimits::default() };
    let served = Setup { reviews, ..Setup::default() }.serve();
    let mut client = served.client();
    client.send(&[head(JSON, 1000).as_bytes(), b"{"].concat()).unwrap();
    let answer = client.answer().unwrap();
    assert_eq!(answer.status, 408);
    assert!(answer.closes());
    assert_eq!(served.metric("fermata_refused_requests_total{reason=\"slow\"}"), 1);
}

#[test]
fn strange_json_gets_a_defined_answer() {
    let served = Setup::default().serve();
    let mut client = served.client();
    let with = |from: &str, to: &str| {
        let text = String::from_utf8(plain()).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        text.replace(from, to).into_bytes()
    };
    // What cannot be told for certain is never patched.
    for body in [
        with(r#""metadata":{"name":"web"}"#, r#""metadata":{"name":"web","name":"bew"}"#),
        with(r#""spec":"#, r#""spec":{"containers":[]},"spec":"#),
        with(r#""name":"app""#, r#""name":"app\ud800""#),
    ] {
        let answer = client.review(&body).unwrap();
        assert!(patch(&answer).is_empty(), "{}", String::from_utf8_lossy(&body));
        assert_eq!(warnings(&answer).len(), 1, "{}", String::from_utf8_lossy(&body));
    }
    // The request itself must be beyond doubt.
    for body in
        [with(r#""uid":"u-1""#, r#""uid":"u-1","uid":"u-2""#), with(r#""uid":"u-1""#, r#""uid":"\ud800""#)]
    {
        assert_eq!(client.review(&body).unwrap().status, 400);
    }
    for body in [
        with(r#""image":"app""#, r#""image":"a\u0000b""#),
        with(r#""image":"app""#, r#""image":"app","x":1e400"#),
    ] {
        assert!(matches!(client.review(&body).unwrap().status, 200 | 400));
    }
}

#[test]
fn large_values_are_answered_and_cut_short_in_warnings() {
    let served = Setup::default().serve();
    let mut client = served.client();
    let body = review(|review| {
        review["request"]["object"]["metadata"]["annotations"] =
            json!({ "fermata.dev/drain": "9".repeat(128 << 10) });
    });
    let answer = client.review(&body).unwrap();
    assert_eq!(drain(&answer), Some(15));
    let warnings = warnings(&answer);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].chars().count() <= 256 && warnings[0].contains("fermata.dev/drain"), "{warnings:?}");
}

#[test]
fn a_thousand_containers_are_all_drained() {
    let served = Setup::default().serve();
    let body = review(|review| {
        let containers: Vec<_> =
            (0..1000).map(|index| json!({ "name": format!("c{index}"), "image": "app" })).collect();
        review["request"]["object"]["spec"]["containers"] = containers.into();
    });
    let answer = served.client().review(&body).unwrap();
    let hooks = patch(&answer)
        .iter()
        .filter(|operation| operation["path"].as_str().unwrap().ends_with("/lifecycle"))
        .count();
    assert_eq!(hooks, 1000);
}

#[test]
fn a_panic_costs_one_review_its_patch_and_nothing_else() {
    let setup = Setup {
        decide: Some(|review, settings| {
            assert!(review.pod().is_none_or(|pod| pod.name() != "panic"), "as the test wants it");
            review.decide(settings)
        }),
        ..Setup::default()
    };
    let served = setup.serve();
    let mut client = served.client();
    for bytes in [0, 300 << 10] {
        let body = review(|review| {
            let object = &mut review["request"]["object"];
            object["metadata"]["name"] = "panic".into();
            object["spec"]["padding"] = "x".repeat(bytes).into();
        });
        let answer = client.review(&body).unwrap();
        assert!(patch(&answer).is_empty());
        assert!(warnings(&answer)[0].contains("left unchanged"), "{:?}", warnings(&answer));
        assert_eq!(drain(&client.review(&plain()).unwrap()), Some(15));
    }
    assert_eq!(served.metric("fermata_panics_total"), 2);
    assert_eq!(served.metric("fermata_reviews_total{outcome=\"failed\"}"), 2);
}

#[test]
fn large_bodies_share_a_budget_and_small_ones_need_none() {
    let reviews = ReviewLimits { body_bytes: 800 << 10, deadline: Duration::from_secs(20) };
    let served = Setup { reviews, ..Setup::default() }.serve();
    let large = padded(600 << 10);
    let mut first = served.client();
    let request = request(&large);
    let (begin, rest) = request.split_at(request.len() / 2);
    first.send(begin).unwrap();
    let come = (large.len() / 2 - 200) as u64;
    eventually("room is taken for what has come", || served.metric("fermata_body_in_flight_bytes") >= come);
    assert!(served.metric("fermata_body_in_flight_bytes") <= large.len() as u64 / 2);

    // Heads that declare much and bring nothing take no room.
    let silent = [(); 4].map(|()| {
        let mut client = served.client();
        client.send(head(JSON, 7 << 20).as_bytes()).unwrap();
        client
    });
    let mut second = served.client();
    second.send(&request).unwrap();
    let refused = second.answer().unwrap();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(served.metric("fermata_refused_requests_total{reason=\"busy\"}"), 1);
    assert_eq!(drain(&served.client().review(&plain()).unwrap()), Some(15));

    first.send(rest).unwrap();
    assert_eq!(drain(&first.answer().unwrap()), Some(15));
    drop(silent);
    eventually("the room is given back", || served.metric("fermata_body_in_flight_bytes") == 0);
    assert_eq!(drain(&served.client().review(&large).unwrap()), Some(15));
}
