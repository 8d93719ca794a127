//! Edits of generated manifests: the data must be that of the patch, and no comment may be lost.

use std::fmt::Write;

use fermata_core::patch::Operation;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::planned;
use crate::manifest::{
    document,
    edit::{Change, edit},
};

/// A way to write a mapping's member that may be missing.
#[derive(Clone, Copy, Debug)]
enum Way {
    Absent,
    Null,
    Empty,
    Flow,
    Block,
}

fn way() -> impl Strategy<Value = Way> {
    prop::sample::select(vec![Way::Absent, Way::Null, Way::Empty, Way::Flow, Way::Block])
}

/// How a manifest is written.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is thrown by its own coin")]
struct Written {
    step: usize,
    dashes_indented: bool,
    crlf: bool,
    last_line_open: bool,
    comments: u64,
    annotations: Way,
    metadata_first: bool,
    grace: Way,
    containers: Vec<(Way, Way, bool)>,
}

fn written() -> impl Strategy<Value = Written> {
    let containers = prop::collection::vec((way(), way(), any::<bool>()), 1..4);
    (1_usize..5, any::<[bool; 4]>(), any::<u64>(), way(), way(), containers).prop_map(
        |(
            step,
            [dashes_indented, crlf, last_line_open, metadata_first],
            comments,
            annotations,
            grace,
            containers,
        )| Written {
            step,
            dashes_indented,
            crlf,
            last_line_open,
            comments,
            annotations,
            metadata_first,
            grace,
            containers,
        },
    )
}

/// Writes a Deployment line by line, with comments strewn in.
struct Writer {
    written: Written,
    text: String,
    comments: usize,
}

impl Writer {
    fn line(&mut self, indent: usize, text: &str) {
        let dice = self.written.comments.rotate_left(u32::try_from(self.comments % 60).unwrap()) & 7;
        self.comments += 1;
        let end = if self.written.crlf { "\r\n" } else { "\n" };
        if dice & 1 == 1 {
            let _ = write!(self.text, "{}# above {}{end}", " ".repeat(indent), self.comments);
        }
        let _ = write!(self.text, "{}{text}", " ".repeat(indent));
        if dice & 2 == 2 {
            let _ = write!(self.text, "  # behind {}", self.comments);
        }
        self.text.push_str(end);
        if dice == 4 {
            self.text.push_str(end);
        }
    }

    fn member(&mut self, indent: usize, key: &str, way: Way, (flow, block): (&str, &[&str])) {
        match way {
            Way::Absent => {}
            Way::Null => self.line(indent, &format!("{key}:")),
            Way::Empty => self.line(indent, &format!("{key}: {{}}")),
            Way::Flow => self.line(indent, &format!("{key}: {flow}")),
            Way::Block => {
                self.line(indent, &format!("{key}:"));
                for (depth, line) in block.iter().enumerate() {
                    self.line(indent + (depth + 1) * self.written.step, line);
                }
            }
        }
    }

    fn metadata(&mut self, indent: usize) {
        self.line(indent, "metadata:");
        let deeper = indent + self.written.step;
        self.line(deeper, "labels: {app: web}");
        self.member(deeper, "annotations", self.written.annotations, ("{a: 'b # c', }", &["a: \"b\""]));
    }

    fn spec(&mut self, indent: usize) {
        let step = self.written.step;
        self.line(indent, "spec:");
        match self.written.grace {
            Way::Absent | Way::Empty => {}
            Way::Null => self.line(indent + step, "terminationGracePeriodSeconds: ~"),
            Way::Flow | Way::Block => self.line(indent + step, "terminationGracePeriodSeconds: 0x14"),
        }
        self.line(indent + step, "containers:");
        let dash = indent + step + if self.written.dashes_indented { step } else { 0 };
        for (index, (lifecycle, args, flow)) in self.written.containers.clone().into_iter().enumerate() {
            if flow {
                let lifecycle = match lifecycle {
                    Way::Absent => "",
                    Way::Null => ", lifecycle: null",
                    Way::Empty => ", lifecycle: {}",
                    Way::Flow | Way::Block => ", lifecycle: {preStop: {exec: {command: [sleep, '3']}}}",
                };
                self.line(dash, &format!("- {{name: c{index}{lifecycle}}}"));
                continue;
            }
            self.line(dash, &format!("- name: c{index}"));
            let before = ("{preStop: {sleep: {seconds: 3}}}", &["preStop:", "sleep:", "seconds: 3"][..]);
            self.member(dash + 2, "lifecycle", lifecycle, before);
            match args {
                Way::Absent => {}
                Way::Null | Way::Empty => self.line(dash + 2, "image: \"x\""),
                Way::Flow => self.line(dash + 2, "args: [a, 'b', 'c: d']"),
                Way::Block => {
                    self.line(dash + 2, "args:");
                    self.line(dash + 2, "- plain");
                    let end = if self.written.crlf { "\r\n" } else { "\n" };
                    let _ = write!(
                        self.text,
                        "{0}- |{end}{0}  script{end}{end}{0}    # no comment{end}",
                        " ".repeat(dash + 2)
                    );
                }
            }
        }
    }

    fn write(mut self) -> String {
        let step = self.written.step;
        self.line(0, "apiVersion: apps/v1");
        self.line(0, "kind: Deployment");
        self.line(0, "spec:");
        self.line(step, "template:");
        if self.written.metadata_first {
            self.metadata(2 * step);
            self.spec(2 * step);
        } else {
            self.spec(2 * step);
            self.metadata(2 * step);
        }
        if self.written.last_line_open {
            self.text.truncate(self.text.trim_end().len());
        }
        self.text
    }
}

/// The comments of a text, by their own words.
fn comments(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.find("# above").or(line.find("# behind")).map(|at| line[at..].trim_end()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn generated_manifests_are_edited_in_place(written in written()) {
        let text = Writer { written: written.clone(), text: String::new(), comments: 0 }.write();
        let document = document::read(&text).unwrap().remove(0);
        let (path, operations) = planned(&document);
        let edited = edit(&text, &document, &[Change { path: &path, operations: &operations }]).unwrap();
        prop_assert!(!edited.rewritten, "{text}");

        let mut expected = document.value.clone();
        let template = expected.pointer_mut("/spec/template").unwrap();
        if template["metadata"]["annotations"].is_null() {
            template["metadata"]["annotations"] = Value::Object(Map::new());
        }
        for operation in &operations {
            let operation = match operation {
                Operation::Add { path, value } if path.as_str() == "/metadata/annotations" => {
                    let added = serde_json::to_value(value).unwrap();
                    let (key, value) = added.as_object().unwrap().iter().next().unwrap();
                    template["metadata"]["annotations"][key] = value.clone();
                    continue;
                }
                operation => serde_json::to_value(operation).unwrap(),
            };
            let patch: json_patch::Patch = serde_json::from_value(json!([operation])).unwrap();
            json_patch::patch(template, &patch).unwrap();
        }
        let again = document::read(&edited.text).unwrap();
        prop_assert_eq!(&again[0].value, &expected, "{}", edited.text);
        prop_assert!(planned(&again[0]).1.is_empty());
        let lost: Vec<_> = comments(&text).into_iter().filter(|comment| !edited.text.contains(comment)).collect();
        prop_assert!(lost.is_empty(), "{lost:?}\n{text}\n{}", edited.text);
        let (crlf, lf) = (edited.text.matches("\r\n").count(), edited.text.matches('\n').count());
        prop_assert_eq!(crlf, if written.crlf { lf } else { 0 });
    }
}
