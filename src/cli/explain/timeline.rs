//! A Pod's ending as bars and marks on an axis of seconds, before anybody has decided how to draw them.

use fermata_core::explain::{ContainerEnding, Ending, EndingHook, Explanation, StopSignal};
use fermata_stop_plan::Seconds;

/// How one Pod ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Timeline<'e> {
    /// Where the axis ends, at least 1. Unit: seconds from the deletion.
    pub(super) end: i64,
    pub(super) tracks: Vec<Track<'e>>,
}

/// How one container ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Track<'e> {
    pub(super) container: &'e ContainerEnding,
    pub(super) before: Course,
    /// Nothing where it is the same as before.
    pub(super) after: Option<Course>,
}

/// What happens to a container, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) spans: Vec<Span>,
    /// When its stop signal comes, if that can be said.
    pub(super) stop: Option<i64>,
    /// When it is killed.
    pub(super) kill: i64,
}

/// Something that lasts. Units: seconds from the deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) what: What,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// What a container does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// It goes on serving, because nobody has told it to stop.
    Serving,
    /// It goes on serving as long as traffic comes.
    MayServe,
    /// It has been told to stop, but requests still arrive.
    Failing,
    /// It ends in its own time.
    Ending,
    /// A hook of its own runs, nobody knows for how long.
    OwnHook,
    /// It goes on until the regular containers have ended.
    Waiting,
}

impl What {
    pub(super) const ALL: [Self; 6] =
        [Self::Serving, Self::MayServe, Self::Failing, Self::Ending, Self::OwnHook, Self::Waiting];

    /// What it means, for a legend.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Serving => "drain: goes on serving",
            Self::MayServe => "drain: may end early",
            Self::Failing => "requests may still arrive: 502s",
            Self::Ending => "the app's own time",
            Self::OwnHook => "its own hook, then the stop signal",
            Self::Waiting => "goes on until the other containers have ended",
        }
    }
}

impl<'e> Timeline<'e> {
    pub(super) fn new(explanation: &'e Explanation) -> Self {
        let containers = &explanation.containers;
        let last_stop = |of: fn(&ContainerEnding) -> &Ending| {
            let stops = containers.iter().map(|container| match of(container) {
                Ending { stop_signal: StopSignal::At { seconds }, .. }
                | Ending {
                    stop_signal: StopSignal::AfterHook,
                    hook: EndingHook::Drain { seconds, .. },
                    ..
                } => *seconds,
                _ => 0,
            });
            stops.max().unwrap_or(0)
        };
        let (before, after) =
            (last_stop(|container| &container.before), last_stop(|container| &container.after));
        let tracks = containers.iter().map(|container| {
            let forgotten = forgotten(container);
            let course_before = course(&container.before, forgotten, before);
            let course_after = course(&container.after, forgotten, after);
            let after = (course_after != course_before).then_some(course_after);
            Track { container, before: course_before, after }
        });
        let end = explanation.grace_period.before.max(explanation.grace_period.after).max(1);
        Self { end, tracks: tracks.collect() }
    }

    /// What there is to see, each once.
    pub(super) fn legend(&self) -> Vec<What> {
        let spans = || self.courses().flat_map(|course| &course.spans);
        What::ALL.into_iter().filter(|what| spans().any(|span| span.what == *what)).collect()
    }

    fn courses(&self) -> impl Iterator<Item = &Course> {
        self.tracks.iter().flat_map(|track| std::iter::once(&track.before).chain(&track.after))
    }
}

/// When the network has forgotten the Pod. Nobody knows; but whoever chose the drain chose it for that.
fn forgotten(container: &ContainerEnding) -> i64 {
    match (container.outcome, container.after.hook) {
        ("added" | "raised", EndingHook::Drain { seconds, .. }) => seconds,
        _ => 0,
    }
}

fn course(ending: &Ending, forgotten: i64, last_stop: i64) -> Course {
    let kill = ending.kill;
    let (least, most) = match ending.hook {
        EndingHook::Drain { seconds, at_least, .. } => (at_least.unwrap_or(seconds), seconds),
        EndingHook::None | EndingHook::Own { .. } => (0, 0),
    };
    let drain = [(What::Serving, 0, least), (What::MayServe, least, most)];
    let (spans, stop) = match ending.stop_signal {
        StopSignal::AfterContainers => {
            (vec![(What::Serving, 0, last_stop), (What::Waiting, last_stop, kill)], None)
        }
        StopSignal::AfterHook => ([&drain[..], &[(What::OwnHook, most, kill)]].concat(), None),
        StopSignal::At { seconds: stop } => {
            let forgotten = forgotten.clamp(stop, kill.max(stop));
            let rest = [(What::Failing, stop, forgotten), (What::Ending, forgotten, kill)];
            ([drain, rest].concat(), Some(stop))
        }
    };
    let spans = spans.into_iter().filter(|(_, from, to)| to > from);
    Course { spans: spans.map(|(what, from, to)| Span { what, from, to }).collect(), stop, kill }
}

/// The distance between the marks of an axis: a round one, with room for so many at most. Unit: seconds.
pub(super) fn tick(end: i64, most: usize) -> i64 {
    const ROUND: [i64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400];
    let most = i64::try_from(most.max(1)).unwrap_or(i64::MAX);
    let fits = |tick: &&i64| end / **tick <= most;
    ROUND.iter().find(fits).copied().unwrap_or_else(|| end / most + 1)
}

/// A time as annotations have it: `45s`, `2m30s`.
pub(super) fn time(seconds: i64) -> String {
    // A grace period may be longer than any duration that Fermata accepts.
    if let Ok(count) = u32::try_from(seconds)
        && let Some(seconds) = Seconds::new(count)
    {
        return seconds.to_string();
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::{tick, time};

    #[test]
    fn ticks_are_round_and_few() {
        for (end, most, expected) in
            [(1, 5, 1), (30, 5, 10), (45, 5, 10), (75, 5, 15), (600, 5, 120), (i64::MAX, 5, i64::MAX / 5 + 1)]
        {
            assert_eq!(tick(end, most), expected, "{end}");
        }
    }

    #[test]
    fn times_are_short() {
        for (seconds, expected) in
            [(0, "0s"), (90, "1m30s"), (120, "2m"), (150, "2m30s"), (3600, "1h"), (86_401, "86401s")]
        {
            assert_eq!(time(seconds), expected);
        }
    }
}
