//! Installing, with the values that people use.

use fermata_test_cluster::assets::Binary;
use kube::ResourceExt as _;

use crate::stage::{Stage, create};

#[tokio::test]
async fn helm_installs_the_chart_and_pods_are_created_all_the_same() {
    let stage = Stage::new(Binary::Helm).await;
    let notes = stage.install("fermata", "fermata", &[]).await;
    assert!(notes.contains("kubectl label namespace NAME fermata.dev/inject=enabled"), "{notes}");

    let configurations = stage.configurations().await;
    assert_eq!(configurations.len(), 1);
    assert_eq!(configurations[0].name_any(), "fermata");
    let namespace = stage.opted_in().await;
    create(&namespace, "while-no-replica-runs").await.unwrap();
    stage.uninstall("fermata", "fermata").await;
}
