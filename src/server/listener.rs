//! Accepts connections.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use axum::Router;
use futures_util::FutureExt;
use rustix::{io::Errno, net::sockopt};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_rustls::TlsAcceptor;

use super::{Connections, Ending, Handshakes, connection};
use crate::telemetry::Metrics;

/// How often to say that connections cannot be accepted, while that is so.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How bytes travel.
#[derive(Clone)]
pub enum Transport {
    /// As they are.
    Plain,
    /// By TLS, with an eye on the handshakes that fail.
    Tls(TlsAcceptor, Arc<Handshakes>),
}

impl Transport {
    /// TLS by this configuration; the handshakes that fail are counted.
    #[must_use]
    pub fn tls(config: ServerConfig, metrics: &Metrics) -> Self {
        Self::Tls(TlsAcceptor::from(Arc::new(config)), Arc::new(Handshakes::counting(metrics)))
    }
}

/// A port that is taken, on which nothing is answered yet.
///
/// Binding comes before everything else that starts, so that a port in use ends the program with a reason and not
/// half of it later.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes a port; `option` is what the operator would change if it cannot be had.
    ///
    /// `[::]` stands for every address of either family, on a machine without IPv6 for those that it has: a chart
    /// does not know of which family the addresses of the cluster's Pods are.
    ///
    /// # Errors
    ///
    /// When the address is not ours, or in use, or not allowed.
    pub fn bind(address: SocketAddr, option: &str) -> anyhow::Result<Self> {
        let bound = || {
            let socket = match listen(address) {
                Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && is_without_ipv6(&error) => {
                    listen((Ipv4Addr::UNSPECIFIED, address.port()).into())?
                }
                other => other?,
            };
            let address = socket.local_addr()?;
            io::Result::Ok(Self { socket, address })
        };
        bound().with_context(|| format!("cannot listen on {address}; choose another address with {option}"))
    }

    /// The address, with the port that was given where none was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the end has come, and then until the work at hand is done. `crowded` is called for each
    /// connection that is refused because there are too many.
    pub async fn serve(
        self,
        transport: Transport,
        connections: Arc<Connections>,
        router: Router,
        crowded: impl Fn() + Send + Sync,
        ending: Ending,
    ) {
        let mut sweeps = interval(connections.sweep_interval());
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported = None;
        loop {
            tokio::select! {
                biased;
                () = ending.close() => break,
                _ = sweeps.tick() => connections.sweep(),
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) => start(stream, &transport, &connections, &router, &crowded, &ending),
                    Err(error) => pause(&error, &connections, &mut reported).await,
                },
            }
        }
        // Whoever stands in the queue has been promised a connection by the kernel.
        while let Some(Ok((stream, _))) = self.socket.accept().now_or_never() {
            start(stream, &transport, &connections, &router, &crowded, &ending);
        }
        drop(self.socket);
        finish(&connections, &ending).await;
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // After a restart the port is ours again at once.
    socket.set_reuseaddr(true)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Whatever net.ipv6.bindv6only says.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_without_ipv6(error: &io::Error) -> bool {
    let errors = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|error| errors.contains(&error))
}

fn start(
    stream: TcpStream,
    transport: &Transport,
    connections: &Arc<Connections>,
    router: &Router,
    crowded: &impl Fn(),
    ending: &Ending,
) {
    let Some(place) = connections.admit() else {
        crowded();
        return;
    };
    let connection = Arc::clone(&place.connection);
    let serving = connection::serve(stream, place, transport.clone(), router.clone(), ending.clone());
    connection.runs_in(tokio::spawn(serving).abort_handle());
}

/// Waits after an error of `accept`. Those of one connection pass by themselves; others, such as too many open
/// files, would come again at once, and are reported now and then.
///
/// Where files have run out, a connection of no use makes room, as it does when there are too many of them.
async fn pause(error: &io::Error, connections: &Connections, reported: &mut Option<Instant>) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        if reported.is_none_or(|reported| reported.elapsed() > REPORT_EVERY) {
            *reported = Some(Instant::now());
            tracing::warn!(%error, "cannot accept connections; trying again");
        }
        let out_of_files = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
        let room = error.raw_os_error().is_some_and(|error| out_of_files.contains(&error))
            && connections.make_room();
        sleep(Duration::from_millis(if room { 10 } else { 200 })).await;
    }
}

/// Lets the work at hand finish, and ends what has none.
async fn finish(connections: &Connections, ending: &Ending) {
    let mut looks = interval(Duration::from_millis(10));
    while connections.count() > 0 {
        tokio::select! {
            biased;
            () = ending.give_up() => {
                connections.end_all();
                return;
            }
            _ = looks.tick() => connections.end_idle(),
        }
    }
}
