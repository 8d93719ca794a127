//! What a Service is to the API server: one address in front of several backends, with connections that stay
//! where they are when a backend leaves.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::net::{TcpListener, TcpStream};

/// A balancer of TCP connections.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    backends: Arc<Mutex<Vec<u16>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Balancer {
    pub(crate) async fn start(backends: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backends = Arc::new(Mutex::new(backends.to_vec()));
        let chosen = backends.clone();
        let accepting = tokio::spawn(async move {
            for turn in 0_usize.. {
                let Ok((mut client, _)) = listener.accept().await else { return };
                let port = {
                    let backends = chosen.lock().unwrap();
                    backends[turn % backends.len()]
                };
                tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self { address, backends, accepting }
    }

    /// Sends no further connection to that backend. Open ones stay.
    pub(crate) fn remove(&self, port: u16) {
        self.backends.lock().unwrap().retain(|&backend| backend != port);
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
