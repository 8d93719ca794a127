//! The watch over traffic, against a real kernel.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    hook::{Hook, Outcome},
    network::{in_a_network_of_its_own, passive_opens, sockets},
};

/// A server that takes every connection and closes it when its client has.
struct Server {
    address: SocketAddr,
    closing: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Server {
    fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let closing = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&closing);
        let serving = thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = io::copy(&mut stream.unwrap(), &mut io::sink());
                if closed.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        Self { address, closing, serving: Some(serving) }
    }

    /// Closes the listener.
    fn close(&mut self) {
        if let Some(serving) = self.serving.take() {
            self.closing.store(true, Ordering::SeqCst);
            drop(TcpStream::connect(self.address));
            serving.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

/// Clients that connect once in a while until they are dropped.
struct Clients(Option<(Arc<AtomicBool>, JoinHandle<Connected>)>);

/// What clients have done.
#[derive(Clone, Copy, Debug, Default)]
struct Connected {
    count: u32,
    /// The longest time without a connection. That of a busy machine may be longer than the clients want.
    gap: Duration,
}

impl Clients {
    /// Each client connects, and closes first.
    fn every(milliseconds: u64, address: SocketAddr) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&done);
        let connecting = thread::spawn(move || {
            let (mut connected, mut last) = (Connected::default(), Instant::now());
            while !ended.load(Ordering::SeqCst) {
                drop(TcpStream::connect(address).unwrap());
                connected.count += 1;
                connected.gap = connected.gap.max(last.elapsed());
                last = Instant::now();
                thread::sleep(Duration::from_millis(milliseconds));
            }
            connected
        });
        Self(Some((done, connecting)))
    }

    /// Stops them, and says what they have done.
    fn stop(&mut self) -> Connected {
        self.0.take().map_or_else(Connected::default, |(done, connecting)| {
            done.store(true, Ordering::SeqCst);
            connecting.join().unwrap()
        })
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a drain beside steady traffic, and again if the machine was so busy that the traffic was not steady.
fn beside_clients(every: u64, address: SocketAddr, drain: &str, quiet: u64) -> (Outcome, Connected) {
    for _ in 0..10 {
        let mut clients = Clients::every(every, address);
        let outcome = Hook::start(drain).outcome();
        let connected = clients.stop();
        if connected.gap < Duration::from_millis(quiet) / 2 {
            return (outcome, connected);
        }
    }
    panic!("the machine is too busy for steady traffic");
}

/// Connects once: a Pod to which nobody ever has is no Pod that serves.
fn warm_up(server: &Server) {
    drop(TcpStream::connect(server.address).unwrap());
}

#[test]
fn pitfall_42_a_worker_without_listener_takes_the_least_only() {
    in_a_network_of_its_own(|| {
        assert_eq!(Hook::start("--drain 1s..1h").outcome().ended_after(1_000), "nothing listens");
    });
}

#[test]
fn pitfall_42_a_listener_that_closes_early_ends_it() {
    in_a_network_of_its_own(|| {
        let mut server = Server::start("127.0.0.1:0");
        let mut clients = Clients::every(100, server.address);
        // It would end by itself only after the hour.
        let mut hook = Hook::start("--drain 1s..1h --quiet 59m");
        thread::sleep(Duration::from_millis(2_500));
        assert!(hook.is_running());
        clients.stop();
        server.close();
        assert_eq!(hook.outcome().ended_after(2_500), "nothing listens");
    });
}

#[test]
fn pitfall_42_a_listener_that_opens_late_is_drained() {
    in_a_network_of_its_own(|| {
        let hook = Hook::start("--drain 3s..1h --quiet 2s");
        thread::sleep(Duration::from_millis(300));
        let server = Server::start("127.0.0.1:0");
        let mut clients = Clients::every(50, server.address);
        thread::sleep(Duration::from_millis(2_500).saturating_sub(hook.running_for()));
        clients.stop();
        assert_eq!(hook.outcome().ended_after(4_500), "no new connection for 2s");
    });
}

#[test]
fn silence_ends_it_after_the_quiet_time() {
    in_a_network_of_its_own(|| {
        let server = Server::start("127.0.0.1:0");
        warm_up(&server);
        assert_eq!(
            Hook::start("--drain 0s..1h --quiet 1s").outcome().ended_after(1_000),
            "no new connection for 1s"
        );
    });
}

#[test]
fn pitfall_43_a_probe_every_second_ends_between_least_and_most() {
    in_a_network_of_its_own(|| {
        let server = Server::start("127.0.0.1:0");
        let _probe = Clients::every(1_000, server.address);
        let outcome = Hook::start("--drain 2s..1h --quiet 3s --probe 1s").outcome();
        assert_eq!(outcome.ended_after(2_900), "no new connection for 3s but those of probes");
    });
}

#[test]
fn pitfall_44_steady_traffic_runs_to_the_most_and_is_counted() {
    in_a_network_of_its_own(|| {
        let server = Server::start("127.0.0.1:0");
        let drain = "--drain 1s..4s --quiet 2s --probe 10s";
        let (outcome, connected) = beside_clients(100, server.address, drain, 2_000);
        let why = outcome.ended_after(4_000);
        let count = why.strip_prefix("max reached, ").and_then(|why| why.split(' ').next()).unwrap();
        let count: u32 = count.parse().unwrap();
        assert!(count > 1 && count < connected.count, "{why}, of {connected:?}");
        assert!(why.ends_with(" new connections in the last 2s"), "{why}");
    });
}

#[test]
fn pitfall_45_requests_that_leave_no_socket_behind_are_counted() {
    in_a_network_of_its_own(|| {
        let server = Server::start("127.0.0.1:0");
        let began = sockets();
        let before = passive_opens();
        let mut clients = Clients::every(5, server.address);
        thread::sleep(Duration::from_millis(200));
        assert_eq!(u64::from(clients.stop().count), passive_opens() - before);
        let (outcome, _) = beside_clients(300, server.address, "--drain 1s..4s --quiet 2s", 2_000);
        assert!(outcome.ended_after(4_000).starts_with("max reached, "), "{outcome:?}");
        // Who closes first keeps the socket for a minute. That was the client, so the server's port has none.
        let table = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
        let port = format!(":{:04X}", server.address.port());
        let local =
            |line: &&str| line.split_ascii_whitespace().nth(1).is_some_and(|local| local.ends_with(&port));
        assert_eq!(table.lines().filter(local).count(), began, "the listener alone:\n{table}");
    });
}

#[test]
fn pitfall_46_both_families_are_seen() {
    in_a_network_of_its_own(|| {
        // Over IPv6; and over IPv4 to a listener of both.
        for target in ["[::1]", "127.0.0.1"] {
            let server = Server::start("[::]:0");
            let address = format!("{target}:{}", server.address.port()).parse().unwrap();
            let (outcome, _) = beside_clients(100, address, "--drain 0s..3s --quiet 2s", 2_000);
            assert!(outcome.ended_after(3_000).starts_with("max reached, "), "{target}: {outcome:?}");
        }
    });
}

#[test]
fn pitfall_46_twenty_thousand_sockets_cost_less_than_one_percent() {
    in_a_network_of_its_own(|| {
        let wanted = allowed_pairs(10_000);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pairs: Vec<_> =
            (0..wanted).map(|_| (TcpStream::connect(address).unwrap(), listener.accept().unwrap())).collect();
        assert!(sockets() > 2 * pairs.len());
        // Something comes now and then, so that the drain does not end and looks at listeners too.
        let clients = Clients::every(250, address);
        let hook = Hook::start("--drain 0s..5s --quiet 4s");
        let schedule = format!("/proc/{}/schedstat", hook.id());
        let mut used = Duration::ZERO;
        while hook.running_for() < Duration::from_millis(4_900) {
            if let Ok(text) = fs::read_to_string(&schedule) {
                used = Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let outcome = hook.outcome();
        drop(clients);
        assert!(outcome.ended_after(5_000).starts_with("max reached, "), "{outcome:?}");
        eprintln!("{} sockets: {used:?} of processor time in 5 s", 2 * pairs.len());
        assert!(used < Duration::from_millis(50), "{used:?} of 5 s are more than one percent");
        drop(pairs);
    });
}

/// So many pairs of sockets, or fewer if no more files may be open, which is said.
fn allowed_pairs(wanted: usize) -> usize {
    let files = |pairs: usize| 2 * pairs as u64 + 1_000;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let more = most.max(files(wanted));
    if setrlimit(Resource::RLIMIT_NOFILE, more, more).is_ok() {
        return wanted;
    }
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let allowed = usize::try_from(most.saturating_sub(files(0)) / 2).unwrap().min(wanted);
    eprintln!("REDUCED: {allowed} pairs in place of {wanted}, because only {most} files may be open");
    allowed
}

#[test]
fn pitfall_46_what_is_no_tcp_does_not_count() {
    in_a_network_of_its_own(|| {
        let server = Server::start("127.0.0.1:0");
        warm_up(&server);
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let hook = Hook::start("--drain 0s..1h --quiet 1s");
        let mut hook = hook;
        while hook.is_running() && hook.running_for() < Duration::from_secs(3) {
            udp.send_to(b"hello", udp.local_addr().unwrap()).unwrap();
            drop(UnixStream::pair().unwrap());
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(hook.outcome().ended_after(1_000), "no new connection for 1s");
    });
}

#[test]
fn pitfall_47_a_backlog_is_waited_for() {
    in_a_network_of_its_own(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut hook = Hook::start("--drain 1s..1h --quiet 1s");
        thread::sleep(Duration::from_millis(2_500));
        assert!(hook.is_running(), "a connection has not been accepted yet");
        let accepted = listener.accept().unwrap();
        assert_eq!(hook.outcome().ended_after(2_500), "no new connection for 1s");
        drop(accepted);
        let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let outcome = Hook::start("--drain 1s..3s --quiet 1s").outcome();
        let why = outcome.ended_after(3_000);
        assert_eq!(why, "max reached, 0 new connections in the last 1s, some not yet accepted");
    });
}

#[test]
fn pitfall_48_without_the_counter_it_takes_the_most_and_says_why() {
    let shim = env!("CARGO_BIN_EXE_fermata-shim");
    let script = "mount -t tmpfs none /proc && exec \"$0\" drain --drain 0s..2s --quiet 1s";
    let mut command = Command::new("unshare");
    let outcome = Hook::start_command(command.args(["--mount", "sh", "-c", script, shim])).outcome();
    if outcome.error.contains("unshare failed") {
        return crate::skip::skip("there is no right to make a mount namespace");
    }
    let why = outcome.ended_after(2_000);
    assert_eq!(why, "PassiveOpens cannot be read: /proc/net/snmp: No such file or directory (os error 2)");
}

#[test]
fn pitfall_48_a_namespace_that_counts_nothing_takes_the_most() {
    in_a_network_of_its_own(|| {
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let outcome = Hook::start("--drain 0s..2s --quiet 1s").outcome();
        assert_eq!(outcome.ended_after(2_000), "PassiveOpens cannot be read: /proc/net/snmp counts nothing");
    });
}
