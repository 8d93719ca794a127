//! Edits of manifests in every notation, checked as text and, on generated ones, as data.

use std::fmt::Write;

use fermata_core::{
    patch::{self, Operation},
    plan::plan,
    pod::Pod,
    settings::{ClusterSettings, Settings},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Change, Edited, edit};
use crate::manifest::{
    document::{self, Document},
    find,
    workload::Finding,
};

/// The operations that admission would send for the one Pod of a document.
fn planned(document: &Document) -> (Vec<String>, Vec<Operation>) {
    let found = find(&document.value, "default").into_iter().find_map(|finding| match finding {
        Finding::Pod(found) => Some(*found),
        _ => None,
    });
    let found = found.unwrap();
    let bytes = found.pod.to_string().into_bytes();
    let pod = Pod::parse(&bytes).unwrap();
    let cluster = ClusterSettings::default();
    let settings = Settings {
        cluster: &cluster,
        namespace: None,
        namespace_name: None,
        own_namespace: None,
        server: None,
    };
    (found.path, patch::operations(&plan(&pod, &settings)))
}

fn edited(text: &str) -> Edited {
    let document = document::read(text).unwrap().remove(0);
    let (path, operations) = planned(&document);
    edit(text, &document, &[Change { path: &path, operations: &operations }]).unwrap()
}

/// What an edit makes of a text, without the status, which is the same everywhere.
fn in_place(text: &str) -> String {
    let edited = edited(text);
    assert!(!edited.rewritten, "{}", edited.text);
    edited.text.split_inclusive('\n').filter(|line| !line.contains("fermata.dev/status:")).collect()
}

#[test]
fn lines_are_added_below_the_last_of_their_mapping() {
    let text = "\
kind: Pod
apiVersion: v1
metadata:
    name: a # the name
spec:
    containers:
      - image: x   # pinned

        name: 'app'
        # after the app
      - name: log # second

    # after all
";
    let expected = "\
kind: Pod
apiVersion: v1
metadata:
    name: a # the name
    annotations:
spec:
    containers:
      - image: x   # pinned

        name: 'app'
        lifecycle:
            preStop:
                sleep:
                    seconds: 15
        # after the app
      - name: log # second
        lifecycle:
            preStop:
                sleep:
                    seconds: 15
    terminationGracePeriodSeconds: 45

    # after all
";
    assert_eq!(in_place(text), expected);
}

#[test]
fn line_ends_are_kept_even_where_the_last_is_missing() {
    let text = "kind: Pod\r\napiVersion: v1\r\nmetadata:\r\n  annotations: {}\r\nspec:\r\n  containers:\r\n  - name: app";
    let edited = edited(text).text;
    assert!(edited.split('\n').rev().skip(1).all(|line| line.ends_with('\r')), "{edited:?}");
    assert!(edited.ends_with("seconds: 15\r\n  terminationGracePeriodSeconds: 45"), "{edited:?}");
}

#[test]
fn flow_notation_stays_flow() {
    let text = "{kind: Pod, apiVersion: v1, metadata: {annotations: {a: b}}, spec: {containers: [{name: app, lifecycle: {}}, {name: b}]}}\n";
    let edited = edited(text);
    assert!(!edited.rewritten);
    assert!(
        edited
            .text
            .starts_with("{kind: Pod, apiVersion: v1, metadata: {annotations: {a: b, fermata.dev/status: '{"),
        "{}",
        edited.text
    );
    assert!(edited.text.ends_with(
        "spec: {containers: [{name: app, lifecycle: {preStop: {sleep: {seconds: 15}}}}, {name: b, lifecycle: {preStop: {sleep: {seconds: 15}}}}], terminationGracePeriodSeconds: 45}}\n"
    ), "{}", edited.text);
}

#[test]
fn json_keeps_its_layout() {
    let compact = r#"{"kind":"Pod","apiVersion":"v1","metadata":{},"spec":{"containers":[{"name":"app","lifecycle":null}]}}"#;
    let edited_compact = edited(compact);
    assert!(!edited_compact.rewritten);
    assert!(edited_compact.text.ends_with(
        r#""spec":{"containers":[{"name":"app","lifecycle":{"preStop":{"sleep":{"seconds":15}}}}],"terminationGracePeriodSeconds":45}}"#
    ), "{}", edited_compact.text);
    let value: Value = serde_json::from_str(compact).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let edited_pretty = edited(&pretty);
    assert!(!edited_pretty.rewritten);
    let patched: Value = serde_json::from_str(&edited_compact.text).unwrap();
    assert_eq!(edited_pretty.text, serde_json::to_string_pretty(&patched).unwrap());
}

#[test]
fn hooks_and_numbers_are_replaced_where_they_stand() {
    let text = "\
kind: Pod
apiVersion: v1
metadata:
  annotations:
    a: b
spec:
  terminationGracePeriodSeconds: 20 # short
  containers:
  - name: app
    lifecycle:
      preStop:
        exec: # by hand
          command: [sleep, '5']
      postStart: {exec: {command: [x]}}
  - name: log
    lifecycle:
      preStop:
        sleep:
          seconds: 5 # native
";
    let expected = "\
kind: Pod
apiVersion: v1
metadata:
  annotations:
    a: b
spec:
  terminationGracePeriodSeconds: 30 # short
  containers:
  - name: app
    lifecycle:
      preStop:
        sleep:
          seconds: 15
      postStart: {exec: {command: [x]}}
  - name: log
    lifecycle:
      preStop:
        sleep:
          seconds: 15 # native
";
    assert_eq!(in_place(text), expected);
}

#[test]
fn block_scalars_keep_their_content() {
    for (header, body) in [
        ("|", "x\n\n      y\n\n"),
        ("|-", "x\n"),
        ("|+", "x\n\n\n"),
        (">", "x\n      y\n"),
        ("|2", "  x\n\n"),
    ] {
        let text = format!(
            "kind: Pod\napiVersion: v1\nspec:\n  containers:\n  - name: app\n    command:\n    - {header}\n      {body}  # end\nmetadata:\n  name: a\n"
        );
        let edited = edited(&text);
        assert!(!edited.rewritten && edited.text.contains("  # end"), "{}", edited.text);
    }
}

#[test]
fn what_is_shared_is_written_anew_and_says_the_same() {
    for text in [
        "kind: Pod\napiVersion: v1\nspec:\n  containers:\n  - &a {name: app, lifecycle: &l {postStart: {exec: {command: [x]}}}}\n  - name: b\n    lifecycle: *l\n",
        "kind: Pod\napiVersion: v1\nspec: # here\n  containers:\n  - !!map\n    name: app\n  - name: b\n    lifecycle: !!null\n",
        "--- !!map\nkind: Pod\napiVersion: v1\nspec: {containers: [{name: a, lifecycle: &x }]}\n",
    ] {
        let edited = edited(text);
        assert!(edited.rewritten, "{}", edited.text);
        let document = document::read(&edited.text).unwrap().remove(0);
        assert!(planned(&document).1.is_empty(), "{}", edited.text);
    }
}

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

#[derive(Clone, Debug)]
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
                Way::Flow => self.line(dash + 2, "args: [a, 'b', {c: d}]"),
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
                    let (key, value) = value.as_object().unwrap().iter().next().unwrap();
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
