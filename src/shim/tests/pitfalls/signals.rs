//! What becomes of signals: pitfalls 16 to 28.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::shim::{PATIENCE, PLACES, Place, Shim, children, descendants, in_time, send, status, wait_for};

/// A program that says each signal that it gets, by number.
const ECHO: &str = "import os, signal, time
for s in list(range(1, 32)) + list(range(34, 65)):
    if s not in (9, 17, 19): signal.signal(s, lambda s, frame: os.write(1, b'got %d\\n' % s))
os.write(1, b'up\\n')
while True: time.sleep(0.01)";

fn echo(place: Place, flags: &[&str]) -> Shim {
    let shim = Shim::run(place, flags.iter().copied().chain(["--", "python3", "-c", ECHO]));
    shim.says("up\n");
    shim
}

/// Every signal that can be passed on.
fn all() -> impl Iterator<Item = i32> {
    (1..32).chain(34..65).filter(|signal| ![9, 17, 19].contains(signal))
}

fn received(shim: &Shim) -> Vec<i32> {
    shim.output().lines().filter_map(|line| line.strip_prefix("got ")?.parse().ok()).collect()
}

#[test]
fn pitfall_16_every_signal_is_passed_on_and_chld_is_not() {
    for place in PLACES {
        for scope in ["child", "group"] {
            // A trigger that nothing here sends, so that TERM is one among others.
            let shim = echo(
                place,
                &["--signal-scope", scope, "--trigger", "RTMIN+30", "--rewrite", "RTMIN+30:RTMIN+30"],
            );
            let expected: Vec<i32> = all().filter(|signal| *signal != 64).collect();
            for signal in &expected {
                shim.signal(17);
                shim.signal(*signal);
                shim.says(&format!("got {signal}\n"));
            }
            shim.signal(64);
            shim.says("got 64\n");
            assert_eq!(
                received(&shim),
                [expected, vec![64]].concat(),
                "{place:?} {scope}: once each, in order"
            );
            send(shim.program(), 9);
        }
    }
}

#[test]
fn pitfall_17_the_map_takes_names_and_numbers_follows_no_chain_and_drops() {
    let flags = ["--trigger", "PWR", "--rewrite", "15:2,INT:sigterm,HUP:0", "--rewrite", "USR1:RTMIN+3"];
    let shim = echo(Place::Subreaper, &flags);
    for (sent, got) in [(15, 2), (2, 15), (10, 37), (12, 12)] {
        shim.signal(1);
        shim.signal(sent);
        shim.says(&format!("got {got}\n"));
    }
    assert_eq!(received(&shim), [2, 15, 37, 12], "HUP is dropped");
    for value in ["15:3junk", "15", "TERM:NOPE", "0:1", "15:3,15:4", "KILL:TERM"] {
        let (code, _, error) = Shim::run(Place::Subreaper, ["--rewrite", value, "true"]).finish();
        assert_eq!(code, 2, "{error}");
        assert!(error.starts_with(&format!("fermata-shim: --rewrite: {value:?} ")), "{error}");
    }
}

#[test]
fn pitfall_18_the_clean_up_at_the_programs_end_is_not_rewritten() {
    for rewrite in ["TERM:0", "TERM:QUIT"] {
        let script = "sh -c 'trap \"echo cleaned; exit\" TERM; trap \"echo wrong\" QUIT; echo up; while :; do sleep 0.01; done' & \
                      read line; exit 6";
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut command =
            crate::shim::command(Place::Subreaper, ["--rewrite", rewrite, "--", "sh", "-c", script]);
        command.stdin(reader);
        let mut shim = Shim::start(&mut command, Place::Subreaper);
        drop(command);
        shim.says("up\n");
        std::io::Write::write_all(&mut writer, b"\n").unwrap();
        assert_eq!(shim.ends(), 6);
        shim.says("cleaned\n");
        assert!(!shim.output().contains("wrong"));
    }
}

#[test]
fn pitfall_19_a_second_stop_signal_neither_restarts_the_drain_nor_reaches_the_program() {
    for place in PLACES {
        in_time(Duration::from_millis(3300), || second_stop_signals(place));
    }
}

fn second_stop_signals(place: Place) -> Duration {
    let shim = echo(place, &["--drain", "2s", "--trigger", "TERM,INT", "--verbose"]);
    let began = Instant::now();
    shim.signal(15);
    shim.logs("drain of 2s begins");
    // A drain that began anew with each of them would never be over.
    wait_for("the drain to be over", || {
        shim.signal(15);
        shim.signal(2);
        shim.signal(12);
        thread::sleep(Duration::from_millis(50));
        shim.output().contains("got 15\n").then_some(())
    });
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    shim.signal(15);
    shim.signal(10);
    shim.says("got 10\n");
    let received = received(&shim);
    assert_eq!(received.iter().filter(|signal| **signal == 15).count(), 1, "{received:?}");
    assert!(!received.contains(&2), "another trigger is one too: {received:?}");
    assert!(received.contains(&12), "others are passed on meanwhile");
    assert!(shim.error().contains("INT changes nothing: stopping already"));
    send(shim.program(), 9);
    took
}

#[test]
fn pitfall_20_pid_1_is_not_killed_from_inside_and_what_it_said_has_been_written() {
    let script =
        "trap 'kill -9 1; sleep 0.1; echo alive; exit 3' TERM; echo up; while :; do sleep 0.01; done";
    let shim = Shim::script(Place::Pid1, &["--drain", "1s"], script);
    shim.says("up");
    shim.signal(15);
    shim.logs("drain of 1s begins\n");
    shim.says("alive");
    assert_eq!(shim.finish().0, 3);
    // From outside it takes all with it, and each line was written when it was said.
    let mut shim = Shim::script(Place::Pid1, &["--drain", "60s"], "sleep 600 & wait");
    let below = wait_for("the tree", || Some(descendants(shim.pid())).filter(|all| all.len() == 2));
    shim.signal(15);
    shim.logs("drain of 1m begins\n");
    shim.signal(9);
    shim.ends_with();
    for pid in below {
        wait_for("the tree to be gone", || status(pid, "State").is_none().then_some(()));
    }
}

#[test]
fn pitfall_22_a_flood_of_signals_loses_no_child_and_leaves_no_load() {
    // 1,000 children of its own and as many orphans for the init, while signals pour in.
    let script = "trap : HUP USR1 USR2 WINCH RTMIN; echo up; \
                  i=0; while [ $i -lt 1000 ]; do (exit 0 & exit 0); i=$((i+1)); done; \
                  echo made; while :; do sleep 600 & wait; done";
    let mut shim = Shim::run(Place::Subreaper, ["--", "bash", "-c", script]);
    shim.says("up\n");
    let (pid, program) = (shim.pid(), shim.program());
    let began = Instant::now();
    for turn in 0..100_000 {
        // Real-time signals are queued one by one, and others are one as long as they wait.
        send(pid, if turn % 50 == 0 { 34 } else { [1, 10, 12, 28][turn % 4] });
    }
    let sent = began.elapsed();
    assert!(sent < PATIENCE, "{sent:?}");
    shim.says("made\n");
    wait_for("all to be reaped", || (children(pid) == [program]).then_some(()));
    let wakes = |pid: i32| status(pid, "voluntary_ctxt_switches").unwrap();
    let cost = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.split(' ').skip(13).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    wait_for("the last signals to be passed on", || {
        let before = wakes(pid);
        thread::sleep(Duration::from_millis(100));
        (wakes(pid) == before).then_some(())
    });
    let before = (cost(pid), wakes(pid));
    thread::sleep(Duration::from_millis(1500));
    assert_eq!((cost(pid), wakes(pid)), before, "an idle init never wakes up");
    let rss: u64 = status(pid, "VmRSS").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(rss < 8192, "{rss} kB");
    shim.signal(15);
    assert_eq!(shim.ends(), 143);
}

#[test]
fn pitfall_23_a_deadline_is_kept_over_a_stop_of_the_process() {
    in_time(Duration::from_millis(3300), stopped_in_its_drain);
}

fn stopped_in_its_drain() -> Duration {
    let shim = echo(Place::Subreaper, &["--drain", "2s"]);
    let began = Instant::now();
    shim.signal(15);
    shim.logs("drain of 2s begins");
    // It is stopped and goes on until the drain is over, which interrupts each of its waits: one that began anew would never be.
    wait_for("the drain to be over", || {
        shim.signal(19);
        thread::sleep(Duration::from_millis(20));
        shim.signal(18);
        thread::sleep(Duration::from_millis(20));
        shim.output().contains("got 15\n").then_some(())
    });
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    took
}

#[test]
fn pitfall_24_a_program_that_is_stopped_still_hears_the_stop_signal() {
    for place in PLACES {
        for scope in ["child", "group"] {
            let shim = echo(place, &["--signal-scope", scope]);
            let program = shim.program();
            // TSTP is the program's to handle; STOP is not.
            shim.signal(20);
            shim.says("got 20\n");
            send(program, 19);
            wait_for("the program to stop", || {
                status(program, "State").filter(|state| state.starts_with('T'))
            });
            shim.signal(15);
            shim.says("got 15\n");
            shim.signal(18);
            shim.says("got 18\n");
            send(program, 9);
        }
    }
}

#[test]
fn pitfall_24_the_shim_goes_on_after_it_was_stopped() {
    let shim = echo(Place::Subreaper, &["--trigger", "PWR"]);
    let pid = shim.pid();
    send(pid, 19);
    wait_for("the shim to stop", || status(pid, "State").filter(|state| state.starts_with('T')));
    send(pid, 12);
    send(pid, 18);
    shim.says("got 12\n");
    shim.says("got 18\n");
}

#[test]
fn pitfall_26_the_stop_begins_with_the_signal_that_the_profile_says() {
    for (flags, trigger, delivered) in [
        (&["--profile", "nginx"][..], 3, 3),
        (&["--profile", "nginx"], 15, 3),
        (&["--profile", "apache"], 28, 28),
        (&["--profile", "haproxy"], 10, 10),
        (&["--profile", "postgres"], 2, 2),
        (&["--trigger", "RTMIN+3"], 37, 37),
        (&["--trigger", "RTMIN+3", "--rewrite", "RTMIN+3:TERM"], 37, 15),
    ] {
        for place in PLACES {
            let shim = echo(place, &[flags, &["--drain", "1s"]].concat());
            shim.signal(trigger);
            shim.logs("drain of 1s begins");
            let early = received(&shim);
            if !shim.error().contains("drain over") {
                assert_eq!(early, [], "{flags:?}");
            }
            shim.says(&format!("got {delivered}\n"));
            send(shim.program(), 9);
        }
    }
}

#[test]
fn pitfall_28_urg_is_passed_on_unless_it_is_dropped() {
    let shim = echo(Place::Subreaper, &["--rewrite", "URG:0"]);
    shim.signal(23);
    shim.signal(12);
    shim.says("got 12\n");
    assert_eq!(received(&shim), [12]);
}
