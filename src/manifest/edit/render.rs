//! Writes values as YAML or JSON, in the manner of the text around them.

use std::fmt::Write;

use serde_json::Value;

use crate::manifest::scalar;

/// The manner of a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'t> {
    /// `\n` or `\r\n`.
    pub(super) line_break: &'t str,
    /// What a level is indented by.
    pub(super) step: &'t str,
    /// What the dashes of a list are indented by, below its key.
    pub(super) dash: &'t str,
    /// Whether it is JSON, in which everything is quoted.
    pub(super) json: bool,
}

/// How a flow collection is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flow<'t> {
    /// On one line, with or without spaces behind colons and commas.
    Inline { json: bool, spaced: bool },
    /// A line for each member, below a line that is indented by that much.
    Lines { layout: Layout<'t>, indent: &'t str },
}

impl<'t> Layout<'t> {
    /// A line for each member.
    pub(super) const fn lines(self, indent: &'t str) -> Flow<'t> {
        Flow::Lines { layout: self, indent }
    }
}

/// A value in flow notation.
pub(super) fn flow(value: &Value, flow: &Flow<'_>) -> String {
    let mut out = String::new();
    match flow {
        Flow::Inline { json, spaced } => inline(&mut out, value, *json, *spaced),
        Flow::Lines { layout, indent } => lines(&mut out, value, layout, indent),
    }
    out
}

/// A key in flow notation, with its colon.
pub(super) fn flow_key(key: &str, flow: &Flow<'_>) -> String {
    let (json, space) = match flow {
        Flow::Inline { json, spaced } => (*json, if *spaced { " " } else { "" }),
        Flow::Lines { layout, .. } => (layout.json, " "),
    };
    format!("{}:{space}", text(key, json))
}

fn inline(out: &mut String, value: &Value, json: bool, spaced: bool) {
    let (comma, colon) = if spaced { (", ", ": ") } else { (",", ":") };
    match value {
        Value::Object(members) => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push_str(comma);
                }
                out.push_str(&text(key, json));
                out.push_str(colon);
                inline(out, value, json, spaced);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, value) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(comma);
                }
                inline(out, value, json, spaced);
            }
            out.push(']');
        }
        Value::String(string) => out.push_str(&text(string, json)),
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn lines(out: &mut String, value: &Value, layout: &Layout<'_>, indent: &str) {
    let deeper = format!("{indent}{}", layout.step);
    let line = |out: &mut String, index: usize, indent: &str| {
        let comma = if index > 0 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(out, "{comma}{}{indent}", layout.line_break);
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                line(out, index, &deeper);
                out.push_str(&text(key, layout.json));
                out.push_str(": ");
                lines(out, value, layout, &deeper);
            }
            line(out, 0, indent);
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, value) in items.iter().enumerate() {
                line(out, index, &deeper);
                lines(out, value, layout, &deeper);
            }
            line(out, 0, indent);
            out.push(']');
        }
        value => inline(out, value, layout.json, true),
    }
}

/// A value in block notation. Its first line is not indented, because something stands there already.
pub(super) fn block(value: &Value, indent: &str, layout: &Layout<'_>) -> String {
    let mut out = String::new();
    node(&mut out, value, indent, layout);
    out
}

/// An element of a block list, without its dash. The dash stands at that indent, and so much blank behind it.
pub(super) fn item(value: &Value, indent: &str, gap: &str, layout: &Layout<'_>) -> String {
    let mut out = String::new();
    match value {
        Value::String(string) => string_in_block(&mut out, string, indent, layout),
        value => node(&mut out, value, &format!("{indent} {gap}"), layout),
    }
    out
}

/// A member in block notation: its key, and the value behind or below it.
pub(super) fn member(key: &str, value: &Value, indent: &str, layout: &Layout<'_>) -> String {
    let mut out = text(key, false) + ":";
    below(&mut out, value, indent, layout);
    out
}

fn node(out: &mut String, value: &Value, indent: &str, layout: &Layout<'_>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (index, (key, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push_str(layout.line_break);
                    out.push_str(indent);
                }
                out.push_str(&text(key, false));
                out.push(':');
                below(out, value, indent, layout);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(layout.line_break);
                    out.push_str(indent);
                }
                out.push_str("- ");
                out.push_str(&item(value, indent, " ", layout));
            }
        }
        value => inline(out, value, false, true),
    }
}

/// The value of a key, on the key's line or below it.
fn below(out: &mut String, value: &Value, indent: &str, layout: &Layout<'_>) {
    let nested = match value {
        Value::Object(members) if !members.is_empty() => format!("{indent}{}", layout.step),
        Value::Array(items) if !items.is_empty() => format!("{indent}{}", layout.dash),
        Value::String(string) => {
            out.push(' ');
            return string_in_block(out, string, indent, layout);
        }
        value => {
            out.push(' ');
            return inline(out, value, false, true);
        }
    };
    out.push_str(layout.line_break);
    out.push_str(&nested);
    node(out, value, &nested, layout);
}

/// A string where a line ends behind it: one of several lines is written as such, if that is possible.
fn string_in_block(out: &mut String, string: &str, indent: &str, layout: &Layout<'_>) {
    let printable =
        |c: char| c == '\n' || (!c.is_control() && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}'));
    let body = string.strip_suffix('\n').unwrap_or(string);
    let literal = body.contains('\n')
        && string.chars().all(printable)
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n');
    if !literal {
        out.push_str(&text(string, false));
        return;
    }
    out.push_str(if body.len() == string.len() { "|-" } else { "|" });
    for line in body.split('\n') {
        out.push_str(layout.line_break);
        if !line.is_empty() {
            out.push_str(indent);
            out.push_str("  ");
            out.push_str(line);
        }
    }
}

/// A string on one line, plain where nobody could mistake it.
fn text(text: &str, json: bool) -> String {
    let quoted = || Value::from(text).to_string();
    if json {
        return quoted();
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    // A dash alone begins an element of a list, and three may begin a document.
    let marker = text == "-" || text.starts_with("---");
    if !text.is_empty() && text.chars().all(plain) && !marker && scalar::is_text(text) {
        return text.to_owned();
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{85}' | '\u{feff}' | '\u{2028}' | '\u{2029}')) {
        return quoted();
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::{Flow, Layout, block, flow};
    use crate::manifest::document;

    const LAYOUT: Layout<'static> = Layout { line_break: "\n", step: "  ", dash: "", json: false };

    #[test]
    fn block_notation_is_that_of_kubectl() {
        let value = json!({ "a": { "b": [1, { "c": "x y", "d": [] }], "e": "l1\nl2\n" }, "f": "010", "g": null, "h": {} });
        let text =
            "a:\n  b:\n  - 1\n  - c: 'x y'\n    d: []\n  e: |\n    l1\n    l2\nf: '010'\ng: null\nh: {}";
        assert_eq!(block(&value, "", &LAYOUT), text);
        let indented = Layout { dash: "  ", ..LAYOUT };
        assert_eq!(block(&json!({ "a": [{ "b": ["c"] }] }), "", &indented), "a:\n  - b:\n      - c");
    }

    #[test]
    fn words_are_quoted_only_where_somebody_could_mistake_them() {
        for word in
            ["--drain", "--", "-g", "-c", "5s..1m", "/bin/sh", "--1", "-a", "a-", ".", "-.", "-/", "__"]
        {
            assert_eq!(super::text(word, false), word);
        }
        for word in ["-", "---", "---a", "-1", "-_1", "-.5", "-0x1F", "-010", "-1e3", "-.inf", "1_0", "no"] {
            assert_eq!(super::text(word, false), format!("'{word}'"));
        }
    }

    #[test]
    fn flow_notation_follows_the_text_around_it() {
        let value = json!({ "a": { "b": 1 } });
        assert_eq!(flow(&value, &Flow::Inline { json: true, spaced: false }), r#"{"a":{"b":1}}"#);
        assert_eq!(flow(&value, &Flow::Inline { json: false, spaced: true }), "{a: {b: 1}}");
        let json = Layout { json: true, ..LAYOUT };
        assert_eq!(flow(&value, &json.lines("  ")), "{\n    \"a\": {\n      \"b\": 1\n    }\n  }");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ \n'\"#:{}\\[\\],&*!|>%@`0-9a-z.~-]{0,12}".prop_map(Value::from),
            prop::sample::select(vec![
                "yes", "010", "1e3", "null", "~", "<<", "=", "---", "0x1", ".inf", "a: b", "a #b", "--drain",
                "--", "-", "-_1", "-.5", "-.inf", "5s..1m"
            ])
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::vec(("[ a-z0-9:#'-]{0,6}", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in value()) {
            let value = json!({ "value": value });
            let json = Layout { json: true, ..LAYOUT };
            for text in [
                block(&value, "", &LAYOUT),
                block(&value, "", &Layout { dash: "   ", step: " ", ..LAYOUT }),
                flow(&value, &Flow::Inline { json: false, spaced: true }),
                flow(&value, &Flow::Inline { json: true, spaced: false }),
                flow(&value, &json.lines("")),
            ] {
                let read = document::parse(&text).map(|found| found.map(|(_, value)| value));
                prop_assert_eq!(read, Ok(Some(value.clone())), "{}", text);
            }
        }
    }
}
