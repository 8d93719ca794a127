//! The parts of a generated Pod that the shim looks at: what a container runs, what it mounts, what it asks for.

use fermata_core::settings::{ImageConfig, Images};
use proptest::{collection, option, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::text::{like, text};

/// Command lines of all kinds that the shim treats differently.
fn words() -> impl Strategy<Value = Vec<String>> {
    const LINES: [&[&str]; 30] = [
        &["app"],
        &["/bin/app", "--host=$(HOST)", "$(NOBODY)", "$$HOME"],
        &["app", "$", "$$", "$$$", "$(A", "$(HOST)$(A)", "$$(HOST)", "$ x", "$)("],
        &["$(HOST)", "x"],
        &["sh", "-c", "exec app $$1 $(HOST)"],
        &["/bin/bash", "-ec", "app & wait"],
        &["sh", "script.sh"],
        &["dumb-init", "app"],
        &["/usr/bin/dumb-init", "--", "app", "-x"],
        &["dumb-init", "-c", "-r", "15:3", "app"],
        &["dumb-init", "--rewrite", "15:0", "--single-child", "--", "sh", "-c", "app"],
        &["dumb-init", "-vr15:3", "app"],
        &["dumb-init"],
        &["tini", "--"],
        &["tini"],
        &["/sbin/tini", "-g", "-s", "--", "app"],
        &["tini", "-e", "143", "app"],
        &["/sbin/docker-init", "--", "dumb-init", "app"],
        &["catatonit", "app"],
        &["catatonit", "-P"],
        &["/init"],
        &["tini", "--", "/init"],
        &["/lib/systemd/systemd"],
        &["/fermata/fermata-shim", "run", "--", "app"],
        &["/usr/local/bin/fermata-shim", "run", "--trigger", "TERM", "--", "app"],
        &["fermata-shim", "drain"],
        &["--", "app"],
        &["-x"],
        &["", "app"],
        &["python", "-m", "http.server"],
    ];
    prop_oneof![
        12 => select(&LINES[..]).prop_map(|line| line.iter().map(|word| (*word).to_owned()).collect()),
        1 => collection::vec(like("[$()a -]{0,6}"), 0..4),
        1 => collection::vec(text(), 0..3),
    ]
}

fn list<T: std::fmt::Debug + Into<Value>>(
    there: u32,
    items: impl Strategy<Value = Vec<T>>,
) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Value::Null)),
        1 => Just(Some(json!([]))),
        there => items.prop_map(|items| Some(items.into_iter().map(Into::into).collect::<Vec<Value>>().into())),
    ]
}

/// What a container runs: image, command and arguments.
pub(crate) fn program() -> impl Strategy<Value = (&'static str, Option<Value>, Option<Value>)> {
    let image = select(
        &[
            "example.com/app:1",
            "nginx",
            "docker.io/library/nginx:1.27",
            "example.com/args-only@sha256:aa",
            "example.com/app",
        ][..],
    );
    (image, list(6, words()), list(2, words()))
}

/// What the operator knows of images.
pub(crate) fn images() -> impl Strategy<Value = Images> {
    let signal = || option::of(select(&["TERM", "QUIT", "USR1", "RTMIN+3", "KILL"][..]));
    let config = || {
        (words(), words(), signal()).prop_map(|(entrypoint, cmd, signal)| ImageConfig {
            entrypoint,
            cmd,
            stop_signal: signal.map(|signal| signal.parse().unwrap()),
        })
    };
    collection::vec((select(&["nginx", "example.com/app", "example.com/args-only"][..]), config()), 0..3)
        .prop_map(|entries| {
            let mut images = Images::default();
            for (name, config) in entries {
                images.insert(name, config);
            }
            images
        })
}

/// Mounts and devices of a container.
pub(crate) fn storage() -> impl Strategy<Value = (Option<Value>, Option<Value>)> {
    let mount = prop_oneof![
        12 => select(&[("data", "/data"), ("cache", "/var/cache"), ("cache", "/fermatas"), ("data", "/srv/fermata")][..]),
        2 => select(&[
            ("data", "/fermata"), ("data", "/fermata/"), ("data", "/fermata/etc"), ("data", "fermata"),
            ("data", "//fermata"), ("data", "/srv/../fermata"), ("data", "/./fermata/x"), ("fermata-shim", "/fermata"), ("fermata-shim", "/other"),
        ][..]),
    ];
    let mount = mount.prop_map(|(name, path)| json!({ "name": name, "mountPath": path }));
    let device = select(&["/dev/xvda", "/dev/xvda", "/fermata/disk"][..])
        .prop_map(|path| json!({ "name": "disk", "devicePath": path }));
    (
        list(4, collection::vec(mount, 1..3)),
        option::weighted(
            0.05,
            Just(json!([])).boxed().prop_union(collection::vec(device, 1..2).prop_map(Value::from).boxed()),
        ),
    )
}

/// The Pod's volumes.
pub(crate) fn volumes() -> impl Strategy<Value = Option<Value>> {
    let usual = json!([
        { "name": "data", "emptyDir": {} },
        { "name": "cache", "emptyDir": { "medium": "Memory" } },
        { "name": "disk", "persistentVolumeClaim": { "claimName": "disk" } },
    ]);
    let own = prop_oneof![
        Just(json!({ "name": "fermata-shim", "emptyDir": { "medium": "Memory", "sizeLimit": "4Mi" } })),
        Just(json!({ "name": "fermata-shim", "emptyDir": {} })),
        Just(json!({ "name": "fermata-shim", "configMap": { "name": "x" }, "emptyDir": null })),
    ];
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(Value::Null)),
        1 => Just(Some(json!([]))),
        8 => Just(Some(usual.clone())),
        1 => own.prop_map(move |own| {
            let mut volumes = usual.clone();
            volumes.as_array_mut().unwrap().push(own);
            Some(volumes)
        }),
    ]
}

/// What a container asks for, in all notations.
pub(crate) fn resources() -> impl Strategy<Value = Option<Value>> {
    const ALL: [&str; 14] = [
        "null",
        "{}",
        r#"{"limits":null,"requests":{}}"#,
        r#"{"limits":{"cpu":"500m","memory":"64Mi"},"requests":{"cpu":0.5,"memory":"65536Ki"}}"#,
        r#"{"limits":{"cpu":1,"memory":"1Gi"}}"#,
        r#"{"limits":{"cpu":"2","memory":"1G"},"requests":{"cpu":"1","memory":"500M"}}"#,
        r#"{"requests":{"cpu":"250m"}}"#,
        r#"{"requests":{"memory":1e9},"limits":{"memory":"2e9"}}"#,
        r#"{"limits":{"nvidia.com/gpu":1}}"#,
        r#"{"limits":{"nvidia.com/gpu":1,"cpu":"100m"},"claims":[{"name":"c"}]}"#,
        r#"{"requests":{"cpu":"0","memory":0},"limits":{"cpu":null}}"#,
        r#"{"limits":{"ephemeral-storage":"2Gi"}}"#,
        r#"{"limits":{"cpu":"1","memory":"1Gi","ephemeral-storage":"1Gi"},"requests":{"cpu":"1","memory":"1Gi","ephemeral-storage":"1Gi"}}"#,
        r#"{"requests":{"cpu":"1500m","memory":"3Gi"},"limits":{"cpu":"3","memory":"3Gi"}}"#,
    ];
    // Pods of one class are rare by chance.
    prop_oneof![
        3 => Just(None),
        2 => Just(Some(serde_json::from_str(ALL[12]).unwrap())),
        4 => select(&ALL[..]).prop_map(|text| Some(serde_json::from_str(text).unwrap())),
    ]
}

/// The Pod's security context.
pub(crate) fn context() -> impl Strategy<Value = Option<Value>> {
    select(
        &[
            "",
            "null",
            "{}",
            r#"{"runAsUser":0}"#,
            r#"{"runAsUser":1000,"runAsNonRoot":true}"#,
            r#"{"fsGroup":7}"#,
        ][..],
    )
    .prop_map(|text| (!text.is_empty()).then(|| serde_json::from_str(text).unwrap()))
}

/// A readiness probe.
pub(crate) fn readiness() -> impl Strategy<Value = Option<Value>> {
    let probe = select(
        &[
            r#"{"httpGet":{"port":"web"},"periodSeconds":5}"#,
            r#"{"tcpSocket":{"port":8080}}"#,
            r#"{"grpc":{"port":8080},"periodSeconds":0}"#,
            r#"{"exec":{"command":["ready"]},"periodSeconds":1}"#,
            r#"{"httpGet":{"port":80},"exec":null,"periodSeconds":9223372036854775807}"#,
        ][..],
    );
    option::weighted(0.3, probe.prop_map(|text| serde_json::from_str(text).unwrap()))
}

/// A hook that does more than sleep.
pub(crate) fn own_hook() -> BoxedStrategy<Value> {
    const LINES: [&[&str]; 6] = [
        &["nginx", "-s", "quit"],
        &["sh", "-c", "echo $(HOST) $$; bye"],
        &["-x", "--", ";"],
        &["--drain"],
        &["", "x"],
        &[],
    ];
    let exec = prop_oneof![
        4 => select(&LINES[..])
            .prop_map(|words| json!(words)),
        1 => collection::vec(text(), 0..3).prop_map(|words| json!(words)),
    ];
    let exec = (exec, prop::bool::weighted(0.1)).prop_map(|(words, more)| {
        let mut exec = json!({ "command": words });
        if more {
            exec["user"] = "root".into();
        }
        json!({ "exec": exec })
    });
    let port = prop_oneof![
        3 => select(&[8080, 80, 65_535][..]).prop_map(Value::from),
        2 => Just(json!("web")),
        1 => Just(json!("nobody")),
        1 => select(&[0, -1, 65_536][..]).prop_map(Value::from),
    ];
    let path = prop_oneof![
        3 => select(&["/stop", "quit", "", "/a?b=c&d=%20", "/"][..]),
        1 => select(&["/a b", "/é", "/a#b", "//host/x", "http://host/x", "/a\r\nX: y"][..]),
    ];
    let host = select(&["", "", "", "127.0.0.1", "::1", "example.com"][..]);
    let scheme = select(&["", "HTTP", "HTTP", "HTTPS", "http"][..]);
    let header = prop_oneof![
        3 => select(&[("X-Token", "a b"), ("Host", "shop:80"), ("a", "")][..]),
        1 => select(&[("X", "a\r\nY: b"), ("a b", "c"), ("", "x"), ("X", " lead"), ("X", "é\u{7f}")][..]),
    ];
    let get = (
        port,
        option::of(path),
        host,
        scheme,
        option::of(collection::vec(header, 0..3)),
        prop::bool::weighted(0.05),
    );
    let get = get.prop_map(|(port, path, host, scheme, headers, more)| {
        let headers = headers.map(|headers| {
            headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>()
        });
        let mut get =
            json!({ "port": port, "path": path, "host": host, "scheme": scheme, "httpHeaders": headers });
        if more {
            get["future"] = true.into();
        }
        json!({ "httpGet": get })
    });
    prop_oneof![exec, get].boxed()
}

/// The shim's own hook: from an earlier pass, from a Pod of another cluster, or in an image that brings the shim.
pub(crate) fn hook_of_shim() -> impl Strategy<Value = Value> {
    const LINES: [&[&str]; 5] = [
        &["--drain", "15s"],
        &["--drain", "5s..20s", "--quiet", "1s", "--probe", "5s"],
        &["--drain", "3s", "--", "bye", "$(HOST)"],
        &["--drain", "3s", "--http-get", "http://:80/quit", "--http-header", "A: b"],
        &["--drian", "3s"],
    ];
    let program = select(&["/fermata/fermata-shim", "/usr/bin/fermata-shim"][..]);
    (program, select(&LINES[..])).prop_map(|(program, rest)| {
        let words: Vec<_> = [&[program, "drain"], rest].concat();
        json!({ "exec": { "command": words } })
    })
}
