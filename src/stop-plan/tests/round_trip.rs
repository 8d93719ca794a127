//! What the webhook renders, the shim parses: for every plan there can be, and for bytes that are no text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use fermata_stop_plan::{
    Arguments, Command, Drain, ExitCodes, HttpGet, PROFILES, PreStop, Rewrite, Scope, Seconds, Signal,
    SignalSet, StopPlan, StopPlanFlags, Then,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

fn seconds() -> impl Strategy<Value = Seconds> {
    prop_oneof![0..=120_u32, 0..=Seconds::MAX.get()].prop_map(|count| Seconds::new(count).unwrap())
}

fn drain() -> impl Strategy<Value = Drain> {
    (seconds(), seconds()).prop_map(|(a, b)| Drain::range(a.min(b), a.max(b)).unwrap())
}

fn signal() -> impl Strategy<Value = Signal> {
    (1..=64_u8).prop_map(|number| Signal::new(number).unwrap())
}

/// Words as a process can be given: bytes without a NUL, and those among them that the grammar knows.
fn word() -> impl Strategy<Value = OsString> {
    prop_oneof![
        select(
            &[
                ";",
                "\\;",
                "\\\\;",
                "\\",
                "",
                "--",
                "-",
                "--drain",
                "--drain=5s",
                "run",
                "$$(A)",
                "a b",
                "ß",
                "'\""
            ][..]
        )
        .prop_map(OsString::from),
        "[a-z/;\\\\-]{0,6}".prop_map(OsString::from),
        vec(1..=255_u8, 0..8).prop_map(OsString::from_vec),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    vec(word(), 1..6).prop_filter_map("a command names a program", |words| Command::new(words).ok())
}

fn rewrite() -> impl Strategy<Value = Rewrite> {
    let passed_on = |signal: &Signal| ![Signal::KILL, Signal::STOP, Signal::CHLD].contains(signal);
    vec((signal().prop_filter("it is passed on", passed_on), option::of(signal())), 0..5)
        .prop_map(|entries| entries.into_iter().collect())
}

fn plan() -> impl Strategy<Value = StopPlan> {
    let exit_codes = prop_oneof![
        Just(ExitCodes::default()),
        any::<u8>().prop_map(ExitCodes::always),
        vec(any::<(u8, u8)>(), 1..4).prop_map(ExitCodes::map),
    ];
    let whom = (vec(signal(), 1..4), rewrite(), any::<bool>(), exit_codes);
    let when = (drain(), seconds(), option::of(seconds()), option::of(command()), option::of(command()));
    (whom, when).prop_map(
        |((triggers, rewrite, group, exit_codes), (drain, quiet, budget, status_command, stop_command))| {
            StopPlan {
                triggers: SignalSet::of(&triggers),
                rewrite,
                scope: if group { Scope::Group } else { Scope::Child },
                drain,
                quiet,
                status_command,
                stop_command,
                exit_codes,
                budget,
            }
        },
    )
}

fn hook() -> impl Strategy<Value = PreStop> {
    let header = ("[A-Za-z-]{1,8}", "[ -~]{0,8}").prop_map(|(name, value)| (name, value));
    let get = (option::of(any::<std::net::IpAddr>()), 1..=u16::MAX, "/[!-~]{0,12}", vec(header, 0..3))
        .prop_map(|(host, port, path, headers)| HttpGet { host, port, path, headers });
    let then = prop_oneof![
        Just(None),
        command().prop_map(|command| Some(Then::Exec(command))),
        get.prop_map(|get| Some(Then::HttpGet(get))),
    ];
    (drain(), seconds(), vec(seconds(), 0..3), then).prop_map(|(drain, quiet, probes, then)| PreStop {
        drain,
        quiet,
        probes,
        then,
    })
}

/// Reads a command line as the shim does, up to the words of the program.
fn read(line: Vec<OsString>) -> (StopPlan, Vec<OsString>) {
    let mut words = Arguments::new(line);
    let mut flags = StopPlanFlags::default();
    while flags.take(&mut words).unwrap() {}
    assert_eq!(words.next(), Some("--".into()));
    (flags.into_plan(), words.rest().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_that_is_written_is_read_back_and_the_program_is_untouched(plan in plan(), program in vec(word(), 0..5)) {
        let mut line = plan.render();
        line.push("--".into());
        line.extend(program.iter().cloned());
        prop_assert_eq!(read(line), (plan, program));
    }

    #[test]
    fn a_hook_that_is_written_is_read_back(hook in hook()) {
        prop_assert_eq!(PreStop::parse(hook.render()), Ok(hook));
    }

    /// Kubernetes makes `$$` one `$` in a container's command, and the webhook doubles each: nothing else may stand
    /// between the two.
    #[test]
    fn a_plan_of_text_is_written_as_text(plan in plan()) {
        let is_text = |command: &Option<Command>| command.iter().flat_map(Command::words).all(|word| word.to_str().is_some());
        if is_text(&plan.status_command) && is_text(&plan.stop_command) {
            prop_assert!(plan.render().iter().all(|word| word.to_str().is_some()));
        }
    }

    #[test]
    fn any_words_are_survived(line in vec(word(), 0..8)) {
        let mut words = Arguments::new(line.clone());
        let mut flags = StopPlanFlags::default();
        loop {
            let left = words.clone().count();
            match flags.take(&mut words) {
                Ok(true) => prop_assert!(words.clone().count() < left, "a flag takes at least itself"),
                Ok(false) => break,
                Err(error) => {
                    let message = error.to_string();
                    prop_assert!(message.starts_with("--") && message.contains("; use "), "{}", message);
                    break;
                }
            }
        }
        let _ = PreStop::parse(line);
    }
}

#[test]
fn every_profile_is_written_and_read_back() {
    for profile in &PROFILES {
        let plan = profile.plan();
        let mut line = plan.render();
        line.push("--".into());
        assert_eq!(read(line).0, plan, "{}", profile.name);
        let by_name = ["--profile", profile.name, "--"].map(OsString::from).to_vec();
        assert_eq!(read(by_name).0, plan, "{}", profile.name);
    }
}
