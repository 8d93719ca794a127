//! What clusters demand of Pods, the added container included.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};
use serde_json::json;

use crate::{
    shop::{DIES, pod},
    stage::Stage,
};

pub(crate) async fn the_strictest_standard_is_met(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[("pod-security.kubernetes.io/enforce", "restricted")]).await?;
    let mut app = pod("app", &json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "1s" }), DIES);
    app["spec"]["containers"][0]["securityContext"] = json!({
        // As OpenShift gives them out.
        "runAsUser": 1_000_770_000,
        "runAsNonRoot": true,
        "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    app["spec"]["securityContext"] = json!({ "runAsUser": 1_000_770_000, "fsGroup": 1_000_770_000 });
    shop.run(app).await?;
    ensure!(shop.exec("app", &["id", "-u"]).await? == "1000770000");
    let cmdline = shop.exec("app", &["cat", "/proc/1/cmdline"]).await?;
    ensure!(cmdline.starts_with("/fermata/fermata-shim\0run\0"), "{cmdline:?}");
    let ending = shop.end("app").await?;
    ensure!(ending.exit_code("app") == Some(0) && ending.log("app").contains(&"TERM"), "{ending:#?}");
    Ok(())
}

pub(crate) async fn a_quota_holds_as_before(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let exactly = json!({ "cpu": "50m", "memory": "32Mi" });
    shop.make::<ResourceQuota>(json!({
        "metadata": { "name": "quota" },
        "spec": { "hard": {
            "pods": "1",
            "requests.cpu": "50m", "requests.memory": "32Mi", "limits.cpu": "50m", "limits.memory": "32Mi",
        } },
    }))
    .await?;
    shop.make::<LimitRange>(json!({
        "metadata": { "name": "range" },
        "spec": { "limits": [{ "type": "Container", "min": exactly, "max": exactly }] },
    }))
    .await?;
    let mut app = pod("app", &json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "1s" }), DIES);
    app["spec"]["containers"][0]["resources"] = json!({ "requests": exactly, "limits": exactly });
    let running = shop.run(app).await?;
    let class = running.status.and_then(|status| status.qos_class).context("a class")?;
    ensure!(class == "Guaranteed", "{class}");
    ensure!(shop.end("app").await?.exit_code("app") == Some(0));
    Ok(())
}
