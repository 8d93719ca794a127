//! Looks at files again and again.
//!
//! By content and by the clock: the kubelet swaps the files of a mounted Secret or `ConfigMap` behind a symbolic
//! link, of which a watch of the files themselves hears nothing.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

/// Looks every so often, away from the threads that answer reviews: files on a slow disk must not hold those up.
/// `seen` is called after each look.
pub(crate) async fn poll<W: Send + 'static>(
    mut watch: W,
    every: Duration,
    look: fn(&mut W),
    seen: impl Fn(&W),
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looked = spawn_blocking(move || {
            // A look that panics has changed nothing that the next one would not change again.
            let looked = catch_unwind(AssertUnwindSafe(|| look(&mut watch)));
            (watch, looked.is_ok())
        });
        // Only at the end of the program there is no thread to look on.
        let Ok((looked, is_well)) = looked.await else { return };
        watch = looked;
        if !is_well {
            tracing::error!("a panic while files were looked at; they are looked at again");
        }
        seen(&watch);
    }
}
