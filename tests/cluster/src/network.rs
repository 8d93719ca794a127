//! The addresses of a cluster.
//!
//! All are from documentation ranges (RFC 5737): no packet to them could matter anywhere. Each node has a network
//! namespace of its own, so that they are free on every one.

/// The Services' range.
pub const SERVICE_RANGE: &str = "203.0.113.0/24";

/// The address of the Service `kubernetes`: the first of the range.
pub const API_SERVICE_ADDRESS: &str = "203.0.113.1";

/// Where Pods are told to look for a name server. Nobody serves it.
pub(crate) const DNS_ADDRESS: &str = "203.0.113.10";

/// The node's own address.
pub const NODE_ADDRESS: &str = "192.0.2.10";

/// The length of the prefix of [`NODE_ADDRESS`].
pub(crate) const NODE_PREFIX: u8 = 24;

/// Where the node's default route leads; nobody has this address.
pub(crate) const GATEWAY: &str = "192.0.2.1";

/// The Pods' range.
pub const POD_RANGE: &str = "198.51.100.0/24";

/// The port of the API server on a node.
pub(crate) const API_SERVER_PORT: u16 = 6443;
