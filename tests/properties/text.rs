//! Text of any kind.
//!
//! proptest reads the regular expression behind `any::<String>()` anew for each value, Unicode's tables included. That took
//! two fifths of these tests' time.

use std::sync::LazyLock;

use proptest::{prelude::*, strategy::SBoxedStrategy, string::string_regex};

/// What `any::<String>()` gives: text without control characters.
pub(crate) fn text() -> SBoxedStrategy<String> {
    static ANY: LazyLock<SBoxedStrategy<String>> = LazyLock::new(|| like(r"\PC*"));
    ANY.clone()
}

/// Text that this regular expression matches as a whole.
pub(crate) fn like(expression: &str) -> SBoxedStrategy<String> {
    string_regex(expression).unwrap().sboxed()
}
