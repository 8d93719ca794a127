//! The list of open connections: what each is doing, how long it may, and which one goes when there are too many.
//!
//! Each connection notes its own phase in one atomic word, and one sweep over the list ends those that have
//! overstayed. So a request costs a few stores and no timer, and all limits are in one place.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;
use tokio::task::AbortHandle;

/// How many connections there may be, and how long each phase of one may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The most connections at a time.
    pub connections: usize,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For a request's head, from its first byte.
    pub head: Duration,
    /// For a connection without a request. Longer than the 90 seconds for which API servers keep theirs.
    pub idle: Duration,
    /// For writing an answer.
    pub answer: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(5),
            idle: Duration::from_mins(3),
            answer: Duration::from_secs(5),
        }
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its TLS handshake is not done.
    Handshake,
    /// It has never sent a request.
    Fresh,
    /// It has been answered, and may send another request.
    Idle,
    /// A request's head has begun to come.
    Head,
    /// A request is being answered. Reading its body and everything else has the review's own deadline.
    Request,
    /// An answer is being written.
    Answer,
    /// It is over, but for what the client still sends.
    Closing,
    /// It has been told to go.
    Ended,
}

impl Phase {
    const ALL: [Self; 8] = [
        Self::Handshake,
        Self::Fresh,
        Self::Idle,
        Self::Head,
        Self::Request,
        Self::Answer,
        Self::Closing,
        Self::Ended,
    ];
}

/// One connection in the list.
#[derive(Debug)]
pub(super) struct Connection {
    /// The phase in the low bits, and since when in the others, unit: milliseconds from `epoch`.
    state: AtomicU64,
    epoch: Instant,
    task: OnceLock<AbortHandle>,
}

const PHASE_BITS: u32 = 3;

impl Connection {
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX >> PHASE_BITS)
    }

    /// Begins a phase. One that has been told to go stays so.
    pub(super) fn enter(&self, phase: Phase) {
        let state = self.now() << PHASE_BITS | phase as u64;
        // Only its own task writes, but for the word that ends it, after which nothing matters.
        if self.phase() != Phase::Ended {
            self.state.store(state, Ordering::Relaxed);
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().0
    }

    fn state(&self) -> (Phase, u64) {
        let state = self.state.load(Ordering::Relaxed);
        let phase = usize::try_from(state & ((1 << PHASE_BITS) - 1)).unwrap_or_default();
        (Phase::ALL[phase], state >> PHASE_BITS)
    }

    /// Ends it, unless it has moved on since it was looked at.
    fn end(&self, seen: (Phase, u64)) -> bool {
        let Some(task) = self.task.get() else { return false };
        let seen = seen.1 << PHASE_BITS | seen.0 as u64;
        let ended = self
            .state
            .compare_exchange(seen, Phase::Ended as u64, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if ended {
            task.abort();
        }
        ended
    }

    /// Says which task to stop when it has to go.
    pub(super) fn runs_in(&self, task: AbortHandle) {
        let _ = self.task.set(task);
    }
}

/// A place in the list, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    list: Weak<Connections>,
    /// What stands there.
    pub(super) connection: Arc<Connection>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(list) = self.list.upgrade() {
            list.open().remove(&self.id);
        }
    }
}

/// All open connections of one listener.
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    epoch: Instant,
    ids: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    shed: Counter,
    /// When the last sweep was, unit: milliseconds from `epoch`.
    swept: AtomicU64,
    /// Whether the last sweep ended nobody because it was late.
    spared: AtomicBool,
}

/// A connection that has been at its handshake or a head for this long may make room for another.
const STUCK: Duration = Duration::from_millis(500);

/// A sweep that is later than this shows that the program itself has stood still.
const STANDSTILL: Duration = Duration::from_millis(500);

/// How long a connection that is over may go on sending.
const CLOSING: Duration = Duration::from_secs(1);

impl Connections {
    /// An empty list.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Arc<Self> {
        Self::counting(limits, Counter::default())
    }

    /// An empty list that counts those who had to make room.
    #[must_use]
    pub fn counting(limits: ConnectionLimits, shed: Counter) -> Arc<Self> {
        Arc::new(Self {
            limits,
            epoch: Instant::now(),
            ids: AtomicU64::default(),
            open: Mutex::default(),
            shed,
            swept: AtomicU64::default(),
            spared: AtomicBool::default(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open().len()
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX >> PHASE_BITS)
    }

    /// Takes a new connection in, if need be in the place of one that is of no use; nothing if all are.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open();
        let live = open.values().filter(|connection| connection.phase() != Phase::Ended).count();
        if live >= self.limits.connections && !self.shed(&open) {
            return None;
        }
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            state: AtomicU64::new(self.now() << PHASE_BITS | Phase::Handshake as u64),
            epoch: self.epoch,
            task: OnceLock::new(),
        });
        open.insert(id, Arc::clone(&connection));
        Some(Place { id, list: Arc::downgrade(self), connection })
    }

    /// Makes room where the system has none left.
    pub(super) fn make_room(&self) -> bool {
        self.shed(&self.open())
    }

    /// Ends the connection that will be missed least: a stuck handshake or head, then one that has never asked for
    /// anything, then the one that has been idle for longest.
    fn shed(&self, open: &HashMap<u64, Arc<Connection>>) -> bool {
        let now = self.now();
        let candidates = open.values().filter_map(|connection| {
            let (phase, since) = connection.state();
            let stuck = now.saturating_sub(since) > millis(STUCK);
            let rank = match phase {
                Phase::Handshake | Phase::Head if stuck => 0,
                Phase::Fresh => 1,
                Phase::Idle => 2,
                _ => return None,
            };
            Some((rank, (phase, since), connection))
        });
        let mut candidates: Vec<_> = candidates.collect();
        candidates.sort_unstable_by_key(|(rank, (_, since), _)| (*rank, *since));
        let ended = candidates.into_iter().any(|(_, seen, connection)| connection.end(seen));
        if ended {
            self.shed.inc();
        }
        ended
    }

    /// How often to sweep, so that no limit is missed by much.
    pub(super) fn sweep_interval(&self) -> Duration {
        let ConnectionLimits { handshake, head, idle, answer, .. } = self.limits;
        (handshake.min(head).min(idle).min(answer) / 5)
            .clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// Ends those that have overstayed.
    ///
    /// After this program itself has stood still (a node that was suspended or short of processors) what looks like
    /// a slow client is one whose bytes have been waiting here: all get until the next sweep to go on. Only one sweep
    /// in a row is left out, so that nobody lives for ever on a machine that is always late.
    pub(super) fn sweep(&self) {
        let now = self.now();
        let since = now.saturating_sub(self.swept.swap(now, Ordering::Relaxed));
        let late = since > millis(self.sweep_interval() + STANDSTILL);
        if late && !self.spared.swap(late, Ordering::Relaxed) {
            return;
        }
        self.spared.store(false, Ordering::Relaxed);
        self.end_where(|phase| match phase {
            Phase::Handshake => Some(self.limits.handshake),
            Phase::Fresh | Phase::Idle => Some(self.limits.idle),
            Phase::Head => Some(self.limits.head),
            Phase::Answer => Some(self.limits.answer),
            Phase::Closing => Some(CLOSING),
            Phase::Request | Phase::Ended => None,
        });
    }

    /// Ends those without a request. One that is new may be about to send its first, and gets a moment for it.
    pub(super) fn end_idle(&self) {
        self.end_where(|phase| match phase {
            Phase::Idle | Phase::Closing => Some(Duration::ZERO),
            Phase::Fresh | Phase::Handshake => Some(STUCK),
            Phase::Head | Phase::Request | Phase::Answer | Phase::Ended => None,
        });
    }

    /// Ends all.
    pub(super) fn end_all(&self) {
        self.end_where(|_| Some(Duration::ZERO));
    }

    fn end_where(&self, limit: impl Fn(Phase) -> Option<Duration>) {
        let now = self.now();
        for connection in self.open().values() {
            let seen = connection.state();
            if limit(seen.0).is_some_and(|limit| now.saturating_sub(seen.1) >= millis(limit)) {
                connection.end(seen);
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use super::{ConnectionLimits, Connections, Phase, Place};

    fn limits(connections: usize) -> ConnectionLimits {
        ConnectionLimits { connections, ..ConnectionLimits::default() }
    }

    fn admit(list: &std::sync::Arc<Connections>, phase: Phase) -> Place {
        let place = list.admit().unwrap();
        place.connection.runs_in(tokio::spawn(pending::<()>()).abort_handle());
        place.connection.enter(phase);
        place
    }

    #[tokio::test]
    async fn a_place_is_given_back() {
        let list = Connections::new(limits(1));
        let place = admit(&list, Phase::Request);
        assert!(list.admit().is_none());
        drop(place);
        assert_eq!(list.count(), 0);
        assert!(list.admit().is_some());
    }

    #[tokio::test]
    async fn whoever_never_asked_makes_room_first() {
        let list = Connections::new(limits(3));
        let idle = admit(&list, Phase::Idle);
        let busy = admit(&list, Phase::Request);
        let fresh = admit(&list, Phase::Fresh);
        let first = admit(&list, Phase::Request);
        assert_eq!(fresh.connection.phase(), Phase::Ended);
        assert_eq!(idle.connection.phase(), Phase::Idle);
        let second = admit(&list, Phase::Request);
        assert_eq!(idle.connection.phase(), Phase::Ended);
        assert!(list.admit().is_none(), "all are busy");
        drop((busy, first, second));
    }

    #[tokio::test]
    async fn a_stuck_head_makes_room_before_whoever_is_idle() {
        let list = Connections::new(limits(3));
        let idle = admit(&list, Phase::Idle);
        let stuck = admit(&list, Phase::Head);
        std::thread::sleep(Duration::from_millis(600));
        let new = admit(&list, Phase::Head);
        let next = admit(&list, Phase::Request);
        assert_eq!(stuck.connection.phase(), Phase::Ended);
        assert_eq!((idle.connection.phase(), new.connection.phase()), (Phase::Idle, Phase::Head));
        assert_eq!(list.shed.get(), 1);
        drop(next);
    }

    #[tokio::test]
    async fn the_sweep_ends_what_has_overstayed_and_nothing_else() {
        let list = Connections::new(ConnectionLimits { head: Duration::ZERO, ..limits(8) });
        let places =
            [Phase::Handshake, Phase::Fresh, Phase::Idle, Phase::Head, Phase::Request, Phase::Answer]
                .map(|phase| (phase, admit(&list, phase)));
        list.sweep();
        for (phase, place) in &places {
            let expected = if *phase == Phase::Head { Phase::Ended } else { *phase };
            assert_eq!(place.connection.phase(), expected);
        }
    }

    #[tokio::test]
    async fn one_sweep_that_is_late_ends_nobody() {
        let list = Connections::new(ConnectionLimits { head: Duration::ZERO, ..limits(8) });
        let place = admit(&list, Phase::Head);
        for _ in 0..2 {
            assert_eq!(place.connection.phase(), Phase::Head);
            std::thread::sleep(Duration::from_millis(600));
            list.sweep();
        }
        assert_eq!(place.connection.phase(), Phase::Ended);
    }

    #[tokio::test]
    async fn at_the_end_only_work_goes_on() {
        let list = Connections::new(limits(8));
        let idle = admit(&list, Phase::Idle);
        let busy = admit(&list, Phase::Request);
        let fresh = admit(&list, Phase::Fresh);
        list.end_idle();
        assert_eq!(idle.connection.phase(), Phase::Ended);
        assert_eq!(busy.connection.phase(), Phase::Request);
        assert_eq!(fresh.connection.phase(), Phase::Fresh);
        list.end_all();
        assert_eq!(busy.connection.phase(), Phase::Ended);
        busy.connection.enter(Phase::Idle);
        assert_eq!(busy.connection.phase(), Phase::Ended);
    }
}
