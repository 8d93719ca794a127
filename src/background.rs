//! Work beside the reviews, which must not end unnoticed: what was to be kept up to date would silently grow old.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{task::JoinHandle, time::sleep};

use crate::telemetry::Metrics;

/// How long to wait before work is begun again.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts work that never ends by itself. Where it does, or panics, that is logged and counted, and it is begun anew.
pub(crate) fn keep<W>(
    name: &'static str,
    metrics: Arc<Metrics>,
    mut work: impl FnMut() -> W + Send + 'static,
) -> JoinHandle<()>
where
    W: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            // Its state is thrown away with it, so that nothing half done is seen again.
            let ended = AssertUnwindSafe(work()).catch_unwind().await;
            metrics.task_restarted();
            let why = if ended.is_err() { "a panic" } else { "it has ended" };
            tracing::error!(task = name, why, "work in the background is begun anew");
            sleep(PAUSE).await;
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::Notify;

    use super::keep;
    use crate::telemetry::Metrics;

    #[tokio::test]
    async fn what_panics_or_ends_is_begun_anew() {
        let (begun, third) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let metrics = Arc::new(Metrics::default());
        let (count, reached) = (Arc::clone(&begun), Arc::clone(&third));
        let task = keep("test", Arc::clone(&metrics), move || {
            let turn = count.fetch_add(1, Ordering::Relaxed);
            let reached = Arc::clone(&reached);
            async move {
                match turn {
                    0 => panic!("on purpose"),
                    1 => {}
                    _ => {
                        reached.notify_one();
                        std::future::pending::<()>().await;
                    }
                }
            }
        });
        third.notified().await;
        assert!(metrics.page().contains("fermata_background_restarts_total 2\n"), "{}", metrics.page());
        task.abort();
    }
}
