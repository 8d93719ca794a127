//! Follows the Namespaces that have the label, metadata only.

use std::{pin::pin, time::Duration};

use fermata_core::opt_in::{ENABLED, LABEL};
use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event, watcher},
};
use tokio::time::sleep;

use super::namespaces::{ByName, Namespaces, read};
use crate::telemetry::{Condition, Metrics};

/// How long to wait before the watch is begun anew: so long at first, and ever longer up to a limit.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Watches for ever.
///
/// After an error the list is taken anew instead of the watch being resumed: its end is a clear sign that all is
/// well again, where a resumed watch may be silent for hours.
pub(super) async fn run(client: &Client, namespaces: &Namespaces, condition: &Condition, metrics: &Metrics) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut synced = false;
        let result = watch(client, namespaces, metrics, || {
            synced = true;
            if condition.ok() {
                tracing::info!("the opted-in Namespaces are known");
            }
        })
        .await;
        let why = match result {
            Ok(()) => "the watch has ended".to_owned(),
            Err(error) => error.to_string(),
        };
        metrics.namespaces_synced.set(0);
        if condition.degraded(format!("{why}; the last known annotations count")) {
            tracing::warn!(error = why, "cannot watch Namespaces; the last known annotations count");
        }
        pause = if synced { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        sleep(pause).await;
    }
}

async fn watch(
    client: &Client,
    namespaces: &Namespaces,
    metrics: &Metrics,
    mut synced: impl FnMut(),
) -> Result<(), watcher::Error> {
    let selector = format!("{LABEL}={ENABLED}");
    let config = watcher::Config::default().labels(&selector);
    let mut events = pin!(watcher(Api::<PartialObjectMeta<Namespace>>::all(client.clone()), config));
    let mut listed = ByName::new();
    while let Some(event) = events.try_next().await? {
        let count = match event {
            Event::Init => {
                listed.clear();
                continue;
            }
            Event::InitApply(namespace) => {
                listed.insert(namespace.name_any(), read(&namespace));
                continue;
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut listed);
                let count = namespaces.change(|known| *known = listed);
                metrics.namespaces_synced.set(1);
                synced();
                count
            }
            Event::Apply(namespace) => namespaces.change(|known| {
                known.insert(namespace.name_any(), read(&namespace));
            }),
            // Also comes when the label goes.
            Event::Delete(namespace) => namespaces.change(|known| {
                known.remove(&namespace.name_any());
            }),
        };
        metrics.namespaces.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    Ok(())
}
