//! Edits that bring the shim: lists get elements, and commands get words.

use serde_json::{Value, json};

use super::{SHIM, edited};

/// What an edit makes of a Pod, from a line that begins so up to one that begins so.
fn part<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let start = text.find(from).unwrap_or_else(|| panic!("{from:?} is not in {text}"));
    let end = text[start..].find(to).unwrap_or_else(|| panic!("{to:?} is not in {text}"));
    &text[start..start + end]
}

/// A Pod with one container, whose members are these lines.
fn pod(members: &str) -> String {
    let members = members.trim_end().replace('\n', "\n    ");
    format!("kind: Pod\napiVersion: v1\nspec:\n  containers:\n  - name: app\n    {members}\n    image: x\n")
}

/// The lines that an edit makes of a container's members.
fn members(lines: &str) -> String {
    let edited = edited(&pod(lines), SHIM);
    assert!(!edited.rewritten, "{}", edited.text);
    let members = part(&edited.text, "    command", "    image: x\n");
    members.trim_start().replace("\n    ", "\n")
}

const RUN: &str = "/fermata/fermata-shim, run, --budget, 29s, --";

#[test]
fn a_command_in_brackets_gets_words_in_front() {
    for (before, after) in [
        ("command: [nginx, '-g'] # it\n", format!("command: [{RUN}, nginx, '-g'] # it\n")),
        ("command: [ nginx,]\n", format!("command: [ {RUN}, nginx,]\n")),
        ("command: [a,b]\n", format!("command: [{},a,b]\n", RUN.replace(", ", ","))),
        (
            "command: [\"a\", \"b\"]\n",
            "command: [\"/fermata/fermata-shim\", \"run\", \"--budget\", \"29s\", \"--\", \"a\", \"b\"]\n"
                .to_owned(),
        ),
        ("command:\n  [a,\n   b] # it\n", format!("command:\n  [{RUN}, a,\n   b] # it\n")),
        (
            "command: [ # it\n  # the server\n  nginx, # here\n  -g\n]\n",
            format!(
                "command: [ # it\n  {},\n  # the server\n  nginx, # here\n  -g\n]\n",
                RUN.replace(", ", ",\n  ")
            ),
        ),
    ] {
        assert_eq!(members(before), after);
    }
}

#[test]
fn a_command_of_dashes_gets_lines_above() {
    let words = |indent: &str| format!("{indent}{}\n", RUN.replace(", ", &format!("\n{indent}")));
    for (before, after) in [
        (
            "command: # it\n# the server\n- nginx # here\n- |\n  a\n  # b\n",
            format!("command: # it\n{}# the server\n- nginx # here\n- |\n  a\n  # b\n", words("- ")),
        ),
        ("command:\n\n  -   nginx\n", format!("command:\n{}\n  -   nginx\n", words("  -   "))),
        (
            "command:\n- # the server\n  nginx\n",
            format!("command:\n{}- # the server\n  nginx\n", words("- ")),
        ),
        ("command:\n- &a nginx\n- -g\n", format!("command:\n{}- &a nginx\n- -g\n", words("- "))),
    ] {
        assert_eq!(members(before), after);
    }
}

#[test]
fn the_words_of_another_init_make_room() {
    for (before, after) in [
        (
            "command: [tini, --, 'a'] # it\n",
            "command: [/fermata/fermata-shim, run, --budget, 29s, --, 'a'] # it\n",
        ),
        (
            "command:\n- tini # the init\n# what runs\n- --\n# the server\n- nginx\n",
            "command:\n- /fermata/fermata-shim # the init\n- run\n- --budget\n- 29s\n# what runs\n- --\n# the server\n- nginx\n",
        ),
        (
            "command:\n- tini\n- -s\n- -s\n- -s\n- -s\n- -s # loud\n# that was it\n- --\n- nginx\n",
            "command:\n- /fermata/fermata-shim\n- run\n- --budget\n- 29s\n# that was it\n- --\n- nginx\n",
        ),
        (
            "command: [tini, -s, -s, -s, -s, -s, --, nginx]\n",
            "command: [/fermata/fermata-shim, run, --budget, 29s, --, nginx]\n",
        ),
    ] {
        assert_eq!(members(before), after);
    }
}

#[test]
fn an_entrypoint_that_is_known_becomes_a_command() {
    let annotated = |step: &str, lines: &str| {
        format!(
            "kind: Pod\napiVersion: v1\nmetadata:\n{step}annotations: {{fermata.dev/entrypoint: '[\"nginx\"]'}}\nspec:\n{step}volumes:\n{step}{step}- name: a\n{step}containers:\n{lines}"
        )
    };
    for (lines, after) in [
        (
            "    - name: app\n      command: [] # none\n",
            "      command: # none\n        - /fermata/fermata-shim\n        - run\n",
        ),
        (
            "    - name: app\n      command:\n",
            "      command:\n        - /fermata/fermata-shim\n        - run\n",
        ),
        ("    - name: app\n", "      command:\n        - /fermata/fermata-shim\n        - run\n"),
        ("    - {name: app}\n", "command: [/fermata/fermata-shim, run, "),
    ] {
        let edited = edited(&annotated("  ", lines), SHIM);
        assert!(!edited.rewritten && edited.text.contains(after), "{}", edited.text);
    }
}

#[test]
fn an_own_hook_keeps_its_words() {
    for (before, after) in [
        (
            "lifecycle: {preStop: {exec: {command: [sh, -c, \"a; b\"]}}} # bye\n",
            "lifecycle: {preStop: {exec: {command: [/fermata/fermata-shim, drain, --drain, 5s..1m, --, sh, -c, \"a; b\"]}}} # bye\n",
        ),
        (
            "lifecycle:\n  preStop:\n    exec: # bye\n      command:\n      # by hand\n      - sh # here\n      - -c\n",
            "lifecycle:\n  preStop:\n    exec: # bye\n      command:\n      - /fermata/fermata-shim\n      - drain\n      - --drain\n      - 5s..1m\n      - --\n      # by hand\n      - sh # here\n      - -c\n",
        ),
        (
            "lifecycle:\n  preStop:\n    httpGet: {port: 80, path: /quit}\n",
            "lifecycle:\n  preStop:\n    exec:\n      command:\n      - /fermata/fermata-shim\n      - drain\n      - --drain\n      - 5s..1m\n      - --http-get\n      - 'http://:80/quit'\n",
        ),
    ] {
        assert!(members(&format!("command: [a]\n{before}")).ends_with(after), "{}", members(before));
    }
}

const LISTS: &str = "\
kind: Pod
apiVersion: v1
metadata:
  annotations: # all
    a: b # here
    # below
spec:
  initContainers: # first
  # migrates
  -  name: migrate # now
     image: m
  volumes:
  -  name: data
     emptyDir: {} # scratch
  # below the volumes
  containers:
  -  name: app
     command: [a]
     volumeMounts: [{name: data, mountPath: /data}] # mounts
";

#[test]
fn lists_get_elements_in_the_manner_of_the_others() {
    let edited = edited(LISTS, SHIM);
    assert!(!edited.rewritten, "{}", edited.text);
    let annotations = part(&edited.text, "  annotations:", "    fermata.dev/status");
    assert_eq!(
        annotations,
        "  annotations: # all\n    a: b # here\n    cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes: fermata-shim\n"
    );
    let init = part(&edited.text, "  initContainers:", "  volumes:");
    assert!(
        init.starts_with("  initContainers: # first\n  -  name: fermata-shim\n     image: x/shim\n"),
        "{init}"
    );
    assert!(init.ends_with("  # migrates\n  -  name: migrate # now\n     image: m\n"), "{init}");
    let volumes = part(&edited.text, "  volumes:", "  containers:");
    assert_eq!(
        volumes,
        "  volumes:\n  -  name: data\n     emptyDir: {} # scratch\n  -  name: fermata-shim\n     emptyDir:\n       medium: Memory\n       sizeLimit: 4Mi\n  # below the volumes\n"
    );
    assert!(edited.text.contains(
        "volumeMounts: [{name: data, mountPath: /data}, {name: fermata-shim, mountPath: /fermata, readOnly: true}] # mounts\n"
    ), "{}", edited.text);
}

#[test]
fn lists_in_brackets_keep_their_comments() {
    for (before, after) in [
        (
            "[ # all\n  {name: a}, # first\n  {name: b} # last\n]",
            "[ # all\n  {name: a}, # first\n  {name: b}, # last\n  {name: fermata-shim, emptyDir: {medium: Memory, sizeLimit: 4Mi}}\n]",
        ),
        (
            "[\n  {name: a}, # last\n  # none\n]",
            "[\n  {name: a}, # last\n  {name: fermata-shim, emptyDir: {medium: Memory, sizeLimit: 4Mi}},\n  # none\n]",
        ),
        (
            "[\n  {name: a} ]",
            "[\n  {name: a},\n  {name: fermata-shim, emptyDir: {medium: Memory, sizeLimit: 4Mi}} ]",
        ),
        ("[]", "[{name: fermata-shim, emptyDir: {medium: Memory, sizeLimit: 4Mi}}]"),
    ] {
        let edited = edited(
            &format!(
                "{{kind: Pod, apiVersion: v1, spec: {{\n volumes: {before}, # volumes\n containers: [{{name: c, command: [x]}}] # containers\n}}}}\n"
            ),
            SHIM,
        );
        assert!(
            !edited.rewritten && edited.text.contains(&format!("volumes: {after}, # volumes\n")),
            "{}",
            edited.text
        );
        assert!(edited.text.contains("], # containers\n"), "{}", edited.text);
    }
}

#[test]
fn two_annotations_make_one_map() {
    for metadata in [
        "",
        "metadata:\n",
        "metadata: {}\n",
        "metadata:\n  annotations: # none\n",
        "metadata: {annotations: {}}\n",
    ] {
        let text = format!(
            "kind: Pod\napiVersion: v1\n{metadata}spec:\n  containers:\n  - name: app\n    command: [x]\n"
        );
        let edited = edited(&text, SHIM);
        assert!(!edited.rewritten, "{}", edited.text);
        assert!(edited.text.contains("safe-to-evict-local-volumes: fermata-shim"), "{}", edited.text);
    }
}

#[test]
fn json_keeps_its_layout_with_the_shim() {
    let value = json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": { "annotations": {} },
        "spec": {
            "volumes": [{ "name": "a" }],
            "initContainers": [{ "name": "migrate" }],
            "containers": [
                { "name": "app", "command": ["tini", "--", "app"], "volumeMounts": [] },
                { "name": "log", "command": ["log"], "lifecycle": { "preStop": { "exec": { "command": ["bye"] } } } },
            ],
        },
    });
    let compact = edited(&value.to_string(), SHIM);
    let patched: Value = serde_json::from_str(&compact.text).unwrap();
    assert!(!compact.rewritten);
    assert_eq!(compact.text, serde_json::to_string(&patched).unwrap());
    let pretty = edited(&serde_json::to_string_pretty(&value).unwrap(), SHIM);
    assert!(
        !pretty.rewritten && pretty.text == serde_json::to_string_pretty(&patched).unwrap(),
        "{}",
        pretty.text
    );
    let spaced = edited(&value.to_string().replace(':', ": ").replace(',', ", "), SHIM);
    assert!(
        !spaced.rewritten && spaced.text.contains(r#""command": ["/fermata/fermata-shim", "run", "#),
        "{}",
        spaced.text
    );
}

#[test]
fn shared_commands_are_written_anew() {
    let shared = "kind: Pod\napiVersion: v1\nspec:\n  containers:\n  - name: a\n    command: &c [x]\n  - name: b\n    command: *c\n";
    assert!(edited(shared, SHIM).rewritten);
}
