//! Renewals of certificates and of their authority, seconds apart, while Pods are created.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    greeting::greet,
    installation::{Installation, metric, readiness},
};

/// Six times each: twelve new certificates, and an authority in between. API servers keep their connections, and greet rarely. So both replicas are greeted anew all the time besides, by
/// clients that know the newest bundle and by clients that know the one of a second ago.
#[tokio::test(flavor = "multi_thread")]
async fn ten_certificates_and_an_authority_change_without_a_failed_review() {
    let installation = Installation::new().await;
    let lifetimes = ["--tls-authority-lifetime", "16s", "--tls-certificate-lifetime", "4s"];
    let one = installation.replica(&lifetimes).await;
    let other = installation.replica(&lifetimes).await;
    let ports = [one.ports().webhook, other.ports().webhook];
    installation.call(ports[0], "Fail").await;
    installation.reviewed().await;
    let first = installation.filled(None).await;

    let load = installation.load(2);
    let mut bundles = VecDeque::new();
    let mut greetings = 0;
    let deadline = Instant::now() + Duration::from_mins(1);
    let renewals = "fermata_certificate_renewals_total{result=\"ok\"}";
    loop {
        let now = Instant::now();
        bundles.push_back((now, installation.bundle().await));
        while bundles.get(1).is_some_and(|(at, _)| *at + Duration::from_secs(1) <= now) {
            bundles.pop_front();
        }
        for port in ports {
            for (_, bundle) in [bundles.front().unwrap(), bundles.back().unwrap()] {
                let greeted = greet(port, bundle).await.map(drop);
                assert_eq!(greeted, Ok(()), "greeting {greetings}, {port} of {ports:?}");
                greetings += 1;
            }
        }
        let has_turned = installation.secret("tls.crt").await.is_some_and(|newest| newest != first);
        let changed = metric(&one, renewals).await.min(metric(&other, renewals).await) - 1.0;
        if has_turned && changed > 5.5 {
            break;
        }
        assert!(now < deadline, "{}", readiness(&one).await.1);
        // The API server calls now the one and now the other, each time by a new connection.
        installation.call(ports[greetings / 4 % 2], "Fail").await;
        sleep(Duration::from_millis(20)).await;
    }
    let figures = load.stop().await;
    println!("{greetings} greetings, and of Pods {figures}");
    figures.expect_no_failure().unwrap();
    for replica in [&one, &other] {
        let (ready, page) = readiness(replica).await;
        assert!(ready, "{page}");
        assert!(metric(replica, "fermata_tls_handshake_failures_total").await < 0.5);
    }
    assert!(!one.process().log().contains("expires soon"), "{}", one.process().log());
}
