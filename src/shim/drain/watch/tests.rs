//! The watch against made-up networks, without waiting.

use std::time::Duration;

use fermata_stop_plan::{Drain, Seconds};
use proptest::prelude::*;

use super::{Ended, Network, Watch, increase};

const QUIET: u32 = 3;

/// A network in which connections come at known times, in milliseconds.
struct Script<'a> {
    now: Duration,
    first: u64,
    arrivals: Vec<u64>,
    listens: &'a dyn Fn(Duration) -> Option<bool>,
    backlog: &'a dyn Fn(Duration) -> bool,
    counts: &'a dyn Fn(Duration) -> bool,
}

impl Network for Script<'_> {
    fn accepted(&mut self) -> Result<u64, String> {
        if !(self.counts)(self.now) {
            return Err("it is dark".into());
        }
        let now = self.now.as_millis();
        let come = self.arrivals.iter().filter(|arrival| u128::from(**arrival) <= now).count();
        Ok(self.first.wrapping_add(come as u64))
    }

    fn anybody_listens(&mut self) -> Option<bool> {
        (self.listens)(self.now)
    }

    fn backlog(&mut self) -> bool {
        (self.backlog)(self.now)
    }
}

impl Script<'_> {
    fn with(arrivals: impl IntoIterator<Item = u64>) -> Self {
        Self {
            now: Duration::ZERO,
            first: 36_209,
            arrivals: arrivals.into_iter().collect(),
            listens: &|_| Some(true),
            backlog: &|_| false,
            counts: &|_| true,
        }
    }

    /// Plays the drain, and says after how many milliseconds it ended and why.
    fn play(mut self, drain: &str, quiet: u32, probes: &[u32]) -> (u64, Ended) {
        let drain: Drain = drain.parse().unwrap();
        let probes: Vec<_> = probes.iter().map(|period| seconds(*period)).collect();
        let mut watch = Watch::new(drain, seconds(quiet), &probes, self.now);
        let mut looks = 0;
        loop {
            let next = watch.next_look();
            assert!(next > self.now || looks == 0, "it looks again at {next:?}");
            self.now = next;
            looks += 1;
            let ended = watch.look(self.now, &mut self);
            assert_eq!(watch.taken(self.now), self.now);
            if let Some(ended) = ended {
                let most = looks_of(drain);
                assert!(looks <= most, "{looks} looks are more than {most}");
                return (u64::try_from(self.now.as_millis()).unwrap(), ended);
            }
        }
    }
}

/// Four looks a second, and some just in time for an end.
fn looks_of(drain: Drain) -> u32 {
    drain.most().get() * 8 + 8
}

fn seconds(count: u32) -> Seconds {
    Seconds::new(count).unwrap()
}

fn every(period: u64, from: u64) -> impl Iterator<Item = u64> {
    (0..100_000).map(move |tick| from + tick * period).take_while(|at| *at < 120_000)
}

fn quiet(probes: u64) -> Ended {
    Ended::Quiet { quiet: seconds(QUIET), probes }
}

#[test]
fn a_fixed_drain_never_looks_and_takes_its_time() {
    struct Never;
    impl Network for Never {
        fn accepted(&mut self) -> Result<u64, String> {
            panic!("a fixed drain has nothing to count")
        }
        fn anybody_listens(&mut self) -> Option<bool> {
            panic!("a fixed drain does not care who listens")
        }
        fn backlog(&mut self) -> bool {
            panic!("a fixed drain does not care who waits")
        }
    }
    let mut watch = Watch::new("15s".parse().unwrap(), seconds(3), &[], Duration::from_secs(7));
    assert_eq!(watch.next_look(), Duration::from_secs(22));
    assert_eq!(watch.look(Duration::from_millis(21_999), &mut Never), None);
    assert_eq!(watch.look(Duration::from_secs(22), &mut Never), Some(Ended::Fixed));
    assert_eq!(watch.taken(Duration::from_secs(22)), Duration::from_secs(15));
}

#[test]
fn no_drain_is_over_at_once() {
    assert_eq!(Script::with([]).play("0s", QUIET, &[]), (0, Ended::Fixed));
}

#[test]
fn silence_ends_a_range_at_its_least_or_after_the_quiet_time() {
    assert_eq!(Script::with([]).play("5s..60s", QUIET, &[]), (5_000, quiet(0)));
    assert_eq!(Script::with([]).play("1s..60s", QUIET, &[]), (3_000, quiet(0)));
    assert_eq!(Script::with([]).play("0s..60s", 0, &[]).0, 0);
}

#[test]
fn traffic_that_stops_is_followed_by_the_quiet_time() {
    let (taken, ended) =
        Script::with(every(100, 0).take_while(|at| *at <= 10_000)).play("5s..60s", QUIET, &[]);
    assert!((13_000..=13_250).contains(&taken), "{taken} ms");
    assert_eq!(ended, quiet(0));
}

#[test]
fn pitfall_42_a_worker_that_never_listens_takes_the_least_only() {
    let mut script = Script::with([]);
    script.listens = &|_| Some(false);
    assert_eq!(script.play("5s..60s", QUIET, &[]), (5_000, Ended::NothingListens));
    let mut script = Script::with([]);
    script.listens = &|_| Some(false);
    script.counts = &|_| false;
    assert_eq!(script.play("1s..60s", QUIET, &[]), (1_000, Ended::NothingListens), "and needs no counter");
}

#[test]
fn pitfall_42_a_listener_that_closes_early_ends_it() {
    let closes = |now| Some(now < Duration::from_secs(9));
    let mut script = Script::with(every(100, 0).take_while(|at| *at < 9_000));
    script.listens = &closes;
    let (taken, ended) = script.play("5s..60s", QUIET, &[]);
    assert!((9_000..=10_250).contains(&taken), "{taken} ms");
    assert_eq!(ended, Ended::NothingListens);
}

#[test]
fn pitfall_42_a_listener_that_opens_late_is_drained() {
    let opens = |now| Some(now >= Duration::from_secs(4));
    let mut script = Script::with(every(500, 4_000).take_while(|at| *at < 12_000));
    script.listens = &opens;
    let (taken, ended) = script.play("5s..60s", QUIET, &[]);
    assert!((14_500..=14_750).contains(&taken), "{taken} ms");
    assert_eq!(ended, quiet(0));
}

#[test]
fn pitfall_43_probes_every_second_end_between_least_and_most() {
    let (taken, ended) = Script::with(every(1_000, 400)).play("5s..60s", QUIET, &[1]);
    assert_eq!(taken, 5_000);
    assert_eq!(ended, quiet(3));
    assert_eq!(ended.to_string(), "no new connection for 3s but those of probes");
}

#[test]
fn probes_that_nobody_announced_are_traffic() {
    let (taken, _) = Script::with(every(1_000, 400)).play("5s..60s", QUIET, &[]);
    assert_eq!(taken, 60_000);
}

#[test]
fn pitfall_44_steady_traffic_runs_to_the_most() {
    let (taken, ended) = Script::with(every(250, 30)).play("5s..60s", QUIET, &[10]);
    assert_eq!(taken, 60_000);
    let Ended::Most { new, backlog: false, .. } = ended else { panic!("{ended:?}") };
    assert!((11..=13).contains(&new), "{new}");
    assert_eq!(
        Ended::Most { new: 12, quiet: seconds(3), backlog: false }.to_string(),
        "max reached, 12 new connections in the last 3s"
    );
    assert_eq!(
        Ended::Most { new: 1, quiet: seconds(3), backlog: true }.to_string(),
        "max reached, 1 new connection in the last 3s, some not yet accepted"
    );
}

#[test]
fn pitfall_44_slow_traffic_beside_probes_runs_to_the_most() {
    for period in [1, 2, 5, 10] {
        let probes = every(u64::from(period) * 1_000, 700);
        let (taken, _) = Script::with(probes.chain(every(900, 30))).play("5s..60s", QUIET, &[period]);
        assert_eq!(taken, 60_000, "beside a probe every {period}s");
    }
}

#[test]
fn pitfall_47_a_backlog_is_waited_for_up_to_the_most() {
    let busy = |now| now < Duration::from_secs(8);
    let mut script = Script::with([]);
    script.backlog = &busy;
    let (taken, ended) = script.play("5s..60s", QUIET, &[]);
    assert!((8_000..=8_250).contains(&taken), "{taken} ms");
    assert_eq!(ended, quiet(0));
    let mut script = Script::with([]);
    script.backlog = &|_| true;
    let (taken, ended) = script.play("5s..20s", QUIET, &[]);
    assert_eq!((taken, ended), (20_000, Ended::Most { new: 0, quiet: seconds(3), backlog: true }));
}

#[test]
fn pitfall_48_without_a_counter_it_takes_the_most_and_says_why() {
    let mut script = Script::with([]);
    script.counts = &|_| false;
    let (taken, ended) = script.play("5s..20s", QUIET, &[]);
    assert_eq!(taken, 20_000);
    assert_eq!(ended.to_string(), "PassiveOpens cannot be read: it is dark");
}

#[test]
fn pitfall_48_a_counter_that_comes_back_is_watched_again() {
    let comes_back = |now| now >= Duration::from_secs(10);
    let mut script = Script::with([]);
    script.counts = &comes_back;
    let (taken, ended) = script.play("5s..60s", QUIET, &[]);
    assert!((12_750..=13_000).contains(&taken), "{taken} ms");
    assert_eq!(ended, quiet(0));
}

#[test]
fn pitfall_48_a_counter_that_wraps_or_begins_again_is_no_silence() {
    for (before, now, new) in [
        (5, 5, 0),
        (5, 9, 4),
        (u64::from(u32::MAX), 0, 1),
        (u64::from(u32::MAX) - 4, 5, 10),
        (36_209, 0, 1),
        (36_209, 7, 7),
        (u64::MAX, 3, 3),
    ] {
        assert_eq!(increase(before, now), new, "{before} {now}");
    }
    let mut script = Script::with(every(100, 0));
    script.first = u64::MAX - 40;
    assert_eq!(script.play("5s..20s", QUIET, &[]).0, 20_000);
}

#[test]
fn a_long_quiet_time_is_watched_as_closely_and_remembered_in_parts() {
    let closes = |now| Some(now < Duration::from_secs(9));
    let mut script = Script::with(every(100, 0));
    script.listens = &closes;
    let (taken, ended) = script.play("5s..1h", 59 * 60, &[]);
    assert!((9_000..=10_000).contains(&taken), "{taken} ms");
    assert_eq!(ended, Ended::NothingListens);

    let mut script = Script::with(every(100, 0));
    let mut watch = Watch::new("5s..1h".parse().unwrap(), seconds(60), &[], Duration::ZERO);
    while script.now < Duration::from_secs(119) {
        script.now = watch.next_look();
        assert_eq!(watch.look(script.now, &mut script), None);
        assert!(watch.recent.len() <= 66, "{}", watch.recent.len());
    }
    let seen: u64 = watch.recent.iter().map(|seen| seen.traffic).sum();
    assert!((600..=620).contains(&seen), "{seen} in a minute");
}

#[test]
fn connections_that_a_late_look_finds_together_are_still_the_probes() {
    // The hook was stopped for ten seconds.
    let mut script = Script::with(every(1_000, 400));
    let mut watch = Watch::new("5s..60s".parse().unwrap(), seconds(QUIET), &[seconds(1)], Duration::ZERO);
    for now in [0, 250, 500, 10_500] {
        script.now = Duration::from_millis(now);
        let ended = watch.look(script.now, &mut script);
        assert_eq!(ended.is_some(), now == 10_500, "{now}: {ended:?}");
    }
}

fn a_range() -> impl Strategy<Value = (u32, u32)> {
    (0..30_u32, 1..60_u32).prop_map(|(least, more)| (least, least + more))
}

/// A period, and when the first one comes.
fn a_probe() -> impl Strategy<Value = (u32, u64)> {
    (1..15_u32).prop_flat_map(|period| (Just(period), 0..u64::from(period) * 1_000))
}

proptest! {
    #[test]
    fn whatever_comes_it_ends_within_its_bounds(
        (least, most) in a_range(),
        quiet in 0..20_u32,
        probes in prop::collection::vec(0..12_u32, 0..3),
        arrivals in prop::collection::vec(0..90_000_u64, 0..200),
        first in prop_oneof![Just(0), any::<u64>(), Just(u64::from(u32::MAX) - 3)],
    ) {
        let mut script = Script::with(arrivals);
        script.first = first;
        let (taken, _) = script.play(&format!("{least}s..{most}s"), quiet, &probes);
        prop_assert!((u64::from(least) * 1_000..=u64::from(most) * 1_000).contains(&taken), "{} ms", taken);
    }

    #[test]
    fn probes_alone_never_hold_it(
        (least, most) in a_range(),
        probes in prop::collection::vec(a_probe(), 1..4),
        late in prop::collection::vec(0..500_u64, 90),
    ) {
        let mut arrivals = Vec::new();
        for (period, phase) in &probes {
            let ticks = every(u64::from(*period) * 1_000, *phase);
            arrivals.extend(ticks.zip(late.iter().cycle()).map(|(at, late)| at + late));
        }
        let periods: Vec<_> = probes.iter().map(|(period, _)| *period).collect();
        let (taken, ended) = Script::with(arrivals).play(&format!("{least}s..{most}s"), QUIET, &periods);
        let expected = u64::from(least.max(QUIET).min(most)) * 1_000;
        prop_assert_eq!(taken, expected, "{}", ended);
    }

    #[test]
    fn more_than_three_connections_for_each_probe_in_the_quiet_time_are_never_overlooked(
        (least, most) in a_range(),
        probes in prop::collection::vec(a_probe(), 0..4),
        spare in 1..5_u64,
        phase in 0..500_u64,
    ) {
        // As many as the credits could hide and one more, in a little less than the quiet time.
        let hidden = 3 * probes.len() as u64;
        let gap = (u64::from(QUIET) * 1_000 - 300) / (hidden + spare);
        let mut arrivals: Vec<u64> = every(gap, phase.min(gap)).collect();
        for (period, phase) in &probes {
            arrivals.extend(every(u64::from(*period) * 1_000, *phase));
        }
        let periods: Vec<_> = probes.iter().map(|(period, _)| *period).collect();
        let (taken, ended) = Script::with(arrivals).play(&format!("{least}s..{most}s"), QUIET, &periods);
        prop_assert_eq!(taken, u64::from(most) * 1_000, "{}", ended);
    }

    #[test]
    fn traffic_that_stops_ends_it_a_quiet_time_later(stops in 0..40_000_u64, gap in 10..2_000_u64) {
        let arrivals: Vec<u64> = every(gap, 0).take_while(|at| *at <= stops).collect();
        let last = arrivals.last().copied().unwrap_or_default();
        let (taken, _) = Script::with(arrivals).play("5s..60s", QUIET, &[]);
        let earliest = (last + 3_000).max(5_000);
        prop_assert!((earliest..=earliest + 250).contains(&taken), "{} ms after {}", taken, last);
    }
}
