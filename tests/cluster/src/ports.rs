//! Free ports on the loopback address.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context as _;

/// How often to try again with another port when somebody else took the chosen one before it was bound.
pub(crate) const ATTEMPTS: usize = 5;

/// A port on 127.0.0.1 that was free a moment ago.
///
/// Somebody else can take it before it is bound again, so whoever starts a server on it has to be ready to retry.
///
/// # Errors
///
/// When the system has no free port to give.
pub fn free() -> anyhow::Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Whether a log says that its process did not get its port. Go and Rust both pass on the system's own words.
pub(crate) fn was_taken(log: &str) -> bool {
    log.to_ascii_lowercase().contains("address already in use")
}
