//! `fermata explain`, from the outside.

#[path = "sandbox/fermata.rs"]
mod sandbox;

use sandbox::{Ran, Sandbox};
use serde_json::Value;

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    fermata.dev/drain: 20s
    log.fermata.dev/drain: 5s
spec:
  initContainers:
  - name: migrate
  - {name: proxy, restartPolicy: Always}
  containers:
  - name: app
  - name: log
    lifecycle: {preStop: {exec: {command: [sleep, '10']}}}
  - name: own
    lifecycle: {preStop: {httpGet: {port: 80}}}
";

const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {containers: [{name: a}]}}}\n";

fn explain(content: &str, arguments: &[&str]) -> Ran {
    let sandbox = Sandbox::new().with("pod.yaml", content);
    sandbox.run(&[&["explain", "pod.yaml"], arguments].concat())
}

#[test]
fn the_ending_is_drawn_to_scale() {
    let ran = explain(&format!("{POD}---\n{JOB}"), &[]);
    let expected = "\
Pod/web in default  pod.yaml:1:1
  deleted   0s      5s       10s     15s     20s     25s      30s     35s    40s
            ┼───────┼────────┼───────┼───────┼───────┼────────┼───────┼───────┼
  app
    before  ▼!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!░░░░░░░░░░░░░░░░░✕
    after   █████████████████████████████████▼░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░✕
    a drain of 20s (pod annotation)
  log
    before  █████████████████▼░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░✕
    after   █████████████████▼░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░✕
    its own sleep of 10s is enough for a drain of 5s (container annotation)
  own
    before  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒✕
    after   ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒✕
    own-pre-stop: it has a preStop hook of its own, which stays as it is
  proxy (native sidecar)
    before  █████████████████▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄✕
    after   █████████████████████████████████▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄✕
    native-sidecar: it gets its stop signal only after the regular containers
      have ended

  grace period 30s -> 40s: the drain of container app (pod annotation)
  warning: container own: no drain (own-pre-stop): its httpGet preStop hook
    stays as it is; set fermata.dev/shim to hook to run it after a drain of 20s

Job/j in default  pod.yaml:19:1
  left alone (owned-by-job): a Job's Pod takes no traffic; annotate the Job's
    Pod template with fermata.dev/drain to drain it all the same

█ drain: goes on serving   ! requests may still arrive: 502s
░ the app's own time   ▒ its own hook, then the stop signal
▄ goes on until the other containers have ended   ▼ stop signal   ✕ kill
";
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (1, expected, ""), "{}", ran.stdout);
}

#[test]
fn no_line_is_wider_than_the_screen() {
    let long = POD
        .replace("name: web", &format!("name: {}", "w".repeat(63)))
        .replace("name: app", &format!("name: {}", "a".repeat(63)));
    for width in ["60", "80", "120", "20", "500"] {
        let sandbox = Sandbox::new().with("pod.yaml", &long);
        let ran = Ran::of(sandbox.fermata(&["explain", "pod.yaml"]).env("COLUMNS", width));
        let widest = ran.stdout.lines().map(|line| line.chars().count()).max().unwrap();
        let room = width.parse::<usize>().unwrap().clamp(60, 120);
        assert!(widest <= room, "{widest} > {room}\n{}", ran.stdout);
        assert!(ran.stdout.is_ascii() || ran.stdout.contains('█'));
    }
}

#[test]
fn ascii_is_enough_where_the_locale_has_no_more() {
    let sandbox = Sandbox::new().with("pod.yaml", POD);
    let ran = Ran::of(sandbox.fermata(&["explain", "pod.yaml"]).env("LC_ALL", "C"));
    assert!(ran.stdout.is_ascii(), "{}", ran.stdout);
    assert!(ran.stdout.contains("    before  T!!!!"), "{}", ran.stdout);
    assert!(ran.stdout.contains("    after   ======"), "{}", ran.stdout);
}

#[test]
fn colours_are_for_terminals() {
    assert!(!explain(POD, &[]).stdout.contains('\u{1b}'));
    assert!(explain(POD, &["--color", "always"]).stdout.contains('\u{1b}'));
}

#[test]
fn json_is_that_of_preview() {
    let sandbox = Sandbox::new().with("pod.yaml", POD);
    let explained = sandbox.run(&["explain", "pod.yaml", "-o", "json"]);
    let previewed = sandbox.run(&["preview", "pod.yaml", "-o", "json"]);
    assert_eq!(explained.stdout, previewed.stdout);
    let report: Value = serde_json::from_str(&explained.stdout).unwrap();
    assert_eq!(report["pods"][0]["explanation"]["containers"][0]["name"], "app");
}

#[test]
fn pictures_are_drawn_one_a_pod() {
    let strange = POD.replace("name: web", "name: '<w&\"eb>'");
    let sandbox = Sandbox::new().with("pod.yaml", format!("{POD}---\n{JOB}---\n{strange}"));
    let ran = sandbox.run(&["explain", "pod.yaml", "--svg", "ending.svg"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let read = |file: &str| std::fs::read_to_string(sandbox.path().join(file)).unwrap();
    let (first, second) = (read("ending.svg"), read("ending-2.svg"));
    assert!(first.starts_with("<svg ") && first.ends_with("</svg>\n") && first.contains(">Pod/web</text>"));
    assert!(first.contains("requests may still arrive: 502s") && first.contains("grace period 30s"));
    assert!(second.contains("Pod/&lt;w&amp;&quot;eb&gt;"), "{second}");
    assert!(!sandbox.path().join("ending-3.svg").exists());
    let ran = sandbox.run(&["explain", "pod.yaml", "--svg", "no/such/folder.svg"]);
    assert_eq!(ran.code, 5);
    assert!(ran.stderr.contains("cannot write no/such/folder.svg"), "{}", ran.stderr);
}

#[test]
fn exit_codes_are_those_of_preview() {
    assert_eq!(explain(JOB, &[]).code, 0);
    assert_eq!(explain(POD, &["--exit-zero"]).code, 0);
    assert_eq!(explain(&POD.replace("name: app", "name: 7"), &[]).code, 3);
    assert_eq!(explain("a: [\n", &[]).code, 4);
    assert_eq!(Sandbox::new().pipe(POD, &["explain", "-"]).code, 1);
    assert_eq!(Sandbox::new().run(&["explain"]).code, 2);
}
