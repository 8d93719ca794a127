//! A Service in front of processes: a set of ready endpoints, one of which is picked for each new connection.
//!
//! That is all that a Service is to an API server, whether it resolves the endpoints itself
//! (`--enable-aggregator-routing`) or leaves it to kube-proxy's address translation: a connection goes straight to
//! one endpoint, and stays there when the endpoint is taken out of the set. Nothing stands in between that could
//! accept a connection, or swallow a reset, on the endpoint's behalf.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The ready endpoints.
#[derive(Debug, Default)]
pub struct Service {
    endpoints: Mutex<Vec<SocketAddr>>,
    picked: AtomicUsize,
}

impl Service {
    /// A Service with these endpoints.
    #[must_use]
    pub fn of(endpoints: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { endpoints: Mutex::new(endpoints.into_iter().collect()), picked: AtomicUsize::default() }
    }

    /// Adds an endpoint that has become ready.
    pub fn add(&self, endpoint: SocketAddr) {
        self.endpoints().push(endpoint);
    }

    /// Takes an endpoint out. Its connections stay.
    pub fn remove(&self, endpoint: SocketAddr) {
        self.endpoints().retain(|&known| known != endpoint);
    }

    /// The endpoint of a new connection: each in turn.
    #[must_use]
    pub fn pick(&self) -> Option<SocketAddr> {
        let endpoints = self.endpoints();
        let turn = self.picked.fetch_add(1, Ordering::Relaxed);
        endpoints.get(turn % endpoints.len().max(1)).copied()
    }

    fn endpoints(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
