//! Install, upgrade, rollback, uninstall: Pods are created all along, and in the end nothing is left.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use fermata_test_cluster::assets::Binary;
use futures_util::TryStreamExt as _;
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    apps::v1::Deployment,
    core::v1::{Pod, Service, ServiceAccount},
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams},
};
use serde_json::json;

use crate::stage::{HELMS, Stage, create, eventually};

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
            let (namespace, going, created) =
                (Arc::clone(&namespace), Arc::clone(&going), Arc::clone(&created));
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

        eventually("everything to be gone", async || {
            let left = stage.labelled("app.kubernetes.io/instance=fermata").await;
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    }
}

/// When an object was deleted, in the order of all writes to the cluster.
async fn deletion<K>(api: Api<K>, name: &str, since: &str) -> u64
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + kube::ResourceExt,
{
    let watch = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(30);
    let mut events = pin!(api.watch(&watch, since).await.unwrap());
    while let Some(event) = events.try_next().await.unwrap() {
        if let WatchEvent::Deleted(object) = event {
            return object.resource_version().unwrap().parse().unwrap();
        }
    }
    panic!("{name} was not deleted");
}

/// While the configuration is there, API servers ask, and with `Fail` refuse what is not answered.
#[tokio::test(flavor = "multi_thread")]
async fn helm_4_removes_the_configuration_before_anything_that_answers() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        stage.install("fermata", "fermata", &["--set", "webhook.failurePolicy=Fail"]).await;
        let client = stage.cluster.client().unwrap();
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), "fermata");
        let services: Api<Service> = Api::namespaced(client.clone(), "fermata");
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "fermata");
        let since =
            configurations.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
        if binary == Binary::Helm3 {
            // What the documentation says of it.
            let words = ["delete", "mutatingwebhookconfiguration", "fermata"];
            assert!(stage.kubectl(&words).await.status.success());
        }
        stage.uninstall("fermata", "fermata").await;
        let configuration = deletion(configurations, "fermata", &since).await;
        for (kind, other) in [
            ("Service", deletion(services, "fermata", &since).await),
            ("Deployment", deletion(deployments, "fermata", &since).await),
            ("ServiceAccount", deletion(accounts, "fermata", &since).await),
        ] {
            assert!(
                configuration < other,
                "{binary:?}: the configuration at {configuration}, the {kind} at {other}"
            );
        }
    }
}

/// There is no node here, so this test says in the kubelet's place what became of the Pod.
#[tokio::test(flavor = "multi_thread")]
async fn helm_test_says_how_it_went_and_leaves_nothing_behind() {
    for (binary, phase) in HELMS.into_iter().zip(["Failed", "Succeeded"]) {
        let stage = Stage::new(binary).await;
        stage.install("fermata", "fermata", &[]).await;
        let pods: Api<Pod> = Api::namespaced(stage.cluster.client().unwrap(), "fermata");
        let words = ["test", "fermata", "--namespace", "fermata", "--timeout", "60s"];
        let (run, arguments) = tokio::join!(stage.helm.run(&words), async {
            let pod = eventually("the test's Pod", async || {
                pods.get("fermata-test").await.map_err(|error| error.to_string())
            })
            .await;
            let status = json!({ "status": { "phase": phase } });
            pods.patch_status("fermata-test", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
            pod.spec.unwrap().containers.swap_remove(0).args.unwrap()
        });
        let run = run.unwrap();
        assert_eq!(run.success, phase == "Succeeded", "{run:?}");
        assert_eq!(arguments[..3], ["check", "--namespace=fermata", "--probe-namespace=fermata-test"]);
        eventually("the test's objects to be gone", async || {
            let left = stage.labelled("app.kubernetes.io/component=test").await;
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
        stage.uninstall("fermata", "fermata").await;
    }
}
