//! The rotation in a world of its own: a clock, a Secret and a registration that every replica and every API server
//! sees later than it changes.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;

use super::{ABSENCE, Action, Rotation, SETTLING};
use crate::{
    cluster::Sight,
    tls::{
        Identity,
        authority::{Authority, NewAuthority},
        bundle::{self, Bundle},
        certificate::{CaCertificate, Validity},
        registration::{Entry, Verdict, judge},
        secret::{self, Data, Stored},
    },
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

fn begin() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

fn entry(authorities: &[&CaCertificate]) -> Vec<Entry> {
    let authorities = authorities.iter().map(|&authority| authority.clone()).collect();
    vec![Entry {
        name: "pods.fermata.dev".into(),
        server_name: Some("localhost".into()),
        by_system_roots: false,
        bundle: Bundle { authorities, has_garbage: false },
    }]
}

fn made(now: SystemTime, lifetime: Duration) -> NewAuthority {
    Authority::generate(now, lifetime).unwrap()
}

fn whole(new: NewAuthority, others: &[&CaCertificate]) -> Stored {
    let mut trusted: Vec<_> = others.iter().map(|&other| other.clone()).collect();
    trusted.push(new.authority.certificate().clone());
    Stored::Whole { authority: Arc::new(new.authority), trusted }
}

fn signer(stored: &Stored) -> &Arc<Authority> {
    let Stored::Whole { authority, .. } = stored else { panic!("{stored:?}") };
    authority
}

/// The words for what is to be done, and with whose certificate.
fn words(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .map(|action| match action {
            Action::MakeSecret => "make".into(),
            Action::Fill { reason, trusted } => format!("fill, trusting {}: {reason}", trusted.len()),
            Action::Register { reason, authorities } => format!("register {}: {reason}", authorities.len()),
            Action::Serve { reason, .. } => format!("serve: {reason}"),
        })
        .collect()
}

/// Does what concerns the certificate.
fn serve(
    rotation: &mut Rotation,
    actions: &[Action],
    now: SystemTime,
    lifetime: Duration,
) -> Option<Arc<Identity>> {
    actions.iter().find_map(|action| {
        let Action::Serve { authority, .. } = action else { return None };
        let leaf = authority.issue(&["localhost".to_owned()], now, lifetime).unwrap();
        rotation.serves(Arc::clone(authority), leaf.validity, leaf.renewal);
        Some(Arc::new(leaf.identity))
    })
}

#[test]
fn at_the_start_each_state_of_the_secret_has_its_step() {
    let now = begin();
    let [good, expired, ahead, due] =
        [now, now - DAY * 2, now + DAY, now - DAY / 4 * 3].map(|made_at| whole(made(made_at, DAY), &[]));
    let broken =
        Stored::Broken { reason: "garbage".into(), trusted: vec![signer(&good).certificate().clone()] };
    for (secret, expected) in [
        (Sight::Unknown, vec![]),
        (Sight::Missing, vec!["make"]),
        (Sight::Found(&Stored::Empty), vec!["fill, trusting 0: the Secret is empty"]),
        (Sight::Found(&broken), vec!["fill, trusting 1: garbage"]),
        (Sight::Found(&expired), vec!["fill, trusting 0: it has expired"]),
        (
            Sight::Found(&ahead),
            vec!["fill, trusting 1: it is not valid yet, because the clock of whoever made it is ahead"],
        ),
        (Sight::Found(&due), vec!["serve: none is served yet", "fill, trusting 1: it is time to renew it"]),
        (Sight::Found(&good), vec!["serve: none is served yet"]),
    ] {
        assert_eq!(words(&Rotation::default().next(secret, Sight::Unknown, now)), expected);
        assert_eq!(words(&Rotation::default().next(secret, Sight::Missing, now)), expected);
    }
}

#[test]
fn the_registration_is_written_only_where_something_is_amiss() {
    let now = begin();
    let old = made(now - DAY / 2, DAY).authority;
    let [gone, just_over, foreign] =
        [now - DAY * 2, now - DAY - Duration::from_mins(30), now].map(|made_at| made(made_at, DAY).authority);
    let secret = whole(made(now, DAY), &[old.certificate()]);
    let new = signer(&secret).certificate();
    let old = old.certificate();
    let mut garbage = entry(&[new, old]);
    garbage[0].bundle.has_garbage = true;
    let two = [entry(&[new, old]), entry(&[new])].concat();
    for (entries, why) in [
        (entry(&[]), "lacks an authority"),
        (entry(&[new]), "lacks an authority"),
        (entry(&[foreign.certificate()]), "lacks an authority"),
        (two, "lacks an authority"),
        (garbage, "holds something that is no authority"),
        (entry(&[new, old, gone.certificate()]), "holds an authority that has expired"),
    ] {
        let words = words(&Rotation::default().next(Sight::Found(&secret), Sight::Found(&entries), now));
        let expected = format!("register 2: the caBundle of pods.fermata.dev {why}");
        assert!(words.contains(&expected), "{words:?}");
    }
    for authorities in [
        &[new, old][..],
        &[old, new],
        &[new, old, foreign.certificate()],
        // Another replica's clock may differ.
        &[new, old, just_over.certificate()],
    ] {
        let actions = Rotation::default().next(Sight::Found(&secret), Sight::Found(&entry(authorities)), now);
        assert_eq!(words(&actions), ["serve: none is served yet"]);
    }
}

#[test]
fn a_new_authority_is_served_once_it_has_been_registered_for_a_while() {
    let mut now = begin();
    let old = whole(made(now - DAY / 2, DAY), &[]);
    let new = whole(made(now, DAY), &[signer(&old).certificate()]);
    let (old_ca, new_ca) = (signer(&old).certificate(), signer(&new).certificate());
    let mut rotation = Rotation::default();
    let before = entry(&[old_ca]);
    let actions = rotation.next(Sight::Found(&old), Sight::Found(&before), now);
    serve(&mut rotation, &actions, now, DAY);
    let mut next =
        |entries: &[Entry], now| words(&rotation.next(Sight::Found(&new), Sight::Found(entries), now));
    assert_eq!(next(&before, now), ["register 2: the caBundle of pods.fermata.dev lacks an authority"]);
    let both = entry(&[new_ca, old_ca]);
    for _ in 0..10 {
        assert!(next(&both, now).is_empty());
        now += SECOND;
    }
    assert_eq!(next(&both, now), ["serve: there is a new authority"]);
    // Stripped and healed meanwhile: the wait begins anew.
    assert_eq!(next(&entry(&[]), now).len(), 1);
    assert!(next(&both, now).is_empty());
    // The earlier one taken away by somebody: what is served fails, and there is nothing to be lost.
    let words = next(&entry(&[new_ca]), now);
    assert!(
        words.contains(&"serve: the earlier authority is not registered any more".to_owned()),
        "{words:?}"
    );
}

#[test]
fn a_replica_that_starts_in_the_middle_of_a_rotation_waits_too() {
    let issued = begin();
    let old = whole(made(issued - DAY / 2, DAY), &[]);
    let new = whole(made(issued, DAY), &[signer(&old).certificate()]);
    let both = entry(&[signer(&new).certificate(), signer(&old).certificate()]);
    let alone = entry(&[signer(&new).certificate()]);
    let settles_at_once = |entries: &[Entry], now| {
        let mut rotation = Rotation::default();
        let actions = rotation.next(Sight::Found(&new), Sight::Found(entries), now);
        serve(&mut rotation, &actions, now, DAY);
        let at_once = !rotation.is_settling(now);
        rotation.next(Sight::Found(&new), Sight::Found(entries), now + SETTLING);
        assert!(!rotation.is_settling(now + SETTLING));
        at_once
    };
    assert!(!settles_at_once(&both, issued + SECOND));
    // Nobody serves anything else, as after an installation.
    assert!(settles_at_once(&alone, issued + SECOND));
    // By a clock that is ahead.
    assert!(!settles_at_once(&both, issued + Duration::from_mins(10)));
    // The rotation is long over.
    assert!(settles_at_once(&both, issued + Duration::from_hours(2)));
}

#[test]
fn a_deleted_secret_keeps_the_old_authority_registered() {
    let now = begin();
    let old = whole(made(now, DAY), &[]);
    let entries = entry(&[signer(&old).certificate()]);
    let mut rotation = Rotation::default();
    let actions = rotation.next(Sight::Found(&old), Sight::Found(&entries), now);
    serve(&mut rotation, &actions, now, DAY);
    assert!(rotation.next(Sight::Missing, Sight::Found(&entries), now).is_empty());
    let actions = rotation.next(Sight::Missing, Sight::Found(&entries), now + ABSENCE);
    assert_eq!(words(&actions), ["make"]);
    let actions = rotation.next(Sight::Found(&Stored::Empty), Sight::Found(&entries), now);
    assert_eq!(words(&actions), ["fill, trusting 1: the Secret is empty"]);
    // Another replica, which knew nothing of the old one, was first.
    let new = whole(made(now, DAY), &[]);
    let actions = rotation.next(Sight::Found(&new), Sight::Found(&entries), now);
    assert_eq!(words(&actions), ["register 2: the caBundle of pods.fermata.dev lacks an authority"]);
}

/// Whoever uninstalls takes both away, in whichever order.
#[test]
fn a_secret_that_goes_with_the_registration_is_not_made_anew() {
    let now = begin();
    let secret = whole(made(now, DAY), &[]);
    let entries = entry(&[signer(&secret).certificate()]);
    let mut rotation = Rotation::default();
    let actions = rotation.next(Sight::Found(&secret), Sight::Found(&entries), now);
    serve(&mut rotation, &actions, now, DAY);
    let mut words_at = |registered: Sight<&[Entry]>, seconds: u32| {
        words(&rotation.next(Sight::Missing, registered, now + SECOND * seconds))
    };
    assert!(words_at(Sight::Found(&entries), 0).is_empty());
    assert!(words_at(Sight::Found(&entries), 2).is_empty());
    for seconds in [2, 3, 1000] {
        assert!(words_at(Sight::Missing, seconds).is_empty());
    }
    assert_eq!(words_at(Sight::Found(&entries), 1000), ["make"]);
    assert_eq!(words_at(Sight::Unknown, 1000), ["make"]);
}

/// A company's own authority begins when it is made, and not an hour before.
#[test]
fn an_authority_that_is_not_valid_yet_is_not_waited_for() {
    let now = begin();
    let ahead = whole(made(now + DAY, DAY), &[]);
    let new = whole(made(now, DAY), &[]);
    let both = entry(&[signer(&ahead).certificate(), signer(&new).certificate()]);
    let served = Validity::issued(now, DAY);
    let mut rotation = Rotation::default();
    rotation.serves(Arc::clone(signer(&ahead)), served, served.at_thousandths(650));
    let actions = rotation.next(Sight::Found(&new), Sight::Found(&both), now);
    assert_eq!(words(&actions), ["serve: the earlier authority is not valid"]);
}

#[test]
fn a_rotation_that_is_begun_anew_in_its_middle_goes_on() {
    let now = begin();
    let old = whole(made(now - DAY / 2, DAY), &[]);
    let new = whole(made(now, DAY), &[signer(&old).certificate()]);
    let before = entry(&[signer(&old).certificate()]);
    let both = entry(&[signer(&new).certificate(), signer(&old).certificate()]);
    let mut rotation = Rotation::default();
    let actions = rotation.next(Sight::Found(&old), Sight::Found(&before), now);
    serve(&mut rotation, &actions, now, DAY);
    let mut again = Rotation::resume(rotation.served().cloned());
    assert!(again.next(Sight::Unknown, Sight::Unknown, now).is_empty());
    let words_at = |rotation: &mut Rotation, entries: &[Entry], now| {
        words(&rotation.next(Sight::Found(&new), Sight::Found(entries), now))
    };
    let lacks = "register 2: the caBundle of pods.fermata.dev lacks an authority";
    assert_eq!(words_at(&mut again, &before, now), [lacks], "what is not registered is not served");
    assert!(words_at(&mut again, &both, now).is_empty());
    assert_eq!(words_at(&mut again, &both, now + SETTLING), ["serve: there is a new authority"]);
}

#[test]
fn an_authority_that_comes_when_it_is_due_stays_for_a_while() {
    let now = begin();
    let year = DAY * 365;
    let (own, other) = (whole(made(now, year), &[]), whole(made(now - year / 4 * 3, year), &[]));
    let entries = entry(&[signer(&own).certificate(), signer(&other).certificate()]);
    let mut rotation = Rotation::default();
    let actions = rotation.next(Sight::Found(&own), Sight::Found(&entries), now);
    serve(&mut rotation, &actions, now, DAY);
    let fill = |rotation: &mut Rotation, now| {
        let actions = rotation.next(Sight::Found(&other), Sight::Found(&entries), now);
        actions.iter().any(|action| matches!(action, Action::Fill { .. }))
    };
    assert!(!fill(&mut rotation, now) && rotation.is_held_back(now));
    assert!(!fill(&mut rotation, now + DAY * 18));
    assert!(fill(&mut rotation, now + DAY * 19));
    // Who finds it there has seen nobody make it.
    assert!(fill(&mut Rotation::default(), now));
    // Near its end it stays for less.
    let last = whole(made(now - year + DAY, year), &[]);
    let mut rotation = Rotation::default();
    rotation.next(Sight::Found(&own), Sight::Found(&entries), now);
    let mut fills = |now| {
        let actions = rotation.next(Sight::Found(&last), Sight::Found(&entries), now);
        actions.iter().any(|action| matches!(action, Action::Fill { .. }))
    };
    assert!(!fills(now) && fills(now + DAY / 2));
}

#[test]
fn without_the_api_server_leaves_are_renewed_as_long_as_the_authority_lasts() {
    let mut now = begin();
    let secret = whole(made(now, DAY), &[]);
    let entries = entry(&[signer(&secret).certificate()]);
    let mut rotation = Rotation::default();
    let mut issued = 0;
    let mut expires = now;
    while now < begin() + DAY {
        let actions = rotation.next(Sight::Found(&secret), Sight::Found(&entries), now);
        if let Some(identity) = serve(&mut rotation, &actions, now, DAY / 24) {
            issued += 1;
            expires = identity.validity().unwrap().not_after();
        }
        assert!(expires > now, "at {:?}", now.duration_since(begin()));
        now += Duration::from_mins(1);
    }
    // The last ones end with their authority, and are not renewed for nothing.
    assert!((34..=41).contains(&issued), "{issued}");
    assert_eq!(expires, begin() + DAY);
}

#[test]
fn a_clock_that_jumps_is_survived() {
    let now = begin();
    let secret = whole(made(now, DAY * 365), &[]);
    let entries = entry(&[signer(&secret).certificate()]);
    let mut rotation = Rotation::default();
    let mut next = |now: SystemTime| {
        let actions = rotation.next(Sight::Found(&secret), Sight::Found(&entries), now);
        let identity = serve(&mut rotation, &actions, now, DAY);
        (words(&actions), identity.map(|identity| identity.validity().unwrap()))
    };
    next(now);
    let (words, leaf) = next(now + DAY);
    assert_eq!(words, ["serve: it is time to renew it"]);
    assert!(!leaf.unwrap().is_over(now + DAY));
    // Back again: what was made then is not valid yet, by this clock.
    let (words, leaf) = next(now);
    assert_eq!(words, ["serve: it is time to renew it"]);
    assert!(!leaf.unwrap().is_ahead(now));
}

/// One replica: what it remembers, what it serves, and what it sees, later than it happens.
#[derive(Default)]
struct Replica {
    rotation: Rotation,
    served: Option<Arc<Identity>>,
    /// Whether it has become ready.
    is_ready: bool,
    secret: usize,
    registration: usize,
    /// By how much its clock is ahead, or behind. Unit: seconds.
    skew: i64,
}

impl Replica {
    fn clock(&self, now: SystemTime) -> SystemTime {
        let skew = Duration::from_secs(self.skew.unsigned_abs());
        if self.skew < 0 { now - skew } else { now + skew }
    }
}

/// The cluster: all versions of both objects there have been.
struct World {
    secrets: Vec<(Data, Stored)>,
    registrations: Vec<Vec<Entry>>,
    /// When each registration was made.
    at: VecDeque<SystemTime>,
    /// How long an authority lives, and a certificate.
    lifetimes: (Duration, Duration),
}

impl World {
    /// As the chart installs it.
    fn new(lifetimes: (Duration, Duration)) -> Self {
        let secrets = vec![(Data::new(), Stored::Empty)];
        Self { secrets, registrations: vec![entry(&[])], at: [begin()].into(), lifetimes }
    }

    /// Has a replica act, which has seen all but so many of the last versions of Secret and registration.
    fn act(&mut self, replica: &mut Replica, now: SystemTime, (secret, registration): (usize, usize)) {
        replica.secret = replica.secret.max((self.secrets.len() - 1).saturating_sub(secret));
        replica.registration =
            replica.registration.max((self.registrations.len() - 1).saturating_sub(registration));
        let clock = replica.clock(now);
        let secret = Sight::Found(&self.secrets[replica.secret].1);
        let entries = Sight::Found(&self.registrations[replica.registration][..]);
        let actions = replica.rotation.next(secret, entries, clock);
        if let Some(identity) = serve(&mut replica.rotation, &actions, clock, self.lifetimes.1) {
            replica.served = Some(identity);
        }
        for action in actions {
            match action {
                // Compare and swap: only who has seen the newest may replace it.
                Action::Fill { trusted, .. } if replica.secret + 1 == self.secrets.len() => {
                    let mut data = self.secrets[replica.secret].0.clone();
                    secret::fill(&mut data, &made(clock, self.lifetimes.0), &trusted);
                    let stored = Stored::read(&data);
                    self.secrets.push((data, stored));
                }
                Action::Register { authorities, .. }
                    if replica.registration + 1 == self.registrations.len() =>
                {
                    assert!(bundle::write(&authorities).len() < 100_000);
                    self.registrations.push(entry(&authorities.iter().collect::<Vec<_>>()));
                    self.at.push_back(now);
                }
                _ => {}
            }
        }
        let earns = |served: &Arc<Identity>| {
            let registration = &self.registrations[replica.registration];
            !replica.rotation.is_settling(clock)
                && judge(served.chain(), registration, clock) == Verdict::Accepted
        };
        replica.is_ready = replica.is_ready || replica.served.as_ref().is_some_and(earns);
    }

    /// What the fastest API server and the slowest, which is so much behind, make of a replica that is ready.
    fn verdicts(&self, replica: &Replica, late: Duration, now: SystemTime) -> [Verdict; 2] {
        let known = self.at.iter().rposition(|at| *at + late <= now).unwrap_or(0);
        let registrations = [self.registrations.last().unwrap(), &self.registrations[known]];
        registrations.map(|registration| match &replica.served {
            Some(served) if replica.is_ready => judge(served.chain(), registration, now),
            _ => Verdict::Accepted,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// However late replicas see both objects, and however late API servers see the registration (up to the time
    /// that is given them): once a replica serves what one API server accepts, they all accept it, through renewals
    /// of certificates and authorities.
    #[test]
    fn there_is_no_gap(
        replicas in 1_usize..4,
        lags in prop::collection::vec((0_usize..3, 0_usize..3), 400),
        late in 0_u64..10,
    ) {
        let mut world = World::new((Duration::from_secs(200), Duration::from_secs(50)));
        let mut all: Vec<_> = (0..replicas).map(|_| Replica::default()).collect();
        let mut lags = lags.iter().cycle();
        for second in 0..1000_u64 {
            let now = begin() + Duration::from_secs(second);
            for replica in &mut all {
                let lag = *lags.next().unwrap();
                // A watch is late, and not for ever.
                world.act(replica, now, if second % 5 == 0 { (0, 0) } else { lag });
            }
            // The slowest API server knows what was registered that long ago.
            for replica in &all {
                prop_assert!(replica.is_ready || second < 40);
                for verdict in world.verdicts(replica, Duration::from_secs(late), now) {
                    prop_assert!(verdict == Verdict::Accepted || second < 40, "second {second}: {verdict:?}");
                }
            }
        }
        // Authorities live for 200 s and are renewed after 120 to 140.
        prop_assert!((7..=10).contains(&(world.secrets.len() - 1)), "{}", world.secrets.len());
        prop_assert!(world.registrations.len() < 30, "{}", world.registrations.len());
        let held = &world.registrations.last().unwrap()[0].bundle.authorities;
        prop_assert!(held.len() <= 4, "{}", held.len());
    }

    /// Clocks that differ by some minutes leave no gap either, not even where replicas are started anew at the worst
    /// moments: right after the authority has changed.
    #[test]
    fn clocks_that_differ_by_minutes_leave_no_gap(
        skews in prop::collection::vec(-600_i64..600, 3),
        late in 0_u64..10,
    ) {
        let mut world = World::new((Duration::from_hours(3), Duration::from_hours(2)));
        let new = |skew| Replica { skew, ..Replica::default() };
        let mut all: Vec<_> = skews.iter().copied().map(new).collect();
        let (mut seen, mut unready) = (2, 0);
        for step in 0..7200_u64 {
            let now = begin() + Duration::from_secs(5 * step);
            // One of them is replaced a little later, on a node whose clock is ahead of whoever has made it.
            if world.secrets.len() > seen {
                seen = world.secrets.len();
                let victim = seen % all.len();
                all[victim] = new(600);
            }
            for replica in &mut all {
                world.act(replica, now, (0, 0));
                unready += u32::from(!replica.is_ready);
            }
            // The verdicts change by what happens, and by time alone slowly.
            let is_quiet = world.at.back().is_some_and(|at| *at + Duration::from_mins(1) < now);
            if step < 10 || (is_quiet && step % 60 != 0) {
                continue;
            }
            for replica in &all {
                for verdict in world.verdicts(replica, Duration::from_secs(late), now) {
                    prop_assert_eq!(verdict, Verdict::Accepted, "step {}, skew {}", step, replica.skew);
                }
            }
        }
        prop_assert!((5..=8).contains(&(world.secrets.len() - 1)), "{}", world.secrets.len());
        prop_assert!(unready < 100, "{unready}");
    }
}

/// One clock is so far ahead that it finds each authority of the others due, and they find that one's not valid yet.
#[test]
fn clocks_that_differ_by_months_do_not_fight() {
    let (year, months) = (DAY * 365, DAY * 280);
    let mut world = World::new((year, DAY * 30));
    let ahead = i64::try_from(months.as_secs()).unwrap();
    let mut all = [0, 0, ahead].map(|skew| Replica { skew, ..Replica::default() });
    for second in 0..600 {
        let now = begin() + SECOND * second;
        for replica in &mut all {
            world.act(replica, now, (0, 0));
        }
        // After the installation, until all API servers have heard of it.
        if second > 20 {
            for replica in &all[..2] {
                for verdict in world.verdicts(replica, SETTLING, now) {
                    assert_eq!(verdict, Verdict::Accepted, "second {second}");
                }
            }
        }
    }
    let made = world.secrets.len() - 1;
    assert!(made <= 3, "{made} authorities in ten minutes");
    assert!(all[2].rotation.is_held_back(all[2].clock(begin() + SECOND * 600)), "and it is said");
}
