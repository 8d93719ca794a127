//! Endings that are not a plain deletion.

use anyhow::{Context as _, ensure};
use fermata_test_cluster::wait::{self, Seen};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{
    ResourceExt as _,
    api::{DeleteParams, EvictParams},
};
use serde_json::json;

use crate::{
    shop::{BOUND, DIES, pod, statuses},
    stage::Stage,
};

pub(crate) async fn an_eviction_is_drained(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let budgets = shop.api::<PodDisruptionBudget>()?;
    shop.make::<PodDisruptionBudget>(json!({
        "metadata": { "name": "one" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } },
    }))
    .await?;
    let mut web = pod("web", &json!({ "fermata.dev/drain": "3s" }), DIES);
    web["metadata"]["labels"] = json!({ "app": "web" });
    shop.run(web).await?;
    wait::until("the budget to count the Pod", BOUND, async || {
        let status = budgets.get("one").await?.status.unwrap_or_default();
        Ok(if status.current_healthy == 1 { Seen::Yes(()) } else { Seen::NotYet(format!("{status:?}")) })
    })
    .await?;
    let refused = shop.pods.evict("web", &EvictParams::default()).await;
    ensure!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 429), "{refused:?}");
    budgets.delete("one", &DeleteParams::default()).await?;
    let ending = shop
        .see_out("web", async || {
            shop.pods.evict("web", &EvictParams::default()).await?;
            Ok(())
        })
        .await?;
    ending.within(3, 11)?;
    ensure!(ending.exit_code("app") == Some(0) && ending.log("app") == ["begun", "TERM"], "{ending:#?}");
    Ok(())
}

/// `kubectl delete --grace-period=5`: Kubernetes cuts the hook off, and gives the program two seconds more, in which it ends as
/// it would have.
pub(crate) async fn a_short_deletion_cuts_the_drain_off(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    for (name, shim) in [("native", "off"), ("shim", "init")] {
        let annotations = json!({ "fermata.dev/drain": "30s", "fermata.dev/shim": shim });
        shop.run(pod(name, &annotations, DIES)).await?;
        let ending = shop
            .see_out(name, async || {
                shop.kubectl(&["delete", "pod", name, "--grace-period=5", "--wait=false"]).await?;
                Ok(())
            })
            .await?;
        ending.within(4, 15)?;
        ensure!(ending.log("app").contains(&"TERM"), "{name}: {ending:#?}");
        ensure!(ending.exit_code("app") == Some(0), "{name}: {ending:#?}");
    }
    Ok(())
}

pub(crate) async fn a_failed_liveness_probe_restarts_the_container(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let mut app = pod("app", &json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "2s" }), DIES);
    app["spec"]["containers"][0]["livenessProbe"] = json!({
        "exec": { "command": ["/bin/sh", "-c", "! [ -e /tmp/ill ]"] },
        "periodSeconds": 1,
        "failureThreshold": 1,
    });
    let before = shop.run(app).await?;
    let ill = shop.exec("app", &["sh", "-c", "touch /tmp/ill; date +%s"]).await?.parse::<i64>()?;
    let after = wait::until("the container to be restarted", BOUND, async || {
        let pod = shop.pods.get("app").await?;
        let status = statuses(&pod).find(|status| status.name == "app").context("its status")?;
        let restarted = status.restart_count == 1 && status.ready;
        Ok(if restarted { Seen::Yes(pod) } else { Seen::NotYet(format!("{status:?}")) })
    })
    .await?;
    ensure!(after.uid() == before.uid());
    let status = statuses(&after).find(|status| status.name == "app").context("its status")?;
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()).context("its end")?;
    ensure!(last.exit_code == 0, "{last:?}");
    let ended = last.finished_at.as_ref().context("its time")?.0.as_second();
    ensure!(ended >= ill + 2, "it was not drained: ill at {ill}, {last:?}");
    ensure!(shop.exec("app", &["readlink", "/proc/1/exe"]).await? == "/fermata/fermata-shim");
    ensure!(shop.end("app").await?.exit_code("app") == Some(0));
    Ok(())
}
