//! `AdmissionReview` of `admission.k8s.io/v1`: what the API server asks and what it is told.
//!
//! The types are our own. The object has to stay the bytes that were sent, so that nothing of it is lost, and
//! the patch has to be base64 on the wire.

use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    patch,
    plan::Plan,
    pod::{Object, Pod, Presence, Text, UnreadablePod},
    rules::plan,
    settings::Settings,
    skip::PodSkip,
    warning::{self, Warning},
};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// A request that has been read, borrowed from its bytes.
#[derive(Debug)]
pub struct Review<'a> {
    uid: Text<'a>,
    namespace: Option<Text<'a>>,
    dry_run: bool,
    subject: Subject<'a>,
}

/// What a request is about.
#[derive(Debug)]
enum Subject<'a> {
    /// A Pod that is being created.
    Pod(Box<Pod<'a>>),
    /// One that cannot be read.
    Unreadable(UnreadablePod),
    /// Anything else: an update, a subresource, another kind. None of our business.
    Other,
}

/// Why a request is no review that can be answered.
#[derive(Debug, thiserror::Error)]
pub enum MalformedReview {
    /// It is not JSON, or not of the shape of a review.
    #[error("expected an AdmissionReview: {0}")]
    Json(#[from] serde_json::Error),
    /// It is some other object.
    #[error("expected kind {KIND} of {API_VERSION}, got {kind:?} of {api_version:?}")]
    Kind {
        /// Its kind.
        kind: String,
        /// Its version.
        api_version: String,
    },
    /// It has no `request`.
    #[error("expected a request in the AdmissionReview")]
    NoRequest,
    /// Its request has no `uid`, without which no answer is accepted.
    #[error("expected a uid in the AdmissionReview's request")]
    NoUid,
    /// It creates a Pod without saying which.
    #[error("expected an object in the AdmissionReview's request")]
    NoObject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "O: Deserialize<'de>"))]
struct Envelope<'a, O> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(borrow)]
    request: Option<Object<Request<'a, O>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "O: Deserialize<'de>"))]
struct Request<'a, O> {
    #[serde(borrow, default)]
    uid: Text<'a>,
    #[serde(borrow)]
    kind: Option<Object<GroupVersionKind<'a>>>,
    #[serde(borrow)]
    sub_resource: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    operation: Text<'a>,
    dry_run: Option<bool>,
    #[serde(default)]
    object: Presence<O>,
}

#[derive(Deserialize)]
struct GroupVersionKind<'a> {
    #[serde(borrow, default)]
    group: Text<'a>,
    #[serde(borrow, default)]
    version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
}

impl<O> Request<'_, O> {
    /// Whether it is the creation of a whole Pod. Ephemeral containers, resizes and bindings are subresources;
    /// an update may not change what is patched here.
    fn creates_pod(&self) -> bool {
        let pod = self.kind.as_ref().is_some_and(|gvk| {
            gvk.group.as_str().is_empty() && gvk.version.as_str() == "v1" && gvk.kind.as_str() == "Pod"
        });
        let whole = self.sub_resource.as_ref().is_none_or(|name| name.as_str().is_empty());
        pod && whole && self.operation.as_str() == "CREATE"
    }
}

impl<'a> Review<'a> {
    /// Reads a request body.
    ///
    /// # Errors
    ///
    /// When it is no review that could be answered. A Pod that cannot be read is not an error of the review.
    pub fn parse(body: &'a [u8]) -> Result<Self, MalformedReview> {
        // One pass over the bytes reads review and Pod together. Only if that fails is it worth a second one
        // to find out which of the two is at fault.
        let Ok(Object(envelope)) = serde_json::from_slice::<Object<Envelope<'_, Object<Pod<'_>>>>>(body)
        else {
            let Object(envelope) = serde_json::from_slice::<Object<Envelope<'_, &RawValue>>>(body)?;
            return Self::open(envelope, |object| match Pod::parse(object.get().as_bytes()) {
                Ok(pod) => Subject::Pod(Box::new(pod)),
                Err(unreadable) => Subject::Unreadable(unreadable),
            });
        };
        Self::open(envelope, |Object(pod)| Subject::Pod(Box::new(pod)))
    }

    fn open<O>(
        envelope: Envelope<'a, O>,
        subject: impl FnOnce(O) -> Subject<'a>,
    ) -> Result<Self, MalformedReview> {
        if envelope.kind.as_str() != KIND || envelope.api_version.as_str() != API_VERSION {
            let kind = crate::settings::short_name(envelope.kind.as_str()).into();
            let api_version = crate::settings::short_name(envelope.api_version.as_str()).into();
            return Err(MalformedReview::Kind { kind, api_version });
        }
        let Object(request) = envelope.request.ok_or(MalformedReview::NoRequest)?;
        if request.uid.as_str().is_empty() {
            return Err(MalformedReview::NoUid);
        }
        let subject = if request.creates_pod() {
            match request.object {
                Presence::Value(object) => subject(object),
                Presence::Absent | Presence::Null => return Err(MalformedReview::NoObject),
            }
        } else {
            Subject::Other
        };
        Ok(Self {
            uid: request.uid,
            namespace: request.namespace,
            dry_run: request.dry_run.unwrap_or(false),
            subject,
        })
    }

    /// The request's uid, which its answer must repeat.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.uid.as_str()
    }

    /// The Namespace that the object is created in.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_ref().map(Text::as_str).filter(|namespace| !namespace.is_empty())
    }

    /// Whether nothing will be stored. The answer is the same.
    #[must_use]
    pub const fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The Pod, if the request creates one and it can be read.
    #[must_use]
    pub fn pod(&self) -> Option<&Pod<'a>> {
        match &self.subject {
            Subject::Pod(pod) => Some(pod),
            _ => None,
        }
    }

    /// Answers the request.
    #[must_use]
    pub fn decide(&self, settings: &Settings<'_>) -> Decision {
        match &self.subject {
            Subject::Pod(pod) => {
                let settings =
                    Settings { namespace_name: self.namespace().or(settings.namespace_name), ..*settings };
                self.planned(&plan(pod, &settings))
            }
            Subject::Unreadable(unreadable) => self.unchanged(Verdict::Unreadable, &unreadable.to_string()),
            Subject::Other => self.answer(Verdict::NotPodCreation, "", &[]),
        }
    }

    /// The answer when something went wrong on our side: the Pod passes as it is, and a warning says so.
    #[must_use]
    pub fn failed(&self, reason: &str) -> Decision {
        self.unchanged(Verdict::Failed, reason)
    }

    fn unchanged(&self, verdict: Verdict, reason: &str) -> Decision {
        self.answer(verdict, "", &[Warning::Unreadable { reason: reason.into() }])
    }

    fn planned(&self, plan: &Plan<'_>) -> Decision {
        let (verdict, verdict_fields) = if let Some(message) = plan.denied() {
            let status =
                format!(r#","status":{{"code":422,"reason":"Invalid","message":{}}}"#, json_string(message));
            (Verdict::Denied, status)
        } else if let Some(reason) = plan.skipped() {
            (Verdict::Skipped(reason), String::new())
        } else if plan.is_empty() {
            (Verdict::Unchanged, String::new())
        } else {
            let operations = patch::operations(plan);
            // Operations hold nothing that could fail to be written as JSON.
            let bytes = serde_json::to_vec(&operations).unwrap_or_else(|_| b"[]".to_vec());
            let patch = format!(r#","patchType":"JSONPatch","patch":"{}""#, BASE64_STANDARD.encode(bytes));
            (Verdict::Patched, patch)
        };
        let mut decision = self.answer(verdict, &verdict_fields, &plan.warnings);
        decision.containers = plan.containers.iter().map(|container| container.outcome.as_str()).collect();
        decision.shims = plan.containers.iter().map(|container| container.shim.as_str()).collect();
        decision
    }

    fn answer(&self, verdict: Verdict, fields: &str, warnings: &[Warning]) -> Decision {
        let allowed = verdict != Verdict::Denied;
        let mut body = format!(
            r#"{{"apiVersion":"{API_VERSION}","kind":"{KIND}","response":{{"uid":{},"allowed":{allowed}{fields}"#,
            json_string(self.uid()),
        );
        // Writing to a string cannot fail.
        let _ = write!(body, r#","auditAnnotations":{{"outcome":"{}"}}"#, verdict.outcome());
        for (index, text) in warning::texts(warnings).iter().enumerate() {
            body.push_str(if index == 0 { r#","warnings":["# } else { "," });
            body.push_str(&json_string(text));
        }
        body.push_str(if warnings.is_empty() { "}}" } else { "]}}" });
        Decision {
            verdict,
            containers: Vec::new(),
            shims: Vec::new(),
            warnings: warnings.len(),
            body: body.into_bytes(),
        }
    }
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The Pod is changed.
    Patched,
    /// It is already right.
    Unchanged,
    /// It is left alone on purpose.
    Skipped(PodSkip),
    /// It cannot be judged, and passes as it is.
    Unreadable,
    /// It is refused, as the operator asked for.
    Denied,
    /// The request creates no Pod.
    NotPodCreation,
    /// Something went wrong on our side, and the Pod passes as it is.
    Failed,
}

impl Verdict {
    /// One word, the same in logs, metrics and audit annotations.
    #[must_use]
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Patched => "patched",
            Self::Unchanged => "unchanged",
            Self::Skipped(reason) => reason.as_str(),
            Self::Unreadable => "unreadable",
            Self::Denied => "denied",
            Self::NotPodCreation => "not-pod-creation",
            Self::Failed => "failed",
        }
    }
}

/// An answer, ready to be sent.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What came of the request.
    pub verdict: Verdict,
    /// What came of each container, in words of [`Outcome::WORDS`](crate::plan::Outcome::WORDS).
    pub containers: Vec<&'static str>,
    /// What came of each container's shim, in words of [`ShimOutcome::WORDS`](crate::plan::ShimOutcome::WORDS).
    pub shims: Vec<&'static str>,
    /// How many warnings there were, before the limit on them.
    pub warnings: usize,
    /// The `AdmissionReview` with the response, as JSON.
    pub body: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde_json::{Value, json};

    use super::{MalformedReview, Review, Verdict};
    use crate::settings::{ClusterSettings, Settings};

    static SETTINGS: LazyLock<ClusterSettings> = LazyLock::new(ClusterSettings::default);

    fn settings() -> Settings<'static> {
        Settings {
            cluster: &SETTINGS,
            namespace: None,
            namespace_name: None,
            own_namespace: None,
            server: None,
        }
    }

    fn request(change: impl FnOnce(&mut Value)) -> String {
        let mut review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "u-1",
                "kind": { "group": "", "version": "v1", "kind": "Pod" },
                "operation": "CREATE",
                "namespace": "shop",
                "object": { "metadata": {}, "spec": { "containers": [{ "name": "app", "image": "app" }] } },
            },
        });
        change(&mut review["request"]);
        review.to_string()
    }

    fn decide(body: &str) -> (Verdict, Value) {
        let decision = Review::parse(body.as_bytes()).unwrap().decide(&settings());
        (decision.verdict, serde_json::from_slice(&decision.body).unwrap())
    }

    #[test]
    fn a_pod_is_answered_with_a_base64_patch() {
        let (verdict, answer) = decide(&request(|_| {}));
        assert_eq!(verdict, Verdict::Patched);
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        let response = &answer["response"];
        assert_eq!((&response["uid"], &response["allowed"]), (&json!("u-1"), &json!(true)));
        assert_eq!(response["patchType"], "JSONPatch");
        assert_eq!(response["auditAnnotations"]["outcome"], "patched");
        assert!(response.get("status").is_none() && response.get("warnings").is_none());
        let patch = BASE64_STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        assert_eq!(
            patch[0],
            json!({ "op": "add", "path": "/spec/containers/0/lifecycle", "value": { "preStop": { "sleep": { "seconds": 15 } } } })
        );
        assert_eq!(
            patch[1],
            json!({ "op": "add", "path": "/spec/terminationGracePeriodSeconds", "value": 45 })
        );
    }

    #[test]
    fn what_creates_no_pod_passes_without_a_word() {
        let changes: [fn(&mut Value); 7] = [
            |request| request["operation"] = "UPDATE".into(),
            |request| {
                request["operation"] = "DELETE".into();
                request["object"] = Value::Null;
            },
            |request| request["operation"] = "CONNECT".into(),
            |request| request["subResource"] = "ephemeralcontainers".into(),
            |request| request["kind"]["kind"] = "Deployment".into(),
            |request| request["kind"]["group"] = "example.com".into(),
            |request| drop(request.as_object_mut().unwrap().remove("kind")),
        ];
        for change in changes {
            let (verdict, answer) = decide(&request(change));
            assert_eq!(verdict, Verdict::NotPodCreation);
            assert_eq!(answer["response"]["allowed"], true);
            assert!(
                answer["response"].get("patch").is_none() && answer["response"].get("warnings").is_none()
            );
        }
    }

    #[test]
    fn a_pod_that_cannot_be_read_passes_with_a_warning_that_names_the_place() {
        for (object, place) in [
            (json!({ "spec": { "containers": "none" } }), "spec.containers"),
            (
                json!({ "spec": { "terminationGracePeriodSeconds": 30.5 } }),
                "spec.terminationGracePeriodSeconds",
            ),
            (json!({ "metadata": { "annotations": { "a": 1 } } }), "metadata.annotations.a"),
            (json!("text"), "."),
            (json!([]), "."),
        ] {
            let (verdict, answer) = decide(&request(|request| request["object"] = object));
            assert_eq!(verdict, Verdict::Unreadable);
            assert_eq!(answer["response"]["allowed"], true);
            assert!(answer["response"].get("patch").is_none());
            let warning = answer["response"]["warnings"][0].as_str().unwrap();
            assert!(warning.contains(&format!("judged: {place}")), "{warning}");
        }
    }

    #[test]
    fn what_is_no_review_is_told_apart() {
        let of = |body: &str| Review::parse(body.as_bytes()).unwrap_err();
        assert!(matches!(of(""), MalformedReview::Json(_)));
        assert!(matches!(of("[]"), MalformedReview::Json(_)));
        assert!(matches!(of(&request(|_| {})[..100]), MalformedReview::Json(_)));
        assert!(matches!(of("{}"), MalformedReview::Kind { .. }));
        assert!(matches!(
            of(r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}"#),
            MalformedReview::Kind { .. }
        ));
        assert!(matches!(
            of(r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#),
            MalformedReview::NoRequest
        ));
        assert!(matches!(of(&request(|request| request["uid"] = "".into())), MalformedReview::NoUid));
        assert!(matches!(of(&request(|request| request["object"] = Value::Null)), MalformedReview::NoObject));
    }

    #[test]
    fn a_uid_is_repeated_exactly() {
        for uid in ["\"", "\\u0000é\u{1F600}", &"u".repeat(1 << 20)] {
            let (_, answer) = decide(&request(|request| request["uid"] = uid.into()));
            assert_eq!(answer["response"]["uid"], uid);
        }
    }
}
