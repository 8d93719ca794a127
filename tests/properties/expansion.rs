//! What the kubelet makes of the words of `command` and `args`, written from the documentation of these fields:
//! `$(NAME)` becomes the variable's value, or stays where there is none; `$$` becomes `$`, so that `$$(NAME)` becomes
//! `$(NAME)` and nothing more; every other `$` stays.

/// The variables that the generated containers have.
const VARIABLES: [(&str, &str); 2] = [("HOST", "a host's name"), ("HOME", "/root")];

/// A word after its expansion.
pub(crate) fn expanded(word: &str) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|open| open.split_once(')')) {
            match VARIABLES.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out + rest
}

#[test]
fn the_documented_cases() {
    for (word, expected) in [
        ("$(HOST)", "a host's name"),
        ("a$(HOME)/b", "a/root/b"),
        ("$$(HOST)", "$(HOST)"),
        ("$$$(HOME)", "$/root"),
        ("$(NOBODY)", "$(NOBODY)"),
        ("$HOST $ $(HOST", "$HOST $ $(HOST"),
        ("$$", "$"),
        ("$", "$"),
    ] {
        assert_eq!(expanded(word), expected, "{word}");
    }
}
