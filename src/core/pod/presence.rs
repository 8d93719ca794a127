//! Absent, null, or there: JSON has three states where Rust's `Option` has two.

use serde::{Deserialize, Deserializer};

/// Whether a member of a JSON object is there.
///
/// The difference between absent and null decides how a patch must be written: RFC 6902 cannot add below a
/// parent that is null, and cannot replace one that is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence<T> {
    /// The object has no such member.
    #[default]
    Absent,
    /// The member is there and null, which the API server reads as absent.
    Null,
    /// The member is there.
    Value(T),
}

impl<T> Presence<T> {
    /// The value, if there is one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Presence<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An absent member never gets here: it takes the default.
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}
