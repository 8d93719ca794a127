//! Values that are used together: every two of them, not all of them, for that would be millions of installations.

use std::{collections::BTreeSet, fmt::Write as _};

use fermata_test_cluster::{assets::Binary, credentials::Authority};

use crate::{
    install::define_custom_resources,
    stage::{KUBE_VERSION, Stage, objects, template},
};

/// What somebody can choose: the flags of each way.
const CHOICES: &[&[&[&str]]] = &[
    &[&[], &["tls.mode=certManager"], &["tls.mode=files", "tls.secretName=own"]],
    &[&[], &["replicas=1", "webhook.failurePolicy=Ignore"], &["replicas=5", "webhook.failurePolicy=Fail"]],
    &[&[], &["webhook.reinvocationPolicy=Never"]],
    &[&[], &["config.onInvalid=deny"]],
    &[&[], &["log.format=text"], &["log.format=auto"]],
    &[&[], &["image.pullPolicy=Always"], &["image.pullPolicy=Never"]],
    &[&[], &["priorityClass.create=true"], &["priorityClassName=system-cluster-critical"]],
    &[
        &[],
        &["podDisruptionBudget.enabled=false"],
        &["podDisruptionBudget.unhealthyPodEvictionPolicy=IfHealthyBudget"],
    ],
    &[&[], &["hostNetwork.enabled=true"], &["networkPolicy.enabled=true", "webhook.port=10250"]],
    &[&[], &["shim.enabled=false"]],
    &[&[], &["service.type=NodePort"], &["service.type=LoadBalancer"]],
    &[&[], &["serviceAccount.create=false", "serviceAccount.name=own"]],
    &[&[], &["rbac.create=false"]],
    &[&[], &["metrics.serviceMonitor.enabled=true"], &["metrics.podMonitor.enabled=true"]],
    &[&[], &["metrics.prometheusRule.enabled=true"]],
    &[
        &[],
        &["fullnameOverride=a-name-as-long-as-helm-lets-one-be-which-is-52-signs"],
        &["nameOverride=gateway"],
    ],
    &[
        &[],
        &["image.registry=registry.example.com:5000"],
        &["image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000"],
    ],
    // As OpenShift wants it, where a null takes a default away.
    &[&[], &["podSecurityContext.runAsUser=null", "podSecurityContext.runAsGroup=null"]],
];

/// A way for each choice.
type Row = Vec<usize>;

/// Two ways of two choices.
type Pair = ((usize, usize), (usize, usize));

/// Rows in which each two ways occur together, found greedily.
fn rows() -> Vec<Row> {
    let mut wanted = BTreeSet::<Pair>::new();
    for (one, ways) in CHOICES.iter().enumerate() {
        for (other, others) in CHOICES.iter().enumerate().skip(one + 1) {
            for way in 0..ways.len() {
                wanted.extend((0..others.len()).map(|another| ((one, way), (other, another))));
            }
        }
    }
    let mut rows = Vec::new();
    while let Some(&((one, way), (other, another))) = wanted.first() {
        let mut row = vec![None; CHOICES.len()];
        (row[one], row[other]) = (Some(way), Some(another));
        for choice in 0..CHOICES.len() {
            if row[choice].is_some() {
                continue;
            }
            let gain = |way: &usize| {
                let pair = |(other, set): (usize, &Option<usize>)| {
                    let ends = [(choice, *way), (other, (*set)?)];
                    Some((ends[0].min(ends[1]), ends[0].max(ends[1])))
                };
                row.iter().enumerate().filter_map(pair).filter(|pair| wanted.contains(pair)).count()
            };
            row[choice] = (0..CHOICES[choice].len()).max_by_key(gain);
        }
        let row: Row = row.into_iter().map(Option::unwrap).collect();
        for (one, way) in row.iter().enumerate() {
            for (other, another) in row.iter().enumerate().skip(one + 1) {
                wanted.remove(&((one, *way), (other, *another)));
            }
        }
        rows.push(row);
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_any_two_values_together() {
    let stage = Stage::new(Binary::Helm).await;
    define_custom_resources(&stage).await;
    let made = stage.kubectl(&["create", "namespace", "combined"]).await;
    assert!(made.status.success(), "{made:?}");
    let scratch = stage.cluster.scratch().path();
    let authority = scratch.join("combined.crt");
    std::fs::write(&authority, Authority::new("combined").unwrap().pem()).unwrap();
    let bundle = format!("--set-file=tls.caBundle={}", authority.display());
    let rows = rows();
    assert!(rows.len() < 30, "{} rows", rows.len());
    let (mut files, mut sets, mut made) = (Vec::new(), String::new(), 0);
    for row in rows {
        let flags: Vec<&str> = row.iter().zip(CHOICES).flat_map(|(way, ways)| ways[*way]).copied().collect();
        let set = format!("--set={}", flags.join(","));
        let mut words = template(&["--namespace=combined", "--no-hooks", "--kube-version", KUBE_VERSION]);
        if !flags.is_empty() {
            words.push(&set);
        }
        if flags.contains(&"tls.mode=files") {
            words.push(&bundle);
        }
        let rendered = stage.helm.success(&words).await.unwrap_or_else(|error| panic!("{set}: {error:#}"));
        made += objects(&rendered).len();
        // An error names the file.
        let name = format!("combined-{}.yaml", files.len());
        let file = scratch.join(&name);
        std::fs::write(&file, rendered).unwrap();
        files.push(format!("--filename={}", file.display()));
        writeln!(sets, "{name} has {set}").unwrap();
    }
    let words: Vec<_> =
        ["apply", "--dry-run=server"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let applied = stage.kubectl(&words).await;
    let said = String::from_utf8_lossy(&applied.stderr);
    // What it would drop is said as a warning.
    assert!(applied.status.success() && said.is_empty(), "{said}{sets}");
    assert_eq!(String::from_utf8_lossy(&applied.stdout).lines().count(), made, "{applied:?}");
    stage.kubectl(&["delete", "namespace", "combined", "--wait=false"]).await;
}
