//! A certificate from files: the registration is watched, and left to whoever keeps it.

use fermata_test_cluster::credentials::{Authority, write_private};

use crate::installation::{Installation, Without, says};

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_only_while_the_registered_bundle_accepts_its_certificate() {
    let installation = Installation::without(Without { rights: true, ..Without::default() }).await;
    installation.allow_reading().await;
    let (own, other) = (Authority::new("own").unwrap(), Authority::new("other").unwrap());
    let identity = own.issue_server(&["127.0.0.1"]).unwrap();
    let (certificate, key) = (installation.path("tls.crt"), installation.path("tls.key"));
    write_private(&certificate, &identity.certificate).unwrap();
    write_private(&key, &identity.key).unwrap();
    let flags = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    installation.register(1, "Ignore", Some(other.pem())).await;
    let fermata = installation.start_with(&flags, "/livez").await;
    let port = fermata.ports().webhook;
    assert!(!says(&fermata, "[ ]authority not used").await);
    assert!(!says(&fermata, "does not have its authority").await);
    installation.register(port, "Fail", Some(own.pem())).await;
    assert!(says(&fermata, "[+]registration ok").await);
    installation.reviewed().await;
    assert_eq!(installation.bundle().await, own.pem());
    installation.register(port, "Ignore", Some(other.pem())).await;
    assert!(says(&fermata, "[-]registration degraded: API servers refuse").await, "a moment is forgiven");
    assert!(!says(&fermata, "[-]registration failed: API servers refuse").await, "and no more");
    assert_eq!(installation.bundle().await, other.pem(), "it is not its own to write");
    installation.register(port, "Fail", Some(&[other.pem(), own.pem()].concat())).await;
    assert!(says(&fermata, "[+]registration ok").await);
}
