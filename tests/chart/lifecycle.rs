//! Install, upgrade, rollback, uninstall: Pods are created all along, and in the end nothing is left.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use fermata_test_cluster::{assets::Binary, helm::Finished};
use futures_util::TryStreamExt as _;
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, Pod, Service, ServiceAccount},
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams},
};
use serde_json::json;
use tokio::time::sleep;

use crate::stage::{
    CHART, HELMS, KUBE_VERSION, Stage, create, eventually, is_test, labels, objects, offline, template,
};

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
                    sleep(Duration::from_millis(20)).await;
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

/// The name of all that a release has for its test.
async fn test_name(stage: &Stage) -> String {
    let hooks = stage.helm.success(&["get", "hooks", "fermata", "--namespace", "fermata"]).await.unwrap();
    let namespace = objects(&hooks).into_iter().find(|object| object["kind"] == "Namespace").unwrap();
    namespace["metadata"]["name"].as_str().unwrap().to_owned()
}

const TEST: [&str; 6] = ["test", "fermata", "--namespace", "fermata", "--timeout", "60s"];

/// Runs `helm test`. There is no node here, so this says in the kubelet's place what became of the Pod.
async fn helm_test(stage: &Stage, name: &str, phase: &str) -> (Finished, Pod) {
    let pods: Api<Pod> = Api::namespaced(stage.cluster.client().unwrap(), "fermata");
    // One that an earlier test has left is about to go.
    let left = pods.get_opt(name).await.unwrap().and_then(|pod| pod.metadata.uid);
    let (run, pod) = tokio::join!(stage.helm.run(&TEST), async {
        let pod = eventually("the test's Pod", async || {
            let pod = pods.get(name).await.map_err(|error| error.to_string())?;
            if pod.metadata.uid == left { Err("it is that of an earlier test".into()) } else { Ok(pod) }
        })
        .await;
        let status = json!({ "status": { "phase": phase } });
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        pod
    });
    (run.unwrap(), pod)
}

async fn nothing_is_left_of_the_test(stage: &Stage) {
    eventually("the test's objects to be gone", async || {
        let left = stage.labelled("app.kubernetes.io/component=test").await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_test_says_how_it_went_and_leaves_nothing_behind() {
    for (binary, phase) in HELMS.into_iter().zip(["Failed", "Succeeded"]) {
        let stage = Stage::new(binary).await;
        stage.install("fermata", "fermata", &[]).await;
        let name = test_name(&stage).await;
        let (run, pod) = helm_test(&stage, &name, phase).await;
        assert_eq!(run.success, phase == "Succeeded", "{run:?}");
        let arguments = pod.spec.unwrap().containers.swap_remove(0).args.unwrap();
        let probe = format!("--probe-namespace={name}");
        assert_eq!(arguments[..3], ["check", "--namespace=fermata", probe.as_str()]);
        nothing_is_left_of_the_test(&stage).await;
        stage.uninstall("fermata", "fermata").await;
    }
}

/// Helm 3 creates what a test needs, and Helm 4 applies it, by which it would take over what exists and delete it
/// afterwards. Neither may happen to a Namespace, least of all to one that somebody made.
#[tokio::test(flavor = "multi_thread")]
async fn helm_test_touches_no_namespace_that_was_there_before() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        stage.install("fermata", "fermata", &[]).await;
        let name = test_name(&stage).await;
        let client = stage.cluster.client().unwrap();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        for ways in [
            &["create", "namespace", name.as_str()][..],
            // As whoever installs another chart with `--create-namespace`: the same program under the same name.
            &["apply", "--server-side", "--field-manager=helm", "--filename", "FILE"],
        ] {
            let file = stage.cluster.scratch().path().join("foreign.json");
            let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
            std::fs::write(&file, object.to_string()).unwrap();
            let words: Vec<_> =
                ways.iter().map(|word| if *word == "FILE" { file.to_str().unwrap() } else { word }).collect();
            let made = stage.kubectl(&words).await;
            assert!(made.status.success(), "{made:?}");
            let words = ["create", "configmap", "precious", "--namespace", &name];
            let made = stage.kubectl(&words).await;
            assert!(made.status.success(), "{made:?}");
            let before = namespaces.get(&name).await.unwrap();

            let reason = stage.helm.refusal(&TEST).await.unwrap();
            assert!(reason.contains("namespace-must-not-exist.yaml failed: "), "{reason}");
            assert!(reason.contains(&name), "{reason}");
            let after = namespaces.get(&name).await.unwrap();
            assert_eq!(
                (&after.metadata.uid, &after.metadata.labels, &after.metadata.deletion_timestamp),
                (&before.metadata.uid, &before.metadata.labels, &None)
            );
            let content: Api<ConfigMap> = Api::namespaced(client.clone(), &name);
            content.get("precious").await.unwrap();
            assert_eq!(stage.labelled("app.kubernetes.io/component=test").await, Vec::<String>::new());
            delete_namespace(&stage, &name).await;
        }
        let (run, _) = helm_test(&stage, &name, "Succeeded").await;
        assert!(run.success, "{run:?}");
        nothing_is_left_of_the_test(&stage).await;
        stage.uninstall("fermata", "fermata").await;
    }
}

async fn delete_namespace(stage: &Stage, name: &str) {
    let deleted = stage.kubectl(&["delete", "namespace", name, "--timeout=60s"]).await;
    assert!(deleted.status.success(), "{deleted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_was_interrupted_is_told() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        stage.install("fermata", "fermata", &[]).await;
        let name = test_name(&stage).await;
        let pods: Api<Pod> = Api::namespaced(stage.cluster.client().unwrap(), "fermata");
        // Whichever ends first, the other one is killed: the test waits for a Pod that nobody runs.
        tokio::select! {
            run = stage.helm.run(&TEST) => panic!("{run:?}"),
            _pod = eventually("the test's Pod", async || pods.get(&name).await.map_err(|error| error.to_string())) => {}
        }
        let reason = stage.helm.refusal(&TEST).await.unwrap();
        assert!(reason.contains("namespace-must-not-exist.yaml failed: "), "{reason}");
        let why = match binary {
            Binary::Helm3 => format!("\"{name}\" already exists"),
            _ => format!("\"{name}\" is invalid: metadata.deletionGracePeriodSeconds"),
        };
        assert!(reason.contains(&why), "{reason}");
        let described = stage.kubectl(&["describe", "namespace", &name]).await;
        let described = String::from_utf8(described.stdout).unwrap();
        assert!(described.contains("delete this Namespace"), "{described}");
        delete_namespace(&stage, &name).await;
        let (run, _) = helm_test(&stage, &name, "Succeeded").await;
        assert!(run.success, "{run:?}");
        nothing_is_left_of_the_test(&stage).await;
        stage.uninstall("fermata", "fermata").await;
    }
}

/// The Namespace of the test is one that the release takes, whatever its values ask of Namespaces.
#[tokio::test]
async fn the_namespace_of_the_test_is_one_that_is_asked_for() {
    let values = json!({ "webhook": { "namespaceSelector": {
        "matchLabels": { "team": "a" },
        "matchExpressions": [
            { "key": "team", "operator": "Exists" },
            { "key": "tier", "operator": "In", "values": ["x", "y"] },
            { "key": "zone", "operator": "Exists" },
            { "key": "old", "operator": "DoesNotExist" },
        ],
    } }, "commonLabels": { "team": "a" } });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.json");
    std::fs::write(&file, values.to_string()).unwrap();
    for binary in HELMS {
        let rendered =
            offline(binary).await.success(&template(&["--values", file.to_str().unwrap()])).await.unwrap();
        let namespace = objects(&rendered).into_iter().find(|object| object["kind"] == "Namespace").unwrap();
        let labels = labels(&namespace);
        for (label, value) in
            [("fermata.dev/inject", "enabled"), ("team", "a"), ("tier", "x"), ("zone", "fermata-test")]
        {
            assert_eq!(labels.get(label).map(String::as_str), Some(value), "{labels:?}");
        }
        assert!(!labels.contains_key("old"), "{labels:?}");
    }
}

/// The longest name that the chart gives fits into that of a Namespace, with what makes it one that nobody has.
#[tokio::test]
async fn tests_of_two_releases_have_different_names_which_are_not_too_long() {
    let helm = offline(HELMS[0]).await;
    let mut names = Vec::new();
    for (release, namespace) in [
        ("fermata", "one"),
        ("fermata", "two"),
        ("a-name-as-long-as-helm-lets-one-be-which-is-52-signs-", "one"),
    ] {
        let release = release.trim_end_matches('-');
        let words = ["template", release, CHART, "--namespace", namespace, "--kube-version", KUBE_VERSION];
        let rendered = helm.success(&words).await.unwrap();
        let tests: Vec<_> = objects(&rendered).into_iter().filter(is_test).collect();
        let name = tests[0]["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(name.len() <= 63, "{name}");
        // Helm deletes each of them by its name.
        assert!(tests.iter().all(|object| object["metadata"]["name"] == name), "{tests:#?}");
        names.push(name);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "{names:?}");
}
