//! Programs under the shim.

use anyhow::{Context as _, ensure};
use fermata_test_cluster::Image;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::{
    shop::{DIES, pod},
    stage::Stage,
};

const SHIM: &str = "/fermata/fermata-shim";

pub(crate) async fn the_shim_is_pid_1(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let script = "trap 'echo \"TERM for $0 $1\"; exit 7' TERM; echo begun; while :; do sleep 0.1; done";
    let mut app = pod("app", &json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "1s" }), script);
    app["spec"]["containers"][0]["args"] = json!(["two words", "$(NAME)"]);
    app["spec"]["containers"][0]["env"] = json!([{ "name": "NAME", "value": "expanded" }]);
    shop.run(app).await?;
    let executable = shop.exec("app", &["readlink", "/proc/1/exe"]).await?;
    ensure!(executable == SHIM, "PID 1 is {executable}");
    let ending = shop.end("app").await?;
    ending.within(1, 9)?;
    ensure!(ending.exit_code("app") == Some(7), "{ending:#?}");
    let log = ending.log("app");
    ensure!(log.contains(&"TERM for two words expanded"), "{log:#?}");
    // Why it took so long, as the shim's last word. The runtime keeps no order between output and error, which are two
    // pipes to it.
    let last = log.iter().rfind(|line| line.starts_with("fermata-shim: "));
    ensure!(
        last.is_some_and(|last| last.contains("TERM: stopped in ") && last.ends_with("exit 7")),
        "{log:#?}"
    );
    Ok(())
}

pub(crate) async fn signals_are_rewritten(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    let script = "for signal in TERM USR1 QUIT; do trap \"echo $signal; exit 0\" $signal; done
        echo begun; while :; do sleep 0.1; done";
    for (rewrite, gets) in [("15:10", "USR1"), ("TERM:QUIT", "QUIT")] {
        let name = gets.to_lowercase();
        let annotations =
            json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "1s", "fermata.dev/rewrite": rewrite });
        shop.run(pod(&name, &annotations, script)).await?;
        let ending = shop.end(&name).await?;
        ensure!(ending.log("app").contains(&gets), "{rewrite}: {ending:#?}");
        ensure!(ending.exit_code("app") == Some(0), "{rewrite}: {ending:#?}");
    }
    // Dropped: the program hears nothing, and goes with its grace period.
    let annotations =
        json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "1s", "fermata.dev/rewrite": "15:0" });
    let mut deaf = pod("deaf", &annotations, script);
    deaf["spec"]["terminationGracePeriodSeconds"] = json!(3);
    shop.run(deaf).await?;
    let ending = shop.end("deaf").await?;
    ending.within(3, 10)?;
    ensure!(!ending.log("app").contains(&"TERM"), "{ending:#?}");
    Ok(())
}

/// The drain, and on the signal the status, the stop command, and 0.
pub(crate) async fn the_sequence_of_the_post_mortem_runs(stage: &Stage) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let shop = stage.shop(&[]).await?;
    // Kubernetes makes one `$` of two in a command.
    let script = "trap '' TERM; trap 'echo stopped; exit 9' INT; echo $$$$ > /tmp/pid; echo begun
        while :; do sleep 0.1; done";
    let annotations = json!({
        "fermata.dev/shim": "init",
        "fermata.dev/drain": "3s",
        "fermata.dev/status-command": "[\"date\", \"+status %s\"]",
        "fermata.dev/stop-command": "echo stopping; kill -INT $(cat /tmp/pid)",
        "fermata.dev/exit-code": "0",
    });
    shop.run(pod("passenger", &annotations, script)).await?;
    let told = shop.exec("passenger", &["date", "+%s"]).await?.parse::<i64>()?;
    let ending = shop.end("passenger").await?;
    ending.within(3, 11)?;
    let log = ending.log("app");
    // In one line: the runtime puts lines of the shim's, which are on standard error, between any two.
    let status = log.iter().find_map(|line| line.strip_prefix("status ")).context("a time")?;
    let expected = ["begun", &format!("status {status}"), "stopping", "stopped"];
    let said: Vec<_> = log.iter().copied().filter(|line| expected.contains(line)).collect();
    ensure!(said == expected, "{log:#?}");
    ensure!(status.parse::<i64>()? >= told + 3, "told at {told}, and drained for less than 3 s: {log:#?}");
    ensure!(ending.exit_code("app") == Some(0), "{ending:#?}");
    Ok(())
}

/// A Pod that leaves it to the image what to start.
fn unnamed(name: &str, annotations: &Value) -> Value {
    let mut pod = pod(name, annotations, DIES);
    pod["spec"]["containers"][0] = json!({ "name": "app", "image": "fermata.test/entrypoint:1" });
    pod
}

pub(crate) async fn an_entrypoint_of_the_image_is_wrapped_once_it_is_named(
    stage: &Stage,
) -> anyhow::Result<()> {
    let _installed = stage.installed().await;
    let image = Image::busybox("fermata.test/entrypoint:1")?.entrypoint(&["/bin/sh", "-c", DIES]);
    stage.release.cluster.load(&image).await?;
    let shop = stage.shop(&[]).await?;
    let settings = json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "1s" });
    let left = shop.run(unnamed("left", &settings)).await?;
    let status = &left.annotations()["fermata.dev/status"];
    ensure!(status.contains("entrypoint-unknown"), "{status}");
    ensure!(shop.exec("left", &["readlink", "/proc/1/exe"]).await?.contains("busybox"));
    let ending = shop.end("left").await?;
    ensure!(ending.exit_code("app") == Some(0) && ending.log("app").contains(&"TERM"), "{ending:#?}");

    let mut named = settings;
    named["app.fermata.dev/entrypoint"] = json!(json!(["/bin/sh", "-c", DIES]).to_string());
    shop.run(unnamed("wrapped", &named)).await?;
    ensure!(shop.exec("wrapped", &["readlink", "/proc/1/exe"]).await? == SHIM);
    let ending = shop.end("wrapped").await?;
    ensure!(ending.exit_code("app") == Some(0) && ending.log("app").contains(&"TERM"), "{ending:#?}");
    Ok(())
}
