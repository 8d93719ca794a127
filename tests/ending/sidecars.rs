//! Pods of several containers.

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::{
    shop::{DIES, container, pod, statuses},
    stage::Stage,
};

/// Kubernetes ends restartable init containers after the regular ones: they are there for them until the end.
pub(crate) async fn a_native_sidecar_ends_last(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let mut app = pod("app", &json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "3s" }), DIES);
    let mut proxy = container("proxy", DIES);
    proxy["restartPolicy"] = json!("Always");
    app["spec"]["initContainers"] = json!([proxy]);
    let running = shop.run(app).await?;
    let sidecar = statuses(&running).find(|status| status.name == "proxy").context("the sidecar")?;
    ensure!(sidecar.ready, "{sidecar:?}");
    let ending = shop.end("app").await?;
    ending.within(3, 12)?;
    for container in ["app", "proxy"] {
        ensure!(ending.log(container).contains(&"TERM"), "{ending:#?}");
        ensure!(ending.exit_code(container) == Some(0), "{ending:#?}");
    }
    ensure!(ending.finished("proxy") >= ending.finished("app"), "{ending:#?}");
    Ok(())
}

pub(crate) async fn classic_sidecars_are_drained_as_well(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let annotations = json!({ "fermata.dev/drain": "4s", "metrics.fermata.dev/drain": "1s" });
    let mut app = pod("app", &annotations, DIES);
    app["spec"]["containers"] =
        json!([container("app", DIES), container("proxy", DIES), container("metrics", DIES)]);
    shop.run(app).await?;
    let ending = shop.end("app").await?;
    ending.within(4, 12)?;
    let finished = |container| ending.finished(container).with_context(|| format!("{ending:#?}"));
    ensure!(finished("proxy")? - finished("metrics")? >= 2, "{ending:#?}");
    ensure!(finished("app")? - finished("metrics")? >= 2, "{ending:#?}");
    for container in ["app", "proxy", "metrics"] {
        ensure!(ending.exit_code(container) == Some(0), "{ending:#?}");
    }
    Ok(())
}

pub(crate) async fn init_containers_run_as_they_did(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let mut app = pod("app", &json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "1s" }), DIES);
    let look = "readlink /proc/1/exe";
    app["spec"]["initContainers"] = json!([container("first", look), container("second", look)]);
    let running = shop.run(app).await?;
    let names: Vec<_> = statuses(&running).map(|status| status.name.as_str()).collect();
    ensure!(names == ["fermata-shim", "first", "second", "app"], "{names:?}");
    let mut before = None;
    for status in statuses(&running).take(3) {
        let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref()).context("an end")?;
        ensure!(ended.exit_code == 0 && ended.started_at >= before, "{running:#?}");
        before.clone_from(&ended.finished_at);
    }
    for container in ["first", "second"] {
        let log = shop.log("app", container).await?;
        ensure!(log.contains("busybox"), "{container} has written {log:?}");
    }
    ensure!(shop.end("app").await?.exit_code("app") == Some(0));
    Ok(())
}
