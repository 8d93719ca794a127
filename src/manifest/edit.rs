//! Changes a document's text so that it says what a patch asks for, and leaves the rest as it was written.
//!
//! A round trip through a parser would lose comments, quotes, blank lines and the author's indentation. So the patch
//! is carried out on the text, at the places that the tree knows. Whether that went well is not argued but
//! checked: the changed text is read again, and must say exactly what the patch makes of the value. Where it does
//! not (aliases, merge keys, exotic notation), that one document is written anew from its value.

mod layout;
mod lines;
mod list;
mod place;
mod render;
mod splice;
#[cfg(test)]
mod tests;
mod values;

use fermata_core::patch::Operation;
use serde_json::Value;

use super::{
    Syntax,
    document::{self, Document},
};

/// A patch for one Pod or template of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'c> {
    /// The way to it from the document's root.
    pub(crate) path: &'c [String],
    /// What to do, relative to it.
    pub(crate) operations: &'c [Operation<'static>],
}

/// A document that has been changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) text: String,
    /// Whether it had to be written anew, so that its comments are lost.
    pub(crate) rewritten: bool,
}

/// The document can be changed in neither way. No manifest is known that does this.
#[derive(Debug, thiserror::Error)]
#[error("the patched document cannot be written down safely; use -o patch")]
pub(crate) struct BeyondReach;

/// Carries out patches on a document.
pub(crate) fn edit(text: &str, document: &Document, changes: &[Change<'_>]) -> Result<Edited, BeyondReach> {
    let mut expected = document.value.clone();
    for change in changes {
        patch(&mut expected, change).ok_or(BeyondReach)?;
    }
    let says = |text: &str| {
        document::parse(text).is_ok_and(|found| found.is_some_and(|(_, value)| value == expected))
    };
    let in_place = place::edit(text, document, changes).filter(|text| says(text));
    if let Some(text) = in_place {
        return Ok(Edited { text, rewritten: false });
    }
    let rewritten = rewrite(text, document, &expected);
    if says(&rewritten) { Ok(Edited { text: rewritten, rewritten: true }) } else { Err(BeyondReach) }
}

/// Carries out one patch on a value.
fn patch(document: &mut Value, change: &Change<'_>) -> Option<()> {
    let target = change.path.iter().try_fold(document, |value, step| match value {
        Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        value => value.get_mut(step),
    })?;
    // The Pod that a controller makes has metadata even where its template has none.
    if change.operations.iter().any(|operation| operation.path().as_str().starts_with("/metadata/")) {
        let metadata = target.as_object_mut()?.entry("metadata").or_insert(Value::Null);
        if metadata.is_null() {
            *metadata = Value::Object(serde_json::Map::new());
        }
    }
    let operations = serde_json::to_value(change.operations).ok()?;
    let patch: json_patch::Patch = serde_json::from_value(operations).ok()?;
    json_patch::patch(target, &patch).ok()
}

/// The document, written anew around what stands before and after its root.
fn rewrite(text: &str, document: &Document, value: &Value) -> String {
    let layout = layout::layout(text, document);
    let root = &document.root;
    let start = if root.anchor.is_some() || root.tag.is_some() {
        // Whatever is said about the root is gone with it.
        text.find("---").map_or(0, |marker| marker + 3)
    } else {
        root.span.start
    };
    let written = match document.syntax {
        Syntax::Json => render::flow(value, &layout.lines("")),
        Syntax::Yaml => render::block(value, "", &layout),
    };
    let tail = &text[lines::end_of_content(text, root)..];
    let mut rewritten = text[..start].trim_end_matches([' ', '\t']).to_owned();
    if !rewritten.is_empty() && !rewritten.ends_with('\n') {
        rewritten.push_str(layout.line_break);
    }
    rewritten + &written + tail
}
