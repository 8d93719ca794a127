//! Real servers, ended by what their profile says while a slow request is under way.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, anyhow, ensure};
use fermata_test_cluster::Image;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};

use crate::{shop::pod, stage::Stage};

/// What nginx serves so slowly that it takes longer than the drain. Unit: bytes.
const SIZE: usize = 40_000;

pub(crate) async fn nginx_finishes_what_it_has_begun(stage: &Stage) -> anyhow::Result<()> {
    let configuration = "worker_processes 1; pid /tmp/nginx.pid; error_log stderr;
        events { worker_connections 64; }
        http {
            access_log off;
            client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
            uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
            server { listen 8080; root /www; limit_rate 10k; }
        }";
    let program = server("nginx")?;
    let image = Image::new("fermata.test/nginx:1")
        .dynamic_program(&program, Path::new(&program))?
        .folder("/tmp", 0o1777)
        .folder("/var/log/nginx", 0o777)
        .folder("/var/lib/nginx", 0o777)
        .file("/nginx.conf", 0o644, configuration)
        .file("/www/slow", 0o644, vec![b'.'; SIZE]);
    let words = json!([program, "-c", "/nginx.conf", "-g", "daemon off;"]);
    let answer = ends_well(stage, "nginx", &image, &words).await?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer:.200}");
    let body = answer.split_once("\r\n\r\n").context("a body")?.1;
    ensure!(body.len() == SIZE, "{} bytes of {SIZE}", body.len());
    Ok(())
}

pub(crate) async fn haproxy_finishes_what_it_has_begun(stage: &Stage) -> anyhow::Result<()> {
    // A tarpit holds its answer back for as long as it is told.
    let configuration = "global
    log stderr format raw local0
    hard-stop-after 8s
defaults
    mode http
    timeout client 20s
    timeout server 20s
    timeout connect 5s
    timeout tarpit 4s
frontend web
    bind :8080
    http-request tarpit deny_status 403
";
    let program = server("haproxy")?;
    let image = Image::new("fermata.test/haproxy:1")
        .dynamic_program(&program, Path::new(&program))?
        .folder("/tmp", 0o1777)
        .file("/haproxy.cfg", 0o644, configuration);
    let answer = ends_well(stage, "haproxy", &image, &json!([program, "-f", "/haproxy.cfg"])).await?;
    ensure!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("</html>"), "{answer}");
    Ok(())
}

/// Where Debian has a server, and others nearly all.
fn server(name: &str) -> anyhow::Result<String> {
    let path = format!("/usr/sbin/{name}");
    ensure!(Path::new(&path).is_file(), "missing: {path} (Debian and Ubuntu: apt install {name})");
    Ok(path)
}

/// The answer to a request of some four seconds that is sent just before the Pod is deleted, with a drain of one.
async fn ends_well(stage: &Stage, profile: &str, image: &Image, words: &Value) -> anyhow::Result<String> {
    let _installed = stage.installed().await;
    stage.release.cluster.load(image).await?;
    let shop = stage.shop(&[]).await?;
    let annotations =
        json!({ "fermata.dev/shim": "init", "fermata.dev/profile": profile, "fermata.dev/drain": "1s" });
    let mut server = pod(profile, &annotations, "");
    server["spec"]["containers"][0] = json!({
        "name": "app",
        "image": image.name(),
        "command": words,
        "securityContext": { "runAsUser": 65532 },
        "readinessProbe": { "tcpSocket": { "port": 8080 }, "periodSeconds": 1 },
    });
    shop.run(server).await?;
    let reached = shop.reach_pod(profile, 8080).await?;
    let (sent, begun) = oneshot::channel();
    let reading = async {
        let mut stream: TcpStream = begun.await.context("no request was sent")?;
        let mut answer = String::new();
        timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await.context("no answer")??;
        anyhow::Ok(answer)
    };
    let ending = shop.see_out(profile, async || {
        let mut stream = TcpStream::connect(reached.address()).await?;
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").await?;
        // It is in the server's hands long before the drain is over.
        shop.pods.delete(profile, &DeleteParams::default()).await?;
        sent.send(stream).map_err(|_| anyhow!("nobody reads the answer"))
    });
    let (ending, answer) = tokio::join!(ending, reading);
    let (ending, answer) = (ending?, answer?);
    ending.within(3, 10)?;
    ensure!(ending.exit_code("app") == Some(0), "{ending:#?}");
    Ok(answer)
}
