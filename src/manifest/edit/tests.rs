//! Edits of manifests in every notation, checked as text.

mod generated;
mod shim;

use fermata_core::{
    patch::{self, Operation},
    pod::Pod,
    rules::plan,
    settings::{ClusterSettings, NamespaceSettings, Settings},
};
use serde_json::Value;

use super::{Change, Edited, edit};
use crate::manifest::{
    document::{self, Document},
    find,
    workload::Finding,
};

/// What the Namespace says where the shim is wanted.
const SHIM: &[(&str, &str)] = &[("fermata.dev/shim", "init"), ("fermata.dev/drain", "5s..1m")];

/// The operations that admission would send for the one Pod of a document.
fn planned(document: &Document, namespace: &[(&str, &str)]) -> (Vec<String>, Vec<Operation<'static>>) {
    let found = find(&document.value, "default").into_iter().find_map(|finding| match finding {
        Finding::Pod(found) => Some(*found),
        _ => None,
    });
    let found = found.unwrap();
    let bytes = found.pod.to_string().into_bytes();
    let pod = Pod::parse(&bytes).unwrap();
    let cluster = ClusterSettings { shim_image: Some("x/shim".to_owned()), ..ClusterSettings::default() };
    let namespace = NamespaceSettings::read([("fermata.dev/inject", "enabled")], namespace.iter().copied());
    let settings = Settings {
        cluster: &cluster,
        namespace: Some(&namespace),
        namespace_name: None,
        own_namespace: None,
        server: None,
    };
    let plan = plan(&pod, &settings);
    let operations = patch::operations(&plan).into_iter().map(Operation::into_owned).collect();
    (found.path, operations)
}

fn edited(text: &str, namespace: &[(&str, &str)]) -> Edited {
    let document = document::read(text).unwrap().remove(0);
    let (path, operations) = planned(&document, namespace);
    edit(text, &document, &[Change { path: &path, operations: &operations }]).unwrap()
}

/// What an edit makes of a text, without the status, which is the same everywhere.
fn in_place(text: &str) -> String {
    let edited = edited(text, &[]);
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
    let edited = edited(text, &[]).text;
    assert!(edited.split('\n').rev().skip(1).all(|line| line.ends_with('\r')), "{edited:?}");
    assert!(edited.ends_with("seconds: 15\r\n  terminationGracePeriodSeconds: 45"), "{edited:?}");
}

#[test]
fn flow_notation_stays_flow() {
    let text = "{kind: Pod, apiVersion: v1, metadata: {annotations: {a: b}}, spec: {containers: [{name: app, lifecycle: {}}, {name: b}]}}\n";
    let edited = edited(text, &[]);
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
    let edited_compact = edited(compact, &[]);
    assert!(!edited_compact.rewritten);
    assert!(edited_compact.text.ends_with(
        r#""spec":{"containers":[{"name":"app","lifecycle":{"preStop":{"sleep":{"seconds":15}}}}],"terminationGracePeriodSeconds":45}}"#
    ), "{}", edited_compact.text);
    let value: Value = serde_json::from_str(compact).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let edited_pretty = edited(&pretty, &[]);
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
        let edited = edited(&text, &[]);
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
        let edited = edited(text, &[]);
        assert!(edited.rewritten, "{}", edited.text);
        let document = document::read(&edited.text).unwrap().remove(0);
        assert!(planned(&document, &[]).1.is_empty(), "{}", edited.text);
    }
}
