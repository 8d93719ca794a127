//! The nearest known word, for messages that help with a slip of the keyboard.

/// The known word that was most likely meant, if any is near enough to be worth a mention.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The distance of two long words takes time and memory in proportion to the product of their lengths, and
    // both may be hostile. Names in Kubernetes have at most 63 characters.
    const LONGEST: usize = 128;
    let tolerance = |candidate: &str| 1 + candidate.len() / 4;
    let comparable = |candidate: &&str| {
        candidate.len() <= LONGEST && word.len().abs_diff(candidate.len()) <= tolerance(candidate)
    };
    let lower = word.to_ascii_lowercase();
    known
        .into_iter()
        .filter(comparable)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= tolerance(candidate))
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
    }

    #[test]
    fn long_words_are_not_compared() {
        let long = "x".repeat(1 << 20);
        assert_eq!(nearest(&long, ["drain"]), None);
        assert_eq!(nearest("drain", [long.as_str()]), None);
        assert_eq!(nearest(&long, [long.as_str()]), None);
    }
}
