//! More than one Fermata in a cluster.

use fermata_test_cluster::assets::Binary;
use kube::ResourceExt;

use crate::{
    generated::{MANIFESTS, manifest},
    install::define_custom_resources,
    stage::{CHART, HELMS, KUBE_VERSION, Stage, create},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_release_is_refused() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        stage.install("fermata", "fermata", &[]).await;
        for (release, namespace) in [("other", "other"), ("fermata", "other"), ("other", "fermata")] {
            let words = ["install", release, CHART, "--namespace", namespace, "--create-namespace"];
            let answer = stage.helm.refusal(&words).await.unwrap();
            let ways = "in this cluster already, as release fermata in namespace fermata";
            assert!(
                answer.contains(ways) && answer.contains("helm upgrade fermata --namespace fermata"),
                "{answer}"
            );
        }
        assert_eq!(stage.releases().await.len(), 1);
        // What is there can be upgraded, and nothing was harmed.
        stage.upgrade("fermata", "fermata", &[]).await;
        stage.uninstall("fermata", "fermata").await;
    }
}

/// Helm says of it only that it is not its own.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_was_left_is_named_with_the_way_out() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        stage.kubectl(&["create", "namespace", "fermata"]).await;
        let words = ["--namespace=fermata", "create", "secret", "generic", "fermata-authority"];
        assert!(stage.kubectl(&words).await.status.success());
        let words = ["install", "fermata", CHART, "--namespace", "fermata"];
        let answer = stage.helm.refusal(&words).await.unwrap();
        let way_out = "kubectl --namespace fermata delete secret fermata-authority";
        assert!(answer.contains(way_out), "{answer}");
        let words: Vec<&str> = way_out.split(' ').skip(1).collect();
        assert!(stage.kubectl(&words).await.status.success());
        stage.install("fermata", "fermata", &[]).await;
        stage.uninstall("fermata", "fermata").await;
    }
}

/// Where Helm is blind: a second one stands beside the first, and Pods are created.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_one_that_nobody_could_refuse_stands_beside_the_first() {
    let stage = Stage::new(Binary::Helm).await;
    stage.install("fermata", "fermata", &[]).await;
    let words =
        ["template", "second", CHART, "--namespace", "second", "--no-hooks", "--kube-version", KUBE_VERSION];
    let rendered = stage.helm.success(&words).await.unwrap();
    let file = stage.cluster.scratch().path().join("second.yaml");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: second\n";
    std::fs::write(&file, format!("{namespace}{rendered}")).unwrap();
    let file = file.to_str().unwrap();
    let applied = stage.kubectl(&["apply", "--filename", file]).await;
    assert!(applied.status.success(), "{applied:?}");

    let mut names: Vec<_> = stage.configurations().await.iter().map(ResourceExt::name_any).collect();
    names.sort();
    assert_eq!(names, ["fermata", "second-fermata"]);
    let namespace = stage.opted_in().await;
    create(&namespace, "between-two").await.unwrap();
    // The first cannot be upgraded past it unseen.
    let words = ["upgrade", "fermata", CHART, "--namespace", "fermata"];
    let answer = stage.helm.refusal(&words).await.unwrap();
    assert!(answer.contains("second-fermata") && answer.contains("without Helm"), "{answer}");

    let deleted = stage.kubectl(&["delete", "--wait=false", "--filename", file]).await;
    assert!(deleted.status.success(), "{deleted:?}");
    stage.uninstall("fermata", "fermata").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_manifests_are_accepted_and_helm_does_not_take_them_over() {
    let stage = Stage::new(Binary::Helm).await;
    define_custom_resources(&stage).await;
    let count = |yaml: &str| yaml.lines().filter(|line| line.starts_with("kind: ")).count();
    for (name, _) in MANIFESTS {
        let file = manifest(name);
        let expected = count(&std::fs::read_to_string(&file).unwrap());
        let file = file.to_str().unwrap();
        for words in [
            &["apply", "--filename", file][..],
            // Again, as GitOps tools do all day long.
            &["apply", "--filename", file],
            &["apply", "--server-side", "--force-conflicts", "--filename", file],
            &["apply", "--dry-run=server", "--filename", file],
        ] {
            let applied = stage.kubectl(words).await;
            assert!(applied.status.success(), "{words:?}: {applied:?}");
            assert_eq!(String::from_utf8_lossy(&applied.stdout).lines().count(), expected, "{applied:?}");
        }
        let words = ["install", "fermata", CHART, "--namespace", "fermata"];
        let answer = stage.helm.refusal(&words).await.unwrap();
        assert!(
            answer.contains("installed without Helm") && answer.contains("kubectl delete -f"),
            "{answer}"
        );
    }
    let files = MANIFESTS.map(|(name, _)| manifest(name).to_str().unwrap().to_owned());
    let [one, other] = &files;
    let words = ["delete", "--ignore-not-found", "--timeout=60s", "--filename", one, "--filename", other];
    let deleted = stage.kubectl(&words).await;
    assert!(deleted.status.success(), "{deleted:?}");
    assert_eq!(stage.labelled("app.kubernetes.io/name=fermata").await, Vec::<String>::new());
}
