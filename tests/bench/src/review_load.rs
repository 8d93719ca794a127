//! Admission reviews as load, as an API server would send them.

use std::net::SocketAddr;

use anyhow::ensure;

use crate::{
    connection::{Response, post},
    expected::Expected,
    reviews::samples,
    workload::Workload,
};

/// How many different reviews: enough for the caches of a processor not to hold them all.
const SAMPLES: usize = 1000;

/// Reviews ready to send to one server.
#[derive(Debug)]
pub(crate) struct ReviewLoad(Vec<(Vec<u8>, Expected)>);

impl ReviewLoad {
    /// Renders the requests.
    ///
    /// # Errors
    ///
    /// When a generated review is not as expected.
    pub(crate) fn new(server: SocketAddr) -> anyhow::Result<Self> {
        let load = samples(SAMPLES)
            .into_iter()
            .map(|sample| Ok((post("/mutate?timeout=5s", server, &sample.body), Expected::of(&sample)?)));
        Ok(Self(load.collect::<anyhow::Result<_>>()?))
    }

    fn of(&self, turn: usize) -> &(Vec<u8>, Expected) {
        &self.0[turn % self.0.len()]
    }
}

impl Workload for ReviewLoad {
    fn request(&self, turn: usize) -> &[u8] {
        &self.of(turn).0
    }

    fn check(&self, turn: usize, response: &Response<'_>) -> anyhow::Result<()> {
        ensure!(
            response.status == 200,
            "status {}: {}",
            response.status,
            String::from_utf8_lossy(response.body)
        );
        self.of(turn).1.check(response.body)
    }
}
