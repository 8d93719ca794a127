//! A certificate made in memory, for trials: an authority of its own, and one leaf signed by it.
//!
//! Its key is gone with the process, and a second replica would make its own; so this is for one replica whose
//! `caBundle` is filled in by hand or script.

use std::time::{Duration, SystemTime};

use super::{
    Identity,
    authority::{Authority, IssueError},
};

/// How long both are valid: nobody renews them.
const LIFETIME: Duration = Duration::from_hours(24 * 3650);

/// A certificate, and the authority that clients must trust for it.
#[derive(Debug)]
pub struct SelfSigned {
    /// The certificate to serve.
    pub identity: Identity,
    /// The authority's certificate as PEM: the webhook's `caBundle`, once it is base64.
    pub authority: String,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    /// The authority could not be made.
    #[error("cannot make an authority: {0}")]
    Authority(#[from] rcgen::Error),
    /// It could not sign.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Makes a certificate for these host names and IP addresses.
///
/// # Errors
///
/// When a name is none, or the system gives no random numbers.
pub fn generate(names: &[String]) -> Result<SelfSigned, SelfSignedError> {
    let now = SystemTime::now();
    let made = Authority::generate(now, LIFETIME)?;
    let leaf = made.authority.issue(names, now, LIFETIME)?;
    Ok(SelfSigned { identity: leaf.identity, authority: made.certificate })
}
