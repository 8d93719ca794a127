//! The pure heart of Fermata: a Pod and its settings go in, a [plan] comes out.
//!
//! ```text
//! bytes -> review -> Pod view -> plan -> patch, warnings, status, explanation
//! ```
//!
//! Nothing in here waits, reads files, opens connections or asks for the time, so admission, `preview` and the
//! tests all run the same code on the same values. See `CONTRIBUTING.md` for the way of one Pod through it.

pub mod annotation;
pub mod explain;
pub mod opt_in;
pub mod patch;
pub mod plan;
pub mod pod;
pub mod review;
pub mod rules;
mod server_version;
pub mod settings;
pub mod shim;
pub mod skip;
mod status;
pub mod suggest;
pub mod warning;

pub use server_version::{ParseServerVersionError, ServerVersion};
