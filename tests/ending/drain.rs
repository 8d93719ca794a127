//! The time between the deletion and the stop signal.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    shop::{DIES, SERVES, pod},
    stage::Stage,
};

/// Asks once, by a connection of its own.
pub(crate) async fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        // The head alone: a kubelet that forwards the port ends a connection a second late.
        while !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            ensure!(stream.read_buf(&mut answer).await? > 0, "the answer is cut off: {answer:?}");
        }
        ensure!(answer.starts_with(b"HTTP/1."), "the answer is {answer:?}");
        Ok(())
    };
    timeout(Duration::from_secs(2), answer).await.context("no answer")?
}

pub(crate) async fn the_native_sleep_keeps_a_pod_serving(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let running = shop.run(pod("web", &json!({ "fermata.dev/drain": "4s" }), SERVES)).await?;
    let spec = running.spec.context("a spec")?;
    ensure!(spec.termination_grace_period_seconds == Some(14), "{spec:?}");
    let web = shop.reach_pod("web", 8080).await?;
    ask(web.address()).await?;

    let served = async {
        let begun = Instant::now();
        let mut last = Duration::ZERO;
        while begun.elapsed() < Duration::from_secs(8) {
            if ask(web.address()).await.is_ok() {
                last = begun.elapsed();
            }
            sleep(Duration::from_millis(50)).await;
        }
        last
    };
    let (ending, served) = tokio::join!(shop.end("web"), served);
    let ending = ending?;
    ending.within(4, 12)?;
    ensure!(served >= Duration::from_millis(3500), "it served for {served:?}");
    ensure!(ending.log("app") == ["begun", "TERM"] && ending.exit_code("app") == Some(0), "{ending:#?}");
    Ok(())
}

pub(crate) async fn the_shim_drains_before_the_container_s_own_hook(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let mut web = pod("web", &json!({ "fermata.dev/shim": "hook", "fermata.dev/drain": "3s" }), DIES);
    web["spec"]["containers"][0]["lifecycle"] = json!({
        "preStop": { "exec": { "command": ["/bin/sh", "-c", "echo \"own hook at $(date +%s)\" > /proc/1/fd/1"] } },
    });
    shop.run(web).await?;
    ensure!(shop.exec("web", &["readlink", "/proc/1/exe"]).await?.contains("busybox"));
    let begun = shop.exec("web", &["date", "+%s"]).await?.parse::<i64>()?;
    let ending = shop.end("web").await?;
    ending.within(3, 11)?;
    let log = ending.log("app");
    let hook =
        log.get(1).and_then(|line| line.strip_prefix("own hook at ")).with_context(|| format!("{log:?}"))?;
    ensure!(hook.parse::<i64>()? >= begun + 3, "the hook ran before the drain: {ending:#?}");
    ensure!(log.last() == Some(&"TERM") && ending.exit_code("app") == Some(0), "{ending:#?}");
    Ok(())
}
