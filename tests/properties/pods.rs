//! Generated Pods with the settings they are planned under: mostly legal, in every shape that users write, with
//! mistakes strewn in.

use fermata_core::{
    ServerVersion,
    settings::{ClusterSettings, LayerValues, Limits, NamespaceSettings, OnInvalid, Settings},
};
use proptest::{collection, option, prelude::*, sample::select, strategy::Union};
use serde_json::{Map, Value, json};

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

pub(crate) fn case() -> impl Strategy<Value = Case> {
    (pod(), cluster(), option::of(namespace()), option::of(select(&[29, 30, 36][..]))).prop_map(
        |(pod, cluster, namespace, minor)| Case {
            pod,
            cluster,
            namespace,
            server: minor.map(|minor| ServerVersion { major: 1, minor }),
        },
    )
}

fn seconds() -> impl Strategy<Value = fermata_stop_plan::Seconds> {
    select(&[0, 1, 2, 5, 15, 20, 60, 700, 86_400][..])
        .prop_map(|s| fermata_stop_plan::Seconds::new(s).unwrap())
}

fn cluster() -> impl Strategy<Value = ClusterSettings> {
    (
        option::of(seconds()),
        option::of(seconds()),
        option::of(seconds()),
        option::weighted(0.3, seconds()),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(drain, grace_period, max_drain, max_grace_period, deny)| ClusterSettings {
            defaults: LayerValues { drain: drain.map(Into::into), grace_period, ..LayerValues::default() },
            limits: Limits { max_drain, max_grace_period },
            on_invalid: if deny { OnInvalid::Deny } else { OnInvalid::Warn },
            ..ClusterSettings::default()
        })
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

const NAMES: [&str; 5] = ["app", "proxy", "log-1", "a", "istio-proxy"];

fn annotations() -> impl Strategy<Value = Value> {
    let own = select(&["drain", "grace-period", "containers", "drian", "shim", "inject", "status", ""][..]);
    let key = prop_oneof![
        4 => own.prop_map(|name| format!("fermata.dev/{name}")),
        2 => (select(&NAMES[..]), select(&["drain", "grace-period", "containers", "x"][..]))
            .prop_map(|(container, name)| format!("{container}.fermata.dev/{name}")),
        1 => select(&["a/b~c", "app", "example.com/\"quoted\"", "fermata.dev.example.com/drain", "~0~1/x"][..]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let value = prop_oneof![
        4 => select(&["15s", "1m30s", "90", "0", "5", "700s", "24h"][..]).prop_map(str::to_owned),
        2 => select(&["", " 30 ", "-5", "abc", "5s..60s", "1.5s", "99999999999999999999", "app", "app,log-1", "nobody", "App,"][..]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    collection::btree_map(key, value, 0..4).prop_map(|map| json!(map))
}

fn hook() -> impl Strategy<Value = Value> {
    let sleep = select(&[1, 2, 5, 15, 29, 30, 60, 3600][..]);
    prop_oneof![
        3 => sleep.clone().prop_map(|seconds| json!({ "sleep": { "seconds": seconds } })),
        1 => sleep.clone().prop_map(|seconds| json!({ "exec": { "command": ["sleep", seconds.to_string()] } })),
        1 => sleep.prop_map(|seconds| json!({ "exec": { "command": ["/bin/sh", "-c", format!("sleep {seconds}; exit 0")] } })),
        1 => Just(json!({ "exec": { "command": ["nginx", "-s", "quit"] } })),
        1 => Just(json!({ "httpGet": { "path": "/stop", "port": 8080 } })),
        1 => Just(json!({ "tcpSocket": { "port": 8080 } })),
        1 => Just(json!({ "grpc": { "port": 8080 } })),
    ]
}

fn unknown_fields() -> impl Strategy<Value = Option<Value>> {
    option::weighted(0.4, arbitrary_json())
}

/// A regular container of that name.
pub(crate) fn container(name: &'static str) -> impl Strategy<Value = Value> {
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
    (member(lifecycle), unknown_fields(), option::weighted(0.2, probe)).prop_map(
        move |(lifecycle, future, probe)| {
            object([
                ("name", Some(json!(name))),
                ("image", Some(json!("example.com/app:1"))),
                ("lifecycle", lifecycle),
                ("livenessProbe", probe),
                ("future", future),
            ])
        },
    )
}

fn containers() -> impl Strategy<Value = Value> {
    let each: Vec<_> = NAMES.iter().map(|name| option::weighted(0.4, container(name)).boxed()).collect();
    each.prop_map(|containers| json!(containers.into_iter().flatten().collect::<Vec<_>>()))
}

fn init_container() -> impl Strategy<Value = Value> {
    (
        select(&["init", "istio-init", "mesh"][..]),
        option::of(select(&["Always", "Never"][..])),
        unknown_fields(),
    )
        .prop_map(|(name, policy, future)| {
            object([
                ("name", Some(json!(name))),
                ("restartPolicy", policy.map(Into::into)),
                ("future", future),
            ])
        })
}

fn pod() -> impl Strategy<Value = Value> {
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
        option::of(collection::vec(init_container(), 0..3).prop_map(Value::from)),
        grace,
        option::weighted(0.05, Just(json!({ "name": "windows" }))),
        unknown_fields(),
    )
        .prop_map(|(containers, init, grace, os, future)| {
            object([
                ("containers", Some(containers)),
                ("initContainers", init),
                ("terminationGracePeriodSeconds", grace),
                ("os", os),
                ("future", future),
            ])
        });
    (member(metadata), spec, unknown_fields()).prop_map(|(metadata, spec, future)| {
        object([
            ("apiVersion", Some(json!("v1"))),
            ("kind", Some(json!("Pod"))),
            ("metadata", metadata),
            ("spec", Some(spec)),
            ("future", future),
        ])
    })
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
        any::<String>().prop_map(Value::from),
        select(&["Pod", "v1", "AdmissionReview", "admission.k8s.io/v1", "CREATE", "15s", "disabled"][..])
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
                "fermata.dev/drain",
            ][..]
        )
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::btree_map(key.clone(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}
