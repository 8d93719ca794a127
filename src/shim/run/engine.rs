//! The engine: one thread that waits for signals and does what each asks for.
//!
//! No handler is ever set and no descriptor is kept open. All signals are held back, and are taken from the kernel
//! one by one, with a time limit while a stop goes on and without one else: an idle init never wakes up.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    time::{Duration, Instant},
};

use fermata_stop_plan::{Command, Scope, Signal, SignalSet, StopPlan};
use nix::{
    errno::Errno,
    libc,
    sys::prctl,
    unistd::{Pid, getpid},
};

use super::{
    Inherited, Invocation,
    directory::Left,
    event::{Event, Outcome, Which},
    exec::Exec,
    manners::{CleanUp, Manners, Session, Subreaper, Suspends},
    reap::{self, Children, End},
    signals::{self, Arrived},
    spawn::{Beginning, Launch, Launched, Told},
    stop::{Action, Input, Stop},
    stragglers::Stragglers,
    terminal,
};
use crate::drain::{ProcNet, Watch};

/// How many signals are handled at most before children are looked for: a flood of one signal hides all others
/// with higher numbers, CHLD among them.
const SIGNALS_BEFORE_REAPING: u32 = 64;

/// Runs the program, and returns the exit code when it has ended.
pub(super) fn run(invocation: &Invocation, inherited: &Inherited) -> u8 {
    let mut engine = match Engine::start(invocation, inherited) {
        Ok(engine) => engine,
        Err(code) => return code,
    };
    loop {
        if let Some(code) = engine.turn() {
            return code;
        }
    }
}

struct Engine<'a> {
    plan: &'a StopPlan,
    manners: &'a Manners,
    /// What the program began with, and commands begin with too.
    beginning: Beginning<'a>,
    clock: Instant,
    is_pid_1: bool,
    /// Where the program lives.
    session: Session,
    /// Whether the program's group was given the terminal.
    foreground: bool,
    /// The program, until it is reaped: from then on its number may be another process'.
    program: Option<Pid>,
    /// Signals of which one more is the kernel's word about the terminal that was given up.
    hand_off: SignalSet,
    stop: Option<Stop<'a>>,
    /// What has happened to the stop and has not been handled.
    inputs: VecDeque<Input>,
    /// The watch over a drain that may end early.
    watch: Option<(Watch, ProcNet)>,
    commands: [Option<Launched>; 2],
    /// The program's group, if it has ended while the others of it were told to.
    told_group: Option<Pid>,
    stragglers: Stragglers,
    signals_since_reaping: u32,
    said_not_sent: bool,
    code: Option<u8>,
}

impl<'a> Engine<'a> {
    /// Makes the process of the program. The error is the exit code.
    fn start(invocation: &'a Invocation, inherited: &'a Inherited) -> Result<Self, u8> {
        let Invocation { command, plan, manners } = invocation;
        let clock = Instant::now();
        let say = |event: &Event<'_>| speak(manners, event);
        let program = command.first().map_or(OsStr::new(""), |program| program.as_os_str());
        let is_pid_1 = getpid() == Pid::from_raw(1);
        adopt(manners, is_pid_1)?;
        let mut hand_off = SignalSet::EMPTY;
        let session = match manners.session {
            Session::Apart if terminal::exists() => Session::Group,
            session => session,
        };
        if session == Session::New {
            match terminal::detach() {
                Ok(leader) => {
                    say(&Event::Detached { leader });
                    if leader {
                        hand_off = SignalSet::of(&[Signal::HUP, Signal::CONT]);
                    }
                }
                Err(errno) => say(&Event::NotDetached(errno)),
            }
        }
        // Where a resized window means the end, the terminal must tell us of it and not the program.
        let foreground =
            session == Session::Group && !plan.triggers.contains(Signal::WINCH) && terminal::is_foreground();
        let beginning = Beginning {
            dispositions: manners.dispositions,
            mask: &inherited.mask,
            stop_signals: stop_signals(plan),
            ignores_children: signals::take_default(libc::SIGCHLD),
        };
        let left = manners.leaves_directory.then(Left::leave);
        let launched = Launch {
            exec: &Exec::new(command),
            session,
            directory: left.as_ref().and_then(|left| left.as_ref().ok()),
            foreground,
            without_input: false,
            renames_listener: manners.renames_listener,
            beginning,
        }
        .start();
        let launched = launched.map_err(|errno| {
            say(&Event::NotForked(errno));
            1
        })?;
        let pid = launched.pid;
        say(&Event::Spawned { program, pid });
        if let Some(Err(errno)) = left {
            say(&Event::NotMoved(errno));
        }
        for told in launched.wait() {
            say(&match told {
                Told::NotAttached(errno) => Event::NotAttached(errno),
                Told::SessionMade => Event::SessionMade,
                Told::NotIsolated(errno) => Event::NotIsolated(errno),
                Told::NotExecuted(errno) => Event::NotExecuted { program, pid, errno },
            });
        }
        if let Some(budget) =
            plan.budget.filter(|budget| !plan.drain.most().is_zero() && plan.drain.most() >= *budget)
        {
            say(&Event::BudgetTooShort { plan, budget });
        }
        Ok(Self {
            plan,
            manners,
            beginning,
            clock,
            is_pid_1,
            session,
            foreground,
            program: Some(pid),
            hand_off,
            stop: None,
            inputs: VecDeque::new(),
            watch: None,
            commands: [None, None],
            told_group: None,
            stragglers: Stragglers::default(),
            signals_since_reaping: 0,
            said_not_sent: false,
            code: None,
        })
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn say(&self, event: &Event<'_>) {
        speak(self.manners, event);
    }

    /// Waits for one thing to happen and handles it. Returns the exit code when all is over.
    fn turn(&mut self) -> Option<u8> {
        let deadline = self.stop.as_ref().and_then(Stop::deadline);
        let next_look = self.watch.as_ref().map(|(watch, _)| watch.next_look());
        let next = deadline.into_iter().chain(next_look).min();
        let timeout = next.map(|next| next.saturating_sub(self.now()));
        if let Some(arrived) = signals::next(timeout) {
            self.signals_since_reaping += 1;
            // The kernel sends it to who writes to a pipe that nobody reads, and it is nobody else's.
            if !(arrived.from_self && arrived.signal.number() == SIGPIPE) {
                self.handle(arrived);
            }
            if self.signals_since_reaping >= SIGNALS_BEFORE_REAPING {
                self.reap();
            }
        }
        self.look_at_traffic();
        self.inputs.push_back(Input::Tick);
        self.go_on();
        self.code
    }

    fn look_at_traffic(&mut self) {
        let now = self.now();
        let Some((watch, network)) = &mut self.watch else { return };
        if now >= watch.next_look()
            && let Some(ended) = watch.look(now, network)
        {
            self.inputs.push_back(Input::Quiet(ended.to_string()));
        }
    }

    fn handle(&mut self, arrived: Arrived) {
        let signal = arrived.signal;
        self.say(&Event::Received(signal));
        if self.hand_off.contains(signal) {
            self.hand_off = self.hand_off.without(signal);
            return self.say(&Event::HandOffIgnored(signal));
        }
        if signal == Signal::CHLD {
            self.reap();
            return self.follow_suspension();
        }
        if self.manners.not_forwarded.contains(signal) {
            return self.say(&Event::NotForwarded(signal));
        }
        if self.plan.triggers.contains(signal) {
            // A window that is resized is no end. The runtime's WINCH is sent by a process.
            if signal == Signal::WINCH && arrived.from_kernel {
                return self.say(&Event::NotForwarded(signal));
            }
            return self.trigger(signal);
        }
        if signal == Signal::CONT
            && self.manners.suspends == Suspends::WithProgram
            && !self.is_pid_1
            && let Some(program) = self.program
        {
            self.give_terminal(program);
        }
        self.forward(signal, self.plan.scope);
        if self.manners.suspends == Suspends::OnSignal
            && [Signal::TSTP, Signal::TTIN, Signal::TTOU].contains(&signal)
        {
            self.say(&Event::Suspending);
            terminal::suspend();
        }
    }

    fn trigger(&mut self, signal: Signal) {
        if self.stop.is_some() {
            return self.say(&Event::AlreadyStopping(signal));
        }
        self.say(&Event::StopBegan { trigger: signal, plan: self.plan });
        let (stop, actions) = Stop::begin(self.plan, signal, self.now());
        self.stop = Some(stop);
        for action in actions {
            self.act(action);
        }
    }

    /// Gives the stop all that has happened.
    fn go_on(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            let now = self.now();
            let Some(stop) = &mut self.stop else { continue };
            for action in stop.step(input, now) {
                self.act(action);
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Run(which) => self.run_command(which),
            Action::Kill(which) => self.kill_command(which),
            Action::SayOutcome(which, took, outcome) => {
                self.say(&Event::CommandOver { which, took, outcome });
            }
            Action::SaySettling => self.say(&Event::Settling),
            Action::BeginDrain => self.begin_drain(),
            Action::EndDrain(took, reason) => {
                self.watch = None;
                self.say(&Event::DrainOver { took, reason: &reason });
            }
            Action::Deliver(signal) => self.deliver(signal),
            Action::KillApp => {
                self.say(&Event::Killing);
                if let Some(program) = self.program {
                    let _ = signals::send(program, Signal::KILL);
                    let _ = self.send_to_group(program, Signal::KILL);
                }
            }
            Action::EndStragglers => self.end_stragglers(),
            Action::KillStragglers => Stragglers::kill(),
            Action::Finish => {
                if let Some(stop) = &self.stop {
                    self.say(&Event::StopOver(stop.report()));
                    self.code = Some(stop.report().code);
                }
            }
        }
    }

    fn begin_drain(&mut self) {
        self.say(&Event::DrainBegan(self.plan));
        if self.plan.drain.is_range() {
            let watch = Watch::new(self.plan.drain, self.plan.quiet, &[], self.now());
            self.watch = Some((watch, ProcNet::default()));
        }
    }

    fn run_command(&mut self, which: Which) {
        let command = match which {
            Which::Status => self.plan.status_command.as_ref(),
            Which::Stop => self.plan.stop_command.as_ref(),
        };
        if which == Which::Stop {
            self.say(&Event::StopCommandBegan(self.plan));
        }
        let launched = Launch {
            exec: &Exec::new(command.map_or(&[], Command::words)),
            session: Session::Group,
            directory: None,
            foreground: false,
            without_input: true,
            renames_listener: false,
            beginning: self.beginning,
        }
        .start();
        match launched {
            Ok(launched) => self.commands[which as usize] = Some(launched),
            Err(errno) => self.inputs.push_back(Input::Command(which, Outcome::NotStarted(errno))),
        }
    }

    fn kill_command(&mut self, which: Which) {
        // It stays in its place until it is reaped.
        if let Some(launched) = &self.commands[which as usize] {
            let _ = signals::send(launched.pid, Signal::KILL);
            let _ = self.send_to_group(launched.pid, Signal::KILL);
        }
    }

    fn deliver(&mut self, signal: Option<Signal>) {
        let scope = self.plan.scope;
        self.say(&Event::Delivering { signal, scope });
        let (Some(signal), Some(program)) = (signal, self.program) else { return };
        self.send(signal, scope);
        if reap::is_stopped(program) {
            // A program that is stopped hears of it only when it goes on.
            self.send(Signal::CONT, scope);
        }
    }

    fn end_stragglers(&mut self) {
        if reap::look() == Children::None {
            return self.inputs.push_back(Input::Alone);
        }
        let before = self.stragglers.count();
        let count = self.stragglers.end(self.told_group);
        if count > before {
            self.say(&Event::Stragglers { count });
            if let Some(stop) = &mut self.stop {
                stop.report_mut().stragglers = Some((count, Duration::ZERO));
            }
        }
    }

    /// Passes a signal on through the map.
    fn forward(&mut self, signal: Signal, scope: Scope) {
        let rewritten = self.plan.rewrite.apply(signal);
        if rewritten != Some(signal) || self.plan.rewrite.iter().any(|(from, _)| from == signal) {
            self.say(&Event::Rewritten(signal, rewritten));
        }
        match rewritten {
            Some(signal) => {
                self.send(signal, scope);
                self.say(&Event::Forwarded { signal, scope });
            }
            None => self.say(&Event::Dropped(signal)),
        }
    }

    fn send(&mut self, signal: Signal, scope: Scope) {
        let Some(program) = self.program else { return };
        let sent = match scope {
            Scope::Child => signals::send(program, signal),
            Scope::Group => self.send_to_group(program, signal),
        };
        if let Err(errno) = sent
            && !self.said_not_sent
        {
            self.said_not_sent = true;
            self.say(&Event::NotSent { signal, errno });
        }
    }

    /// Sends a signal to the group of a child that is not reaped, or to the child where it leads none.
    fn send_to_group(&self, leader: Pid, signal: Signal) -> Result<(), Errno> {
        if self.manners.session == Session::Shared {
            return signals::send(leader, signal);
        }
        match signals::send(Pid::from_raw(-leader.as_raw()), signal) {
            Err(Errno::ESRCH) => signals::send(leader, signal),
            sent => sent,
        }
    }

    /// Reaps all children that have ended.
    fn reap(&mut self) {
        self.signals_since_reaping = 0;
        let mut ended = None;
        while let Children::Ended(pid, end) = reap::look() {
            let program = self.program == Some(pid);
            self.say(&Event::Reaped { pid, end, program });
            if program {
                // As long as it is not reaped its number is its group's and nobody else's.
                if self.foreground {
                    terminal::take_back_from(pid);
                }
                self.clean_up(pid);
                self.program = None;
                ended = Some(end);
            }
            reap::reap(pid);
            self.command_ended(pid, end);
        }
        if let Some(end) = ended {
            self.program_ended(end);
        }
        if self.stop.as_ref().is_some_and(Stop::waits_for_stragglers) {
            self.end_stragglers();
        }
    }

    fn clean_up(&mut self, program: Pid) {
        if let (Some(stop), CleanUp::Term) = (&self.stop, self.manners.clean_up) {
            // TERM cuts off what QUIT lets finish, and a second signal could be taken for an order to hurry: what the
            // program leaves in its group gets the signal that the program got, or would have got, and gets it once.
            if !stop.has_told_group() {
                let _ = signals::send(Pid::from_raw(-program.as_raw()), stop.signal());
            }
            self.told_group = Some(program);
            return;
        }
        match self.manners.clean_up {
            CleanUp::Term => {
                let _ = signals::send(Pid::from_raw(-program.as_raw()), Signal::TERM);
            }
            CleanUp::Rewritten => self.forward(Signal::TERM, self.plan.scope),
            CleanUp::Nothing => {}
        }
    }

    fn program_ended(&mut self, end: End) {
        if self.stop.is_some() {
            return self.inputs.push_back(Input::App(end));
        }
        let mut code = end.code();
        if self.manners.maps_every_end {
            code = self.plan.exit_codes.report(code);
        }
        self.say(&Event::Goodbye { code });
        self.code = Some(code);
    }

    fn command_ended(&mut self, pid: Pid, end: End) {
        for which in [Which::Status, Which::Stop] {
            let place = &mut self.commands[which as usize];
            let Some(launched) = place.take_if(|launched| launched.pid == pid) else { continue };
            let outcome = launched.told().into_iter().find_map(|told| match told {
                Told::NotExecuted(errno) => Some(Outcome::NotExecuted(errno)),
                Told::NotIsolated(errno) => Some(Outcome::NotStarted(errno)),
                Told::NotAttached(_) | Told::SessionMade => None,
            });
            self.inputs.push_back(Input::Command(which, outcome.unwrap_or(Outcome::Ended(end))));
        }
    }

    /// Does as the program does that has stopped in front of a terminal, and makes it go on afterwards.
    fn follow_suspension(&mut self) {
        let Some(program) = self.program else { return };
        if self.manners.suspends == Suspends::WithProgram
            && self.is_pid_1
            && terminal::is_terminal()
            && reap::stopped_by(program) == Some(Signal::TSTP)
        {
            // The key that suspends was typed where no shell could ever make it go on. As PID 1 itself the program
            // would not have stopped.
            let _ = self.send_to_group(program, Signal::CONT);
            return;
        }
        if self.manners.suspends != Suspends::WithProgram
            || self.is_pid_1
            || self.stop.is_some()
            || !reap::is_stopped(program)
            || !terminal::has_job_control()
        {
            return;
        }
        self.say(&Event::Suspending);
        terminal::take_back_from(program);
        terminal::suspend_with_group();
        // CONT has come, and is passed on to the program when its turn comes.
    }

    fn give_terminal(&mut self, program: Pid) {
        if self.session == Session::Group && !self.plan.triggers.contains(Signal::WINCH) {
            self.foreground |= terminal::give_to(program);
        }
    }
}

const SIGPIPE: u8 = 13;

/// The signals that must reach the program.
fn stop_signals(plan: &StopPlan) -> SignalSet {
    let delivered = plan.triggers.iter().filter_map(|trigger| plan.rewrite.apply(trigger));
    delivered.fold(plan.triggers.with(Signal::TERM), SignalSet::with)
}

/// Becomes the parent of orphans below, where PID 1 is another.
fn adopt(manners: &Manners, is_pid_1: bool) -> Result<(), u8> {
    let say = |event: &Event<'_>| speak(manners, event);
    if let Some(signal) = manners.parent_death
        && prctl::set_pdeathsig(signal).is_err()
    {
        say(&Event::NoParentDeath);
        return Err(1);
    }
    match manners.subreaper {
        Subreaper::Automatic if !is_pid_1 => {
            let _ = prctl::set_child_subreaper(true);
        }
        Subreaper::Required => match prctl::set_child_subreaper(true) {
            Ok(()) => say(&Event::Subreaper),
            Err(errno) => {
                say(&Event::NoSubreaper(errno));
                return Err(1);
            }
        },
        Subreaper::No if !is_pid_1 && prctl::get_child_subreaper() != Ok(true) => say(&Event::CannotReap),
        Subreaper::Automatic | Subreaper::No => {}
    }
    Ok(())
}

fn speak(manners: &Manners, event: &Event<'_>) {
    for line in (manners.voice)(event) {
        crate::message::say(line.stream, &line.text);
    }
}
