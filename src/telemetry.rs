//! What Fermata tells about itself: logs, metrics, and the conditions of its readiness.

pub mod condition;
pub mod logs;
pub mod metrics;

pub use condition::{Condition, Conditions};
pub use metrics::Metrics;
