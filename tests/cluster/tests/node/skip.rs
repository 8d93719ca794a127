//! What a test does that cannot be run here.

use std::{env, io::Write as _};

/// Says that something is not tried and why, or fails where `FERMATA_REQUIRE_ALL=1` asks for all.
///
/// It is written past the test harness, which keeps back what a test that passes prints.
pub(crate) fn skip(why: &str) {
    let required = env::var_os("FERMATA_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "{why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
