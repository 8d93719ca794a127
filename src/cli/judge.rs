//! Reads manifests and judges their Pods, as the webhook would.
//!
//! `preview` and `explain` are two ways to show what comes out of here.

use std::collections::HashMap;

use fermata_core::{
    ServerVersion,
    explain::{Explanation, explain},
    opt_in,
    patch::{self, Operation},
    pod::{Pod, UnreadablePod},
    rules::plan,
    settings::{ClusterSettings, NamespaceSettings, Settings},
    skip::PodSkip,
    warning::Warning,
};

use super::grammar::{InputOptions, NamespaceAnnotation};
use crate::{
    config,
    manifest::{self, Finding, Found, Misplaced, Place, Source, SourceError},
};

/// Everything that was read, and what came of it.
#[derive(Debug)]
pub(super) struct Judgement {
    /// The inputs that could be read, in order.
    pub(super) sources: Vec<Source>,
    /// Their Pods, in order.
    pub(super) pods: Vec<JudgedPod>,
    /// What could not be read.
    pub(super) errors: Vec<SourceError>,
    /// Objects that make Pods, and are of a kind that is not known here.
    pub(super) strangers: Vec<String>,
}

/// What came of one Pod, or of something that should hold one.
#[derive(Debug)]
pub(super) struct JudgedPod {
    /// Its source, by position.
    pub(super) source: usize,
    /// Its document in that source, by position.
    pub(super) document: usize,
    /// The way from the document's root to the Pod or its template.
    pub(super) path: Vec<String>,
    /// Where it stands.
    pub(super) place: Place,
    /// The kind of the object that makes it.
    pub(super) kind: String,
    /// That object's name.
    pub(super) name: String,
    /// The namespace that it goes to.
    pub(super) namespace: String,
    pub(super) verdict: Verdict,
    /// The patch. Empty unless the verdict is [`Verdict::Patched`].
    pub(super) operations: Vec<Operation<'static>>,
    /// What `kubectl` would show, without a limit on their number.
    pub(super) warnings: Vec<String>,
    /// How it ends; nothing where that cannot be said.
    pub(super) explanation: Option<Explanation>,
}

/// What came of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is changed.
    Patched,
    /// It is already right.
    Unchanged,
    /// It is left alone on purpose.
    Skipped(PodSkip),
    /// It is refused, as the operator asked for.
    Denied(String),
    /// It cannot be judged.
    Undecided(String),
}

/// What is known beside the manifests.
struct World<'o> {
    cluster: ClusterSettings,
    server: Option<ServerVersion>,
    namespace: &'o str,
    annotations: &'o [NamespaceAnnotation],
    namespaces: HashMap<String, NamespaceSettings>,
}

/// Reads and judges all inputs.
///
/// # Errors
///
/// When the operator's config file counts for nothing.
pub(super) fn judge(options: &InputOptions) -> Result<Judgement, config::ConfigError> {
    let mut cluster = options.config.as_deref().map(config::load).transpose()?.unwrap_or_default();
    cluster.shim_image = options.shim_image.clone().or(cluster.shim_image);
    let mut world = World {
        cluster,
        server: options.server_version,
        namespace: &options.namespace,
        annotations: &options.namespace_annotation,
        namespaces: HashMap::new(),
    };
    let mut judgement =
        Judgement { sources: Vec::new(), pods: Vec::new(), errors: Vec::new(), strangers: Vec::new() };
    for source in manifest::read(&options.paths()) {
        match source {
            Ok(source) => judgement.sources.push(source),
            Err(error) => judgement.errors.push(error),
        }
    }
    // A Namespace counts wherever it stands, so all are read before the first Pod is judged.
    let mut found = Vec::new();
    for (source_index, source) in judgement.sources.iter().enumerate() {
        for (document_index, document) in source.documents.iter().enumerate() {
            for finding in manifest::find(&document.value, world.namespace) {
                match finding {
                    Finding::Namespace(namespace) => world.learn(&namespace),
                    finding => found.push((source_index, document_index, finding)),
                }
            }
        }
    }
    for (source_index, document_index, finding) in found {
        let source = &judgement.sources[source_index];
        let document = &source.documents[document_index];
        let place = |path: &[String]| document.place(&source.text, path.iter().map(String::as_str));
        match finding {
            Finding::Pod(found) => {
                let mut pod = world.judge(*found, &place);
                (pod.source, pod.document) = (source_index, document_index);
                judgement.pods.push(pod);
            }
            Finding::Broken(broken) if broken.foreign => {
                // What is found in a folder need not be a manifest, but what is named should be one.
                if source.named {
                    let (name, place) = (source.name.clone(), Some(place(&broken.path)));
                    judgement.errors.push(SourceError { name, place, message: broken.message });
                }
            }
            Finding::Broken(broken) => judgement.pods.push(JudgedPod {
                source: source_index,
                document: document_index,
                place: place(&broken.path),
                path: broken.path,
                kind: broken.kind,
                name: broken.name,
                namespace: world.namespace.to_owned(),
                verdict: Verdict::Undecided(broken.message),
                operations: Vec::new(),
                warnings: Vec::new(),
                explanation: None,
            }),
            Finding::Stranger { kind, name, path } => {
                let place = place(&path);
                judgement.strangers.push(format!("{}:{place}: {kind}/{name}", source.name));
            }
            Finding::Namespace(_) => {}
        }
    }
    Ok(judgement)
}

impl World<'_> {
    fn learn(&mut self, namespace: &manifest::Namespace) {
        let pair = |(key, value): &'_ (String, String)| (key.clone(), value.clone());
        let given = self.annotations.iter().map(|given| (given.key.clone(), given.value.clone()));
        let own = namespace.annotations.iter().map(pair);
        let annotations: Vec<_> = own
            .filter(|(key, _)| self.annotations.iter().all(|given| given.key != *key))
            .chain(given)
            .collect();
        let settings = NamespaceSettings::read(pairs(&namespace.labels), pairs(&annotations));
        self.namespaces.insert(namespace.name.clone(), settings);
    }

    /// What is known of a Namespace that is not in the input.
    fn unknown_namespace(&self) -> Option<NamespaceSettings> {
        (!self.annotations.is_empty()).then(|| {
            let annotations = self.annotations.iter().map(|given| (given.key.as_str(), given.value.as_str()));
            NamespaceSettings::read([(opt_in::LABEL, opt_in::ENABLED)], annotations)
        })
    }

    fn judge(&self, found: Found, place: &impl Fn(&[String]) -> Place) -> JudgedPod {
        let unknown = self.unknown_namespace();
        let settings = Settings {
            cluster: &self.cluster,
            namespace: self.namespaces.get(&found.namespace).or(unknown.as_ref()),
            namespace_name: Some(&found.namespace),
            own_namespace: None,
            server: self.server,
        };
        // From here on it is what the webhook does with the bytes of a request.
        let bytes = found.pod.to_string().into_bytes();
        let mut judged = JudgedPod {
            source: 0,
            document: 0,
            place: place(&found.object),
            path: found.path.clone(),
            kind: found.kind,
            name: found.name,
            namespace: found.namespace.clone(),
            verdict: Verdict::Unchanged,
            operations: Vec::new(),
            warnings: Vec::new(),
            explanation: None,
        };
        let pod = match Pod::parse(&bytes) {
            Ok(pod) => pod,
            Err(unreadable) => {
                let path: Vec<_> = found.path.into_iter().chain(steps(&unreadable.path)).collect();
                judged.place = place(&path);
                judged.verdict = Verdict::Undecided(reason(&unreadable));
                return judged;
            }
        };
        let plan = plan(&pod, &settings);
        let misplaced = found.misplaced.iter().map(|misplaced| {
            let Misplaced { annotation, found, belongs } = misplaced;
            format!("fermata: {annotation} in {found} does nothing; it belongs in {belongs}")
        });
        judged.warnings = misplaced.chain(plan.warnings.iter().map(Warning::text)).collect();
        judged.explanation = Some(explain(&pod, &plan));
        judged.verdict = if let Some(message) = plan.denied() {
            Verdict::Denied(message.to_owned())
        } else if let Some(skip) = plan.skipped() {
            Verdict::Skipped(skip)
        } else if pod.containers().len() == 0 {
            let path: Vec<_> = found.path.into_iter().chain(["spec".to_owned()]).collect();
            judged.place = place(&path);
            Verdict::Undecided("spec.containers: there are none, so the API server refuses it".to_owned())
        } else if plan.is_empty() {
            Verdict::Unchanged
        } else {
            judged.operations = patch::operations(&plan).into_iter().map(Operation::into_owned).collect();
            Verdict::Patched
        };
        judged
    }
}

impl Verdict {
    /// One word for it.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Patched => "patched",
            Self::Unchanged => "unchanged",
            Self::Skipped(_) => "skipped",
            Self::Denied(_) => "denied",
            Self::Undecided(_) => "undecided",
        }
    }
}

fn pairs(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// The steps of a path such as `spec.containers[0].name`. A key with dots in it stands only at the end.
fn steps(path: &str) -> impl Iterator<Item = String> {
    const ANNOTATIONS: &str = "metadata.annotations.";
    let (path, key) = match path.strip_prefix(ANNOTATIONS) {
        Some(key) => (ANNOTATIONS, Some(key.to_owned())),
        None => (path, None),
    };
    path.split(['.', '[', ']']).filter(|step| !step.is_empty()).map(str::to_owned).chain(key)
}

/// What is wrong with a Pod, without the place in the JSON that was made of it.
fn reason(unreadable: &UnreadablePod) -> String {
    let reason = unreadable.reason.split(" at line ").next().unwrap_or_default();
    // By far the most common slip: `"5"` without its quotes.
    let way_out = if reason.ends_with("expected a string") { "; put it in quotes" } else { "" };
    format!("{}: {reason}{way_out}", unreadable.path)
}
