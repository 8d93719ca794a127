//! A text, split into its documents.
//!
//! Each document is parsed alone, from one `---` to the next, as `kubectl` does it; so the work on one never
//! touches the bytes of another.

use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{
    Fault, Place,
    node::{self, Node},
    value,
};

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    Yaml,
    Json,
}

/// One document of a text.
#[derive(Debug)]
pub(crate) struct Document {
    /// Where it stands in the text, its marker included. Unit: bytes.
    pub(crate) span: Range<usize>,
    /// How many lines stand before it.
    pub(crate) lines_before: usize,
    pub(crate) syntax: Syntax,
    /// Where everything stands, counted from the beginning of the span.
    pub(crate) root: Node,
    /// What it says.
    pub(crate) value: Value,
}

impl Document {
    /// Where a value of it begins in the text, or the nearest that is written around it.
    pub(crate) fn place<'t>(&self, text: &str, path: impl IntoIterator<Item = &'t str>) -> Place {
        let document = &text[self.span.clone()];
        Place::of(document, self.root.nearest(path).span.start).below(self.lines_before)
    }
}

/// Splits and reads a text. Documents that hold nothing are left out.
pub(super) fn read(text: &str) -> Result<Vec<Document>, Fault> {
    let start = text.trim_start();
    if start.starts_with('[') && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        let place = Place::of(text, text.len() - start.len());
        let message = "expected a Kubernetes object, found a JSON array; write the objects one after the other, or as the items of a List";
        return Err(Fault::new(place, message));
    }
    // As kubectl does it: what begins like JSON is tried as JSON, and may turn out to be YAML all the same.
    if start.starts_with('{')
        && let Some(spans) = json_spans(text)
    {
        return documents(text, spans, Syntax::Json);
    }
    documents(text, yaml_spans(text), Syntax::Yaml)
}

fn documents(text: &str, spans: Vec<Range<usize>>, syntax: Syntax) -> Result<Vec<Document>, Fault> {
    let mut documents = Vec::with_capacity(spans.len());
    let mut lines_before = 0;
    let mut counted = 0;
    for span in spans {
        lines_before += text[counted..span.start].bytes().filter(|&byte| byte == b'\n').count();
        counted = span.start;
        let document = &text[span.clone()];
        let found = parse(document).map_err(|fault| fault.below(lines_before))?;
        documents.extend(found.map(|(root, value)| Document { span, lines_before, syntax, root, value }));
    }
    Ok(documents)
}

/// Reads the text of one document; nothing where it holds nothing.
pub(super) fn parse(document: &str) -> Result<Option<(Node, Value)>, Fault> {
    if is_blank(document) {
        return Ok(None);
    }
    let mut roots = node::parse(document)?.into_iter();
    let Some(root) = roots.next() else { return Ok(None) };
    if let Some(second) = roots.next() {
        let place = Place::of(document, second.span.start);
        return Err(Fault::new(place, "a document begins here without `---` before it"));
    }
    let value = value::read(document, &root)?;
    Ok((!value.is_null()).then_some((root, value)))
}

/// Whether a document has nothing but comments, directives and its marker.
fn is_blank(document: &str) -> bool {
    document.lines().all(|line| {
        let line = line.strip_prefix("---").unwrap_or(line).trim();
        line.is_empty() || line.starts_with('#') || line.starts_with('%') || line == "..."
    })
}

/// From one marker to the next. A line that begins with `---` is a marker wherever it stands: no scalar may hold one.
fn yaml_spans(text: &str) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let is_marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker && offset > 0 {
            starts.push(offset);
        }
        offset += line.len();
    }
    let ends: Vec<_> = starts.iter().copied().skip(1).chain([text.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| start..end).collect()
}

/// One JSON object after the other; nothing where the text is something else.
fn json_spans(text: &str) -> Option<Vec<Range<usize>>> {
    let mut spans = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    loop {
        let start = stream.byte_offset();
        match stream.next() {
            Some(Ok(_)) => {
                let end = stream.byte_offset();
                let blank = text[start..end].len() - text[start..end].trim_start().len();
                spans.push(start + blank..end);
            }
            Some(Err(_)) => return None,
            None => return Some(spans),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Syntax, read};

    fn values(text: &str) -> Vec<serde_json::Value> {
        read(text).unwrap().into_iter().map(|document| document.value).collect()
    }

    #[test]
    fn documents_are_told_apart() {
        assert_eq!(
            values("a: 1\n---\n# nothing\n---\nb: 2\n--- {c: 3}\n---"),
            [json!({ "a": 1 }), json!({ "b": 2 }), json!({ "c": 3 })]
        );
        assert_eq!(
            values("---\r\na: 1\r\n...\r\n---\r\nb: |\r\n  text\r\n"),
            [json!({ "a": 1 }), json!({ "b": "text\n" })]
        );
        assert_eq!(values("%YAML 1.1\n---\na: 1\n"), [json!({ "a": 1 })]);
        assert_eq!(
            values("{\"a\": 1} {\"b\":\t\"\\ud83d\\ude00\\/\"}\n"),
            [json!({ "a": 1 }), json!({ "b": "😀/" })]
        );
        assert!(values("").is_empty() && values("# c\n---\n---\n").is_empty() && values("null").is_empty());
    }

    #[test]
    fn what_looks_like_json_may_be_yaml() {
        let documents = read("{a: 1}\n---\n{\"b\": 2,}\n").unwrap();
        assert_eq!(documents.len(), 2);
        assert!(documents.iter().all(|document| document.syntax == Syntax::Yaml));
    }

    #[test]
    fn mistakes_are_placed_in_the_whole_text() {
        for (text, fault) in [
            ("a: 1\n---\nb: [\n", "3:"),
            ("a: 1\n---\nb: 1\nb: 2\n", "4:1: the key \"b\""),
            ("{\"a\": 1}\n{\"b\": \"\\ud800\"}\n", "2:7: while parsing a quoted scalar"),
            ("[{\"a\": 1}]", "1:1: expected a Kubernetes object, found a JSON array"),
        ] {
            let found = read(text).unwrap_err().to_string();
            assert!(found.starts_with(fault), "{found}");
        }
    }
}
