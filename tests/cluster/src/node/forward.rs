//! Reaching a node's network from outside of it.
//!
//! A socket belongs to the network namespace that its thread was in when it was made. So one thread listens on the
//! loopback address of this process' namespace, moves to the node's, and connects from there.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::AsFd as _,
    thread,
};

use anyhow::Context as _;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{io::copy_bidirectional, net::TcpStream, sync::oneshot};

/// An address of a node's network, reachable at a port on 127.0.0.1. Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct Forward {
    address: SocketAddr,
    /// Its end ends the thread.
    _open: oneshot::Sender<()>,
}

impl Forward {
    /// Opens a port here for an address in the network namespace of a process.
    pub(super) fn open(process: u32, to: SocketAddr) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to listen on 127.0.0.1")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let path = format!("/proc/{process}/ns/net");
        let namespace = File::open(&path).with_context(|| format!("failed to open {path}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (open, closed) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        thread::Builder::new().name("forward".to_owned()).spawn(move || {
            let moved = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
            let there = moved.is_ok();
            tell.send(moved).ok();
            if there {
                // What is not done when the runtime goes away, is dropped with it.
                runtime.block_on(async {
                    tokio::select! {
                        _ = closed => {}
                        () = accept(listener, to) => {}
                    }
                });
            }
        })?;
        told.recv()
            .context("expected word of the forwarding thread")?
            .context("failed to enter the node's network")?;
        Ok(Self { address, _open: open })
    }

    /// Where to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, to: SocketAddr) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    while let Ok((mut here, _)) = listener.accept().await {
        tokio::spawn(async move {
            // A refusal there is an end of the connection here, which is as near as a forwarder can come.
            if let Ok(mut there) = TcpStream::connect(to).await {
                here.set_nodelay(true).ok();
                there.set_nodelay(true).ok();
                copy_bidirectional(&mut here, &mut there).await.ok();
            }
        });
    }
}
