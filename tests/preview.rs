//! `fermata preview`, from the outside.

#[path = "sandbox/fermata.rs"]
mod sandbox;

use fermata_core::{
    patch,
    pod::Pod,
    rules::plan,
    settings::{ClusterSettings, Settings},
};
use sandbox::{Ran, Sandbox};
use serde_json::{Value, json};

const DEPLOYMENT: &str = r#"# The shop.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
      - image: "shop:1" # pinned
        name: app
"#;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web} # as it is\n";

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n  - name: app\n";

fn preview(file: &str, content: &str, arguments: &[&str]) -> Ran {
    let sandbox = Sandbox::new().with(file, content);
    sandbox.run(&[&["preview", file], arguments].concat())
}

/// The patches of `-o patch`.
#[expect(clippy::unwrap_used, reason = "what is printed has to be JSON")]
fn patches(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_deployment_is_patched_in_place() {
    let ran = preview("deploy.yaml", DEPLOYMENT, &[]);
    let expected = r#"# The shop.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
      - image: "shop:1" # pinned
        name: app
        lifecycle:
          preStop:
            sleep:
              seconds: 15
      terminationGracePeriodSeconds: 45
    metadata:
      annotations:
        fermata.dev/status: '{"version":"0.1.0","gracePeriodSeconds":45,"drain":{"app":"15s"}}'
"#;
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (1, expected, ""));
}

/// The whole difference, as a person reads it in a review.
#[test]
fn the_shim_is_brought_in_place() {
    let manifest = r#"# The shop.
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata:
      annotations:
        fermata.dev/shim: init # drains by itself
        fermata.dev/drain: 5s..1m
    spec:
      initContainers:
        # before all others
        - name: migrate
          image: "shop:1"
      containers:
        - name: app
          # passenger, under an init
          command: ["dumb-init", "--rewrite", "15:10", "passenger", "start"] # 5000
          volumeMounts:
            - { name: data, mountPath: /data }
            # that is all
        - name: log
          command:
            # reads the files
            - fluentd # 1.17
            - -c=/etc/fluentd
          lifecycle:
            preStop:
              exec:
                command: [/bin/flush] # the last lines
      volumes: [{name: data}] # scratch
"#;
    let arguments = ["-o", "diff", "--shim-image", "registry.example.com/fermata-shim:0.1.0"];
    let ran = preview("deploy.yaml", manifest, &arguments);
    let removed: Vec<_> = ran.stdout.lines().skip(2).filter(|line| line.starts_with('-')).collect();
    let expected = [
        r#"-          command: ["dumb-init", "--rewrite", "15:10", "passenger", "start"] # 5000"#,
        "-                command: [/bin/flush] # the last lines",
        "-      volumes: [{name: data}] # scratch",
    ];
    assert_eq!((ran.code, removed.as_slice(), ran.stderr.as_str()), (1, &expected[..], ""), "{}", ran.stdout);
    for lines in [
        concat!(
            "       initContainers:\n",
            "+        - name: fermata-shim\n",
            "+          image: 'registry.example.com/fermata-shim:0.1.0'\n",
            "+          command:\n",
            "+            - /fermata-shim\n",
            "+            - install\n",
            "+            - /fermata\n",
        ),
        "         # before all others\n         - name: migrate\n",
        "             - { name: data, mountPath: /data }\n+            - name: fermata-shim\n",
        "+            - --\n             # reads the files\n             - fluentd # 1.17\n",
        "+                command: [/fermata/fermata-shim, drain, --drain, 5s..1m, --, /bin/flush] # the last lines\n",
        "+      volumes: [{name: data}, {name: fermata-shim, emptyDir: {medium: Memory, sizeLimit: 4Mi}}] # scratch\n",
        r#""--", "passenger", "start"] # 5000"#,
    ] {
        assert!(ran.stdout.contains(lines), "{lines}\n{}", ran.stdout);
    }
}

#[test]
fn what_is_patched_once_stays_as_it_is() {
    let once = preview("deploy.yaml", DEPLOYMENT, &[]).stdout;
    let twice = preview("deploy.yaml", &once, &[]);
    assert_eq!((twice.code, &twice.stdout), (0, &once));
}

#[test]
fn other_documents_pass_byte_by_byte() {
    let odd = "\u{feff}%YAML 1.1\r\n---\r\nkind: ConfigMap\r\ndata: {<<: {a: b}, a: !x 'c'}\r\n...\r\n---\r\n# nothing\r\n--- \t\r\nkind:   Widget  \r\n";
    let ran = preview("odd.yaml", odd, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, odd));
    let ran = preview("mixed.yaml", &format!("{SERVICE}---\n{DEPLOYMENT}---\n{SERVICE}"), &[]);
    assert!(ran.stdout.starts_with(&format!("{SERVICE}---\n# The shop.")), "{}", ran.stdout);
    assert!(ran.stdout.ends_with(&format!("---\n{SERVICE}")), "{}", ran.stdout);
}

#[test]
fn several_inputs_are_one_stream_of_documents() {
    let json =
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"j"},"spec":{"containers":[{"name":"a"}]}}"#;
    let sandbox = Sandbox::new()
        .with("a.yaml", SERVICE.trim_end())
        .with("b.json", json)
        .with("c.yaml", "---\nkind: X\n");
    let ran = sandbox.pipe(SERVICE, &["preview", "a.yaml", "b.json", "c.yaml", "-"]);
    assert_eq!(ran.code, 1);
    let documents: Vec<_> = ran.stdout.split("---\n").collect();
    assert_eq!(
        (documents.len(), documents[0], documents[2], documents[3]),
        (4, SERVICE, "kind: X\n", SERVICE)
    );
    let pod: Value = serde_json::from_str(documents[1]).unwrap();
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 45);
    assert!(
        documents[1].starts_with(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"j","annotations":{"#)
    );
}

#[test]
fn a_pods_patch_is_the_one_that_admission_would_send() {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "p", "annotations": { "fermata.dev/drain": "20s", "log.fermata.dev/grace-period": "1m" } },
        "spec": { "containers": [{ "name": "app" }, { "name": "log", "lifecycle": { "postStart": {} } }] },
    });
    let bytes = pod.to_string().into_bytes();
    let (cluster, parsed) = (ClusterSettings::default(), Pod::parse(&bytes).unwrap());
    let settings = Settings {
        cluster: &cluster,
        namespace: None,
        namespace_name: Some("default"),
        own_namespace: None,
        server: None,
    };
    let expected = serde_json::to_value(patch::operations(&plan(&parsed, &settings))).unwrap();
    let ran = preview("pod.json", &pod.to_string(), &["-o", "patch"]);
    assert_eq!(patches(&ran), [expected]);
}

#[test]
fn patches_come_in_the_order_of_the_pods() {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {containers: [{name: a}]}}}\n";
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {}\n", POD.trim_end().replace('\n', "\n  "));
    let ran = preview("all.yaml", &format!("{job}---\n{SERVICE}---\n{list}---\n{POD}"), &["-o", "patch"]);
    let patches = patches(&ran);
    assert_eq!(patches.iter().map(|patch| patch.as_array().unwrap().len()).collect::<Vec<_>>(), [0, 3, 3]);
    assert!(ran.stderr.contains("note: all.yaml:1:1: Job/j: left alone (owned-by-job)"), "{}", ran.stderr);
    assert_eq!(patches[1][0]["path"], "/spec/containers/0/lifecycle");
}

#[test]
fn every_workload_is_patched_where_its_template_stands() {
    let spec = "spec: {containers: [{name: a}]}";
    let annotated = format!("{{metadata: {{annotations: {{fermata.dev/drain: 5s}}}}, {spec}}}");
    for (head, tail) in [
        ("apiVersion: apps/v1\nkind: Deployment\nspec: {template: ", "}"),
        ("apiVersion: apps/v1\nkind: ReplicaSet\nspec: {template: ", "}"),
        ("apiVersion: apps/v1\nkind: StatefulSet\nspec: {template: ", "}"),
        ("apiVersion: apps/v1\nkind: DaemonSet\nspec: {template: ", "}"),
        ("apiVersion: batch/v1\nkind: Job\nspec: {template: ", "}"),
        ("apiVersion: batch/v1\nkind: CronJob\nspec: {jobTemplate: {spec: {template: ", "}}}"),
        ("apiVersion: v1\nkind: ReplicationController\nspec: {template: ", "}"),
        ("apiVersion: v1\nkind: PodTemplate\ntemplate: ", ""),
        ("apiVersion: apps/v1\nkind: DeploymentList\nitems: [{spec: {template: ", "}}]"),
    ] {
        let ran = preview("w.yaml", &format!("{head}{annotated}{tail}\n"), &[]);
        assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{head}");
        assert!(
            ran.stdout.contains("{name: a, lifecycle: {preStop: {sleep: {seconds: 5}}}}"),
            "{}",
            ran.stdout
        );
    }
}

#[test]
fn namespaces_in_the_input_count_wherever_they_stand() {
    let space = |labels: &str, annotations: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: default, labels: {labels}, annotations: {annotations}}}\n"
        )
    };
    let run = |labels: &str, annotations: &str, arguments: &[&str]| {
        let sandbox = Sandbox::new().with("a.yaml", POD).with("z.yaml", space(labels, annotations));
        sandbox.run(&[&["preview", "-o", "patch", "a.yaml", "z.yaml"], arguments].concat())
    };
    let ran = run("{}", "{}", &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "[]\n"));
    assert!(ran.stderr.contains("Pod/p: left alone (not-opted-in)"), "{}", ran.stderr);
    let seconds = |ran: &Ran| patches(ran)[0][0]["value"]["preStop"]["sleep"]["seconds"].clone();
    let opted_in = "{fermata.dev/inject: enabled}";
    assert_eq!(seconds(&run(opted_in, "{fermata.dev/drain: 22s}", &[])), 22);
    let given = ["--namespace-annotation", "fermata.dev/drain=33s"];
    assert_eq!(seconds(&run(opted_in, "{fermata.dev/drain: 22s}", &given)), 33);
    assert_eq!(seconds(&run(opted_in, "{}", &[&given[..], &["-n", "other"]].concat())), 33);
}

#[test]
fn an_image_that_no_runtime_pulls_is_refused() {
    let ran = preview("pod.yaml", POD, &["--shim-image", "ghcr.io/Acme/shim"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    for word in
        ["'ghcr.io/Acme/shim' for '--shim-image <IMAGE>'", "such as registry.example.com/fermata-shim:0.1.0"]
    {
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
    }
}

#[test]
fn flags_say_what_only_a_cluster_knows() {
    let ran = preview("pod.yaml", POD, &["-o", "patch", "--server-version", "v1.29.4"]);
    assert!(
        ran.stderr.contains("warning: pod.yaml:1:1: Pod/p: container app: no drain of 15s (needs-shim"),
        "{}",
        ran.stderr
    );
    let ran = preview("pod.yaml", POD, &["-o", "patch", "-n", "kube-system"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "[]\n"));
    let sandbox = Sandbox::new().with("pod.yaml", POD).with("config.yaml", "defaults:\n  drain: 7s\n");
    let ran = sandbox.run(&["preview", "pod.yaml", "-o", "patch", "--config", "config.yaml"]);
    assert_eq!(patches(&ran)[0][0]["value"]["preStop"]["sleep"]["seconds"], 7);
    let ran = sandbox.run(&["preview", "pod.yaml", "--config", "none.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    assert!(ran.stderr.starts_with("error: config file none.yaml: there is no such file"), "{}", ran.stderr);
}

#[test]
fn a_denied_pod_is_not_patched() {
    let pod = POD.replace("name: p\n", "name: p\n  annotations: {fermata.dev/drain: soon}\n");
    let sandbox = Sandbox::new().with("pod.yaml", &pod).with("config.yaml", "onInvalid: deny\n");
    let ran = sandbox.run(&["preview", "pod.yaml", "--config", "config.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, pod.as_str()));
    assert!(
        ran.stderr.contains("error: pod.yaml:1:1: Pod/p: denied: fermata: fermata.dev/drain: \"soon\""),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_diff_shows_what_changes() {
    let sandbox = Sandbox::new().with("deploy.yaml", DEPLOYMENT).with("service.yaml", SERVICE);
    let ran = sandbox.run(&["preview", "-o", "diff", "."]);
    let expected = r#"--- ./deploy.yaml	given
+++ ./deploy.yaml	patched
@@ -9,3 +9,11 @@
       containers:
       - image: "shop:1" # pinned
         name: app
+        lifecycle:
+          preStop:
+            sleep:
+              seconds: 15
+      terminationGracePeriodSeconds: 45
+    metadata:
+      annotations:
+        fermata.dev/status: '{"version":"0.1.0","gracePeriodSeconds":45,"drain":{"app":"15s"}}'
"#;
    assert_eq!((ran.code, ran.stdout.as_str()), (1, expected));
    let ran = sandbox.run(&["preview", "-o", "diff", "--color", "always", "deploy.yaml"]);
    assert!(ran.stdout.contains("\u{1b}[32m+        lifecycle:\u{1b}[0m\n"), "{:?}", ran.stdout);
}

#[test]
fn json_tells_everything() {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {containers: [{name: a}]}}}\n";
    let sandbox = Sandbox::new()
        .with("a.yaml", format!("{SERVICE}---\n{DEPLOYMENT}---\n{job}"))
        .with("b.yaml", "a: [\n");
    let ran = sandbox.run(&["preview", "-o", "json", "a.yaml", "b.yaml"]);
    assert_eq!(ran.code, 4);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let [web, job] = &report["pods"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!(web["source"], "a.yaml");
    assert_eq!(
        (&web["line"], &web["kind"], &web["name"], &web["namespace"]),
        (&json!(6), &json!("Deployment"), &json!("web"), &json!("default"))
    );
    assert_eq!((&web["outcome"], &web["patch"][0]["op"]), (&json!("patched"), &json!("add")));
    assert_eq!(web["explanation"]["gracePeriod"]["after"], 45);
    assert_eq!(
        (&job["outcome"], &job["reason"], &job["patch"]),
        (&json!("skipped"), &json!("owned-by-job"), &json!([]))
    );
    assert_eq!(report["errors"][0]["source"], "b.yaml");
    assert!(report["errors"][0]["line"].is_number());
}

#[test]
fn the_worst_outcome_is_the_exit_code() {
    let unreadable = POD.replace("name: app", "name: 7");
    let sandbox = Sandbox::new()
        .with("none.yaml", SERVICE)
        .with("change.yaml", POD)
        .with("undecided.yaml", unreadable)
        .with("bad.yaml", "a: [\n");
    for (files, code) in [
        (&["none.yaml"][..], 0),
        (&["change.yaml", "none.yaml"], 1),
        (&["undecided.yaml", "change.yaml"], 3),
        (&["bad.yaml", "change.yaml", "undecided.yaml"], 4),
    ] {
        for format in ["yaml", "diff", "patch", "json"] {
            let ran = sandbox.run(&[&["preview", "-o", format], files].concat());
            assert_eq!(ran.code, code, "{files:?} {format}");
        }
        let lenient = sandbox.run(&[&["preview", "--exit-zero"], files].concat());
        assert_eq!(lenient.code, if code == 1 { 0 } else { code });
    }
    for arguments in [
        &["preview"][..],
        &[],
        &["preview", "--no-such-flag", "x"],
        &["preview", "--namespace-annotation", "drain", "x"],
    ] {
        let ran = sandbox.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let many = [DEPLOYMENT, &vec![SERVICE; 20_000].join("---\n")].join("---\n");
    let sandbox = Sandbox::new().with("many.yaml", many);
    let mut child = sandbox.fermata(&["preview", "many.yaml"]).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    // Nor is one of standard error that has gone.
    let sandbox = sandbox.with("bad.yaml", "a: [\n");
    let mut child = sandbox.fermata(&["preview", "bad.yaml"]).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(Ran::from(child.wait_with_output().unwrap()).code, 4);
}

#[test]
fn a_warning_that_many_pods_share_is_told_once() {
    let space = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {fermata.dev/inject: enabled}, annotations: {fermata.dev/drain: soon}}\n";
    let ran = preview("all.yaml", &[space, POD, POD, POD].join("---\n"), &["-o", "patch"]);
    let warnings: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(warnings.len(), 1, "{}", ran.stderr);
    assert!(
        warnings[0].starts_with("warning: all.yaml:5:1: Pod/p: fermata.dev/drain: \"soon\""),
        "{}",
        warnings[0]
    );
    assert!(warnings[0].ends_with("(and 2 more Pods)"), "{}", warnings[0]);
    let quiet = preview("all.yaml", &[space, POD].join("---\n"), &["-q"]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn numbers_and_booleans_are_read_as_kubectl_reads_them() {
    for (grace, after) in [("010", 23), ("0x1E", 45), ("1_0", 25), ("30.0", 45), ("1e1", 25)] {
        let pod = POD.replace("spec:\n", &format!("spec:\n  terminationGracePeriodSeconds: {grace} # odd\n"));
        let ran = preview("pod.yaml", &pod, &[]);
        assert!(
            ran.stdout.contains(&format!("terminationGracePeriodSeconds: {after} # odd")),
            "{}",
            ran.stdout
        );
    }
    // Unquoted, these are no text; admission would never see such a Pod.
    let pod = POD.replace("name: p\n", "name: p\n  annotations:\n    fermata.dev/drain: yes\n");
    let ran = preview("pod.yaml", &pod, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, pod.as_str()));
    assert!(
        ran.stderr
            .contains("pod.yaml:6:24: Pod/p: metadata.annotations.fermata.dev/drain: invalid type: boolean"),
        "{}",
        ran.stderr
    );
}

#[test]
fn shared_notation_is_written_anew_and_says_so() {
    let pod = "apiVersion: v1\nkind: Pod\n# lost\nspec:\n  containers:\n  - &a\n    name: app\n    lifecycle: &l {postStart: {exec: {command: [x]}}}\n  - name: b\n    lifecycle: *l\n";
    let ran = preview("pod.yaml", &format!("{SERVICE}---\n{pod}"), &[]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("note: pod.yaml:5:1: this document had to be written anew"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.starts_with(&format!("{SERVICE}---\napiVersion: v1\n")), "{}", ran.stdout);
    assert_eq!(preview("pod.yaml", &ran.stdout, &[]).code, 0);
}

#[test]
fn folders_are_walked_in_order() {
    let sandbox = Sandbox::new()
        .with("d/b.yml", POD.replace("name: p", "name: second"))
        .with("d/a/z.json", r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"first"},"spec":{"containers":[{"name":"a"}]}}"#)
        .with("d/notes.txt", "{")
        .with("d/.hidden.yaml", "{")
        .with("d/.git/x.yaml", "{")
        .with("d/list.yaml", "- not a manifest\n")
        .with("d/empty.yaml", "# nothing\n");
    std::os::unix::fs::symlink("..", sandbox.path().join("d/a/loop")).unwrap();
    let ran = sandbox.run(&["preview", "-o", "json", "d"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let names: Vec<_> =
        report["pods"].as_array().unwrap().iter().map(|pod| pod["name"].as_str().unwrap()).collect();
    assert_eq!((ran.code, names), (1, vec!["first", "second"]), "{}", ran.stderr);
    std::os::unix::fs::symlink("nowhere", sandbox.path().join("d/dangling.yaml")).unwrap();
    let ran = sandbox.run(&["preview", "-o", "patch", "d"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (4, 2));
    assert_eq!(ran.stderr, "error: d/dangling.yaml: there is no such file or folder\n");
}

/// Everything that is no manifest is named with its place, and does not stop the others.
#[test]
fn bad_input_is_named() {
    let deep_json = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","spec":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let deep_flow = format!("a: {}", "[".repeat(100_000));
    let deep_block: String = (0..3_000).flat_map(|depth| [" ".repeat(depth), "a:\n".to_owned()]).collect();
    let dashes = "- ".repeat(100_000);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        bomb += &[
            "a",
            &level.to_string(),
            ": &a",
            &level.to_string(),
            " [",
            &vec![format!("*a{}", level - 1); 10].join(", "),
            "]\n",
        ]
        .concat();
    }
    let cases: [(&str, &[u8], &str); 19] = [
        ("deep.json", deep_json.as_bytes(), ": nested deeper than 200 levels"),
        ("deep.yaml", deep_flow.as_bytes(), ": nested deeper than 200 levels"),
        ("block.yaml", deep_block.as_bytes(), ": nested deeper than 200 levels"),
        ("dashes.yaml", dashes.as_bytes(), ": nested deeper than 200 levels"),
        ("bomb.yaml", bomb.as_bytes(), "expand to more than any object holds"),
        ("nul.yaml", b"a: 1\nb: \0\n", "nul.yaml:2:4: there is a NUL byte, so this is no text"),
        ("binary.yaml", b"\x7fELF\x02\x01\x01\0\xff\xfe", "binary.yaml:1:9: this is not UTF-8"),
        ("latin.yaml", b"a: caf\xe9\n", "latin.yaml:1:7: this is not UTF-8; save it as UTF-8"),
        ("utf16.yaml", b"\xff\xfea\0:\0", "utf16.yaml:1:1: this is UTF-16; save it as UTF-8"),
        ("surrogate.json", br#"{"a": "\ud800"}"#, "surrogate.json:1:7: "),
        ("surrogate.yaml", b"a: \"\\udc00\"\n", "surrogate.yaml:1:4: "),
        (
            "twice.json",
            b"{\"a\": 1,\n \"a\": 2}",
            "twice.json:2:2: the key \"a\" stands here for the second time, after line 1",
        ),
        (
            "twice.yaml",
            b"a: 1\nb:\n  c: 1\n  c: 2\n",
            "twice.yaml:4:3: the key \"c\" stands here for the second time",
        ),
        ("empty.yaml", b"", "empty.yaml: is empty"),
        ("comment.yaml", b"# nothing\n---\n", "comment.yaml: is empty"),
        (
            "array.json",
            b"[{}]",
            "array.json:1:1: expected a Kubernetes object, found an array; write the objects one after the other",
        ),
        ("text.yaml", b"hello\n", "text.yaml:1:1: expected a Kubernetes object, found text"),
        ("cut.json", b"{\"a\": [1, 2", "cut.json:1:"),
        ("helm.yaml", b"a: {{ .Values.a }}\nb: [\n", "it looks like a Helm template: render it first"),
    ];
    for (name, content, message) in cases {
        let sandbox = Sandbox::new().with(name, content).with("pod.yaml", POD);
        let ran = sandbox.run(&["preview", "-o", "patch", name, "pod.yaml"]);
        assert_eq!((ran.code, ran.stdout.lines().count()), (4, 1), "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(message) && ran.stderr.lines().count() == 1, "{name}: {}", ran.stderr);
    }
    let sandbox = Sandbox::new().with("d/readme.md", "");
    for (path, message) in [
        ("none.yaml", "error: none.yaml: there is no such file or folder\n"),
        ("d", "error: d: there is no *.yaml, *.yml or *.json in this folder\n"),
    ] {
        let ran = sandbox.run(&["preview", path]);
        assert_eq!((ran.code, ran.stderr.as_str()), (4, message));
    }
}

/// Objects that are read but cannot be judged pass as they are, with the place of what is wrong.
#[test]
fn what_cannot_be_judged_is_named() {
    let deployment =
        |spec: &str| format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\n{spec}\n");
    let pod = |spec: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\n{spec}\n");
    for (manifest, message) in [
        (deployment(""), "x.yaml:1:1: Deployment/web: there is no spec.template, without which"),
        (deployment("spec:"), "x.yaml:1:1: Deployment/web: there is no spec.template, without which"),
        (
            deployment("spec: {template: []}"),
            "Deployment/web: expected spec.template to be an object, found an array",
        ),
        (
            deployment("spec:\n  template: {metadata: {}}"),
            "x.yaml:5:13: Deployment/web: spec.containers: there are none",
        ),
        (
            deployment("spec: {template: {spec: null}}"),
            "x.yaml:4:25: Deployment/web: spec.containers: there are none",
        ),
        (pod("spec: {containers: null}"), "x.yaml:4:7: Pod/p: spec.containers: there are none"),
        (
            pod("spec: {containers: {}}"),
            "x.yaml:4:20: Pod/p: spec.containers: invalid type: map, expected a list of containers",
        ),
        (
            pod("spec: {terminationGracePeriodSeconds: 30.5}"),
            "x.yaml:4:39: Pod/p: spec.terminationGracePeriodSeconds: invalid type: floating point `30.5`",
        ),
        (
            pod("spec: {terminationGracePeriodSeconds: 9223372036854775808}"),
            "x.yaml:4:39: Pod/p: spec.terminationGracePeriodSeconds: invalid value",
        ),
        (
            pod("spec: {terminationGracePeriodSeconds: 99999999999999999999}"),
            "x.yaml:4:39: Pod/p: spec.terminationGracePeriodSeconds: invalid type: floating point",
        ),
        (
            deployment("spec: {template: {metadata: 3, spec: {}}}"),
            "x.yaml:4:29: Deployment/web: metadata: invalid type",
        ),
        (
            pod("spec: {containers: [{name: 3}]}"),
            "x.yaml:4:28: Pod/p: spec.containers[0].name: invalid type: integer `3`, expected a string; put it in quotes",
        ),
        (
            "kind: List\napiVersion: v1\nitems:\n- 7\n- {}\n".to_owned(),
            "x.yaml:5:3: List: items[1] has no kind",
        ),
    ] {
        let ran = preview("x.yaml", &manifest, &[]);
        assert_eq!((ran.code, &ran.stdout), (3, &manifest), "{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{message}: {}", ran.stderr);
    }
}

#[test]
fn the_rest_of_the_command_line_is_there() {
    let sandbox = Sandbox::new();
    let version = sandbox.run(&["--version"]);
    assert_eq!((version.code, version.stdout), (0, format!("fermata {}\n", env!("CARGO_PKG_VERSION"))));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = sandbox.run(&["completions", shell]);
        assert!(ran.code == 0 && ran.stdout.contains("namespace-annotation"), "{shell}");
    }
    let (short, long) = (sandbox.run(&["preview", "-h"]).stdout, sandbox.run(&["preview", "--help"]).stdout);
    assert!(short.lines().count() < 40 && !short.contains("Exit codes"), "{short}");
    assert!(long.contains("Exit codes") && long.contains("helm template"), "{long}");
}
