//! The shim comes into Pods past everything by which a cluster can refuse them.

use std::{collections::BTreeMap, time::Duration};

use fermata_test_cluster::{
    namespace::TestNamespace,
    wait::{self, Seen},
};
use k8s_openapi::{
    api::core::v1::{LimitRange, Pod, ResourceQuota},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::{
    injector::{CONTAINER, RESOURCES},
    stage::{SHIM, Stage, pod, typed},
};

const BOUND: Duration = Duration::from_secs(30);

/// A Pod with the shim as PID 1 and as hook, and with some members of its spec replaced.
fn wrapped(name: &str, spec: &Value) -> Value {
    let annotations = json!({ "fermata.dev/shim": "init", "fermata.dev/drain": "5s..60s" });
    let mut pod = pod(name, &json!({ "metadata": { "annotations": annotations } }));
    pod["spec"]["containers"][0]["command"] = json!(["/app", "serve"]);
    json_patch::merge(&mut pod["spec"], spec);
    pod
}

/// A container with a command, and with some members.
fn container(name: &str, members: &Value) -> Value {
    let mut container = json!({ "name": name, "image": "registry.example.com/app:1", "command": ["/app"] });
    json_patch::merge(&mut container, members);
    container
}

async fn create(namespace: &TestNamespace, pod: &Value) -> kube::Result<Pod> {
    namespace.pods().create(&PostParams::default(), &typed(pod)).await
}

/// The Pod as JSON, after a look at whether it has the shim, once.
fn with_shim(pod: &Pod) -> Value {
    let pod = serde_json::to_value(pod).unwrap();
    let named = |list: &str| {
        let items = pod["spec"][list].as_array().into_iter().flatten();
        items.filter(|item| item["name"] == "fermata-shim").count()
    };
    assert_eq!((named("volumes"), named("initContainers")), (1, 1), "{pod:#}");
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "fermata-shim", "{pod:#}");
    pod
}

fn class(pod: &Pod) -> &str {
    pod.status.as_ref().unwrap().qos_class.as_deref().unwrap()
}

/// Two namespaces that are alike: one that has opted in, and one that has not.
async fn both(stage: &Stage, labels: &[(&str, &str)]) -> [TestNamespace; 2] {
    [stage.labelled(labels).await, stage.cluster.namespace("bare", labels, &[]).await.unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_security_restricted_admits_with_the_shim_what_it_admits_without() {
    let stage = Stage::new(&SHIM).await;
    let [opted_in, bare] = both(&stage, &[("pod-security.kubernetes.io/enforce", "restricted")]).await;
    let confined = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let all = json!({
        "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "readOnlyRootFilesystem": true,
        "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" },
    });
    let of_pod = json!({ "runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": { "type": "RuntimeDefault" } });
    let with = |context: &Value| json!([container("app", &json!({ "securityContext": context }))]);
    let admitted = [
        ("said-by-the-pod", json!({ "securityContext": of_pod, "containers": with(&confined) })),
        ("said-by-the-container", json!({ "containers": with(&all) })),
        (
            "with-init-containers",
            json!({
                "containers": with(&all),
                "initContainers": [
                    container("migrate", &json!({ "securityContext": all })),
                    container("mesh", &json!({ "securityContext": all, "restartPolicy": "Always" })),
                ],
            }),
        ),
    ];
    for (name, spec) in admitted {
        let pod = wrapped(name, &spec);
        create(&bare, &pod).await.unwrap_or_else(|error| panic!("{name}, bare: {error}"));
        let stored = create(&opted_in, &pod).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        with_shim(&stored);
    }
    // And it is enforced: what is refused bare is refused for its own fault, and for no other.
    let refused = wrapped("unconfined", &json!({}));
    for namespace in [&bare, &opted_in] {
        let error = create(namespace, &refused).await.unwrap_err().to_string();
        assert!(error.contains("restricted") && !error.contains("fermata-shim"), "{error}");
    }
}

/// The quota is as large as the bare Pods need it to be, so what asks for more is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_counts_the_same_with_the_shim_as_without() {
    let stage = Stage::new(&SHIM).await;
    let namespaces = both(&stage, &[]).await;
    let hard = json!({
        "pods": "2", "count/pods": "2", "requests.cpu": "1250m", "requests.memory": "896Mi",
        "limits.cpu": "3", "limits.memory": "1Gi", "requests.ephemeral-storage": "2Gi",
    });
    let quota: ResourceQuota =
        serde_json::from_value(json!({ "metadata": { "name": "tight" }, "spec": { "hard": hard } })).unwrap();
    let quotas = |namespace: &TestNamespace| -> Api<ResourceQuota> {
        Api::namespaced(stage.cluster.client().unwrap(), namespace.name())
    };
    let used = async |namespace: &TestNamespace| -> Option<BTreeMap<String, Quantity>> {
        quotas(namespace).get("tight").await.unwrap().status?.used
    };
    let resources = |cpu: &str, most_cpu: &str, memory: &str, most_memory: &str| {
        let requests = json!({ "cpu": cpu, "memory": memory, "ephemeral-storage": "512Mi" });
        json!({ "resources": { "requests": requests, "limits": { "cpu": most_cpu, "memory": most_memory } } })
    };
    let large = container("app", &resources("500m", "1", "256Mi", "256Mi"));
    let small = container("proxy", &resources("250m", "1", "384Mi", "512Mi"));
    let init = container("init", &resources("700m", "1", "128Mi", "256Mi"));
    let pods = [
        wrapped("two", &json!({ "containers": [large, small], "initContainers": [init] })),
        wrapped(
            "one",
            &json!({ "containers": [container("app", &resources("500m", "1", "256Mi", "256Mi"))] }),
        ),
    ];
    for namespace in &namespaces {
        quotas(namespace).create(&PostParams::default(), &quota).await.unwrap();
        // Until the quota's controller has looked at it, every Pod is refused.
        wait::until("the quota to be counted", BOUND, async || {
            let counted = used(namespace).await.is_some_and(|used| used.contains_key("limits.memory"));
            Ok(if counted { Seen::Yes(()) } else { Seen::NotYet("no figures".to_owned()) })
        })
        .await
        .unwrap();
        for pod in &pods {
            create(namespace, pod).await.unwrap_or_else(|error| panic!("{}: {error}", namespace.name()));
        }
    }
    let [with, without] = [used(&namespaces[0]).await.unwrap(), used(&namespaces[1]).await.unwrap()];
    assert_eq!(with, without);
    assert_eq!(with["requests.cpu"].0, "1250m", "{with:?}");
    let stored = namespaces[0].pods().get("two").await.unwrap();
    with_shim(&stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_range_that_admits_a_pod_admits_it_with_the_shim() {
    let stage = Stage::new(&SHIM).await;
    let namespaces = both(&stage, &[]).await;
    let range: LimitRange = serde_json::from_value(json!({
        "metadata": { "name": "narrow" },
        "spec": { "limits": [
            {
                "type": "Container",
                "min": { "cpu": "100m", "memory": "32Mi" },
                "max": { "cpu": "1", "memory": "512Mi" },
                "maxLimitRequestRatio": { "cpu": "2" },
                "default": { "cpu": "200m", "memory": "64Mi" },
                "defaultRequest": { "cpu": "100m", "memory": "64Mi" },
            },
            { "type": "Pod", "max": { "cpu": "1500m", "memory": "768Mi" } },
        ] },
    }))
    .unwrap();
    let sized = |name: &str, cpu: &str, most: &str, memory: &str| {
        let (requests, limits) =
            (json!({ "cpu": cpu, "memory": memory }), json!({ "cpu": most, "memory": memory }));
        container(name, &json!({ "resources": { "requests": requests, "limits": limits } }))
    };
    let pods = [
        // What the range says of itself.
        wrapped("by-default", &json!({})),
        wrapped("at-the-minimum", &json!({ "containers": [sized("app", "100m", "100m", "32Mi")] })),
        wrapped(
            "at-the-maximum",
            &json!({ "containers": [sized("app", "1", "1", "512Mi"), sized("b", "500m", "500m", "256Mi")] }),
        ),
        wrapped("at-the-ratio", &json!({ "containers": [sized("app", "250m", "500m", "64Mi")] })),
    ];
    for namespace in &namespaces {
        let ranges: Api<LimitRange> = Api::namespaced(stage.cluster.client().unwrap(), namespace.name());
        ranges.create(&PostParams::default(), &range).await.unwrap();
        let pod = wrapped("too-large", &json!({ "containers": [sized("app", "2", "2", "64Mi")] }));
        wait::until("the range to be enforced", BOUND, async || {
            let dry_run = PostParams { dry_run: true, field_manager: None };
            Ok(match namespace.pods().create(&dry_run, &typed(&pod)).await {
                Ok(_) => Seen::NotYet("a Pod that is too large was admitted".to_owned()),
                Err(error) if error.to_string().contains("maximum cpu usage per Container") => Seen::Yes(()),
                Err(error) => Seen::NotYet(error.to_string()),
            })
        })
        .await
        .unwrap();
    }
    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let alone = create(&namespaces[1], pod).await.unwrap_or_else(|error| panic!("{name}, bare: {error}"));
        let stored = create(&namespaces[0], pod).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(class(&stored), class(&alone), "{name}");
        let stored = with_shim(&stored);
        let of = |list: &str| stored["spec"][list][0]["resources"].clone();
        assert_eq!(of("initContainers"), of("containers"), "{name}");
    }
}

/// Whatever the class of service is, the API server says the same with the shim; and the Pod of each class is one.
#[tokio::test(flavor = "multi_thread")]
async fn the_class_of_service_stays_what_it_was() {
    let stage = Stage::new(&SHIM).await;
    let bare = stage.cluster.namespace("bare", &[], &[]).await.unwrap();
    let with = |resources: Value| json!([container("app", &json!({ "resources": resources }))]);
    for (expected, containers) in [
        ("BestEffort", with(json!({}))),
        ("BestEffort", with(json!({ "limits": { "example.com/gpu": 1 } }))),
        ("Burstable", with(json!({ "requests": { "cpu": "1" } }))),
        (
            "Burstable",
            json!([
                container("app", &json!({})),
                container("b", &json!({ "resources": { "limits": { "cpu": 1 } } }))
            ]),
        ),
        ("Guaranteed", with(json!({ "limits": { "cpu": "1", "memory": "64Mi" } }))),
        (
            "Guaranteed",
            with(
                json!({ "limits": { "cpu": 0.5, "memory": "1e9" }, "requests": { "cpu": "500m", "memory": "1G" } }),
            ),
        ),
    ] {
        let mut pod = wrapped("class", &json!({ "containers": containers }));
        pod["metadata"].as_object_mut().unwrap().remove("name");
        pod["metadata"]["generateName"] = "class-".into();
        let alone = create(&bare, &pod).await.unwrap();
        let stored = create(&stage.namespace, &pod).await.unwrap();
        assert_eq!((class(&alone), class(&stored)), (expected, expected));
        with_shim(&stored);
    }
}

/// Fermata is called, the mesh adds a container in front of the others, and Fermata is called once more. What is said
/// of the app's image must not be taken for what the mesh's image starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_a_mesh_adds_is_drained_and_started_as_what_it_is() {
    let stage = Stage::new(&SHIM).await;
    let _mesh = stage.mesh().await;
    let mut pod = wrapped("meshed", &json!({}));
    pod["spec"]["containers"][0].as_object_mut().unwrap().remove("command");
    pod["metadata"]["annotations"]["fermata.dev/entrypoint"] = r#"["/app", "--price=$1"]"#.into();
    let stored = with_shim(&create(&stage.namespace, &pod).await.unwrap());
    let of_name = |name: &str| {
        let containers = stored["spec"]["containers"].as_array().unwrap();
        containers.iter().find(|container| container["name"] == name).unwrap()
    };
    let expected = ["/fermata/fermata-shim", "run", "--budget", "29s", "--", "/app", "--price=$$1"];
    assert_eq!(of_name("app")["command"], json!(expected));
    assert!(of_name(CONTAINER).get("command").is_none(), "{stored:#}");
    for name in ["app", CONTAINER] {
        let hook = &of_name(name)["lifecycle"]["preStop"]["exec"]["command"];
        assert_eq!(*hook, json!(["/fermata/fermata-shim", "drain", "--drain", "5s..1m"]));
        let mounts = of_name(name)["volumeMounts"].as_array().unwrap();
        assert_eq!(mounts.iter().filter(|mount| mount["mountPath"] == "/fermata").count(), 1);
    }
    assert_eq!(stored["spec"]["terminationGracePeriodSeconds"], 90);
    let status = stored["metadata"]["annotations"]["fermata.dev/status"].as_str().unwrap();
    let status: Value = serde_json::from_str(status).unwrap();
    assert_eq!(status["shim"], json!({ "app": "init", CONTAINER: "entrypoint-unknown" }));
}

/// What another webhook sets after Fermata was asked first: resources, without which the quota refuses the Pod, and a
/// container that is drained for longer, so that the app's shim has more time.
#[tokio::test(flavor = "multi_thread")]
async fn the_shim_keeps_step_with_what_another_webhook_sets_later() {
    let stage = Stage::new(&SHIM).await;
    let _mesh = stage.mesh().await;
    let quotas: Api<ResourceQuota> = Api::namespaced(stage.cluster.client().unwrap(), stage.namespace.name());
    let hard = json!({ "limits.cpu": "1", "limits.memory": "512Mi" });
    let quota = json!({ "metadata": { "name": "limits" }, "spec": { "hard": hard } });
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    // One that comes before the quota counts is let in.
    let mut bare = wrapped("bare", &json!({}));
    bare["metadata"]["generateName"] = bare["metadata"]["name"].take();
    wait::until("Pods without limits to be refused", BOUND, async || {
        match create(&stage.namespace, &bare).await {
            Err(refused) if refused.to_string().contains("must specify limits.cpu") => Ok(Seen::Yes(())),
            other => Ok(Seen::NotYet(format!("{other:?}"))),
        }
    })
    .await
    .unwrap();

    let resources = json!({ "limits": { "cpu": "200m", "memory": "64Mi" }, "requests": { "cpu": "100m", "memory": "64Mi" } });
    let mut pod = wrapped("later", &json!({}));
    pod["metadata"]["annotations"][RESOURCES] = resources.to_string().into();
    pod["metadata"]["annotations"][format!("{CONTAINER}.fermata.dev/drain")] = "2m".into();
    let stored = with_shim(&create(&stage.namespace, &pod).await.unwrap());
    assert_eq!(stored["spec"]["initContainers"][0]["resources"], resources, "{stored:#}");
    assert_eq!(stored["spec"]["terminationGracePeriodSeconds"], 150);
    // The drain takes a minute at most, and the kubelet has the last second.
    let command = &stored["spec"]["containers"][1]["command"];
    assert_eq!(*command, json!(["/fermata/fermata-shim", "run", "--budget", "1m29s", "--", "/app", "serve"]));
}
