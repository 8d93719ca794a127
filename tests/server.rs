//! The server as its clients see it: over real sockets, with clients that misbehave where an API server would not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test, that is the report")]

#[path = "server/bodies.rs"]
mod bodies;
#[path = "server/certificates.rs"]
mod certificates;
#[path = "server/client.rs"]
mod client;
#[path = "server/cluster.rs"]
mod cluster;
#[path = "server/config.rs"]
mod config;
#[path = "server/connections.rs"]
mod connections;
#[path = "server/ending.rs"]
mod ending;
#[path = "server/fixture.rs"]
mod fixture;
#[path = "server/logging.rs"]
mod logging;
#[path = "server/process.rs"]
mod process;
#[path = "server/reviews.rs"]
mod reviews;
