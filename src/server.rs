//! The two listeners: reviews over TLS, and health and metrics over plain HTTP.
//!
//! The accept loop is our own, on hyper and tokio-rustls, because the rules for connections hang together and
//! neither axum-server nor hyper's own timers can keep all of them:
//!
//! - API servers keep idle connections for 90 seconds (Go's `IdleConnTimeout`) and may write the next review at
//!   any moment of it. A server that closes first loses that review, so idle connections must live longer than
//!   that, while a head that has begun must come within seconds. hyper arms its `header_read_timeout` when it
//!   begins to wait, so with it the two are one.
//! - There is a cap on connections, and whoever comes beyond it replaces the one that has been of no use for
//!   longest. That needs a list of connections and of what each is doing.
//! - That same list gives the timeouts without a timer a request: one sweep looks at all of them.
//!
//! What stands behind the connections is axum: a router for each of the two ports.

pub mod admin;
mod body;
mod connection;
pub mod connections;
mod ending;
mod handshakes;
mod listener;
pub mod mutate;
mod respond;
mod stream;

pub use connections::{ConnectionLimits, Connections};
pub use ending::Ending;
use handshakes::Handshakes;
pub use listener::{Listener, Transport};
