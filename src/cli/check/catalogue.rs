//! The checks: one closed list for the judgement, the output, `--help` and the documentation.

use std::fmt::Write;

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// The API server itself.
    KubernetesApi,
    /// The `MutatingWebhookConfiguration`.
    Registration,
    /// The authority and the certificate that is served.
    Certificates,
    /// What answers the API server's reviews.
    Replicas,
    /// What becomes of a Pod.
    Admission,
    /// Who takes part.
    Namespaces,
}

impl Group {
    /// Its name.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::KubernetesApi => "kubernetes-api",
            Self::Registration => "registration",
            Self::Certificates => "certificates",
            Self::Replicas => "replicas",
            Self::Admission => "admission",
            Self::Namespaces => "namespaces",
        }
    }
}

/// Defines the checks, in the order in which they are shown.
macro_rules! checks {
    ($($variant:ident, $group:ident, $id:literal, $title:literal, $needs:literal;)*) => {
        /// One check. Its id is stable: scripts and documentation name it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Check {
            $(#[doc = concat!("`", $id, "`")] $variant,)*
        }

        impl Check {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its stable name.
            pub(super) const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// What is true where all is well.
            pub(super) const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it is about.
            pub(super) const fn group(self) -> Group {
                match self { $(Self::$variant => Group::$group,)* }
            }

            /// What it needs to be permitted.
            pub(super) const fn needs(self) -> &'static str {
                match self { $(Self::$variant => $needs,)* }
            }
        }
    };
}

checks! {
    ApiReachable, KubernetesApi, "api-reachable", "the API server answers", "";
    ApiVersion, KubernetesApi, "api-version", "its version has what Fermata needs", "";

    RegistrationExists, Registration, "registration-exists", "a MutatingWebhookConfiguration registers Fermata",
        "list mutatingwebhookconfigurations";
    RegistrationUnique, Registration, "registration-unique", "no other one does",
        "list mutatingwebhookconfigurations";
    RegistrationRules, Registration, "registration-rules", "it asks for each Pod that is created",
        "list mutatingwebhookconfigurations";
    RegistrationSelectors, Registration, "registration-selectors", "it takes the opted-in Namespaces, and no others",
        "list mutatingwebhookconfigurations";
    RegistrationConditions, Registration, "registration-conditions", "its matchConditions can refuse no Pod",
        "list mutatingwebhookconfigurations";
    RegistrationFailurePolicy, Registration, "registration-failure-policy", "Pods start while no webhook answers",
        "list mutatingwebhookconfigurations";
    RegistrationTimeout, Registration, "registration-timeout", "a webhook that hangs holds no Pod up for long",
        "list mutatingwebhookconfigurations";
    RegistrationReinvocation, Registration, "registration-reinvocation", "containers that other webhooks add are seen",
        "list mutatingwebhookconfigurations";

    CaValid, Certificates, "registration-ca-valid", "the registered caBundle holds certificates",
        "list mutatingwebhookconfigurations";
    CaLifetime, Certificates, "registration-ca-lifetime", "an authority in it is valid for long enough",
        "list mutatingwebhookconfigurations";
    CaMatches, Certificates, "registration-ca-matches", "it verifies the certificate that is served",
        "outside the cluster one of: create pods (dry run); get pods/proxy";
    CertificateLifetime, Certificates, "certificate-lifetime", "that certificate is valid for long enough",
        "a way to the webhook: inside the cluster, or registered by URL";
    AuthoritySecret, Certificates, "authority-secret", "the authority that the replicas share is the registered one",
        "get secrets (the one named; may be left out)";

    ReplicasDeployed, Replicas, "replicas-deployed", "a Deployment runs the webhook", "list deployments";
    ReplicasReady, Replicas, "replicas-ready", "all of its replicas are ready",
        "list deployments, list pods; get pods/proxy for the reason (may be left out)";
    ReplicasEnough, Replicas, "replicas-enough", "the loss of one replica is no loss", "list deployments";
    ReplicasSpread, Replicas, "replicas-spread", "nor is the loss of one node", "list pods";
    ReplicasBudget, Replicas, "replicas-budget", "a PodDisruptionBudget keeps one of them, and lets nodes drain",
        "list poddisruptionbudgets";
    ReplicasReached, Replicas, "replicas-reached", "the registered Service leads to them",
        "get services, list endpointslices";
    ReplicasVersion, Replicas, "replicas-version", "they are of this program's version", "list pods";

    PodPatched, Admission, "pod-patched", "a Pod, created by dry run, gets its ending",
        "create pods, in one opted-in Namespace; get namespaces for the reason if it does not (may be left out)";

    NamespacesOptedIn, Namespaces, "namespaces-opted-in", "Namespaces have opted in", "list namespaces";
    PodsCovered, Namespaces, "pods-covered", "their Pods have their endings", "list namespaces, list pods";
}

/// All checks as a table for the documentation.
#[must_use]
pub fn markdown() -> String {
    let mut table =
        String::from("| id | group | well means that | needs to be permitted |\n|---|---|---|---|\n");
    for check in Check::ALL {
        let needs = if check.needs().is_empty() { "nothing" } else { check.needs() };
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {needs} |",
            check.id(),
            check.group().as_str(),
            check.title()
        );
    }
    table
}

/// All checks as a list for `--help`.
pub(in crate::cli) fn help() -> String {
    let lines = Check::ALL.iter().map(|check| format!("  {:<27}  {}\n", check.id(), check.title()));
    format!("Checks:\n{}", lines.collect::<Vec<_>>().concat())
}

#[cfg(test)]
mod tests {
    use super::Check;

    #[test]
    fn ids_are_unique_and_groups_stand_together() {
        let mut ids: Vec<_> = Check::ALL.iter().map(|check| check.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Check::ALL.len());
        let mut groups: Vec<_> = Check::ALL.iter().map(|check| check.group().as_str()).collect();
        groups.dedup();
        assert_eq!(groups.len(), 6, "{groups:?}");
    }
}
