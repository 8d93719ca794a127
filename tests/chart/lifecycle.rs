//! Install, upgrade, rollback, uninstall: Pods are created all along, and in the end nothing is left.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::stage::{HELMS, Stage, create};

#[tokio::test(flavor = "multi_thread")]
async fn no_step_stops_pods_from_being_created_and_nothing_is_left() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        let before = stage.labelled("app.kubernetes.io/name=fermata").await;
        assert_eq!(before, Vec::<String>::new());
        let namespace = Arc::new(stage.opted_in().await);
        // Pods come all the while, not only between the steps.
        let (going, created) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let stream = tokio::spawn({
            let (namespace, going, created) = (Arc::clone(&namespace), Arc::clone(&going), Arc::clone(&created));
            async move {
                while going.load(Ordering::Relaxed) {
                    let number = created.fetch_add(1, Ordering::Relaxed);
                    create(&namespace, &format!("pod-{number}")).await.map_err(|error| error.to_string())?;
                }
                Ok::<(), String>(())
            }
        });
        stage.install("fermata", "fermata", &[]).await;
        stage.upgrade("fermata", "fermata", &["--set", "replicas=3,config.defaults.drain=20s"]).await;
        stage.helm.success(&["rollback", "fermata", "1", "--namespace", "fermata"]).await.unwrap();
        stage.uninstall("fermata", "fermata").await;
        stage.install("fermata", "fermata", &[]).await;
        stage.uninstall("fermata", "fermata").await;
        going.store(false, Ordering::Relaxed);
        stream.await.unwrap().unwrap();
        assert!(created.load(Ordering::Relaxed) > 20, "only {}", created.load(Ordering::Relaxed));

        crate::stage::eventually("everything to be gone", async || {
            let left = stage.labelled("app.kubernetes.io/instance=fermata").await;
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    }
}

/// There is no node here, so the test's Pod never starts. The API server takes all that it needs, `helm test` says that
/// it failed, and takes everything away again.
#[tokio::test(flavor = "multi_thread")]
async fn helm_test_leaves_nothing_behind_even_when_it_fails() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        stage.install("fermata", "fermata", &[]).await;
        let answer = stage
            .helm
            .refusal(&["test", "fermata", "--namespace", "fermata", "--timeout", "3s"])
            .await
            .unwrap();
        assert!(answer.contains("fermata-test") || answer.contains("deadline"), "{answer}");
        crate::stage::eventually("the test's objects to be gone", async || {
            let left = stage.labelled("app.kubernetes.io/component=test").await;
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
        stage.uninstall("fermata", "fermata").await;
    }
}
