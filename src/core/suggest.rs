//! The nearest known word, for messages that help with a slip of the keyboard.

/// The known word that was most likely meant, if any is near enough to be worth a mention.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A hostile key may be as long as annotations get; no known word is anywhere near it.
    const LONGEST: usize = 128;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_ascii_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= 1 + candidate.len() / 4)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_understood_and_a_stranger_is_not() {
        let known = ["drain", "grace-period", "containers"];
        for (word, meant) in [
            ("drian", Some("drain")),
            ("Drain", Some("drain")),
            ("graceperiod", Some("grace-period")),
            ("grace-peroid", Some("grace-period")),
            ("container", Some("containers")),
            ("shim", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 17), known), None);
    }
}
