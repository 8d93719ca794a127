//! What the program logs, and what it does when nobody reads it.

use std::time::Duration;

use crate::{
    client::{Client, eventually},
    process::Process,
    reviews::{drain, plain},
};

/// How many log lines were given up.
fn lost(process: &Process) -> u64 {
    let page = Client::plain(process.admin).unwrap().get("/metrics").unwrap();
    let lost = page.text().lines().find_map(|line| line.strip_prefix("fermata_log_lines_lost_total "));
    lost.expect("the metric is there").parse().unwrap()
}

/// A container runtime whose disk is full stops reading. That fills the pipe, which takes 64 KiB, and then the queue.
#[test]
fn a_reader_that_stalls_costs_log_lines_and_no_review() {
    let (mut process, lines) = Process::start_logging(&["--log-level", "trace"], &[]);
    assert_eq!(lost(&process), 0);
    eventually("lines are given up", || {
        for _ in 0..50 {
            let mut client = process.client();
            client.stream.sock.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            assert_eq!(drain(&client.review(&plain()).unwrap()), Some(15));
        }
        lost(&process) > 0
    });
    // Nor does it stand in the way of the end: the second signal ends at once.
    process.signal("TERM");
    eventually("it is not ready", || !crate::fixture::ready(process.admin).0);
    process.signal("TERM");
    assert_eq!(process.exit().code(), Some(143));
    drop(lines);
}
