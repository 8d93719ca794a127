//! What comes out, without a cluster.

use std::{collections::BTreeSet, process::Command};

use fermata_test_cluster::Helm;
use serde_json::{Value, json};

use crate::stage::{CHART, HELMS, KUBE_VERSION, is_test, labels, objects, offline, only, template};

async fn rendered(helm: &Helm, flags: &[&str]) -> Vec<Value> {
    objects(&helm.success(&template(flags)).await.unwrap())
}

/// Everything that can be switched on at once.
pub(crate) const EVERYTHING: &[&str] = &[
    "--set",
    "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,networkPolicy.enabled=true",
    "--set",
    "priorityClass.create=true,networkPolicy.apiServerCidrs={192.0.2.0/24},networkPolicy.egressCidrs={192.0.2.0/24}",
    "--set",
    "commonLabels.team=platform",
];

/// Options of `container`, which is what a list of arguments is.
fn arguments(deployment: &Value) -> Vec<&str> {
    let arguments = deployment.pointer("/spec/template/spec/containers/0/args").unwrap();
    arguments.as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()).collect()
}

#[tokio::test]
async fn lint_finds_nothing() {
    for binary in HELMS {
        let helm = offline(binary).await;
        for flags in [&[][..], EVERYTHING] {
            let words = [&["lint", "--strict", CHART, "--kube-version", KUBE_VERSION], flags].concat();
            let said = helm.success(&words).await.unwrap();
            assert!(said.contains("0 chart(s) failed") && !said.contains("[WARNING]"), "{said}");
        }
    }
}

#[tokio::test]
async fn both_helms_render_the_same_and_the_same_each_time() {
    let mut seen = Vec::new();
    for binary in HELMS {
        let helm = offline(binary).await;
        for _ in 0..2 {
            seen.push(rendered(&helm, EVERYTHING).await);
        }
    }
    let order = |objects: &Vec<Value>| {
        let mut objects: Vec<_> = objects.iter().map(ToString::to_string).collect();
        objects.sort();
        objects
    };
    for other in &seen[1..] {
        assert_eq!(order(&seen[0]), order(other));
    }
}

#[tokio::test]
async fn every_kubernetes_version_gets_what_it_keeps() {
    for binary in HELMS {
        let helm = offline(binary).await;
        for minor in 27..=37 {
            let version = format!("v1.{minor}.4");
            for flags in [&[][..], EVERYTHING] {
                let flags = [&["--kube-version", version.as_str()], flags].concat();
                let objects = rendered(&helm, &flags).await;
                let webhook = &only(&objects, "MutatingWebhookConfiguration")["webhooks"][0];
                assert_eq!(webhook["matchConditions"].is_array(), minor >= 28, "{version}");
                assert_eq!(only(&objects, "Deployment")["apiVersion"], "apps/v1");
            }
        }
    }
}

#[tokio::test]
async fn a_version_with_a_vendor_s_suffix_is_understood() {
    let helm = offline(HELMS[0]).await;
    for version in ["v1.33.4-gke.1245000", "v1.30.1-eks-1234567", "v1.28.3+k3s1"] {
        let objects = rendered(&helm, &["--kube-version", version]).await;
        let webhook = &only(&objects, "MutatingWebhookConfiguration")["webhooks"][0];
        assert!(webhook["matchConditions"].is_array(), "{version}");
    }
}

#[tokio::test]
async fn every_object_says_whose_it_is() {
    let helm = offline(HELMS[0]).await;
    let mut all = rendered(&helm, EVERYTHING).await;
    all.extend(rendered(&helm, &["--set", "tls.mode=certManager,commonLabels.team=platform"]).await);
    for object in &all {
        let labels = labels(object);
        for (label, value) in [
            ("app.kubernetes.io/name", "fermata"),
            ("app.kubernetes.io/instance", "fermata"),
            ("app.kubernetes.io/version", env!("CARGO_PKG_VERSION")),
            ("app.kubernetes.io/managed-by", "Helm"),
            ("app.kubernetes.io/part-of", "fermata"),
            ("helm.sh/chart", concat!("fermata-", env!("CARGO_PKG_VERSION"))),
            ("team", "platform"),
        ] {
            assert_eq!(labels.get(label).map(String::as_str), Some(value), "{label} of {object}");
        }
        let cluster_wide = [
            "ClusterRole",
            "ClusterRoleBinding",
            "MutatingWebhookConfiguration",
            "Namespace",
            "PriorityClass",
        ]
        .iter()
        .any(|kind| object["kind"] == *kind);
        assert_eq!(object["metadata"]["namespace"].is_null(), cluster_wide, "{object}");
    }
    let pods = &only(&all[..all.len() / 2], "Deployment")["spec"]["template"];
    assert_eq!(labels(pods)["app.kubernetes.io/component"], "webhook");
}

#[tokio::test]
async fn an_api_server_is_told_what_a_careful_operator_would() {
    let objects = rendered(&offline(HELMS[0]).await, &[]).await;
    let webhooks = &only(&objects, "MutatingWebhookConfiguration")["webhooks"];
    assert_eq!(
        *webhooks,
        json!([{
            "name": "pods.fermata.dev",
            "admissionReviewVersions": ["v1"],
            // Without a caBundle: that is the replicas'.
            "clientConfig": { "service": { "name": "fermata", "namespace": "fermata", "path": "/mutate", "port": 443 } },
            "failurePolicy": "Ignore",
            "timeoutSeconds": 5,
            "reinvocationPolicy": "IfNeeded",
            "matchPolicy": "Equivalent",
            "sideEffects": "None",
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced",
            }],
            "namespaceSelector": {
                "matchLabels": { "fermata.dev/inject": "enabled" },
                "matchExpressions": [{
                    "key": "kubernetes.io/metadata.name",
                    "operator": "NotIn",
                    "values": ["kube-system", "kube-public", "kube-node-lease", "fermata"],
                }],
            },
            "objectSelector": {
                "matchExpressions": [{ "key": "fermata.dev/inject", "operator": "NotIn", "values": ["disabled"] }],
            },
            "matchConditions": [{
                "name": "not-a-mirror-pod",
                "expression": r#"!has(object.metadata.annotations) || !("kubernetes.io/config.mirror" in object.metadata.annotations)"#,
            }],
        }])
    );
}

/// The rules of all roles that the replicas' account has.
fn rules(objects: &[Value]) -> Vec<&Value> {
    objects
        .iter()
        .filter(|object| (object["kind"] == "ClusterRole" || object["kind"] == "Role") && !is_test(object))
        .flat_map(|role| role["rules"].as_array().unwrap())
        .collect()
}

#[tokio::test]
async fn rights_are_the_least() {
    let helm = offline(HELMS[0]).await;
    let read = json!(["get", "list", "watch"]);
    let namespaces = json!({ "apiGroups": [""], "resources": ["namespaces"], "verbs": read });
    let configuration = |verbs: Value| {
        json!({
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingwebhookconfigurations"],
            "resourceNames": ["fermata"],
            "verbs": verbs,
        })
    };
    let own_secret = json!({
        "apiGroups": [""],
        "resources": ["secrets"],
        "resourceNames": ["fermata-authority"],
        "verbs": ["get", "list", "watch", "update", "patch", "create"],
    });
    let patch = json!(["get", "list", "watch", "patch"]);
    let objects = rendered(&helm, &[]).await;
    assert_eq!(rules(&objects), [&namespaces, &configuration(patch), &own_secret]);
    // No verb on any Secret where the certificate comes from elsewhere.
    for mode in [
        &["--set", "tls.mode=certManager"][..],
        &["--set", "tls.mode=files,tls.secretName=own,tls.caBundle=-----BEGIN CERTIFICATE-----"],
    ] {
        let objects = rendered(&helm, mode).await;
        assert_eq!(rules(&objects), [&namespaces, &configuration(read.clone())]);
        assert!(!objects.iter().any(|object| object["kind"] == "Secret"), "{mode:?}");
    }
    // Nothing of the test's may read a Secret either, or write anything but a Pod in its own namespace.
    let test = objects.iter().find(|object| is_test(object) && object["kind"] == "Namespace").unwrap();
    let test = &test["metadata"]["name"];
    for role in objects.iter().filter(|object| is_test(object) && object["rules"].is_array()) {
        for rule in role["rules"].as_array().unwrap() {
            assert!(!rule["resources"].as_array().unwrap().contains(&json!("secrets")), "{rule}");
            let writes =
                rule["verbs"].as_array().unwrap().iter().any(|verb| *verb != "get" && *verb != "list");
            assert!(!writes || role["metadata"]["namespace"] == *test, "{rule}");
        }
    }
}

#[tokio::test]
async fn the_authority_has_no_content_that_an_upgrade_could_reset() {
    let objects = rendered(&offline(HELMS[0]).await, &[]).await;
    let secret = only(&objects, "Secret").as_object().unwrap();
    let members: BTreeSet<&str> = secret.keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["apiVersion", "kind", "metadata", "type"]));
    assert_eq!(secret["metadata"]["name"], "fermata-authority");
}

#[tokio::test]
async fn the_program_takes_every_argument_and_every_setting() {
    let helm = offline(HELMS[0]).await;
    for flags in [
        &[][..],
        &["--set", "tls.mode=certManager"],
        &["--set", "tls.selfSigned.authorityLifetime=48h,tls.selfSigned.certificateLifetime=1h"],
        &[
            "--set",
            "hostNetwork.enabled=true,log.format=json,log.level=debug,drainSeconds=0,extraArgs={--workers=2}",
        ],
    ] {
        let objects = rendered(&helm, flags).await;
        let mut words = arguments(only(&objects, "Deployment"));
        // Every option is known, and each value is of its kind: then only the address of this is in the way.
        words.push("--listen=nowhere");
        let run = Command::new(env!("CARGO_BIN_EXE_fermata")).args(&words).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        let complaint = said.contains("cannot be used multiple times") || said.contains("'nowhere'");
        assert!(complaint, "{words:?}: {said}");
    }

    let settings = r#"{
        "config": {
            "defaults": { "drain": "20s", "shim": true, "grace-period": 40, "stop-command": ["app", "stop"], "exit-code": "143:0" },
            "limits": { "maxDrain": "2m", "maxGracePeriod": "600" },
            "onInvalid": "deny",
            "images": { "nginx": { "entrypoint": ["/docker-entrypoint.sh"], "cmd": ["nginx", "-g", "daemon off;"] } }
        },
        "image": { "registry": "registry.example.com:5000" }
    }"#;
    let folder = tempfile::tempdir().unwrap();
    let [values, config] = ["values.json", "config.yaml"].map(|name| folder.path().join(name));
    std::fs::write(&values, settings).unwrap();
    for flags in [&["--values", values.to_str().unwrap()][..], &[]] {
        let objects = rendered(&helm, flags).await;
        std::fs::write(&config, only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap())
            .unwrap();
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/samples/deployment.yaml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fermata"));
        let run = command.args(["preview", "--config"]).arg(&config).arg(sample).output().unwrap();
        assert!(run.status.code().is_some_and(|code| code <= 1), "{run:?}");
    }
}

#[tokio::test]
async fn images_are_found_where_the_operator_has_them() {
    let helm = offline(HELMS[0]).await;
    let version = env!("CARGO_PKG_VERSION");
    let digest = format!("sha256:{}", "0".repeat(64));
    for (settings, webhook, shim) in [
        (String::new(), format!("fermata/fermata:{version}"), format!("fermata/fermata-shim:{version}")),
        (
            "image.registry=registry.example.com:5000/mirror,image.tag=1.2".to_owned(),
            "registry.example.com:5000/mirror/fermata/fermata:1.2".to_owned(),
            format!("registry.example.com:5000/mirror/fermata/fermata-shim:{version}"),
        ),
        (
            format!("image.digest={digest},shim.image.registry=other.example.com,shim.image.digest={digest}"),
            format!("fermata/fermata@{digest}"),
            format!("other.example.com/fermata/fermata-shim@{digest}"),
        ),
        (
            "config.shimImage=registry.example.com/init:2".to_owned(),
            format!("fermata/fermata:{version}"),
            "registry.example.com/init:2".to_owned(),
        ),
    ] {
        let objects = rendered(&helm, &["--set", &settings]).await;
        let pods = &only(&objects, "Deployment")["spec"]["template"]["spec"];
        assert_eq!(pods["containers"][0]["image"], webhook);
        let config = only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap();
        assert!(config.contains(&format!("shimImage: {shim}")), "{config}");
        let test = objects.iter().find(|object| object["kind"] == "Pod").unwrap();
        assert_eq!(test["spec"]["containers"][0]["image"], webhook);
    }
}

/// Whoever lets nobody ask for the shim has no image of it to bring near the nodes.
#[tokio::test]
async fn without_the_shim_no_pod_is_told_to_pull_it() {
    let objects = rendered(&offline(HELMS[0]).await, &["--set", "shim.enabled=false"]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap()).unwrap();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/samples/shim.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fermata"));
    let run = command.args(["preview", "--config"]).arg(&config).arg(sample).output().unwrap();
    let [patched, said] = [run.stdout, run.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(said.contains("no-shim-image") && !patched.contains("initContainers"), "{patched}{said}");
}

#[tokio::test]
async fn replicas_are_called_on_the_port_that_a_firewall_lets_through() {
    let objects = rendered(&offline(HELMS[0]).await, &["--set", "webhook.port=10250"]).await;
    let deployment = only(&objects, "Deployment");
    let port = &deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0];
    assert_eq!(*port, json!({ "name": "https", "containerPort": 10250, "protocol": "TCP" }));
    assert!(arguments(deployment).contains(&"--listen=[::]:10250"));
}

/// An umbrella chart switches it off and on by `condition`.
#[tokio::test]
async fn another_chart_can_depend_on_it() {
    let umbrella = tempfile::tempdir().unwrap();
    let here = umbrella.path();
    std::fs::create_dir(here.join("charts")).unwrap();
    let copied = Command::new("cp").args(["-r", CHART]).arg(here.join("charts/fermata")).status().unwrap();
    assert!(copied.success());
    let dependency =
        json!({ "name": "fermata", "version": env!("CARGO_PKG_VERSION"), "condition": "fermata.enabled" });
    let chart =
        json!({ "apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [dependency] });
    std::fs::write(here.join("Chart.yaml"), chart.to_string()).unwrap();
    for binary in HELMS {
        let helm = offline(binary).await;
        for (enabled, deployments) in [(true, 1), (false, 0)] {
            let switch = format!("fermata.enabled={enabled}");
            let words = [
                "template",
                "platform",
                here.to_str().unwrap(),
                "--kube-version",
                KUBE_VERSION,
                "--set",
                &switch,
            ];
            let objects = objects(&helm.success(&words).await.unwrap());
            let found = objects.iter().filter(|object| object["kind"] == "Deployment").count();
            assert_eq!(found, deployments, "{switch}");
        }
    }
}

#[tokio::test]
async fn on_the_node_s_network_replicas_never_need_a_third_node() {
    let flags = ["--set", "hostNetwork.enabled=true,hostNetwork.port=9443,hostNetwork.adminPort=9080"];
    let objects = rendered(&offline(HELMS[0]).await, &flags).await;
    let deployment = only(&objects, "Deployment");
    assert_eq!(
        deployment["spec"]["strategy"]["rollingUpdate"],
        json!({ "maxUnavailable": 1, "maxSurge": 0 })
    );
    let pods = &deployment["spec"]["template"]["spec"];
    assert_eq!(pods["hostNetwork"], true);
    // By their ports no two of them fit on a node.
    let ports = [json!(9443), json!(9080)];
    let found =
        pods["containers"][0]["ports"].as_array().unwrap().iter().map(|port| port["containerPort"].clone());
    assert_eq!(found.collect::<Vec<_>>(), ports);
    let arguments = arguments(deployment);
    assert!(arguments.contains(&"--listen=[::]:9443") && arguments.contains(&"--admin-listen=[::]:9080"));
}

/// A constraint of one's own takes the scheduler's away, zones among them.
#[tokio::test]
async fn replicas_spread_over_zones_and_nodes() {
    let objects = rendered(&offline(HELMS[0]).await, &[]).await;
    let spread = &only(&objects, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"];
    let keys: Vec<_> =
        spread.as_array().unwrap().iter().map(|constraint| &constraint["topologyKey"]).collect();
    assert_eq!(keys, ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]);
    for constraint in spread.as_array().unwrap() {
        assert_eq!(constraint["whenUnsatisfiable"], "ScheduleAnyway", "one zone must do");
        assert_eq!(constraint["labelSelector"]["matchLabels"]["app.kubernetes.io/component"], "webhook");
    }
}

#[tokio::test]
async fn what_is_given_for_scheduling_arrives() {
    let flags = [
        "--set",
        "topologySpreadConstraints[0].topologyKey=zone,topologySpreadConstraints[0].maxSkew=1",
        "--set",
        "topologySpreadConstraints[0].whenUnsatisfiable=DoNotSchedule,podDisruptionBudget.minAvailable=1",
        "--set",
        "nodeSelector.pool=system,tolerations[0].operator=Exists,priorityClassName=high,podSecurityContext.runAsUser=null",
    ];
    let objects = rendered(&offline(HELMS[0]).await, &flags).await;
    let pods = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    let spread = &pods["topologySpreadConstraints"][0];
    assert_eq!(spread["topologyKey"], "zone");
    assert_eq!(spread["labelSelector"]["matchLabels"]["app.kubernetes.io/component"], "webhook");
    assert_eq!(pods["nodeSelector"], json!({ "kubernetes.io/os": "linux", "pool": "system" }));
    assert_eq!(pods["tolerations"][0]["operator"], "Exists");
    assert_eq!(pods["priorityClassName"], "high");
    assert_eq!(pods["securityContext"].get("runAsUser"), None);
    let budget = &only(&objects, "PodDisruptionBudget")["spec"];
    assert_eq!((&budget["minAvailable"], budget.get("maxUnavailable")), (&json!(1), None));
}

/// YAML in which a key is there twice is taken by Helm and refused by what people put behind it.
fn once(yaml: &str) -> Result<(), String> {
    let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::Error };
    serde_saphyr::from_multiple_with_options::<Value>(yaml, options)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_more_specific_label_wins_and_no_key_is_there_twice() {
    assert!(once("a: 1\nb: { c: 1, c: 2 }\n").is_err());
    let values = json!({
        "commonLabels": { "team": "platform", "tier": "infrastructure" },
        "podLabels": { "team": "pods" },
        "podAnnotations": { "kubectl.kubernetes.io/default-container": "sidecar", "team": "pods" },
        "metrics": {
            "serviceMonitor": { "enabled": true, "labels": { "team": "monitors", "app.kubernetes.io/part-of": "monitoring" } },
            "prometheusRule": {
                "enabled": true,
                "labels": { "team": "rules", "helm.sh/chart": "" },
                "alertLabels": { "severity": "page", "team": "alerts" },
            },
        },
        "networkPolicy": { "enabled": true },
        "priorityClass": { "create": true },
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.json");
    std::fs::write(&file, values.to_string()).unwrap();
    let pod_monitor = "metrics.serviceMonitor.enabled=false,metrics.podMonitor.enabled=true,metrics.podMonitor.labels.team=monitors";
    for binary in HELMS {
        let helm = offline(binary).await;
        for set in ["replicas=3", "tls.mode=certManager", "webhook.failurePolicy=Fail", pod_monitor] {
            let text =
                helm.success(&template(&["--values", file.to_str().unwrap(), "--set", set])).await.unwrap();
            assert_eq!(once(&text), Ok(()), "{text}");
            let objects = objects(&text);
            let deployment = only(&objects, "Deployment");
            assert_eq!(labels(deployment)["team"], "platform");
            let pods = &deployment["spec"]["template"];
            assert_eq!((&*labels(pods)["team"], &*labels(pods)["tier"]), ("pods", "infrastructure"));
            assert_eq!(pods["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"], "sidecar");
            // What selects is the chart's own.
            for (key, value) in deployment["spec"]["selector"]["matchLabels"].as_object().unwrap() {
                assert_eq!(labels(pods)[key], value.as_str().unwrap());
            }
            let monitor = if set == pod_monitor { "PodMonitor" } else { "ServiceMonitor" };
            assert_eq!(labels(only(&objects, monitor))["team"], "monitors");
            let rule = only(&objects, "PrometheusRule");
            assert_eq!((&*labels(rule)["team"], &*labels(rule)["helm.sh/chart"]), ("rules", ""));
            for alert in rule["spec"]["groups"][0]["rules"].as_array().unwrap() {
                assert_eq!(alert["labels"], json!({ "severity": "page", "team": "alerts" }));
            }
        }
    }
}

/// Reviews may come through a tunnel, whose ends are not where API servers are.
#[tokio::test]
async fn who_calls_and_who_is_called_are_two_networks() {
    let helm = offline(HELMS[0]).await;
    let policy = async |settings: &str| {
        let set = format!("networkPolicy.enabled=true{settings}");
        let objects = rendered(&helm, &["--set", &set]).await;
        let spec = &only(&objects, "NetworkPolicy")["spec"];
        (spec["ingress"][0]["from"].clone(), spec["egress"][0]["to"].clone())
    };
    let block = |cidr: &str| json!([{ "ipBlock": { "cidr": cidr } }]);
    assert_eq!(policy("").await, (Value::Null, Value::Null));
    let agents = ",networkPolicy.apiServerCidrs={10.0.0.0/8}";
    assert_eq!(policy(agents).await, (block("10.0.0.0/8"), Value::Null));
    let servers = ",networkPolicy.egressCidrs={192.0.2.0/24}";
    assert_eq!(policy(servers).await, (Value::Null, block("192.0.2.0/24")));
}

#[tokio::test]
async fn risky_values_are_warned_of() {
    let helm = offline(HELMS[0]).await;
    for (settings, words) in [
        ("webhook.failurePolicy=Fail", "kubectl delete mutatingwebhookconfiguration fermata"),
        ("replicas=1", "with one replica"),
        ("config.onInvalid=deny", "refuses the Pod"),
        ("webhook.timeoutSeconds=30", "34 seconds"),
        ("podDisruptionBudget.enabled=false", "A node drain may take"),
    ] {
        let words_of =
            ["install", "fermata", CHART, "--dry-run=client", "--namespace", "fermata", "--set", settings];
        let said = helm.run(&words_of).await.unwrap();
        assert!(said.stdout.contains("WARNING: ") && said.stdout.contains(words), "{settings}: {said:?}");
    }
    let plain = ["install", "fermata", CHART, "--dry-run=client", "--namespace", "fermata"];
    let said = helm.success(&plain).await.unwrap();
    assert!(!said.contains("WARNING") && said.contains("fermata preview -o diff FILE"), "{said}");
}
