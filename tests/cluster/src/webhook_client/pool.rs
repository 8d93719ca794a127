//! The connections that wait for a request, and the requests that wait for a connection.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{Lost, LostReview, Pooled, Target, dial};
use crate::service::Service;

/// The most idle connections that are kept (client-go's `idleConnsPerHost`).
const MOST_IDLE: usize = 25;

/// How long one is kept (`IdleConnTimeout` of client-go's transports).
const IDLE: Duration = Duration::from_secs(90);

/// How long a dial may take, whoever still waits for it (client-go's dialer and its handshake limit are 30 and 10
/// seconds).
const DIAL: Duration = Duration::from_secs(30);

/// A request that waits for a connection; empty once it has one.
type Want = Arc<Mutex<Option<oneshot::Sender<Result<Pooled, LostReview>>>>>;

#[derive(Debug)]
pub(super) struct Pool {
    service: Arc<Service>,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last one is used first.
    idle: Vec<Idle>,
    waiting: VecDeque<Want>,
}

/// An idle connection, which a task of its own reads from: that is how its end is noticed.
#[derive(Debug)]
struct Idle {
    ended: Arc<AtomicBool>,
    take: oneshot::Sender<oneshot::Sender<Pooled>>,
}

impl Pool {
    pub(super) fn new(service: Arc<Service>, name: ServerName<'static>, tls: Arc<ClientConfig>) -> Arc<Self> {
        Arc::new(Self { service, name, tls, state: Mutex::default() })
    }

    /// Takes an idle connection, or waits for the first to come, be it a new one or one that falls idle.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Pooled, LostReview> {
        let (give, given) = oneshot::channel();
        let picked = {
            let mut state = self.state();
            // The one whose end has been noticed is passed over (`queueForIdleConn`).
            let idle =
                std::iter::from_fn(|| state.idle.pop()).find(|idle| !idle.ended.load(Ordering::Relaxed));
            idle.is_some_and(|idle| idle.take.send(give).is_ok())
        };
        if picked {
            return given.await.map_err(|_| LostReview {
                kind: Lost::ClosedIdle,
                detail: "the server closed the idle connection that was picked".to_owned(),
            });
        }
        let (deliver, delivered) = oneshot::channel();
        let want: Want = Arc::new(Mutex::new(Some(deliver)));
        self.state().waiting.push_back(Arc::clone(&want));
        tokio::spawn(Arc::clone(self).dial_for(want));
        delivered
            .await
            .map_err(|_| LostReview { kind: Lost::Dial, detail: "the dial was given up".into() })?
    }

    /// Dials, for one request or, when that has another connection by then, for the pool.
    async fn dial_for(self: Arc<Self>, want: Want) {
        let dialled = match self.service.pick() {
            Some(address) => {
                let target = Target { address, name: self.name.clone(), tls: Arc::clone(&self.tls) };
                let slow =
                    || LostReview { kind: Lost::Dial, detail: format!("no connection to {address} in time") };
                timeout(DIAL, dial(target)).await.unwrap_or_else(|_| Err(slow()))
            }
            None => Err(LostReview { kind: Lost::NoEndpoint, detail: "no endpoint is ready".to_owned() }),
        };
        let unwanted = match waiter(&want) {
            Some(deliver) => deliver.send(dialled).err(),
            None => Some(dialled),
        };
        if let Some(Ok(pooled)) = unwanted {
            self.put(pooled);
        }
    }

    /// Gives a connection to whoever waits for longest, or keeps it.
    pub(super) fn put(self: &Arc<Self>, mut pooled: Pooled) {
        pooled.reused = true;
        let mut state = self.state();
        while let Some(want) = state.waiting.pop_front() {
            let Some(deliver) = waiter(&want) else { continue };
            match deliver.send(Ok(pooled)) {
                // It has given up meanwhile.
                Err(Ok(back)) => pooled = back,
                _ => return,
            }
        }
        if state.idle.len() >= MOST_IDLE {
            return;
        }
        let (take, taken) = oneshot::channel();
        let ended = Arc::new(AtomicBool::new(false));
        state.idle.push(Idle { ended: Arc::clone(&ended), take });
        drop(state);
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            keep(pooled, taken, &ended).await;
            pool.state().idle.retain(|idle| !idle.ended.load(Ordering::Relaxed));
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever still waits.
fn waiter(want: &Want) -> Option<oneshot::Sender<Result<Pooled, LostReview>>> {
    want.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Keeps an idle connection until somebody takes it or it ends.
async fn keep(mut pooled: Pooled, taken: oneshot::Receiver<oneshot::Sender<Pooled>>, ended: &AtomicBool) {
    tokio::select! {
        biased;
        () = pooled.connection.unusable() => ended.store(true, Ordering::Relaxed),
        () = sleep(IDLE) => ended.store(true, Ordering::Relaxed),
        request = taken => {
            if let Ok(request) = request {
                // A request that has given up meanwhile closes it.
                request.send(pooled).ok();
            }
        }
    }
}
