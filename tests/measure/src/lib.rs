//! What `make bench` and `make proof` share: a load that keeps to its timetable, latencies, and what was measured on.

pub mod machine;
pub mod measured;
pub mod open_loop;
pub mod process_use;
