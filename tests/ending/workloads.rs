//! Pods that a controller makes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use fermata_test_cluster::wait::{self, Seen};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
    core::v1::{Pod, Service},
};
use kube::{ResourceExt as _, api::ListParams};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    drain::ask,
    shop::{BOUND, DIES, SERVES, container, is_ready},
    stage::Stage,
};

fn template(annotations: &Value, container: &Value) -> Value {
    json!({
        "metadata": { "labels": { "app": "web" }, "annotations": annotations },
        "spec": { "terminationGracePeriodSeconds": 10, "containers": [container] },
    })
}

pub(crate) async fn a_rolling_update_loses_no_request(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let mut web = container("app", SERVES);
    web["readinessProbe"] = json!({ "tcpSocket": { "port": 8080 }, "periodSeconds": 1 });
    shop.make::<Service>(json!({
        "metadata": { "name": "web" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    }))
    .await?;
    shop.make::<Deployment>(json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 2,
            "strategy": { "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
            "selector": { "matchLabels": { "app": "web" } },
            "template": template(&json!({ "fermata.dev/drain": "5s" }), &web),
        },
    }))
    .await?;
    let deployments = shop.api::<Deployment>()?;
    let until_rolled = async || {
        wait::until("the Deployment to be rolled out", BOUND, async || {
            let deployment = deployments.get("web").await?;
            let status = deployment.status.unwrap_or_default();
            let rolled = status.observed_generation == deployment.metadata.generation
                && status.updated_replicas == Some(2)
                && status.available_replicas == Some(2)
                && status.replicas == Some(2);
            Ok(if rolled { Seen::Yes(()) } else { Seen::NotYet(format!("{status:?}")) })
        })
        .await
    };
    until_rolled().await?;
    let web = shop.reach_service("web", 80).await?;
    wait::until("kube-proxy to know the Service", BOUND, async || {
        Ok(match ask(web.address()).await {
            Ok(()) => Seen::Yes(()),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })
    .await?;

    let done = AtomicBool::new(false);
    let asking = async {
        let (mut asked, mut failed) = (0, Vec::new());
        while !done.load(Ordering::Relaxed) {
            asked += 1;
            if let Err(error) = ask(web.address()).await {
                failed.push(format!("{error:#}"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        (asked, failed)
    };
    let rolling = async {
        deployments.restart("web").await?;
        until_rolled().await?;
        let old = wait::until("the old Pods to be gone", BOUND, async || {
            let pods = shop.pods.list(&ListParams::default().labels("app=web")).await?.items.len();
            Ok(if pods == 2 { Seen::Yes(()) } else { Seen::NotYet(format!("{pods} Pods")) })
        });
        let rolled = old.await;
        done.store(true, Ordering::Relaxed);
        rolled
    };
    let ((asked, failed), rolled) = tokio::join!(asking, rolling);
    rolled?;
    ensure!(failed.is_empty() && asked > 100, "{} of {asked} have failed: {failed:?}", failed.len());
    Ok(())
}

pub(crate) async fn a_stateful_set_is_rolled_with_a_drain_for_each_pod(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let annotations = json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "2s" });
    shop.make::<StatefulSet>(json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 2,
            "serviceName": "web",
            "selector": { "matchLabels": { "app": "web" } },
            "template": template(&annotations, &container("app", DIES)),
        },
    }))
    .await?;
    let sets = shop.api::<StatefulSet>()?;
    for name in ["web-0", "web-1"] {
        wait::until(&format!("{name} to be there"), BOUND, async || {
            Ok(match shop.pods.get_opt(name).await? {
                Some(pod) if is_ready(&pod) => Seen::Yes(()),
                other => Seen::NotYet(format!("{other:?}")),
            })
        })
        .await?;
        shop.until_ready(name).await?;
    }
    let first: Pod = shop.pods.get("web-0").await?;
    // From the last to the first, one after the other.
    let last = shop.see_out("web-1", async || {
        sets.restart("web").await?;
        Ok(())
    });
    let last = last.await?;
    last.within(2, 12)?;
    let ending = shop.see_out("web-0", async || Ok(())).await?;
    for ending in [&last, &ending] {
        ensure!(ending.exit_code("app") == Some(0) && ending.log("app").contains(&"TERM"), "{ending:#?}");
        ensure!(ending.lasted("app") >= Some(2), "it was not drained: {ending:#?}");
    }
    wait::until("the new web-0", BOUND, async || {
        Ok(match shop.pods.get_opt("web-0").await? {
            Some(pod) if is_ready(&pod) && pod.uid() != first.uid() => Seen::Yes(()),
            other => Seen::NotYet(format!("{other:?}")),
        })
    })
    .await
}

/// A drain is for what is told to end, not for what ends by itself.
pub(crate) async fn a_job_that_completes_does_not_wait(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let jobs = shop.api::<Job>()?;
    for shim in ["off", "init"] {
        let name = format!("job-{shim}");
        let annotations = json!({ "fermata.dev/drain": "45s", "fermata.dev/shim": shim });
        let mut template = template(&annotations, &container("app", "echo begun"));
        template["spec"]["restartPolicy"] = json!("Never");
        let begun = Instant::now();
        let created: Job = shop
            .make(
                json!({ "metadata": { "name": name }, "spec": { "backoffLimit": 0, "template": template } }),
            )
            .await?;
        wait::until("the Job to be complete", BOUND, async || {
            let status = jobs.get(&created.name_any()).await?.status.unwrap_or_default();
            Ok(if status.succeeded == Some(1) { Seen::Yes(()) } else { Seen::NotYet(format!("{status:?}")) })
        })
        .await?;
        let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
        let pods = shop.pods.list(&of_job).await?.items;
        let [pod] = pods.as_slice() else { bail!("expected one Pod of {name}: {pods:#?}") };
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first()).context("a container")?;
        let has_hook = container.lifecycle.as_ref().is_some_and(|hooks| hooks.pre_stop.is_some());
        let is_wrapped =
            container.command.iter().flatten().next().is_some_and(|word| word == "/fermata/fermata-shim");
        ensure!(has_hook && is_wrapped == (shim == "init"), "{pod:#?}");
        ensure!(begun.elapsed() < Duration::from_secs(30), "{name} took {:?}", begun.elapsed());
    }
    Ok(())
}
