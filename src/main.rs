//! The `fermata` program.
fn main() {}
