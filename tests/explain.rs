//! `fermata explain`, from the outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "sandbox/fermata.rs"]
mod sandbox;

use sandbox::{Ran, Sandbox};
use serde_json::{Value, json};

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
  deleted   0s     5s    10s    15s   20s    25s    30s   35s    40s   45s   50s
            ┼──────┼─────┼──────┼─────┼──────┼──────┼─────┼──────┼─────┼──────┼
  app
    before  ▼!!!!!!!!!!!!!!!!!!!!!!!!!░░░░░░░░░░░░░░✕
    after   ██████████████████████████▼░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░✕
    a drain of 20s (pod annotation)
  log
    before  █████████████▼░░░░░░░░░░░░░░░░░░░░░░░░░░✕
    after   █████████████▼░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░✕
    its own sleep of 10s is enough for a drain of 5s (container annotation)
  own
    before  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒✕
    after   ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒✕
    own-pre-stop: it has a preStop hook of its own, which stays as it is
  proxy (native sidecar)
    before  █████████████▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄✕
    after   ██████████████████████████▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄✕
    native-sidecar: it gets its stop signal only after the regular containers
      have ended

  grace period 30s -> 50s: the drain of container app (pod annotation)
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

const SHIM: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations: {fermata.dev/shim: init, fermata.dev/drain: 10s..40s, fermata.dev/rewrite: 'TERM:QUIT'}
spec:
  terminationGracePeriodSeconds: 20
  containers:
  - name: app
    command: [app]
  - name: log
    command: [log]
    lifecycle: {preStop: {exec: {command: [flush]}}}
";

#[test]
fn a_range_may_end_early_and_an_own_hook_runs_behind_it() {
    let sandbox = Sandbox::new().with("pod.yaml", SHIM);
    let arguments = ["explain", "pod.yaml", "--shim-image", "x/shim"];
    let ran = sandbox.run(&arguments);
    let expected = "\
Pod/web in default  pod.yaml:1:1
  deleted   0s         10s        20s        30s        40s        50s        1m
            ┼──────────┼──────────┼──────────┼──────────┼──────────┼──────────┼
  app
    before  ▼!!!!!!!!!!!!!!!!!!!!!✕
    after   ███████████▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▼░░░░░░░░░░░░░░░░░░░░░✕
    a drain of 10s..40s (pod annotation), over when no connection has come for
      3s
    the shim runs its entrypoint (pod annotation); on its stop signal:
      on TERM send QUIT to the program alone
      kill what is left 19s after the stop signal
  log
    before  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒✕
    after   ███████████▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒✕
    a drain of 10s..40s (pod annotation), over when no connection has come for
      3s, then its own exec hook
    the shim runs its entrypoint (pod annotation); on its stop signal:
      on TERM send QUIT to the program alone

  grace period 20s -> 1m: the drain of container app (pod annotation)

█ drain: goes on serving   ▀ drain: may end early
! requests may still arrive: 502s   ░ the app's own time
▒ its own hook, then the stop signal   ▼ stop signal   ✕ kill
";
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (1, expected, ""), "{}", ran.stdout);
    let ascii = Ran::of(sandbox.fermata(&arguments).env("LC_ALL", "C")).stdout;
    assert!(ascii.is_ascii() && ascii.contains("    after   ====") && ascii.contains("----T...."), "{ascii}");
    let json = sandbox.run(&[&arguments[..], &["-o", "json"]].concat()).stdout;
    let report: Value = serde_json::from_str(&json).unwrap();
    let containers = &report["pods"][0]["explanation"]["containers"];
    let after = |index: usize| &containers[index]["after"];
    assert_eq!(after(0)["hook"], json!({ "drain": { "seconds": 40, "atLeast": 10 } }));
    assert_eq!(after(0)["stopSignal"], json!({ "at": { "seconds": 40 } }));
    assert_eq!(after(1)["hook"], json!({ "drain": { "seconds": 40, "atLeast": 10, "then": "exec" } }));
    assert_eq!(after(1)["stopSignal"], "afterHook");
}

/// A Pod that has the shim's hooks already is drawn as it is.
#[test]
fn what_the_shim_does_already_is_seen() {
    let hook = |words: &str| {
        let command = format!("[/fermata/fermata-shim, drain, --drain, 10s..40s{words}]");
        format!("lifecycle: {{preStop: {{exec: {{command: {command}}}}}}}")
    };
    let containers = format!("[{{name: a, {}}}, {{name: b, {}}}]", hook(""), hook(", --, flush"));
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nspec: {{terminationGracePeriodSeconds: 60, containers: {containers}}}\n"
    );
    let ran = explain(&pod, &[]);
    let drawn: Vec<_> = ran.stdout.lines().filter(|line| line.starts_with("  unchanged ")).collect();
    let expected = [
        "  unchanged ███████████▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▼░░░░░░░░░░░░░░░░░░░░░✕",
        "  unchanged ███████████▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒✕",
    ];
    assert_eq!(drawn, expected, "{}", ran.stdout);
    assert!(ran.stdout.contains("its own drain of 10s..40s is enough for a drain of 15s"), "{}", ran.stdout);
}

/// A rectangle, by its corners.
type Corners = [f64; 4];

fn number(attributes: &str, name: &str) -> f64 {
    let rest = attributes.split_once(&format!("{name}=\"")).map_or("0", |(_, rest)| rest);
    rest[..rest.find('"').unwrap_or(rest.len())].parse().unwrap()
}

/// The bars and the texts of a picture, texts as wide as the widest font would make them.
fn boxes(svg: &str) -> (Vec<Corners>, Vec<Corners>) {
    // The first is the paper, and those without a place or with round corners are patterns and the legend's.
    let bars = svg.split("<rect ").skip(1).map(|rest| rest.split('>').next().unwrap_or_default());
    let bars = bars.filter(|rect| rect.contains("y=") && !rect.contains("rx="));
    let bars = bars.map(|rect| {
        let [x, y, width, height] = ["x", "y", " width", " height"].map(|name| number(rect, name));
        [x, y, x + width, y + height]
    });
    let texts = svg.split("<text ").skip(1).map(|text| {
        let (attributes, content) = text.split_once('>').unwrap();
        let content = content[..content.find("</text>").unwrap()].replace("&quot;", "\"");
        let [x, y, size] = ["x", "y", "font-size"].map(|name| number(attributes, name));
        // Inside, letters are narrower than what is reckoned with, and most do not go below the line.
        let width = f64::from(u16::try_from(content.chars().count()).unwrap()) * size * 0.55;
        let left = match attributes {
            attributes if attributes.contains("\"middle\"") => x - width / 2.0,
            attributes if attributes.contains("\"end\"") => x - width,
            _ => x,
        };
        [left, y - size * 0.7, left + width, y]
    });
    (bars.collect(), texts.collect())
}

#[test]
fn nothing_overlaps_in_pictures() {
    use std::fmt::Write as _;
    for count in 1..9 {
        let mut pod = SHIM.to_owned();
        for index in 2..count {
            let hook =
                if index % 2 == 0 { "lifecycle: {preStop: {exec: {command: [flush]}}}" } else { "image: x" };
            write!(
                pod,
                "  - name: a-container-with-a-name-{index}\n    command: [tini, --, x]\n    {hook}\n"
            )
            .unwrap();
        }
        let sandbox = Sandbox::new().with("pod.yaml", &pod);
        for drain in ["0s..1s", "1s..2m", "10s..40s", "30s", "59s..1m"] {
            let pod = pod.replace("10s..40s", drain);
            std::fs::write(sandbox.path().join("pod.yaml"), &pod).unwrap();
            let ran = sandbox.run(&["explain", "pod.yaml", "--shim-image", "x/shim", "--svg", "ending.svg"]);
            assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
            let svg = std::fs::read_to_string(sandbox.path().join("ending.svg")).unwrap();
            let (bars, texts) = boxes(&svg);
            assert!(bars.len() >= 4 && texts.len() > 8, "{svg}");
            let overlap = |a: &Corners, b: &Corners| {
                let by = 0.5;
                a[0] + by < b[2] && b[0] + by < a[2] && a[1] + by < b[3] && b[1] + by < a[3]
            };
            for boxes in [&bars, &texts] {
                for (index, one) in boxes.iter().enumerate() {
                    let other = boxes[index + 1..].iter().find(|other| overlap(one, other));
                    assert!(other.is_none(), "{one:?} {other:?}, {count} containers, {drain}");
                }
            }
            for text in &texts {
                let inside = |bar: &&Corners| bar[0] <= text[0] && text[2] <= bar[2];
                let bar = bars.iter().filter(|bar| overlap(bar, text)).find(|bar| !inside(bar));
                assert!(bar.is_none(), "{text:?} {bar:?}, {count} containers, {drain}");
                assert!(text[0] >= 0.0 && text[2] <= 1280.0 && text[3] <= 720.0, "{text:?}");
            }
            assert_eq!(svg.contains("url(#early)"), drain.contains(".."), "{drain}");
        }
    }
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
