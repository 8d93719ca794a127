//! Follows one object by its name.
//!
//! A role that names the object allows a list and a watch with `metadata.name` as the field selector, and nothing
//! else (the API server authorises such a request as one for that object).

use std::{fmt::Debug, pin::pin, time::Duration};

use anyhow::{anyhow, bail};
use futures_util::TryStreamExt;
use kube::{
    Api,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::Sight;

/// How long a watch lasts, until the object is read anew: so a watch that is silent without reason does no harm for
/// longer. Unit: seconds.
const WATCH: u32 = 25;

/// How much later than that a watch must have ended.
const LATE: Duration = Duration::from_secs(5);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait after a fault: so long at first, and ever longer up to a limit.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long a round takes at the least. A watch that something on the way ends at once, without an error, must not
/// become lists without end.
const ROUND: Duration = Duration::from_secs(1);

/// What is known of an object.
#[derive(Clone, Debug)]
pub(crate) struct Observed<K> {
    /// The object as it was seen last.
    pub(crate) object: Sight<K>,
    /// Why it is not followed right now.
    pub(crate) fault: Option<String>,
}

impl<K> Default for Observed<K> {
    fn default() -> Self {
        Self { object: Sight::Unknown, fault: None }
    }
}

/// Follows for ever. What was known stays when the API server is away.
pub(crate) async fn follow<K>(api: Api<K>, name: &str, observed: &watch::Sender<Observed<K>>)
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        match round(&api, name, observed).await {
            Ok(()) => {
                pause = FIRST_PAUSE;
                sleep_until(begun + ROUND).await;
            }
            Err(error) => {
                let fault = format!("{error:#}");
                observed.send_if_modified(|observed| {
                    let news = observed.fault.as_ref() != Some(&fault);
                    observed.fault = Some(fault);
                    news
                });
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Reads the object and watches it for a while.
async fn round<K>(api: &Api<K>, name: &str, observed: &watch::Sender<Observed<K>>) -> anyhow::Result<()>
where
    K: Clone + Debug + DeserializeOwned,
{
    let found = |object: Option<K>| {
        let object = object.map_or(Sight::Missing, Sight::Found);
        observed.send_modify(|observed| observed.object = object);
    };
    let selector = format!("metadata.name={name}");
    let list = timeout(PATIENCE, api.list(&ListParams::default().fields(&selector)))
        .await
        .map_err(|_| anyhow!("no answer"))?
        .map_err(said)?;
    let version = list.metadata.resource_version.unwrap_or_default();
    found(list.items.into_iter().next());

    let params = WatchParams::default().fields(&selector).timeout(WATCH);
    let events = timeout(PATIENCE, api.watch(&params, &version))
        .await
        .map_err(|_| anyhow!("no answer"))?
        .map_err(said)?;
    observed.send_if_modified(|observed| observed.fault.take().is_some());
    let mut events = pin!(events);
    let watch = async {
        while let Some(event) = events.try_next().await.map_err(said)? {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => found(Some(object)),
                WatchEvent::Deleted(_) => found(None),
                WatchEvent::Bookmark(_) => {}
                // Such as 410: the version is too old. The list is taken anew.
                WatchEvent::Error(status) => bail!("{}", status.message),
            }
        }
        Ok(())
    };
    // One that has not ended is taken for dead.
    timeout(Duration::from_secs(WATCH.into()) + LATE, watch).await.unwrap_or(Ok(()))
}

/// What is wrong, in the API server's own words where it has said any: of a refusal these name the user, the verb
/// and the resource.
pub(crate) fn said(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => {
            anyhow!("{}; allow it to the ServiceAccount, as the chart's roles do", status.message)
        }
        kube::Error::Api(status) if !status.message.is_empty() => anyhow!("{}", status.message),
        other => anyhow!("{other}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use axum::{Router, http::Uri};
    use k8s_openapi::api::core::v1::Secret;
    use kube::{Api, Client};
    use tokio::{sync::watch, time::timeout};

    use super::{Observed, follow};
    use crate::cluster::Sight;

    /// A real API server ends no watch at once; something between may.
    #[tokio::test]
    async fn a_watch_that_ends_at_once_is_not_begun_anew_without_end() {
        let lists = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&lists);
        let server =
            Router::new().fallback(move |uri: Uri| {
                let is_watch = uri.query().unwrap_or_default().contains("watch=true");
                if !is_watch {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                async move {
                    if is_watch { "" } else { r#"{ "metadata": { "resourceVersion": "1" }, "items": [] }"# }
                }
            });
        let api = Api::<Secret>::namespaced(Client::new(server, "home"), "home");
        let (observed, seen) = watch::channel(Observed::default());
        let follows = follow(api, "authority", &observed);
        assert!(timeout(Duration::from_millis(1500), follows).await.is_err());
        assert!(matches!(seen.borrow().object, Sight::Missing));
        assert_eq!(seen.borrow().fault, None);
        let lists = lists.load(Ordering::Relaxed);
        assert!((1..=2).contains(&lists), "{lists}");
    }
}
