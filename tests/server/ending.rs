//! How the program starts without a cluster, and how it ends.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::{Client, SetAtEnd, eventually, head, request},
    fixture::{metric, ready},
    process::Process,
    reviews::{drain, plain},
};

#[test]
fn without_a_cluster_it_serves_and_says_so() {
    let mut process = Process::start(&[]);
    let (ready, page) = ready(process.admin);
    assert!(ready, "{page}");
    assert!(page.contains("namespaces not watched: no cluster"), "{page}");
    assert_eq!(metric(process.admin, "fermata_ready"), 1);
    assert_eq!(Client::plain(process.admin).unwrap().get("/livez").unwrap().status, 200);
    assert_eq!(drain(&process.client().review(&plain()).unwrap()), Some(15));
    process.signal("INT");
    eventually("it is not ready", || !crate::fixture::ready(process.admin).0);
    assert_eq!(metric(process.admin, "fermata_ready"), 0);
    process.signal("INT");
    assert_eq!(process.exit().code(), Some(130));
}

#[test]
fn an_end_under_load_fails_no_review() {
    let mut process = Process::start(&["--drain", "1s"]);
    let told = AtomicBool::new(false);
    let over = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    let after = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            let (process, told, over, answered, after) = (&process, &told, &over, &answered, &after);
            scope.spawn(move || {
                let mut client = process.client();
                while !over.load(Ordering::Relaxed) {
                    let was_told = told.load(Ordering::Relaxed);
                    let answer = client.review(&plain()).expect("a review that was sent is answered");
                    assert_eq!(drain(&answer), Some(15));
                    answered.fetch_add(1, Ordering::Relaxed);
                    if was_told {
                        after.fetch_add(1, Ordering::Relaxed);
                    }
                    if answer.closes() {
                        // By now another replica would get it.
                        match Client::connect(process.address, &process.trust) {
                            Ok(next) => client = next,
                            Err(_) => return,
                        }
                    }
                }
            });
        }
        let failed = SetAtEnd(&over);
        eventually("reviews are answered", || answered.load(Ordering::Relaxed) > 100);
        process.signal("TERM");
        eventually("it is not ready", || {
            let (ready, page) = ready(process.admin);
            !ready && page.contains("[-]serving failed: draining")
        });
        told.store(true, Ordering::Relaxed);
        // All is well, so the threads end by themselves.
        std::mem::forget(failed);
    });
    assert!(after.load(Ordering::Relaxed) > 0, "it goes on answering");
    assert_eq!(process.exit().code(), Some(0));
}

#[test]
fn idle_connections_do_not_hold_up_the_end_and_work_does() {
    let mut process = Process::start(&["--drain", "0s"]);
    let mut idle = process.client();
    idle.review(&plain()).unwrap();
    let _never_asked = process.client();
    let mut busy = process.client();
    let whole = request(&plain());
    let (begin, rest) = whole.split_at(whole.len() - 1);
    busy.send(begin).unwrap();
    let told = Instant::now();
    process.signal("TERM");
    idle.closed();
    busy.send(rest).unwrap();
    let answer = busy.answer().unwrap();
    assert_eq!(drain(&answer), Some(15));
    assert!(answer.closes());
    drop(busy);
    assert_eq!(process.exit().code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
}

#[test]
fn work_that_never_ends_is_cut_off() {
    let mut process = Process::start(&["--drain", "0s"]);
    let mut stuck = process.client();
    stuck.send(head("content-type: application/json\r\n", 10).as_bytes()).unwrap();
    process.signal("TERM");
    assert_eq!(process.exit().code(), Some(0));
}

#[test]
fn a_second_signal_leaves_at_once() {
    let mut process = Process::start(&["--drain", "1h"]);
    process.signal("TERM");
    eventually("it is not ready", || !ready(process.admin).0);
    process.signal("TERM");
    assert_eq!(process.exit().code(), Some(143));
}

#[test]
fn a_port_in_use_is_named_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--admin-listen"] {
        let output = Process::fails(&["--tls-self-signed", option, &address]);
        assert!(
            output.contains(&format!("cannot listen on {address}; choose another address with {option}")),
            "{output}"
        );
    }
}

#[test]
fn it_is_reached_by_either_family() {
    let process = Process::start(&["--listen", "[::]:0", "--admin-listen", "[::]:0"]);
    for port in [process.address.port(), process.admin.port()] {
        for loopback in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            TcpStream::connect((loopback, port)).unwrap();
        }
    }
}

#[test]
fn without_a_certificate_it_says_how_to_get_one() {
    let output = Process::fails(&[]);
    assert!(
        output.contains("give --tls-secret, or --tls-cert and --tls-key, or --tls-self-signed"),
        "{output}"
    );
}

#[test]
fn options_that_cannot_be_met_end_the_program_with_the_reason() {
    for (options, reason) in [
        (&["--config", "/nowhere.yaml"][..], "config file /nowhere.yaml: there is no such file"),
        (&["--kubeconfig", "/nowhere.yaml"], "cannot use --kubeconfig /nowhere.yaml"),
        (&["--log-level", "fermata=loud"], "--log-level"),
        (&["--tls-name", "not a name\u{e9}"], "--tls-name takes host names and IP addresses"),
        (&["--tls-ca-out", "/nowhere/ca.pem"], "check --tls-ca-out"),
    ] {
        let output = Process::fails(&[&["--tls-self-signed"], options].concat());
        assert!(output.contains(reason), "{options:?}: {output}");
    }
}

#[test]
fn a_reason_is_said_once() {
    for (options, text) in [
        (
            &["--tls-self-signed", "--config", "/nowhere.yaml"][..],
            "error: config file /nowhere.yaml: there is no such file; check the path, or leave --config out for the built-in defaults\n",
        ),
        (
            &["--tls-cert", "/nowhere/tls.crt", "--tls-key", "/nowhere/tls.key"],
            "error: cannot read the certificate /nowhere/tls.crt: No such file or directory (os error 2); check --tls-cert\n",
        ),
        (
            &["--tls-self-signed", "--kubeconfig", "/nowhere.yaml"],
            "error: cannot use --kubeconfig /nowhere.yaml: failed to read kubeconfig from '\"/nowhere.yaml\"': No such file or directory (os error 2)\n",
        ),
    ] {
        assert_eq!(Process::fails(options), text);
    }
}
