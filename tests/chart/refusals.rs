//! Values that are refused, each with the way out.

use fermata_test_cluster::Helm;

use crate::stage::{CHART, HELMS, KUBE_VERSION, offline, template};

/// Values that are wrong by themselves, and a word of the answer.
const MISSPELT: &[(&str, &str)] = &[
    ("replica=3", "'replica'"),
    ("image.registy=x", "'registy'"),
    ("webhook.failPolicy=Fail", "'failPolicy'"),
    ("metrics.serviceMonitor.enable=true", "'enable'"),
    ("config.defaults.drian=20s", "'drian'"),
    ("config.limits.maxDrian=20s", "'maxDrian'"),
    ("podDisruptionBudget.minavailable=1", "'minavailable'"),
    ("replicas=0", "/replicas"),
    ("replicas=two", "/replicas"),
    ("webhook.timeoutSeconds=0", "/webhook/timeoutSeconds"),
    ("webhook.timeoutSeconds=31", "/webhook/timeoutSeconds"),
    ("webhook.failurePolicy=ignore", "/webhook/failurePolicy"),
    ("webhook.reinvocationPolicy=Always", "/webhook/reinvocationPolicy"),
    ("webhook.matchConditions[0].name=x", "'expression'"),
    ("tls.mode=selfsigned", "/tls/mode"),
    ("tls.selfSigned.authorityLifetime=1y", "/tls/selfSigned/authorityLifetime"),
    ("tls.selfSigned.certificateLifetime=1d12h", "/tls/selfSigned/certificateLifetime"),
    ("tls.certManager.duration=90d", "/tls/certManager/duration"),
    ("config.onInvalid=refuse", "/config/onInvalid"),
    ("config.limits.maxDrain=-5s", "/config/limits/maxDrain"),
    ("config.images.nginx.command=nginx", "'command'"),
    ("image.digest=1234", "/image/digest"),
    ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ("image.repository=Fermata", "/image/repository"),
    ("imagePullSecrets[0]=regcred", "/imagePullSecrets/0"),
    ("podDisruptionBudget.maxUnavailable=half", "/podDisruptionBudget/maxUnavailable"),
    ("drainSeconds=10s", "/drainSeconds"),
    ("hostNetwork.port=70000", "/hostNetwork/port"),
    ("webhook.port=443", "/webhook/port"),
    ("service.type=ExternalName", "/service/type"),
    ("networkPolicy.apiServerCidrs[0]=192.0.2.10", "/networkPolicy/apiServerCidrs/0"),
    ("priorityClass.value=2000000000", "/priorityClass/value"),
    ("metrics.prometheusRule.certificateDays=0", "/metrics/prometheusRule/certificateDays"),
    ("podLabels.team=1", "/podLabels/team"),
    ("networkPolicy.egressCidrs[0]=anywhere", "/networkPolicy/egressCidrs/0"),
    // What an API server would drop with a warning, if with any.
    ("securityContext.readonlyRootFilesystem=true", "'readonlyRootFilesystem'"),
    ("securityContext.fsGroup=1", "'fsGroup'"),
    ("securityContext.capabilities.dropped[0]=ALL", "'dropped'"),
    ("podSecurityContext.runAsUid=1", "'runAsUid'"),
    ("podSecurityContext.readOnlyRootFilesystem=true", "'readOnlyRootFilesystem'"),
    ("podSecurityContext.seccompProfile.kind=Localhost", "'kind'"),
    ("podSecurityContext.appArmorProfile.profile=x", "'profile'"),
    ("podSecurityContext.seLinuxOptions.name=x", "'name'"),
    ("podSecurityContext.windowsOptions.user=x", "'user'"),
    ("podSecurityContext.sysctls[0].key=x", "'key'"),
    ("tolerations[0].efect=NoSchedule", "'efect'"),
    ("tolerations[0].operator=Exist", "/tolerations/0/operator"),
    ("extraEnv[0].valuefrom=x", "'valuefrom'"),
    ("extraEnv[0].value=1", "/extraEnv/0/value"),
    ("extraEnv[0].valueFrom.configMapRef.name=x", "'configMapRef'"),
    ("extraEnv[0].valueFrom.fieldRef.path=x", "'path'"),
    ("extraEnv[0].valueFrom.resourceFieldRef.container=x", "'container'"),
    ("extraEnv[0].valueFrom.secretKeyRef.keys=x", "'keys'"),
    ("extraEnv[0].valueFrom.configMapKeyRef.keys=x", "'keys'"),
    ("imagePullSecrets[0].secret=x", "'secret'"),
    ("resources.limit.memory=1Gi", "'limit'"),
    ("topologySpreadConstraints[0].topologykey=zone", "'topologykey'"),
    ("topologySpreadConstraints[0].topologyKey=zone", "'maxSkew'"),
    ("topologySpreadConstraints[0].labelSelector.matchLabel.a=b", "'matchLabel'"),
    ("affinity.podAntiaffinity.x=y", "'podAntiaffinity'"),
    ("affinity.nodeAffinity.required.x=y", "'required'"),
    ("affinity.podAffinity.preferred[0].x=y", "'preferred'"),
    ("affinity.podAntiAffinity.requiredDuringScheduling[0].x=y", "'requiredDuringScheduling'"),
    ("networkPolicy.metricsFrom[0].namespaceSelectors.x=y", "'namespaceSelectors'"),
    ("networkPolicy.metricsFrom[0].podSelector.labels.x=y", "'labels'"),
    ("networkPolicy.metricsFrom[0].ipBlock.excepts[0]=x", "'excepts'"),
    ("metrics.serviceMonitor.relabelings[0].source_labels[0]=x", "'source_labels'"),
    ("metrics.serviceMonitor.metricRelabelings[0].target=x", "'target'"),
    ("metrics.podMonitor.relabelings[0].source_labels[0]=x", "'source_labels'"),
    ("metrics.podMonitor.metricRelabelings[0].target=x", "'target'"),
];

/// Values that contradict each other, and words of the answer.
const CONTRADICTIONS: &[(&[&str], &[&str])] = &[
    (&["tls.mode=files", "tls.caBundle=x"], &["needs tls.secretName", "or use tls.mode selfSigned"]),
    (&["tls.mode=files", "tls.secretName=x"], &["needs tls.caBundle", "--set-file tls.caBundle=ca.crt"]),
    (&["tls.mode=files", "tls.secretName=x", "tls.caBundle=LS0t"], &["no certificate in PEM", "--set-file"]),
    (
        &[
            "tls.mode=files",
            "tls.secretName=x",
            "tls.caBundle=-----BEGIN CERTIFICATE----- -----BEGIN PRIVATE KEY-----",
        ],
        &["holds a private key", "certificates alone"],
    ),
    (&["tls.caBundle=x"], &["tls.mode is selfSigned", "leave tls.caBundle out"]),
    (&["tls.mode=certManager", "tls.caBundle=x"], &["tls.mode is certManager", "leave tls.caBundle out"]),
    (&["tls.secretName=x"], &["tls.secretName is for", "fermata-authority", "set tls.mode"]),
    (
        &["tls.mode=certManager", "tls.selfSigned.certificateLifetime=1h"],
        &["tls.selfSigned has settings", "leave them out"],
    ),
    (&["tls.selfSigned.authorityLifetime=3651d"], &["takes no 3651d", "from 4s to 3650d"]),
    (&["tls.selfSigned.certificateLifetime=3s"], &["takes no 3s", "from 4s to 3650d"]),
    (&["tls.certManager.issuerRef.name=x"], &["tls.mode is selfSigned", "use tls.mode certManager"]),
    (
        &["tls.mode=certManager", "tls.certManager.issuerRef.kind=ClusterIssuer"],
        &["ClusterIssuer, but which one", "Set tls.certManager.issuerRef.name"],
    ),
    (&["replicas=1", "webhook.failurePolicy=Fail"], &["use replicas 2 or more"]),
    (&["drainSeconds=30"], &["terminationGracePeriodSeconds 30 is too short", "use at least 36"]),
    (&["drainSeconds=10", "terminationGracePeriodSeconds=15"], &["use at least 16"]),
    (&["podDisruptionBudget.minAvailable=1", "podDisruptionBudget.maxUnavailable=1"], &["leave one out"]),
    (&["podDisruptionBudget.maxUnavailable=0"], &["could ever be drained", "use maxUnavailable 1"]),
    (&["podDisruptionBudget.minAvailable=2"], &["lets none of 2 replicas go"]),
    (&["podDisruptionBudget.minAvailable=100%"], &["lets none of 2 replicas go"]),
    (&["podDisruptionBudget.minAvailable=51%"], &["lets none of 2 replicas go"]),
    (&["podDisruptionBudget.minAvailable=81%", "replicas=5"], &["lets none of 5 replicas go"]),
    (&["podDisruptionBudget.minAvailable=1%", "replicas=1"], &["lets none of 1 replicas go"]),
    (&["priorityClass.create=true", "priorityClassName=high"], &["names high", "use one of the two"]),
    (&["serviceAccount.create=false"], &["set serviceAccount.name"]),
    (
        &["hostNetwork.enabled=true", "hostNetwork.port=9000", "hostNetwork.adminPort=9000"],
        &["both 9000", "two ports"],
    ),
    (&["hostNetwork.enabled=true", "networkPolicy.enabled=true"], &["networkPolicy does nothing"]),
    (&["metrics.serviceMonitor.enabled=true", "metrics.podMonitor.enabled=true"], &["enable one"]),
    (
        &["webhook.namespaceSelector.matchLabels.fermata\\.dev/inject=x"],
        &["sets to enabled itself", "leave it out"],
    ),
    (
        &["podLabels.app\\.kubernetes\\.io/name=x"],
        &["podLabels names app.kubernetes.io/name", "a label of your own"],
    ),
    (
        &["commonLabels.app\\.kubernetes\\.io/name=x"],
        &["commonLabels names app.kubernetes.io/name", "leave it out"],
    ),
    (
        &["commonLabels.app\\.kubernetes\\.io/instance=x"],
        &["commonLabels names app.kubernetes.io/instance", "leave it out"],
    ),
    (
        &["commonLabels.app\\.kubernetes\\.io/component=x"],
        &["commonLabels names app.kubernetes.io/component", "leave it out"],
    ),
    (
        &["commonLabels.fermata\\.dev/inject=enabled"],
        &["commonLabels names fermata.dev/inject", "leave it out"],
    ),
    (&["extraEnv[0].name=POD_NAMESPACE"], &["extraEnv names POD_NAMESPACE", "leave it out"]),
    (&["extraArgs[0]=--listen=:9443"], &["extraArgs names --listen", "use webhook.port"]),
    (
        &["hostNetwork.enabled=true", "extraArgs[0]=--listen=:9443"],
        &["extraArgs names --listen", "use hostNetwork.port"],
    ),
    (
        &["hostNetwork.enabled=true", "webhook.port=10250"],
        &["webhook.port 10250 is for", "use hostNetwork.port"],
    ),
    (&["webhook.port=8080"], &["health and metrics are served", "use another one"]),
    (&["config.shimImage=ghcr.io/Acme/shim"], &["ghcr.io/Acme/shim is no image", "use a reference such as"]),
    (
        &["config.images.nginx.stopSignal=SIGNOPE"],
        &["config.images.nginx.stopSignal: SIGNOPE", "use one such as QUIT"],
    ),
    (&["shim.enabled=false", "config.shimImage=x"], &["shim.enabled is false", "leave one of the two out"]),
    (
        &["shim.enabled=false", "config.defaults.shim=hook"],
        &["config.defaults.shim hook asks for", "leave one of the two out"],
    ),
    (&["extraArgs[0]=--log-level"], &["extraArgs names --log-level", "use log.level"]),
    (
        &["tls.mode=certManager", "webhook.annotations.cert-manager\\.io/inject-ca-from=a/b"],
        &["webhook.annotations names cert-manager.io/inject-ca-from", "leave it out"],
    ),
    (
        &["tls.mode=certManager", "webhook.annotations.cert-manager\\.io/inject-ca-from-secret=a/b"],
        &["webhook.annotations names cert-manager.io/inject-ca-from-secret", "leave it out"],
    ),
    (
        &["webhook.annotations.cert-manager\\.io/inject-ca-from=a/b"],
        &["tls.mode selfSigned that comes from the replicas", "or use tls.mode certManager"],
    ),
    (
        &[
            "tls.mode=files",
            "tls.secretName=x",
            "tls.caBundle=-----BEGIN CERTIFICATE-----",
            "webhook.annotations.cert-manager\\.io/inject-apiserver-ca=yes",
        ],
        &["tls.mode files that comes from tls.caBundle", "leave it out"],
    ),
    (
        &["tls.mode=certManager", "tls.certManager.duration=24h"],
        &["24h is no longer than tls.certManager.renewBefore 720h", "set a shorter renewBefore"],
    ),
    (
        &["tls.mode=certManager", "tls.certManager.renewBefore=2160h"],
        &["2160h is no longer than", "tls.certManager.renewBefore="],
    ),
];

async fn refusal(helm: &Helm, settings: &[&str]) -> String {
    let flags: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
    helm.refusal(&template(&flags)).await.unwrap_or_else(|error| panic!("{settings:?}: {error}"))
}

/// The JSON pointers to a setting and to each value above it, the empty one last: `a.b[0].c` is `/a/b/0/c`, in `/a/b/0`, in `/a/b`,
/// in `/a`, in all.
fn pointers(setting: &str) -> Vec<String> {
    let (path, _) = setting.split_once('=').unwrap();
    let path = format!("/{}", path.replace('[', ".").replace(']', "").replace('.', "/"));
    let above = path.rmatch_indices('/').map(|(end, _)| path[..end].to_owned());
    std::iter::once(path.clone()).chain(above).collect()
}

/// Sets of values that do not touch each other, for Helm says everything that is wrong at once.
fn sets() -> Vec<Vec<(&'static str, &'static str)>> {
    let touch = |one: &str, other: &str| {
        let [one, other] = [one, other].map(pointers);
        one[1] == other[1] || one.contains(&other[0]) || other.contains(&one[0])
    };
    let mut sets: Vec<Vec<(&str, &str)>> = Vec::new();
    for row in MISSPELT {
        let is_free = |set: &&mut Vec<(&str, &str)>| set.iter().all(|(setting, _)| !touch(setting, row.0));
        match sets.iter_mut().find(is_free) {
            Some(set) => set.push(*row),
            None => sets.push(vec![*row]),
        }
    }
    sets
}

#[tokio::test]
async fn a_value_that_is_not_there_or_cannot_be_is_refused_by_name() {
    for binary in HELMS {
        let helm = offline(binary).await;
        for set in sets() {
            let settings: Vec<&str> = set.iter().map(|(setting, _)| *setting).collect();
            let answer = refusal(&helm, &settings).await;
            assert!(answer.contains("schema"), "{answer}");
            for (setting, named) in set {
                let places: Vec<String> =
                    pointers(setting).iter().map(|pointer| format!("at '{pointer}'")).collect();
                let is_named = |line: &str| {
                    line.contains(named) && places.iter().any(|place| line.contains(place.as_str()))
                };
                assert!(answer.lines().any(is_named), "{setting}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn a_contradiction_is_refused_with_the_way_out() {
    for binary in HELMS {
        let helm = offline(binary).await;
        for (settings, words) in CONTRADICTIONS {
            let answer = refusal(&helm, settings).await;
            for word in *words {
                assert!(answer.contains(word), "{settings:?}: {word:?} is not in {answer}");
            }
        }
    }
}

#[tokio::test]
async fn the_system_s_namespaces_are_refused() {
    for binary in HELMS {
        let helm = offline(binary).await;
        for namespace in ["kube-system", "kube-public", "kube-node-lease"] {
            let words =
                ["template", "fermata", CHART, "--kube-version", KUBE_VERSION, "--namespace", namespace];
            let answer = helm.refusal(&words).await.unwrap();
            assert!(answer.contains(namespace) && answer.contains("--namespace fermata"), "{answer}");
        }
    }
}

/// A release's name may have dots and begin with a digit, a Service's may not.
#[tokio::test]
async fn a_release_s_name_that_no_service_can_have_is_mended_or_refused() {
    for binary in HELMS {
        let helm = offline(binary).await;
        let words = |release: &'static str| ["template", release, CHART, "--kube-version", KUBE_VERSION];
        let rendered = helm.success(&words("my.fermata")).await.unwrap();
        assert!(rendered.contains("kind: Service\nmetadata:\n  name: my-fermata\n"), "{rendered}");
        let answer = helm.refusal(&words("2fermata")).await.unwrap();
        assert!(
            answer.contains("begin with a letter") && answer.contains("set fullnameOverride"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_kubernetes_that_is_too_old_is_refused() {
    for binary in HELMS {
        let helm = offline(binary).await;
        let answer = helm.refusal(&template(&["--kube-version", "1.26.9"])).await.unwrap();
        assert!(answer.contains("1.27.0"), "{answer}");
        let condition = "webhook.matchConditions[0]";
        let (name, expression) = (format!("{condition}.name=x"), format!("{condition}.expression=true"));
        let flags = ["--kube-version", "1.27.3", "--set", &name, "--set-string", &expression];
        let answer = helm.refusal(&template(&flags)).await.unwrap();
        assert!(answer.contains("needs Kubernetes 1.28") && answer.contains("objectSelector"), "{answer}");
    }
}
