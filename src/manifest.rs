//! Manifests as people write them: read, searched for Pods, and edited in place.
//!
//! ```text
//! source -> document -> node (with places) -> value -> workload -> Pods
//!                         |                                        |
//!                         +------------------ edit <---- patch ----+
//! ```
//!
//! Two views of each document live side by side. The [tree](node::Node) knows where in the text everything stands; the
//! [value] is what the API server would be sent. Pods are judged by their values, and the text is changed
//! only where the patch says so, which is then checked by reading the changed text again.

mod document;
mod edit;
mod fault;
mod node;
mod scalar;
mod source;
mod value;
mod workload;

pub(crate) use document::Syntax;
pub(crate) use edit::{Change, Edited, edit};
pub(crate) use fault::{Fault, Place};
pub(crate) use source::{Source, SourceError, read};
pub(crate) use workload::{Finding, Found, Misplaced, Namespace, find};
