//! Who takes part: the label by which Namespaces opt in and Pods opt out, and what is never touched.

/// The domain of all labels and annotations.
pub const PREFIX: &str = "fermata.dev";

/// The label: `enabled` on a Namespace opts it in, `disabled` on a Pod opts that Pod out.
pub const LABEL: &str = "fermata.dev/inject";

/// The value of [`LABEL`] that opts a Namespace in.
pub const ENABLED: &str = "enabled";

/// The value of [`LABEL`] that opts a Pod out.
pub const DISABLED: &str = "disabled";

/// Namespaces of the cluster itself. Their Pods bring up everything else, this webhook included.
pub const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
