//! A number that nobody can foresee, to spread the renewals of several replicas. No key depends on it.

use std::hash::{BuildHasher, RandomState};

/// A random number from 0 to `below` - 1, or 0.
pub(super) fn below(below: u32) -> u32 {
    // The keys of the standard library's hash maps come from the system.
    let random = RandomState::new().hash_one(0);
    u32::try_from(random % u64::from(below.max(1))).unwrap_or(0)
}
