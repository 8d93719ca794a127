//! Generated Pods with the settings they are planned under: mostly legal, in every shape that users write, with
//! mistakes strewn in.

use fermata_core::{
    ServerVersion,
    annotation::{self, Key},
    settings::{ClusterSettings, LayerValues, Limits, NamespaceSettings, OnInvalid, Settings},
};
use proptest::{collection, option, prelude::*, sample::select, strategy::Union};
use serde_json::{Map, Value, json};

use crate::{parts, text::text};

/// A Pod and what is known beside it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) pod: Value,
    pub(crate) cluster: ClusterSettings,
    pub(crate) namespace: Option<NamespaceSettings>,
    pub(crate) server: Option<ServerVersion>,
}

impl Case {
    pub(crate) fn settings(&self) -> Settings<'_> {
        Settings {
            cluster: &self.cluster,
            namespace: self.namespace.as_ref(),
            namespace_name: None,
            own_namespace: Some("fermata"),
            server: self.server,
        }
    }
}

/// A fresh Pod under any settings.
///
/// Boxed, as the others: what they are made of is too large for a thread's stack.
pub(crate) fn case() -> BoxedStrategy<Case> {
    (pod(), cluster(), option::of(namespace()), option::of(select(&[29, 30, 36][..])))
        .prop_map(|(pod, cluster, namespace, minor)| Case {
            pod,
            cluster,
            namespace,
            server: minor.map(|minor| ServerVersion { major: 1, minor }),
        })
        .boxed()
}

fn seconds() -> impl Strategy<Value = fermata_stop_plan::Seconds> {
    select(&[0, 1, 2, 5, 15, 20, 60, 700, 86_400][..])
        .prop_map(|s| fermata_stop_plan::Seconds::new(s).unwrap())
}

fn cluster() -> BoxedStrategy<ClusterSettings> {
    let defaults =
        collection::vec(good_value(), 0..4).prop_flat_map(|pairs| (Just(pairs), prop::bool::weighted(0.5)));
    (
        defaults,
        option::of(seconds()),
        option::weighted(0.3, seconds()),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.75),
        parts::images(),
    )
        .prop_map(|((pairs, any), max_drain, max_grace_period, deny, has_image, images)| {
            let mut defaults = LayerValues::default();
            for (name, value) in pairs.into_iter().filter(|_| any) {
                let key = Key::named(name).unwrap();
                defaults.set(annotation::parse(key, value).unwrap());
            }
            ClusterSettings {
                defaults,
                limits: Limits { max_drain, max_grace_period },
                on_invalid: if deny { OnInvalid::Deny } else { OnInvalid::Warn },
                shim_image: has_image.then(|| "registry.example.com/fermata-shim:1".to_owned()),
                images,
            }
        })
        .boxed()
}

fn namespace() -> impl Strategy<Value = NamespaceSettings> {
    (annotations(), prop::bool::weighted(0.95)).prop_map(|(annotations, opted_in)| {
        let label = if opted_in { "enabled" } else { "no" };
        let annotations = annotations.as_object().cloned().unwrap_or_default();
        let annotations =
            annotations.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()));
        NamespaceSettings::read([("fermata.dev/inject", label)], annotations)
    })
}

/// A member that may be absent, null, empty, or there.
fn member(value: impl Strategy<Value = Value> + 'static) -> Union<BoxedStrategy<Option<Value>>> {
    Union::new_weighted(vec![
        (3, Just(None).boxed()),
        (1, Just(Some(Value::Null)).boxed()),
        (1, Just(Some(json!({}))).boxed()),
        (5, value.prop_map(Some).boxed()),
    ])
}

fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let members = members.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// As long as a name can be: messages must have room for it.
pub(crate) const LONGEST: &str = "the-container-with-the-longest-name-that-is-allowed-in-clusters";

const NAMES: [&str; 6] = ["app", "proxy", "log-1", "a", "istio-proxy", LONGEST];

/// Annotations with values that are accepted.
const GOOD: [(&str, &str); 44] = [
    ("drain", "15s"),
    ("drain", "5s..60s"),
    ("drain", "0..20"),
    ("drain", "0"),
    ("drain", "700s"),
    ("quiet", "1s"),
    ("quiet", "30"),
    ("grace-period", "1m30s"),
    ("grace-period", "90"),
    ("shim", "init"),
    ("shim", "init"),
    ("shim", "init"),
    ("shim", "true"),
    ("shim", "hook"),
    ("shim", "hook"),
    ("shim", "off"),
    ("profile", "nginx"),
    ("profile", "haproxy"),
    ("profile", "puma"),
    ("profile", "none"),
    ("rewrite", "TERM:QUIT,HUP:0"),
    ("rewrite", "15:10"),
    ("rewrite", "RTMIN+3:TERM"),
    ("signal-scope", "group"),
    ("signal-scope", "child"),
    ("status-command", r#"["passenger-status"]"#),
    ("status-command", "echo $(HOST) $$ ; date"),
    ("status-command", "none"),
    ("stop-command", r#"["passenger", "stop", "--port", "5000"]"#),
    ("stop-command", r#"["a", ";", "\\;", "--", "$(HOST)", "$$", ""]"#),
    ("stop-command", "kill -QUIT $(cat /run/pid)"),
    ("exit-code", "app"),
    ("exit-code", "0"),
    ("exit-code", "143:0,2:0"),
    ("entrypoint", r#"["/docker-entrypoint.sh", "nginx", "-g", "daemon off;"]"#),
    ("entrypoint", r#"["tini", "--", "app", "$HOME", "$(HOST)", "$$"]"#),
    ("entrypoint", r#"["/init"]"#),
    ("entrypoint", r#"["sh", "-c", "exec app"]"#),
    ("entrypoint", "none"),
    ("containers", "app"),
    ("containers", "app,log-1"),
    ("containers", LONGEST),
    ("drain", "1m30s"),
    ("drain", "90"),
];

fn good_value() -> impl Strategy<Value = (&'static str, &'static str)> {
    select(&GOOD[..])
}

fn annotations() -> BoxedStrategy<Value> {
    const OWN: [&str; 18] = [
        "drain",
        "quiet",
        "grace-period",
        "shim",
        "profile",
        "rewrite",
        "signal-scope",
        "status-command",
        "stop-command",
        "exit-code",
        "entrypoint",
        "containers",
        "drian",
        "profil",
        "a-name-that-is-like-no-other-and-as-long-as-one-can-be-at-all-ok",
        "inject",
        "status",
        "",
    ];
    let container = || option::weighted(0.35, select(&NAMES[..]));
    let good = (container(), good_value())
        .prop_map(|(container, (name, value))| (key(container, name), value.to_owned()));
    let bad_value = prop_oneof![
        4 => select(&["", " 30 ", "-5", "abc", "60s..5s", "1.5s", "99999999999999999999", "app", "nobody", "App,"][..]),
        4 => select(&["on", "nginxx", "TERM", "KILL:TERM", "15:3junk", "all", "[]", "[1]", "[\"\"]", "300", "143:", "a\0b"][..]),
        1 => Just("a value that is far longer than what a message has room for, with \"quotes\" in it"),
    ];
    let bad = (container(), select(&OWN[..]), bad_value)
        .prop_map(|(container, name, value)| (key(container, name), value.to_owned()));
    let foreign = prop_oneof![
        2 => select(&["a/b~c", "app", "example.com/\"quoted\"", "fermata.dev.example.com/drain", "~0~1/x"][..]).prop_map(str::to_owned),
        1 => text(),
    ];
    let foreign = (foreign, text());
    let evict = select(&["", "cache", "cache, ", "cache,fermata-shim", "fermata-shim"][..])
        .prop_map(|volumes| (crate::delivery::SAFE_TO_EVICT.to_owned(), volumes.to_owned()));
    let pair = prop_oneof![8 => good, 3 => bad, 1 => foreign, 1 => evict];
    collection::vec(pair, 0..6)
        .prop_map(|pairs| json!(pairs.into_iter().collect::<std::collections::BTreeMap<_, _>>()))
        .boxed()
}

fn key(container: Option<&str>, name: &str) -> String {
    let dot = if container.is_some() { "." } else { "" };
    format!("{}{dot}fermata.dev/{name}", container.unwrap_or_default())
}

fn hook() -> BoxedStrategy<Value> {
    let sleep = select(&[1, 2, 5, 15, 29, 30, 60, 3600][..]);
    prop_oneof![
        3 => sleep.clone().prop_map(|seconds| json!({ "sleep": { "seconds": seconds } })),
        1 => sleep.clone().prop_map(|seconds| json!({ "exec": { "command": ["sleep", seconds.to_string()] } })),
        1 => sleep.prop_map(|seconds| json!({ "exec": { "command": ["/bin/sh", "-c", format!("sleep {seconds}; exit 0")] } })),
        4 => parts::own_hook(),
        1 => parts::hook_of_shim(),
        1 => Just(json!({ "tcpSocket": { "port": 8080 } })),
        1 => Just(json!({ "grpc": { "port": 8080 } })),
    ]
        .boxed()
}

fn unknown_fields() -> impl Strategy<Value = Option<Value>> {
    option::weighted(0.4, arbitrary_json())
}

/// A regular container of that name.
pub(crate) fn container(name: &'static str) -> BoxedStrategy<Value> {
    let lifecycle = (
        member(hook()),
        option::of(Just(json!({ "exec": { "command": ["warm-up"] } }))),
        option::weighted(0.2, Just(json!("SIGQUIT"))),
        unknown_fields(),
    )
        .prop_map(|(pre_stop, post_start, signal, future)| {
            object([
                ("preStop", pre_stop),
                ("postStart", post_start),
                ("stopSignal", signal),
                ("future", future),
            ])
        });
    let probe = select(&[1, 5, 60][..])
        .prop_map(|seconds| json!({ "terminationGracePeriodSeconds": seconds, "httpGet": {} }));
    (
        member(lifecycle),
        unknown_fields(),
        option::weighted(0.2, probe),
        parts::program(),
        parts::storage(),
        parts::resources(),
        parts::readiness(),
    )
        .prop_map(
            move |(
                lifecycle,
                future,
                probe,
                (image, command, args),
                (mounts, devices),
                resources,
                readiness,
            )| {
                object([
                    ("name", Some(json!(name))),
                    ("image", Some(json!(image))),
                    ("command", command),
                    ("args", args),
                    ("ports", Some(json!([{ "name": "web", "containerPort": 8080 }]))),
                    ("lifecycle", lifecycle),
                    ("livenessProbe", probe),
                    ("readinessProbe", readiness),
                    ("resources", resources),
                    ("volumeMounts", mounts),
                    ("volumeDevices", devices),
                    ("future", future),
                ])
            },
        )
        .boxed()
}

fn containers() -> impl Strategy<Value = Value> {
    let each: Vec<_> = NAMES.iter().map(|name| option::weighted(0.4, container(name)).boxed()).collect();
    each.prop_map(|containers| json!(containers.into_iter().flatten().collect::<Vec<_>>()))
}

fn init_container() -> BoxedStrategy<Value> {
    (
        prop_oneof![12 => select(&["init", "istio-init", "mesh"][..]), 1 => Just("fermata-shim")],
        option::of(Just("Always")),
        parts::resources(),
        unknown_fields(),
    )
        .prop_map(|(name, policy, resources, future)| {
            object([
                ("name", Some(json!(name))),
                ("image", Some(json!("example.com/init:1"))),
                ("restartPolicy", policy.map(Into::into)),
                ("resources", resources),
                ("future", future),
            ])
        })
        .boxed()
}

fn pod() -> BoxedStrategy<Value> {
    let owner = prop_oneof![
        Just(json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true })),
        Just(json!({ "apiVersion": "batch/v1", "kind": "Job", "controller": true })),
    ];
    let labels = select(&["enabled", "disabled", "false"][..])
        .prop_map(|value| json!({ "fermata.dev/inject": value }));
    let metadata = (
        member(annotations()),
        option::weighted(0.2, labels),
        option::weighted(0.2, owner.prop_map(|owner| json!([owner]))),
        unknown_fields(),
    )
        .prop_map(|(annotations, labels, owners, future)| {
            object([
                ("generateName", Some(json!("shop-"))),
                ("annotations", annotations),
                ("labels", labels),
                ("ownerReferences", owners),
                ("future", future),
            ])
        });
    let grace = prop_oneof![
        4 => Just(Some(json!(30))),
        1 => Just(None),
        1 => Just(Some(Value::Null)),
        4 => select(&[-5, 0, 1, 2, 3, 10, 15, 60, 3600, i64::MAX][..]).prop_map(|grace| Some(json!(grace))),
    ];
    let spec = (
        containers(),
        prop_oneof![
            3 => Just(None),
            1 => Just(Some(Value::Null)),
            4 => collection::vec(init_container(), 0..3).prop_map(|all| Some(Value::from(all))),
        ],
        parts::volumes(),
        parts::context(),
        option::weighted(0.2, any::<bool>()),
        grace,
        option::weighted(0.05, Just(json!({ "name": "windows" }))),
        unknown_fields(),
    )
        .prop_map(|(containers, init, volumes, context, host_network, grace, os, future)| {
            object([
                ("containers", Some(containers)),
                ("initContainers", init),
                ("volumes", volumes),
                ("securityContext", context),
                ("hostNetwork", host_network.map(Into::into)),
                ("terminationGracePeriodSeconds", grace),
                ("os", os),
                ("future", future),
            ])
        });
    (member(metadata), spec, unknown_fields())
        .prop_map(|(metadata, spec, future)| {
            object([
                ("apiVersion", Some(json!("v1"))),
                ("kind", Some(json!("Pod"))),
                ("metadata", metadata),
                ("spec", Some(spec)),
                ("future", future),
            ])
        })
        .boxed()
}

/// JSON of any shape, with the member names that the code looks for among its keys.
pub(crate) fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_map(|number| serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)),
        text().prop_map(Value::from),
        select(
            &[
                "Pod",
                "v1",
                "AdmissionReview",
                "admission.k8s.io/v1",
                "CREATE",
                "15s",
                "disabled",
                "init",
                "hook",
                "fermata-shim",
                "/fermata"
            ][..]
        )
        .prop_map(Value::from),
    ];
    let key = prop_oneof![
        select(
            &[
                "apiVersion",
                "kind",
                "metadata",
                "spec",
                "containers",
                "initContainers",
                "name",
                "lifecycle",
                "preStop",
                "sleep",
                "exec",
                "command",
                "seconds",
                "annotations",
                "labels",
                "terminationGracePeriodSeconds",
                "request",
                "uid",
                "object",
                "operation",
                "ownerReferences",
                "os",
                "nodeSelector",
                "volumes",
                "volumeMounts",
                "mountPath",
                "emptyDir",
                "medium",
                "resources",
                "limits",
                "cpu",
                "args",
                "image",
                "httpGet",
                "port",
                "fermata.dev/drain",
                "fermata.dev/shim",
                "fermata.dev/stop-command",
            ][..]
        )
        .prop_map(str::to_owned),
        text(),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::btree_map(key.clone(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}
