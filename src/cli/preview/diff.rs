//! What changes in the manifests' texts, as `diff -u` shows it.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use similar::TextDiff;

use super::yaml::{Patched, PatchedText};

const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const PLACE: Style = AnsiColor::Cyan.on_default();
const HEADER: Style = Style::new().bold();

/// The differences of all texts, for `patch -p0`.
pub(super) fn unified(patched: &Patched<'_>) -> String {
    let mut out = String::new();
    for PatchedText { source, text } in &patched.texts {
        if source.text == *text {
            continue;
        }
        let diff = TextDiff::from_lines(source.text.as_str(), text.as_str());
        // What stands behind the tab is for people; `patch` ignores it.
        let diff = diff
            .unified_diff()
            .header(&format!("{}\tgiven", source.name), &format!("{}\tpatched", source.name))
            .to_string();
        for (index, line) in diff.split_inclusive('\n').enumerate() {
            let style = match line.as_bytes().first() {
                _ if index < 2 => HEADER,
                Some(b'+') => ADDED,
                Some(b'-') => REMOVED,
                Some(b'@') => PLACE,
                _ => Style::new(),
            };
            let content = line.trim_end_matches(['\r', '\n']);
            let end = &line[content.len()..];
            // Writing to a string cannot fail.
            let _ = write!(out, "{style}{content}{style:#}{end}");
        }
    }
    out
}
