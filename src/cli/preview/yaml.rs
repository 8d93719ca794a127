//! The manifests as they were given, with their Pods patched.

use crate::{
    cli::{
        Exit,
        judge::{JudgedPod, Judgement, Verdict},
    },
    manifest::{Change, Edited, Source, edit},
};

/// The texts of all sources, patched.
pub(super) struct Patched<'j> {
    pub(super) texts: Vec<PatchedText<'j>>,
    /// Whether a patch could not be carried out on its text.
    failed: bool,
}

/// The text of one source, patched.
pub(super) struct PatchedText<'j> {
    pub(super) source: &'j Source,
    pub(super) text: String,
}

impl Patched<'_> {
    pub(super) const fn exit(&self) -> Exit {
        if self.failed { Exit::Undecided } else { Exit::Unchanged }
    }
}

/// Carries the patches out on the texts.
pub(super) fn patched(judgement: &Judgement, quiet: bool) -> Patched<'_> {
    let mut patched = Patched { texts: Vec::new(), failed: false };
    let mut pods = judgement.pods.as_slice();
    for (index, source) in judgement.sources.iter().enumerate() {
        let (own, rest) = pods.split_at(pods.iter().take_while(|pod| pod.source == index).count());
        pods = rest;
        let text = patched.text(source, own, quiet);
        patched.texts.push(PatchedText { source, text });
    }
    patched
}

impl Patched<'_> {
    fn text(&mut self, source: &Source, pods: &[JudgedPod], quiet: bool) -> String {
        let mut text = String::with_capacity(source.text.len() + 512 * pods.len());
        let mut done = 0;
        for (index, document) in source.documents.iter().enumerate() {
            let changes: Vec<_> = pods
                .iter()
                .filter(|pod| pod.document == index && pod.verdict == Verdict::Patched)
                .map(|pod| Change { path: &pod.path, operations: &pod.operations })
                .collect();
            if changes.is_empty() {
                continue;
            }
            let given = &source.text[document.span.clone()];
            let place = || format!("{}:{}", source.name, document.place(&source.text, []));
            match edit(given, document, &changes) {
                Ok(Edited { text: edited, rewritten }) => {
                    if rewritten && !quiet {
                        anstream::eprintln!(
                            "note: {}: this document had to be written anew, so its comments are lost; aliases and merge keys do that",
                            place()
                        );
                    }
                    text.push_str(&source.text[done..document.span.start]);
                    text.push_str(&edited);
                    done = document.span.end;
                }
                Err(error) => {
                    anstream::eprintln!("error: {}: {error}", place());
                    self.failed = true;
                }
            }
        }
        text.push_str(&source.text[done..]);
        text
    }
}

/// All texts as one stream of documents.
pub(super) fn joined(patched: &Patched<'_>) -> String {
    let mut stream = String::new();
    for PatchedText { source, text } in &patched.texts {
        if stream.is_empty() {
            if source.marked {
                stream.push('\u{feff}');
            }
        } else {
            if !stream.ends_with('\n') {
                stream.push('\n');
            }
            if !text.starts_with("---") {
                stream.push_str("---\n");
            }
        }
        stream.push_str(text);
    }
    stream
}
