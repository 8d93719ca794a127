//! Every fixture under `tests/fixtures` with the patch and the explanation that it must get.
//!
//! A fixture is a manifest whose first lines say what it is about and, behind `# flags:`, how `fermata` is
//! called. Beside it stand `NAME.patch.json`, one operation a line, and `NAME.explain.txt`. `make golden`
//! rewrites them, for a person to read the difference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixtures() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut fixtures: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect();
    fixtures.sort();
    fixtures
}

fn flags(fixture: &Path) -> Vec<String> {
    let text = fs::read_to_string(fixture).unwrap();
    let flags = text.lines().find_map(|line| line.strip_prefix("# flags: ")).unwrap_or_default();
    flags.split_whitespace().map(str::to_owned).collect()
}

/// What `fermata` prints, with a version that does not change with each release.
fn fermata(arguments: &[&str], fixture: &Path) -> String {
    let name = fixture.file_name().unwrap().to_str().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_fermata"))
        .args(arguments)
        .args(flags(fixture))
        .arg(name)
        .current_dir(folder())
        .env("COLUMNS", "100")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    assert!(output.status.code().is_some_and(|code| code <= 3), "{name}: {output:?}");
    let version = concat!("\\\"version\\\":\\\"", env!("CARGO_PKG_VERSION"), "\\\"");
    String::from_utf8(output.stdout).unwrap().replace(version, r#"\"version\":\"VERSION\""#)
}

/// One operation a line, one blank line between Pods.
fn readable(patches: &str) -> String {
    let patches = patches.lines().map(|line| {
        let operations: Vec<Value> =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let operations: Vec<_> = operations.iter().map(|operation| format!("  {operation}")).collect();
        if operations.is_empty() { "[]\n".to_owned() } else { format!("[\n{}\n]\n", operations.join(",\n")) }
    });
    patches.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_fixture_gets_its_patch_and_its_explanation() {
    let bless = std::env::var_os("FERMATA_BLESS").is_some();
    let mut differences = Vec::new();
    let mut expected_files = BTreeSet::new();
    for fixture in fixtures() {
        let patch = readable(&fermata(&["preview", "--quiet", "-o", "patch"], &fixture));
        let explanation = fermata(&["explain", "--color", "never"], &fixture);
        for (ending, actual) in [("patch.json", patch), ("explain.txt", explanation)] {
            let file = fixture.with_extension(ending);
            let expected = fs::read_to_string(&file).unwrap_or_default();
            if bless {
                fs::write(&file, &actual).unwrap();
            } else if actual != expected {
                let difference = similar::TextDiff::from_lines(&expected, &actual);
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                differences.push(difference.unified_diff().header(&name, "now").to_string());
            }
            expected_files.insert(file);
        }
    }
    assert!(differences.is_empty(), "{}\n`make golden` accepts what is meant", differences.join("\n"));

    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let orphans: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "json" || ending == "txt"))
        .filter(|file| !expected_files.contains(file))
        .collect();
    assert!(orphans.is_empty(), "no fixture belongs to {orphans:?}");
}
