//! Fermata itself goes away.

use anyhow::ensure;
use kube::ResourceExt as _;
use serde_json::json;

use crate::{
    shop::{DIES, pod},
    stage::Stage,
};

pub(crate) async fn pods_start_while_the_webhook_is_down(stage: &Stage) -> anyhow::Result<()> {
    let _alone = stage.alone().await;
    let shop = stage.shop(&[]).await?;
    stage.scale(0).await;
    let bare = shop.run(pod("bare", &json!({ "fermata.dev/drain": "3s" }), DIES)).await;
    // Others need it, whatever became of this.
    stage.scale(2).await;
    let bare = bare?;
    ensure!(!bare.annotations().contains_key("fermata.dev/status"), "{:?}", bare.annotations());
    let ending = shop.end("bare").await?;
    ensure!(ending.exit_code("app") == Some(0), "{ending:#?}");
    Ok(())
}

pub(crate) async fn wrapped_pods_end_well_without_fermata(stage: &Stage) -> anyhow::Result<()> {
    let _alone = stage.alone().await;
    let shop = stage.shop(&[]).await?;
    let annotations = json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "2s" });
    let wrapped = shop.run(pod("wrapped", &annotations, DIES)).await?;
    ensure!(wrapped.annotations().contains_key("fermata.dev/status"), "{:?}", wrapped.annotations());
    stage.release.uninstall().await;
    let ending = shop.end("wrapped").await;
    stage.release.install_again().await;
    let ending = ending?;
    ending.within(2, 10)?;
    ensure!(ending.exit_code("app") == Some(0) && ending.log("app").contains(&"TERM"), "{ending:#?}");
    Ok(())
}
