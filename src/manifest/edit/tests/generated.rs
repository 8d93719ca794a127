//! Edits of generated manifests: the data must be that of the patch, and no comment may be lost.

use std::fmt::Write;

use fermata_core::patch::Operation;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{SHIM, planned};
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

/// How a command is written.
#[derive(Clone, Copy, Debug)]
enum Words {
    Absent,
    Empty,
    Brackets,
    BracketsOverLines,
    Dashes,
    /// Another init in front, whose words make room.
    InitInBrackets,
    InitBehindDashes,
    Script,
}

fn words() -> impl Strategy<Value = Words> {
    prop::sample::select(vec![
        Words::Absent,
        Words::Empty,
        Words::Brackets,
        Words::BracketsOverLines,
        Words::Dashes,
        Words::InitInBrackets,
        Words::InitBehindDashes,
        Words::Script,
    ])
}

/// A hook of the user's.
#[derive(Clone, Copy, Debug)]
enum Own {
    Sleep,
    Exec,
    HttpGet,
}

/// How a container is written.
#[derive(Clone, Debug)]
struct Container {
    lifecycle: Way,
    own: Own,
    command: Words,
    args: Way,
    mounts: Way,
    flow: bool,
}

fn container() -> impl Strategy<Value = Container> {
    let own = prop::sample::select(vec![Own::Sleep, Own::Exec, Own::HttpGet]);
    (way(), own, words(), way(), way(), any::<bool>()).prop_map(
        |(lifecycle, own, command, args, mounts, flow)| Container {
            lifecycle,
            own,
            command,
            args,
            mounts,
            flow,
        },
    )
}

/// How a manifest is written.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is thrown by its own coin")]
struct Written {
    shim: bool,
    step: usize,
    /// The blanks behind a dash.
    gap: usize,
    dashes_indented: bool,
    crlf: bool,
    last_line_open: bool,
    comments: u64,
    annotations: Way,
    metadata_first: bool,
    grace: Way,
    volumes: Way,
    init_containers: Way,
    containers: Vec<Container>,
}

fn written() -> impl Strategy<Value = Written> {
    let containers = prop::collection::vec(container(), 1..4);
    let ways = (way(), way(), way(), way());
    (1_usize..5, 1_usize..4, any::<[bool; 5]>(), any::<u64>(), ways, containers).prop_map(
        |(step, gap, coins, comments, (annotations, grace, volumes, init_containers), containers)| {
            let [shim, dashes_indented, crlf, last_line_open, metadata_first] = coins;
            Written {
                shim,
                step,
                gap,
                dashes_indented,
                crlf,
                last_line_open,
                comments,
                annotations,
                metadata_first,
                grace,
                volumes,
                init_containers,
                containers,
            }
        },
    )
}

impl Written {
    /// What the Namespace says.
    const fn namespace(&self) -> &'static [(&'static str, &'static str)] {
        if self.shim { SHIM } else { &[] }
    }
}

/// Writes a Deployment line by line, with comments strewn in.
struct Writer {
    written: Written,
    text: String,
    comments: usize,
    /// Whether comments go with the lines that are being written.
    doomed: bool,
}

impl Writer {
    fn end(&self) -> &'static str {
        if self.written.crlf { "\r\n" } else { "\n" }
    }

    fn line(&mut self, indent: usize, text: &str) {
        let dice = self.written.comments.rotate_left(u32::try_from(self.comments % 60).unwrap()) & 7;
        self.comments += 1;
        let (end, doomed) = (self.end(), if self.doomed { "doomed " } else { "" });
        if dice & 1 == 1 {
            let _ = write!(self.text, "{}# {doomed}above {}.{end}", " ".repeat(indent), self.comments);
        }
        let _ = write!(self.text, "{}{text}", " ".repeat(indent));
        if dice & 2 == 2 {
            let _ = write!(self.text, "  # {doomed}behind {}.", self.comments);
        }
        self.text.push_str(end);
        if dice == 4 {
            self.text.push_str(end);
        }
    }

    /// What the content of list elements is indented by, below their key.
    fn below_dash(&self) -> usize {
        self.dash() + 1 + self.written.gap
    }

    fn dash(&self) -> usize {
        if self.written.dashes_indented { self.written.step } else { 0 }
    }

    /// The first line of a list's element, below a key at that indent.
    fn item(&mut self, indent: usize, text: &str) {
        let gap = " ".repeat(self.written.gap);
        self.line(indent + self.dash(), &format!("-{gap}{text}"));
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

    /// A list of objects, each of which has one line or two.
    fn list(&mut self, indent: usize, key: &str, way: Way, (flow, block): (&str, &[(&str, Option<&str>)])) {
        match way {
            Way::Empty => self.line(indent, &format!("{key}: []")),
            Way::Block => {
                self.line(indent, &format!("{key}:"));
                for (first, second) in block {
                    self.item(indent, first);
                    if let Some(second) = second {
                        self.line(indent + self.below_dash(), second);
                    }
                }
            }
            way => self.member(indent, key, way, (flow, &[])),
        }
    }

    fn command(&mut self, indent: usize, command: Words) {
        match command {
            Words::Absent => {}
            Words::Empty => self.line(indent, "command: []"),
            Words::Brackets => self.line(indent, "command: [ nginx,'-g', \"daemon off;\",]"),
            Words::InitInBrackets => self.line(indent, "command: [\"tini\", \"--\", \"app\"]"),
            Words::BracketsOverLines => {
                self.line(indent, "command: [");
                for word in ["nginx,", "-g,", "'daemon off;'"] {
                    self.line(indent + self.written.step, word);
                }
                self.line(indent + 1, "]");
            }
            Words::Dashes | Words::InitBehindDashes => {
                self.line(indent, "command:");
                let words = if matches!(command, Words::Dashes) {
                    ["nginx", "'-g'", "x"]
                } else {
                    ["tini", "--", "app"]
                };
                for word in words {
                    self.item(indent, word);
                }
            }
            Words::Script => {
                self.line(indent, "command:");
                self.item(indent, "/bin/sh");
                self.item(indent, "\"-c\"");
                self.script(indent);
            }
        }
    }

    /// An element that is a block scalar, which has no comments.
    fn script(&mut self, indent: usize) {
        let (end, dash, gap) = (self.end(), " ".repeat(indent + self.dash()), " ".repeat(self.written.gap));
        let _ = write!(self.text, "{dash}-{gap}|{end}{dash}  script{end}{end}{dash}    # no comment{end}");
    }

    fn lifecycle(&mut self, indent: usize, container: &Container) {
        let Container { lifecycle, own, .. } = container;
        let step = self.written.step;
        match (lifecycle, own) {
            (Way::Block, Own::Exec) => {
                self.line(indent, "lifecycle:");
                self.line(indent + step, "preStop:");
                self.line(indent + 2 * step, "exec:");
                self.line(indent + 3 * step, "command:");
                self.item(indent + 3 * step, "bye");
                self.item(indent + 3 * step, "'now'");
            }
            (Way::Block, Own::Sleep | Own::HttpGet) => {
                self.line(indent, "lifecycle:");
                self.line(indent + step, "preStop:");
                let (hook, member) = match own {
                    Own::HttpGet => ("httpGet:", "port: 80"),
                    _ => ("sleep:", "seconds: 3"),
                };
                // Where the shim's hook takes its place, its comments go with it.
                self.doomed = self.written.shim;
                self.line(indent + 2 * step, hook);
                self.line(indent + 3 * step, member);
                self.doomed = false;
            }
            (way, own) => {
                let hook = flow_hook(*own);
                self.member(indent, "lifecycle", *way, (&format!("{{preStop: {hook}}}"), &[]));
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
        let deeper = indent + self.written.step;
        self.line(indent, "spec:");
        match self.written.grace {
            Way::Absent | Way::Empty => {}
            Way::Null => self.line(deeper, "terminationGracePeriodSeconds: ~"),
            Way::Flow | Way::Block => self.line(deeper, "terminationGracePeriodSeconds: 0x14"),
        }
        let init = ("[{name: i}, {name: j}]", &[("image: x", Some("name: i")), ("name: j", None)][..]);
        self.list(deeper, "initContainers", self.written.init_containers, init);
        self.line(deeper, "containers:");
        for (index, container) in self.written.containers.clone().into_iter().enumerate() {
            self.container(deeper, index, &container);
        }
        let volumes = ("[{name: v}]", &[("name: v", Some("emptyDir: {}")), ("name: w", None)][..]);
        self.list(deeper, "volumes", self.written.volumes, volumes);
    }

    fn container(&mut self, indent: usize, index: usize, container: &Container) {
        if container.flow {
            let lifecycle = match container.lifecycle {
                Way::Absent => String::new(),
                Way::Null => ", lifecycle: null".to_owned(),
                Way::Empty => ", lifecycle: {}".to_owned(),
                Way::Flow | Way::Block => {
                    format!(", lifecycle: {{preStop: {}}}", flow_hook(container.own))
                }
            };
            let command = match container.command {
                Words::Absent => "",
                Words::Empty => ", command: ",
                Words::InitInBrackets | Words::InitBehindDashes => ", command: [tini,--,app]",
                _ => ", \"command\": [nginx, -g]",
            };
            let mounts = match container.mounts {
                Way::Absent => "",
                Way::Null => ", volumeMounts: ~",
                Way::Empty => ", volumeMounts: []",
                Way::Flow | Way::Block => ", volumeMounts: [ {name: v, mountPath: /v} ]",
            };
            self.item(indent, &format!("{{name: c{index}{lifecycle}{command}{mounts}}}"));
            return;
        }
        self.item(indent, &format!("name: c{index}"));
        let indent = indent + self.below_dash();
        self.lifecycle(indent, container);
        self.command(indent, container.command);
        match container.args {
            Way::Absent => {}
            Way::Null | Way::Empty => self.line(indent, "image: \"x\""),
            Way::Flow => self.line(indent, "args: [a, 'b', 'c: d']"),
            Way::Block => {
                self.line(indent, "args:");
                self.item(indent, "plain");
                self.script(indent);
            }
        }
        let mounts = (
            "[{name: v, mountPath: /v}]",
            &[("name: v", Some("mountPath: /v")), ("{name: w, mountPath: /w}", None)][..],
        );
        self.list(indent, "volumeMounts", container.mounts, mounts);
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

const fn flow_hook(own: Own) -> &'static str {
    match own {
        Own::Sleep => "{sleep: {seconds: 3}}",
        Own::Exec => "{exec: {command: [bye, 'now']}}",
        Own::HttpGet => "{httpGet: {port: 80, path: /quit}}",
    }
}

/// The comments of a text, by their own words.
fn comments(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.find("# above").or(line.find("# behind")).map(|at| line[at..].trim_end()))
        .collect()
}

/// The template with each operation carried out, by a second implementation of what the editor does.
fn patched(mut document: Value, operations: &[Operation<'_>]) -> Value {
    let template = document.pointer_mut("/spec/template").unwrap();
    if template["metadata"]["annotations"].is_null() {
        template["metadata"]["annotations"] = Value::Object(Map::new());
    }
    for operation in operations {
        let operation = match operation {
            Operation::Add { path, value } if path.as_str() == "/metadata/annotations" => {
                for (key, value) in serde_json::to_value(value).unwrap().as_object().unwrap() {
                    template["metadata"]["annotations"][key] = value.clone();
                }
                continue;
            }
            operation => serde_json::to_value(operation).unwrap(),
        };
        let patch: json_patch::Patch = serde_json::from_value(json!([operation])).unwrap();
        json_patch::patch(template, &patch).unwrap();
    }
    document
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn generated_manifests_are_edited_in_place(written in written()) {
        let namespace = written.namespace();
        let text = Writer { written: written.clone(), text: String::new(), comments: 0, doomed: false }.write();
        let document = document::read(&text).unwrap().remove(0);
        let (path, operations) = planned(&document, namespace);
        let edited = edit(&text, &document, &[Change { path: &path, operations: &operations }]).unwrap();
        prop_assert!(!edited.rewritten, "{text}\n{}", serde_json::to_string_pretty(&operations).unwrap());

        let expected = patched(document.value.clone(), &operations);
        let again = document::read(&edited.text).unwrap();
        prop_assert_eq!(&again[0].value, &expected, "{}", edited.text);
        prop_assert!(planned(&again[0], namespace).1.is_empty());
        let lost: Vec<_> = comments(&text).into_iter().filter(|comment| !edited.text.contains(comment)).collect();
        prop_assert!(lost.is_empty(), "{lost:?}\n{text}\n{}", edited.text);
        let (crlf, lf) = (edited.text.matches("\r\n").count(), edited.text.matches('\n').count());
        prop_assert_eq!(crlf, if written.crlf { lf } else { 0 });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn generated_json_keeps_its_layout(written in written()) {
        let namespace = written.namespace();
        let text = Writer { written: written.clone(), text: String::new(), comments: 0, doomed: false }.write();
        let value = document::read(&text).unwrap().remove(0).value;
        for (text, layout) in [
            (value.to_string(), Value::to_string as fn(&Value) -> String),
            (serde_json::to_string_pretty(&value).unwrap(), |value| serde_json::to_string_pretty(value).unwrap()),
        ] {
            let document = document::read(&text).unwrap().remove(0);
            let (path, operations) = planned(&document, namespace);
            let edited = edit(&text, &document, &[Change { path: &path, operations: &operations }]).unwrap();
            let again: Value = serde_json::from_str(&edited.text).unwrap();
            prop_assert_eq!(&again, &patched(value.clone(), &operations));
            prop_assert!(!edited.rewritten && edited.text == layout(&again), "{}", edited.text);
        }
    }
}
