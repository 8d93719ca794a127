//! Pieces of new text, and where they go.

use std::ops::Range;

/// What stands in a range of the old text is replaced by this.
#[derive(Debug)]
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) text: String,
    /// Of two that go to the same place, the deeper one goes first: it belongs to what ends there.
    pub(super) depth: usize,
}

/// The text with all splices carried out; nothing if two of them are in each other's way.
pub(super) fn apply(text: &str, mut splices: Vec<Splice>) -> Option<String> {
    splices.sort_by_key(|splice| (splice.range.start, splice.range.end, usize::MAX - splice.depth));
    let mut out = String::with_capacity(text.len() + 256 * splices.len());
    let mut done = 0;
    for splice in splices {
        out.push_str(text.get(done..splice.range.start)?);
        out.push_str(&splice.text);
        done = splice.range.end;
    }
    out.push_str(text.get(done..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::{Splice, apply};

    #[test]
    fn splices_are_carried_out_in_the_order_of_the_text() {
        let splice = |range, text: &str, depth| Splice { range, text: text.into(), depth };
        let splices = vec![splice(3..3, "outer", 1), splice(3..3, "inner ", 2), splice(0..1, "A", 0)];
        assert_eq!(apply("abcd", splices).as_deref(), Some("Abcinner outerd"));
        assert_eq!(apply("abcd", vec![splice(0..3, "", 0), splice(1..2, "", 0)]), None);
    }
}
