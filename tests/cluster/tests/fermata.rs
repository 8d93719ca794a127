//! Starting Fermata, with etcd in its place: it is at hand, and it answers `/readyz` as well.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use fermata_test_cluster::{
    Fermata, Launch, Ports, Scratch,
    assets::{Assets, Binary},
};

async fn etcd() -> anyhow::Result<PathBuf> {
    Ok(Assets::prepare(&[Binary::Etcd]).await?.require(Binary::Etcd)?.to_owned())
}

fn launch(binary: &Path, data: &Path, ports: Ports) -> Launch {
    let Ports { webhook, admin } = ports;
    Launch {
        binary: binary.to_owned(),
        args: vec![
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls=http://127.0.0.1:{admin}"),
            format!("--advertise-client-urls=http://127.0.0.1:{admin}"),
            format!("--listen-peer-urls=http://127.0.0.1:{webhook}"),
            "--unsafe-no-fsync".to_owned(),
        ],
        env: Vec::new(),
        readiness_url: format!("http://127.0.0.1:{admin}/readyz"),
        grace: Duration::from_secs(10),
    }
}

#[tokio::test]
async fn it_is_ready_then_ends_on_term() -> anyhow::Result<()> {
    let scratch = Scratch::create()?;
    let (binary, data) = (etcd().await?, scratch.path().join("data"));
    let fermata = Fermata::start(&scratch, |ports| launch(&binary, &data, ports)).await?;
    assert_ne!(fermata.ports().webhook, fermata.ports().admin);
    fermata.terminate()?;
    let (code, log) = fermata.ended().await;
    // etcd dies of the signal once it has put its house in order, or is quicker to exit because its listeners are closed.
    // Fermata exits with a code.
    assert!([1, 128 + 15].contains(&code), "{code}: {log}");
    assert!(log.contains(r#""signal":"terminated""#), "{log}");
    assert!(log.contains("ready to serve client requests"), "{log}");
    drop(fermata);
    scratch.remove().await
}

#[tokio::test]
async fn a_taken_port_is_replaced() -> anyhow::Result<()> {
    let scratch = Scratch::create()?;
    let (binary, data) = (etcd().await?, scratch.path().join("data"));
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let admin = taken.local_addr()?.port();
    let attempts = AtomicUsize::new(0);
    let fermata = Fermata::start(&scratch, |ports| {
        let first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
        launch(&binary, &data, if first { Ports { admin, ..ports } } else { ports })
    })
    .await?;
    assert_eq!(attempts.load(Ordering::Relaxed), 2);
    fermata.stop().await?;
    scratch.remove().await
}

#[tokio::test]
async fn one_that_ends_early_is_reported_with_its_log() -> anyhow::Result<()> {
    let scratch = Scratch::create()?;
    let started = Fermata::start(&scratch, |ports| Launch {
        args: vec!["-c".to_owned(), "echo no such option; exit 64".to_owned()],
        ..launch(Path::new("/bin/sh"), Path::new("/nowhere"), ports)
    })
    .await;
    let error = format!("{:#}", started.err().context("expected an error")?);
    assert!(error.contains("exit code 64") && error.contains("no such option"), "{error}");
    scratch.remove().await
}
