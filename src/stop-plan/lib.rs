//! The stop plan.
