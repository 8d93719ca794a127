//! Follows the Namespaces that have the label, metadata only.

use std::{pin::pin, time::Duration};

use anyhow::anyhow;
use fermata_core::opt_in::{ENABLED, LABEL};
use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event, watcher},
};
use tokio::time::{Instant, sleep, timeout_at};

use super::namespaces::{ByName, Namespaces, read};
use crate::telemetry::{Condition, Metrics};

/// How long to wait before the watch is begun anew: so long at first, and ever longer up to a limit.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long the list may take: a connection can be open and never bring an answer.
const LIST: Duration = Duration::from_secs(30);

/// Watches for ever.
///
/// After an error the list is taken anew instead of the watch being resumed: its end is a clear sign that all is
/// well again, where a resumed watch may be silent for hours.
pub(super) async fn run(client: &Client, namespaces: &Namespaces, condition: &Condition, metrics: &Metrics) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut synced = None;
        let result = watch(client, namespaces, metrics, || {
            synced = Some(Instant::now());
            if condition.ok() {
                tracing::info!("the opted-in Namespaces are known");
            }
        })
        .await;
        let why = match result {
            Ok(()) => "the watch has ended".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        metrics.namespaces_synced.set(0);
        if condition.degraded(format!("{why}; the last known annotations count")) {
            tracing::warn!(error = why, "cannot watch Namespaces; the last known annotations count");
        }
        // Where the list is allowed and the watch is not, each round syncs; only a watch that has lived is well.
        let lived = synced.is_some_and(|synced| synced.elapsed() >= LONGEST_PAUSE);
        pause = if lived { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        sleep(pause).await;
    }
}

async fn watch(
    client: &Client,
    namespaces: &Namespaces,
    metrics: &Metrics,
    mut synced: impl FnMut(),
) -> anyhow::Result<()> {
    let selector = format!("{LABEL}={ENABLED}");
    let config = watcher::Config::default().labels(&selector);
    let mut events = pin!(watcher(Api::<PartialObjectMeta<Namespace>>::all(client.clone()), config));
    let mut listed = ByName::new();
    let mut list_until = Some(Instant::now() + LIST);
    loop {
        let event = match list_until {
            Some(until) => timeout_at(until, events.try_next())
                .await
                .map_err(|_| anyhow!("the list does not come"))??,
            None => events.try_next().await?,
        };
        let Some(event) = event else { return Ok(()) };
        let count = match event {
            Event::Init => {
                list_until = Some(Instant::now() + LIST);
                listed.clear();
                continue;
            }
            Event::InitApply(namespace) => {
                listed.insert(namespace.name_any(), read(&namespace));
                continue;
            }
            Event::InitDone => {
                list_until = None;
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
}
