//! Two replicas under a load that does not wait for them, while things happen to them.
//!
//! Every review that is sent is accounted for: it has the one right answer, or it has failed and says how.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "availability/api_server_away.rs"]
mod api_server_away;
#[path = "availability/faults.rs"]
mod faults;
#[path = "availability/figures.rs"]
mod figures;
#[path = "availability/load.rs"]
mod load;
#[path = "availability/registration.rs"]
mod registration;
#[path = "availability/replicas.rs"]
mod replicas;
#[path = "availability/rollout.rs"]
mod rollout;
#[path = "availability/rotation.rs"]
mod rotation;
#[path = "availability/webhook_service.rs"]
mod webhook_service;
