//! A network of a test's own, in which nobody else connects.

use std::{fs, io, thread};

use nix::{
    errno::Errno,
    libc,
    sched::{CloneFlags, unshare},
};

/// Runs a test in a network namespace that holds nothing but loopback. What it starts, threads and processes, is in
/// there as well. Without the right to make one the test cannot be run.
pub(crate) fn in_a_network_of_its_own(test: impl FnOnce() + Send + 'static) {
    let inside = thread::spawn(move || {
        match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => {}
            Err(Errno::EPERM) => {
                crate::skip::skip("there is no right to make a network namespace");
                return;
            }
            Err(errno) => panic!("unshare: {errno}"),
        }
        bring_loopback_up().unwrap();
        test();
    });
    if let Err(failed) = inside.join() {
        std::panic::resume_unwind(failed);
    }
}

/// What `ip link set lo up` does.
#[expect(unsafe_code, reason = "nix has no ioctl for network interfaces")]
fn bring_loopback_up() -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: a request of zeros is a valid one, of which name and flags are set below.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::try_from(*from).unwrap();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).unwrap();
    // SAFETY: the request lives for the call, and is what this one expects.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many connections the kernel has accepted in the network of this thread.
pub(crate) fn passive_opens() -> u64 {
    let snmp = fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = snmp.lines().filter(|line| line.starts_with("Tcp:"));
    let index = lines.next().unwrap().split(' ').position(|name| name == "PassiveOpens").unwrap();
    lines.next().unwrap().split(' ').nth(index).unwrap().parse().unwrap()
}

/// How many sockets of TCP there are in the network of this thread.
pub(crate) fn sockets() -> usize {
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok())
        .map(|table| table.lines().count() - 1)
        .sum()
}
