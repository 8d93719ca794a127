//! The API server's version, as far as it decides what a Pod may hold.

use std::{fmt, str::FromStr};

/// A Kubernetes minor version, such as 1.30.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    /// Always 1 so far.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
}

impl ServerVersion {
    /// The first version whose API servers know `preStop.sleep` without being told to (`PodLifecycleSleepAction`
    /// went beta). Older ones drop the field, and the empty handler that is left is refused.
    const NATIVE_SLEEP: Self = Self { major: 1, minor: 30 };

    /// Whether a Pod may have a native sleep.
    #[must_use]
    pub fn has_native_sleep(self) -> bool {
        self >= Self::NATIVE_SLEEP
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The text is not a Kubernetes version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a Kubernetes version such as 1.36")]
pub struct ParseServerVersionError;

impl FromStr for ServerVersion {
    type Err = ParseServerVersionError;

    /// Reads `1.36`, `v1.36.3` and what vendors make of it: `1.36+`, `v1.36.3-gke.100`.
    fn from_str(text: &str) -> Result<Self, ParseServerVersionError> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut part = || {
            let part = parts.next().ok_or(ParseServerVersionError)?;
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..digits].parse().map_err(|_| ParseServerVersionError)
        };
        Ok(Self { major: part()?, minor: part()? })
    }
}

#[cfg(test)]
mod tests {
    use super::ServerVersion;

    #[test]
    fn versions_are_read_as_servers_write_them() {
        for text in ["1.30", "v1.30.4", "1.30+", "v1.30.2-gke.1587003", "1.30-eks-036c24b"] {
            assert_eq!(text.parse(), Ok(ServerVersion { major: 1, minor: 30 }), "{text}");
        }
        for text in ["", "1", "v1", "one.two", "1.", "latest", "1.99999999999"] {
            assert!(text.parse::<ServerVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn native_sleep_begins_with_1_30() {
        assert!(!ServerVersion { major: 1, minor: 29 }.has_native_sleep());
        assert!(ServerVersion { major: 1, minor: 30 }.has_native_sleep());
        assert!(ServerVersion { major: 2, minor: 0 }.has_native_sleep());
    }
}
