//! A keep-alive HTTP/1.1 server with a thread for each connection.

use std::{
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::{fd::AsFd as _, unix::net::UnixStream},
    process::exit,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{
    connections::Connections,
    request::{Request, respond},
};

/// How long a request takes.
const WORK: Duration = Duration::from_millis(50);

/// For how long [`Server::finish`] leaves idle connections open. A client may be sending a request on one in the moment in which
/// it is closed, and would lose it; an answer that says so closes a connection without that risk. nginx has
/// `keepalive_min_timeout` for it.
const LINGER: Duration = Duration::from_secs(1);

/// How long [`Server::finish`] waits for requests under way.
const FINISH: Duration = Duration::from_secs(10);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    connections: Arc<Connections>,
    acceptor: JoinHandle<anyhow::Result<()>>,
    stop: UnixStream,
}

impl Server {
    /// Listens on all addresses.
    pub(crate) fn start(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            .with_context(|| format!("failed to listen on port {port}"))?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = UnixStream::pair()?;
        let connections = Arc::new(Connections::default());
        let acceptor = thread::spawn({
            let connections = Arc::clone(&connections);
            move || accept(&listener, &stopped, &connections)
        });
        println!("listening on port {port}");
        Ok(Self { connections, acceptor, stop })
    }

    /// Stops accepting, answers what is under way and what still comes on open connections, closes these behind their answers or
    /// when they stay idle, and exits with 0.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.stop.write_all(&[0])?;
        self.acceptor.join().map_err(|_| anyhow!("the acceptor panicked"))??;
        self.connections.stop();
        self.connections.wait(LINGER);
        self.connections.close_idle();
        self.connections.wait(FINISH);
        println!("finished");
        exit(0)
    }
}

/// Until there is something to read from `stopped`; then takes those who have connected already, and closes the listener
/// when it returns.
fn accept(
    listener: &TcpListener,
    stopped: &UnixStream,
    connections: &Arc<Connections>,
) -> anyhow::Result<()> {
    loop {
        let mut waiting = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waiting, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            waited => waited?,
        };
        let [_, stopped] = waiting;
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false)?;
            stream.set_nodelay(true)?;
            let id = connections.add(stream.try_clone()?);
            let connections = Arc::clone(connections);
            thread::Builder::new().stack_size(64 * 1024).spawn(move || {
                let _ = serve(stream, id, &connections);
                connections.remove(id);
            })?;
        }
        if stopped.any() == Some(true) {
            return Ok(());
        }
    }
}

fn serve(mut stream: TcpStream, id: u64, connections: &Connections) -> anyhow::Result<()> {
    loop {
        // Looks without taking: what has come but is not begun can still be seen by who closes idle connections.
        if stream.peek(&mut [0])? == 0 {
            return Ok(());
        }
        connections.begin(id);
        let Some(request) = Request::read(&mut stream)? else { return Ok(()) };
        thread::sleep(WORK);
        let close = request.close || connections.is_stopping();
        respond(&mut stream, &request.token, close)?;
        if close {
            return Ok(());
        }
        connections.end(id);
    }
}
