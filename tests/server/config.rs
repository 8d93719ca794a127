//! A config file that changes while the server runs.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use fermata::{
    config::live::ConfigWatch,
    telemetry::{Conditions, Metrics},
};

use crate::{
    client::eventually,
    fixture::{Served, Setup, ready},
    process::{Process, scratch},
    reviews::{drain, plain},
};

fn serve(path: PathBuf) -> Served {
    let metrics = Arc::new(Metrics::default());
    let conditions = Conditions::default();
    let watch = ConfigWatch::start(path, Arc::clone(&metrics), Arc::clone(&conditions.config)).unwrap();
    let settings = watch.live();
    let served = Setup { settings, metrics, conditions, ..Setup::default() }.serve();
    served.runtime.as_ref().unwrap().spawn(watch.run(Duration::from_millis(5)));
    served
}

fn drained(served: &Served) -> Option<u64> {
    drain(&served.client().review(&plain()).unwrap())
}

#[test]
fn a_bad_file_keeps_the_old_settings_and_says_so() {
    let path = scratch().join("config.yaml");
    fs::write(&path, "defaults: { drain: 20s }").unwrap();
    let served = serve(path.clone());
    assert_eq!(drained(&served), Some(20));
    assert_eq!(served.metric("fermata_config_valid"), 1);

    let large = vec![b' '; (1 << 20) + 1];
    let bad: [(&[u8], &str); 5] = [
        (b"", "it is empty; write {} for the built-in defaults"),
        (b"defaults: { drian: 5s }", "there is no setting defaults.drian; did you mean drain?"),
        (b"defaults: { drain: soon }", "\"soon\" is not a duration"),
        (b"defaults: \xff", "not UTF-8 from byte 10 on"),
        (&large, "larger than 1 MiB"),
    ];
    for (count, (content, reason)) in (1..).zip(bad) {
        let new = path.with_extension("new");
        fs::write(&new, content).unwrap();
        fs::rename(&new, &path).unwrap();
        eventually(reason, || ready(served.admin).1.contains(reason));
        let (ready, page) = ready(served.admin);
        assert!(ready && page.contains("[-]config degraded: "), "{page}");
        assert_eq!(served.metric("fermata_config_reloads_total{result=\"failed\"}"), count, "{reason}");
        assert_eq!(served.metric("fermata_config_valid"), 0, "{reason}");
        assert_eq!(drained(&served), Some(20), "{reason}");
    }
    fs::remove_file(&path).unwrap();
    eventually("it is missed", || ready(served.admin).1.contains("there is no such file"));
    fs::create_dir(&path).unwrap();
    eventually("it is a folder", || ready(served.admin).1.contains("it is a folder"));
    assert_eq!(drained(&served), Some(20));

    fs::remove_dir(&path).unwrap();
    fs::write(path.with_extension("new"), "defaults: { drain: 25 }").unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();
    eventually("a good file counts", || drained(&served) == Some(25));
    eventually("it is well", || ready(served.admin).1.contains("[+]config ok"));
    assert_eq!(served.metric("fermata_config_valid"), 1);
    assert_eq!(served.metric("fermata_config_reloads_total{result=\"ok\"}"), 1);
}

#[test]
fn the_program_takes_a_new_file() {
    let path = scratch().join("config.yaml");
    fs::write(&path, "defaults: { drain: 20s }").unwrap();
    let process = Process::start(&["--config", path.to_str().unwrap()]);
    assert_eq!(drain(&process.client().review(&plain()).unwrap()), Some(20));
    fs::write(path.with_extension("new"), "limits: { maxDrain: 10s }").unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();
    eventually("it counts", || drain(&process.client().review(&plain()).unwrap()) == Some(10));
}
