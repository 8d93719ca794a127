//! The stop as a state machine: it is given the time and what has happened, and says what to do next.
//!
//! It does nothing itself and looks at no clock, so that every path through it is tested without waiting.

#[cfg(test)]
mod tests;

use std::time::Duration;

use fermata_stop_plan::{Scope, Signal, StopPlan};

use super::{
    event::{Outcome, Which},
    reap::End,
    report::Report,
};

/// What a status command may take at most.
const STATUS_COMMAND: Duration = Duration::from_secs(10);
/// What a stop command may take where there is no budget.
const STOP_COMMAND: Duration = Duration::from_mins(1);
/// What must be left after a drain or a stop command for the signal, at least.
const FOR_THE_SIGNAL: Duration = Duration::from_secs(1);
/// What a command that still runs gets when the program has ended.
const LAST_COMMAND: Duration = Duration::from_secs(2);
/// What processes that are left get when the program has ended, where there is no budget: the program may have been a
/// script, and they are what serves.
const STRAGGLERS: Duration = Duration::from_mins(1);
/// How long the end of a program that was killed is waited for: it may be stuck in the kernel.
const AFTER_KILL: Duration = Duration::from_secs(1);

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Time has passed.
    Tick,
    /// A command has ended, or could not be run.
    Command(Which, Outcome),
    /// Traffic has stopped, with the words for it.
    Quiet(String),
    /// The program has ended.
    App(End),
    /// No process is left.
    Alone,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Run a command.
    Run(Which),
    /// Kill a command that runs.
    Kill(Which),
    /// Say what came of a command.
    SayOutcome(Which, Duration, Outcome),
    /// Say that the program is waited for.
    SaySettling,
    /// The drain begins.
    BeginDrain,
    /// The drain is over.
    EndDrain(Duration, String),
    /// Send the trigger to the program as the signal map has it.
    Deliver(Option<Signal>),
    /// Kill the program and its group.
    KillApp,
    /// Tell the processes that are left to end, and say when there are none.
    EndStragglers,
    /// Kill the processes that are left.
    KillStragglers,
    /// Nothing more is to be done.
    Finish,
}

/// Where a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The status command runs.
    Status,
    /// The program goes on serving.
    Drain,
    /// The stop command runs.
    Command,
    /// The stop command has done its work, and the program is about to end by it.
    Settling,
    /// The signal was delivered.
    Ending,
    /// The program was killed.
    Killed,
    /// The program has ended before a command has.
    LastCommand,
    /// The program has ended, and others have not.
    Stragglers,
    /// All is done.
    Over,
}

/// A stop that goes on.
pub(super) struct Stop<'a> {
    plan: &'a StopPlan,
    trigger: Signal,
    began: Duration,
    /// When all must be over.
    budget: Option<Duration>,
    phase: Phase,
    phase_began: Duration,
    /// When the phase is over by itself.
    until: Option<Duration>,
    /// The command that runs, and since when.
    running: Option<(Which, Duration)>,
    delivered: Option<(Signal, Duration)>,
    stragglers: Option<Duration>,
    report: Report,
}

impl<'a> Stop<'a> {
    /// Begins the stop.
    pub(super) fn begin(plan: &'a StopPlan, trigger: Signal, now: Duration) -> (Self, Vec<Action>) {
        let report = Report {
            trigger,
            took: Duration::ZERO,
            status_command: None,
            drain: None,
            stop_command: None,
            delivered: None,
            killed: false,
            app: None,
            stragglers: None,
            stragglers_killed: false,
            code: 0,
        };
        let mut stop = Self {
            plan,
            trigger,
            began: now,
            budget: plan.budget.map(|budget| now + Duration::from_secs(budget.get().into())),
            phase: Phase::Status,
            phase_began: now,
            until: None,
            running: None,
            delivered: None,
            stragglers: None,
            report,
        };
        let mut actions = Vec::new();
        if plan.status_command.is_some() {
            let most = stop.length().map_or(STATUS_COMMAND, |length| STATUS_COMMAND.min(length / 4));
            stop.enter(Phase::Status, now, Some(now + most));
            stop.run(Which::Status, now, &mut actions);
        } else {
            stop.drain(now, &mut actions);
        }
        (stop, actions)
    }

    /// Goes on with what has happened.
    pub(super) fn step(&mut self, input: Input, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Tick => self.tick(now, &mut actions),
            Input::Command(which, outcome) => self.command(which, outcome, now, &mut actions),
            Input::Quiet(reason) if self.phase == Phase::Drain => self.drained(reason, now, &mut actions),
            Input::App(end) => self.app(end, now, &mut actions),
            Input::Alone if self.phase == Phase::Stragglers => self.finish(now, &mut actions),
            // What comes too late.
            Input::Quiet(_) | Input::Alone => {}
        }
        actions
    }

    /// When something is to be done even if nothing happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.until
    }

    /// Whether the processes that are left are being waited for.
    pub(super) fn waits_for_stragglers(&self) -> bool {
        self.phase == Phase::Stragglers
    }

    /// Whether the program's whole group has got the signal that ends it. A further one could be taken for an order
    /// to hurry, and TERM cuts off what QUIT lets finish.
    pub(super) fn has_told_group(&self) -> bool {
        self.plan.scope == Scope::Group && self.delivered.is_some()
    }

    /// The signal that ends the program, or TERM where the map drops it.
    pub(super) fn signal(&self) -> Signal {
        self.delivery().unwrap_or(Signal::TERM)
    }

    fn delivery(&self) -> Option<Signal> {
        self.plan.rewrite.apply(self.trigger)
    }

    /// What the stop came to. The caller adds how many processes were left.
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// As [`Stop::report`], for the caller's part.
    pub(super) fn report_mut(&mut self) -> &mut Report {
        &mut self.report
    }

    fn length(&self) -> Option<Duration> {
        self.budget.map(|budget| budget.saturating_sub(self.began))
    }

    /// A moment, but not after the budget's end.
    fn within_budget(&self, moment: Duration) -> Duration {
        self.budget.map_or(moment, |budget| moment.min(budget))
    }

    fn enter(&mut self, phase: Phase, now: Duration, until: Option<Duration>) {
        self.phase = phase;
        self.phase_began = now;
        self.until = until.or(self.budget);
    }

    fn run(&mut self, which: Which, now: Duration, actions: &mut Vec<Action>) {
        self.running = Some((which, now));
        actions.push(Action::Run(which));
    }

    fn tick(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.until.is_none_or(|until| now < until) {
            return;
        }
        let before_the_signal =
            matches!(self.phase, Phase::Status | Phase::Drain | Phase::Command | Phase::Settling);
        if before_the_signal && self.budget.is_some_and(|budget| now >= budget) {
            // The process was stopped for so long, or the machine was: there is no time left for anything else.
            self.kill_command(now, actions);
            return self.kill(now, actions);
        }
        match self.phase {
            Phase::Status => {
                self.kill_command(now, actions);
                self.drain(now, actions);
            }
            Phase::Drain => self.drained(String::new(), now, actions),
            Phase::Command => {
                self.kill_command(now, actions);
                self.deliver(now, actions);
            }
            Phase::Settling => self.deliver(now, actions),
            Phase::Ending => self.kill(now, actions),
            Phase::Killed => self.finish(now, actions),
            Phase::LastCommand => {
                self.kill_command(now, actions);
                self.stragglers(now, actions);
            }
            Phase::Stragglers => {
                self.report.stragglers_killed = true;
                actions.push(Action::KillStragglers);
                self.finish(now, actions);
            }
            Phase::Over => {}
        }
    }

    fn command(&mut self, which: Which, outcome: Outcome, now: Duration, actions: &mut Vec<Action>) {
        // One that was killed for its time has been reported then.
        if self.running.is_none_or(|(running, _)| running != which) {
            return;
        }
        self.command_over(outcome, now, actions);
        match self.phase {
            Phase::Status => self.drain(now, actions),
            Phase::Command if outcome.is_success() => {
                // Most such commands only tell the program, which then takes its time. The reserve is for those that
                // hang; here only the last moment is kept back for the signal.
                let until = self.budget.map(|budget| budget.saturating_sub(FOR_THE_SIGNAL).max(now));
                self.enter(Phase::Settling, now, until);
                actions.push(Action::SaySettling);
            }
            Phase::Command => self.deliver(now, actions),
            Phase::LastCommand => self.stragglers(now, actions),
            _ => {}
        }
    }

    fn app(&mut self, end: End, now: Duration, actions: &mut Vec<Action>) {
        self.report.app = Some(end);
        self.report.delivered = self.delivered.map(|(signal, at)| (signal, now.saturating_sub(at)));
        if self.phase == Phase::Drain {
            let reason = "the program ended".to_owned();
            self.drain_over(reason, now, actions);
        }
        if self.running.is_some() {
            let until = self.within_budget(now + LAST_COMMAND);
            self.enter(Phase::LastCommand, now, Some(until));
        } else {
            self.stragglers(now, actions);
        }
    }

    fn drain(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let most = Duration::from_secs(self.plan.drain.most().get().into());
        // A drain that is longer than the budget must not take the signal's time too.
        let reserve = self.length().map_or(Duration::ZERO, |length| FOR_THE_SIGNAL.min(length / 4));
        let latest = self.budget.map_or(now + most, |budget| budget.saturating_sub(reserve));
        let until = (now + most).min(latest);
        if until <= now {
            return self.stop_command(now, actions);
        }
        self.enter(Phase::Drain, now, Some(until));
        actions.push(Action::BeginDrain);
    }

    fn drained(&mut self, reason: String, now: Duration, actions: &mut Vec<Action>) {
        self.drain_over(reason, now, actions);
        self.stop_command(now, actions);
    }

    fn drain_over(&mut self, reason: String, now: Duration, actions: &mut Vec<Action>) {
        let took = now.saturating_sub(self.phase_began);
        self.report.drain = Some((took, reason.clone()));
        actions.push(Action::EndDrain(took, reason));
    }

    fn stop_command(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.plan.stop_command.is_none() {
            return self.deliver(now, actions);
        }
        let most = self.budget.map_or(STOP_COMMAND, |budget| {
            let left = budget.saturating_sub(now);
            left.saturating_sub(FOR_THE_SIGNAL.max(left / 4))
        });
        if most.is_zero() {
            self.running = Some((Which::Stop, now));
            self.command_over(Outcome::NoTime, now, actions);
            return self.deliver(now, actions);
        }
        self.enter(Phase::Command, now, Some(now + most));
        self.run(Which::Stop, now, actions);
    }

    fn kill_command(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if let Some((which, _)) = self.running {
            actions.push(Action::Kill(which));
            self.command_over(Outcome::TimedOut, now, actions);
        }
    }

    fn command_over(&mut self, outcome: Outcome, now: Duration, actions: &mut Vec<Action>) {
        let Some((which, since)) = self.running.take() else { return };
        let took = now.saturating_sub(since);
        match which {
            Which::Status => self.report.status_command = Some((took, outcome)),
            Which::Stop => self.report.stop_command = Some((took, outcome)),
        }
        actions.push(Action::SayOutcome(which, took, outcome));
    }

    fn deliver(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let signal = self.delivery();
        self.delivered = signal.map(|signal| (signal, now));
        self.enter(Phase::Ending, now, None);
        actions.push(Action::Deliver(signal));
    }

    fn kill(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.report.killed = true;
        self.enter(Phase::Killed, now, Some(now + AFTER_KILL));
        actions.push(Action::KillApp);
    }

    fn stragglers(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let until = self.budget.unwrap_or(now + STRAGGLERS);
        self.stragglers = Some(now);
        self.enter(Phase::Stragglers, now, Some(until));
        if until <= now {
            self.tick(now, actions);
        } else {
            actions.push(Action::EndStragglers);
        }
    }

    fn finish(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.phase = Phase::Over;
        self.until = None;
        let report = &mut self.report;
        report.took = now.saturating_sub(self.began);
        if let (Some((_, took)), Some(since)) = (&mut report.stragglers, self.stragglers) {
            *took = now.saturating_sub(since);
        }
        let code = report.app.unwrap_or(End::Signalled(Signal::KILL)).code();
        report.code = self.plan.exit_codes.report(code);
        actions.push(Action::Finish);
    }
}
