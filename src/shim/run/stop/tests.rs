use std::time::Duration;

use fermata_stop_plan::{Arguments, Signal, StopPlan, StopPlanFlags};
use nix::errno::Errno;

use super::{Action, Input, Stop};
use crate::run::{
    event::{Outcome, Which},
    reap::End,
};

fn plan(line: &str) -> StopPlan {
    let mut words = Arguments::new(line.split_whitespace());
    let mut flags = StopPlanFlags::default();
    while flags.take(&mut words).unwrap() {}
    assert_eq!(words.peek(), None);
    flags.into_plan()
}

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

const OK: Outcome = Outcome::Ended(End::Exited(0));
const FAILED: Outcome = Outcome::Ended(End::Exited(1));

/// Runs a stop that began at second 100 through inputs at given seconds after that, and writes down what it does.
/// Between two inputs it is given its own deadlines, as the engine does.
fn trace(line: &str, inputs: &[(f64, Input)]) -> Vec<String> {
    let plan = plan(line);
    let start = at(100.0);
    let (mut stop, actions) = Stop::begin(&plan, Signal::TERM, start);
    let mut lines = Vec::new();
    let mut note = |now: Duration, actions: Vec<Action>| {
        for action in actions {
            let what = match action {
                Action::Run(which) => format!("run {which:?}"),
                Action::Kill(which) => format!("kill {which:?}"),
                Action::SayOutcome(which, took, Outcome::Ended(end)) => {
                    format!("{which:?} {:.1}s {end}", took.as_secs_f64())
                }
                Action::SayOutcome(which, took, outcome) => {
                    format!("{which:?} {:.1}s {outcome:?}", took.as_secs_f64())
                }
                Action::SaySettling => "settle".into(),
                Action::BeginDrain => "drain".into(),
                Action::EndDrain(took, reason) => {
                    format!("drained {:.1}s {reason}", took.as_secs_f64()).trim_end().to_owned()
                }
                Action::Deliver(Some(signal)) => format!("deliver {signal}"),
                Action::Deliver(None) => "deliver nothing".into(),
                Action::KillApp => "kill app".into(),
                Action::EndStragglers => "end stragglers".into(),
                Action::KillStragglers => "kill stragglers".into(),
                Action::Finish => "finish".into(),
            };
            lines.push(format!("{:.1} {what}", now.saturating_sub(start).as_secs_f64()));
        }
    };
    note(start, actions);
    for (when, input) in inputs {
        let when = start + at(*when);
        while let Some(deadline) = stop.deadline().filter(|deadline| *deadline <= when) {
            note(deadline, stop.step(Input::Tick, deadline));
        }
        note(when, stop.step(input.clone(), when));
    }
    // Then time passes for a day.
    while let Some(deadline) = stop.deadline() {
        note(deadline, stop.step(Input::Tick, deadline));
    }
    lines.push(format!("code {}", stop.report().code));
    lines
}

fn app(code: u8) -> Input {
    Input::App(End::Exited(code))
}

#[test]
fn without_anything_asked_for_the_signal_is_delivered_at_once() {
    assert_eq!(
        trace("", &[(3.0, app(7)), (3.0, Input::Alone)]),
        ["0.0 deliver TERM", "3.0 end stragglers", "3.0 finish", "code 7"]
    );
}

#[test]
fn the_whole_sequence_runs_in_order() {
    let line = "--status-command s ; --drain 30s --stop-command c ; --budget 60s --exit-code 0";
    let inputs = [
        (0.5, Input::Command(Which::Status, OK)),
        (31.0, Input::Command(Which::Stop, OK)),
        (32.0, app(2)),
        (32.0, Input::Alone),
    ];
    assert_eq!(
        trace(line, &inputs),
        [
            "0.0 run Status",
            "0.5 Status 0.5s exit 0",
            "0.5 drain",
            "30.5 drained 30.0s",
            "30.5 run Stop",
            "31.0 Stop 0.5s exit 0",
            "31.0 settle",
            "32.0 end stragglers",
            "32.0 finish",
            "code 0"
        ]
    );
}

#[test]
fn a_status_command_has_ten_seconds_or_a_quarter_of_the_budget_and_never_blocks() {
    for (budget, limit) in [("", "10.0"), ("--budget 60s", "10.0"), ("--budget 20s", "5.0")] {
        let lines = trace(&format!("--status-command s ; {budget}"), &[(12.0, app(0)), (12.0, Input::Alone)]);
        assert_eq!(lines[1], format!("{limit} kill Status"), "{budget}");
        assert_eq!(lines[2], format!("{limit} Status {limit}s TimedOut"));
        assert_eq!(lines[3], format!("{limit} deliver TERM"));
    }
    for outcome in [FAILED, Outcome::NotStarted(Errno::EAGAIN), Outcome::NotExecuted(Errno::ENOENT)] {
        let lines =
            trace("--status-command s ;", &[(1.0, Input::Command(Which::Status, outcome)), (2.0, app(0))]);
        assert_eq!(lines[2], "1.0 deliver TERM", "{outcome:?}");
    }
}

#[test]
fn a_stop_command_that_fails_or_takes_too_long_is_made_good_by_the_signal() {
    for outcome in [FAILED, Outcome::NotStarted(Errno::EAGAIN), Outcome::NotExecuted(Errno::ENOENT)] {
        let inputs = [(1.0, Input::Command(Which::Stop, outcome)), (2.0, app(0))];
        assert_eq!(trace("--stop-command c ;", &inputs)[2], "1.0 deliver TERM");
    }
    // Of 40 seconds a quarter is kept back, of 2 seconds one second.
    for (budget, limit) in [("", "60.0"), ("--budget 40s", "30.0"), ("--budget 2s", "1.0")] {
        let lines = trace(&format!("--stop-command c ; {budget}"), &[]);
        assert_eq!(
            lines[..4],
            [
                "0.0 run Stop".to_owned(),
                format!("{limit} kill Stop"),
                format!("{limit} Stop {limit}s TimedOut"),
                format!("{limit} deliver TERM")
            ]
        );
    }
    let lines = trace("--stop-command c ; --budget 1s", &[(0.5, app(0)), (0.5, Input::Alone)]);
    assert_eq!(lines[..2], ["0.0 Stop 0.0s NoTime", "0.0 deliver TERM"]);
}

#[test]
fn a_stop_command_that_worked_is_believed_to_the_last_moment() {
    let lines = trace("--stop-command c ; --budget 40s", &[(1.0, Input::Command(Which::Stop, OK))]);
    assert_eq!(
        lines[2..],
        ["1.0 settle", "39.0 deliver TERM", "40.0 kill app", "41.0 finish", "code 137"],
        "the signal, and then KILL"
    );
    let inputs = [(1.0, Input::Command(Which::Stop, OK)), (3600.0, app(0)), (3600.0, Input::Alone)];
    assert_eq!(
        trace("--stop-command c ;", &inputs)[2..],
        ["1.0 settle", "3600.0 end stragglers", "3600.0 finish", "code 0"],
        "without a budget the program has all the time that it takes"
    );
}

#[test]
fn the_budget_is_never_overrun() {
    let killed = [(8.0, app(0)), (8.0, Input::Alone)];
    assert_eq!(trace("--budget 8s", &[])[..], ["0.0 deliver TERM", "8.0 kill app", "9.0 finish", "code 137"]);
    // A drain as long as the budget leaves one second for the signal, or a quarter of a small budget.
    assert_eq!(
        trace("--drain 8s --budget 8s", &killed)[..3],
        ["0.0 drain", "7.0 drained 7.0s", "7.0 deliver TERM"]
    );
    assert_eq!(trace("--drain 8s --budget 2s", &killed)[..2], ["0.0 drain", "1.5 drained 1.5s"]);
    // Killed and then ended: nothing more is waited for.
    let lines = trace("--budget 8s", &[(8.01, Input::App(End::Signalled(Signal::KILL)))]);
    assert_eq!(lines[1..], ["8.0 kill app", "8.0 kill stragglers", "8.0 finish", "code 137"]);
}

#[test]
fn time_that_is_lost_is_lost_and_what_is_left_of_the_sequence_is_not_run() {
    let plan = plan("--status-command s ; --drain 10s --stop-command c ; --budget 30s");
    let (mut stop, _) = Stop::begin(&plan, Signal::TERM, at(0.0));
    // The machine slept.
    let actions = stop.step(Input::Tick, at(100.0));
    let outcome = Action::SayOutcome(Which::Status, at(100.0), Outcome::TimedOut);
    assert_eq!(actions, [Action::Kill(Which::Status), outcome, Action::KillApp]);
}

#[test]
fn the_end_of_the_program_cuts_everything_short() {
    let line = "--status-command s ; --drain 30s --stop-command c ; --budget 60s";
    let status = (1.0, Input::Command(Which::Status, OK));
    assert_eq!(
        trace(line, &[status.clone(), (5.0, app(3)), (5.0, Input::Alone)])[2..],
        ["1.0 drain", "5.0 drained 4.0s the program ended", "5.0 end stragglers", "5.0 finish", "code 3"]
    );
    // A command that runs gets two seconds more.
    assert_eq!(
        trace(line, &[status.clone(), (32.0, app(3)), (39.0, Input::Alone)])[4..],
        [
            "31.0 run Stop",
            "34.0 kill Stop",
            "34.0 Stop 3.0s TimedOut",
            "34.0 end stragglers",
            "39.0 finish",
            "code 3"
        ]
    );
    assert_eq!(
        trace(line, &[status, (32.0, app(3)), (33.0, Input::Command(Which::Stop, OK)), (34.0, Input::Alone)])
            [5..],
        ["33.0 Stop 2.0s exit 0", "33.0 end stragglers", "34.0 finish", "code 3"]
    );
    assert_eq!(
        trace(line, &[(0.5, app(3)), (9.0, Input::Alone)])[1..3],
        ["2.5 kill Status", "2.5 Status 2.5s TimedOut"]
    );
}

#[test]
fn silence_ends_a_drain_and_nothing_else() {
    let quiet = Input::Quiet("no new connection".into());
    assert_eq!(
        trace("--drain 5s..60s", &[(7.0, quiet.clone()), (8.0, quiet), (9.0, app(0)), (9.0, Input::Alone)]),
        [
            "0.0 drain",
            "7.0 drained 7.0s no new connection",
            "7.0 deliver TERM",
            "9.0 end stragglers",
            "9.0 finish",
            "code 0"
        ]
    );
}

#[test]
fn a_trigger_that_is_dropped_delivers_nothing() {
    assert_eq!(trace("--rewrite TERM:0 --budget 4s", &[])[..2], ["0.0 deliver nothing", "4.0 kill app"]);
}

#[test]
fn exit_codes_are_mapped() {
    for (codes, code) in [("app", 143), ("0", 0), ("143:7", 7)] {
        let end = Input::App(End::Signalled(Signal::TERM));
        let lines = trace(&format!("--exit-code {codes}"), &[(1.0, end), (1.0, Input::Alone)]);
        assert_eq!(lines.last().unwrap(), &format!("code {code}"));
    }
}

#[test]
fn processes_that_are_left_get_a_minute_or_the_rest_of_the_budget() {
    assert_eq!(
        trace("", &[(1.0, app(0))])[1..],
        ["1.0 end stragglers", "61.0 kill stragglers", "61.0 finish", "code 0"]
    );
    assert_eq!(trace("--budget 3s", &[(1.0, app(0))])[2..3], ["3.0 kill stragglers"]);
}
