//! What can be wrong with Secret, registration and rights: each is told in the log and by `/readyz`, and mended without
//! a restart when the cause goes.
//!
//! What can be mended is so within milliseconds. So the rights to write are taken away before, and given back once it
//! has been told.

use std::time::{Duration, SystemTime};

use fermata::tls::authority::Authority;
use futures_util::future::join_all;
use kube::api::DeleteParams;
use serde_json::json;

use crate::installation::{
    CONFIGURATION_VERBS, Installation, READ, SECRET, SECRET_VERBS, eventually, logged, readiness, says,
};

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Spoilt {
    Emptied,
    OtherKey,
    Edited,
    Deleted,
    Bundle,
}

impl Spoilt {
    async fn spoil(self, installation: &Installation) {
        match self {
            Self::Emptied => installation.empty_secret().await,
            Self::OtherKey => {
                let other = Authority::generate(SystemTime::now(), Duration::from_hours(24)).unwrap();
                installation.edit_secret(&json!({ "tls.crt": other.certificate })).await;
            }
            Self::Edited => installation.edit_secret(&json!({ "tls.key": "a note to myself" })).await,
            Self::Deleted => {
                installation.secrets().delete(SECRET, &DeleteParams::default()).await.unwrap();
            }
            Self::Bundle => installation.inject("garbage", "somebody").await,
        }
    }

    /// What is told of it: the beginning of a line of `/readyz`, what is wrong, and what is missing to mend it.
    fn told(self) -> [&'static str; 3] {
        let authority = "[-]authority degraded: the Secret ";
        match self {
            Self::Emptied => [authority, " is empty; ", "cannot update resource \"secrets\""],
            Self::OtherKey => {
                [authority, "its key is not the certificate's; ", "cannot update resource \"secrets\""]
            }
            Self::Edited => {
                [authority, "its key is not a PKCS#8 key as PEM; ", "cannot update resource \"secrets\""]
            }
            Self::Deleted => [authority, " is missing; ", "cannot patch resource \"secrets\""],
            Self::Bundle => [
                "[-]registration failed: API servers refuse the served certificate: ",
                "holds no certificate of an authority; ",
                "cannot patch resource \"mutatingwebhookconfigurations\"",
            ],
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_spoilt_while_it_runs_is_told_and_mended() {
    use Spoilt::{Bundle, Deleted, Edited, Emptied, OtherKey};
    join_all([Emptied, OtherKey, Edited, Deleted, Bundle].map(is_told_and_mended)).await;
}

async fn is_told_and_mended(spoilt: Spoilt) {
    let installation = Installation::new().await;
    let fermata = installation.replica(&[]).await;
    installation.call(fermata.ports().webhook, "Fail").await;
    installation.reviewed().await;
    installation.allow_only(&READ, &READ).await;
    spoilt.spoil(&installation).await;
    let [line, wrong, missing] = spoilt.told();
    let (ready, _) = eventually("it to be told", async || {
        let (ready, page) = readiness(&fermata).await;
        let is_told = |told: &str| told.starts_with(line) && told.contains(wrong) && told.contains(missing);
        if page.lines().any(is_told) { Ok((ready, page)) } else { Err(page) }
    })
    .await;
    let is_out = matches!(spoilt, Spoilt::Bundle);
    assert_eq!(ready, !is_out, "{spoilt:?}");
    if !is_out {
        assert_eq!(installation.review().await, Ok(true), "{spoilt:?}: what is served stays");
    }
    let missing = missing.replace('"', "\\\"");
    let log = logged(&fermata, &missing).await;
    let is_told = |told: &&str| {
        (told.contains("\"WARN\"") || told.contains("\"ERROR\""))
            && told.contains(wrong)
            && told.contains(&missing)
    };
    assert_eq!(log.lines().filter(is_told).count(), 1, "{spoilt:?}: {log}");
    installation.allow_only(&SECRET_VERBS, &CONFIGURATION_VERBS).await;
    says(&fermata, "[+]authority ok").await;
    assert!(says(&fermata, "[+]registration ok").await, "{spoilt:?}");
    installation.reviewed().await;
    assert!(installation.bundle().await.contains(&installation.secret("tls.crt").await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_empty_at_the_start_and_cannot_be_filled_is_told_until_it_can() {
    let installation = Installation::new().await;
    installation.allow_only(&READ, &CONFIGURATION_VERBS).await;
    let fermata = installation.unready_replica(&[]).await;
    let told = format!(
        "[-]authority failed: the Secret {}/{SECRET} is empty; cannot update",
        installation.home.name()
    );
    assert!(!says(&fermata, &told).await);
    assert!(!says(&fermata, "cannot update resource \"secrets\"").await);
    let log = logged(&fermata, "no certificate can be served yet").await;
    assert_eq!(log.matches("no certificate can be served yet").count(), 1, "{log}");
    installation.allow_only(&SECRET_VERBS, &CONFIGURATION_VERBS).await;
    assert!(says(&fermata, "\nready").await);
    installation.call(fermata.ports().webhook, "Fail").await;
    installation.reviewed().await;
}
