//! The API server itself.

use fermata_core::ServerVersion;

use crate::cli::check::{catalogue::Check, facts::ApiServer, finding::Finding};

/// The first version in which a container's hook and the entries of a webhook are as Fermata uses them: older ones
/// drop `matchConditions` even where their gate could be set.
const OLDEST: ServerVersion = ServerVersion { major: 1, minor: 27 };

pub(super) fn judge(api: &ApiServer) -> Vec<Finding> {
    let reachable = Finding::ok(Check::ApiReachable, api.server.clone());
    let version = match api.version {
        None => {
            Finding::skipped(Check::ApiVersion, format!("{} is no version that is known", api.git_version))
        }
        Some(version) if version < OLDEST => Finding::failed(
            Check::ApiVersion,
            format!("{} is older than {OLDEST}", api.git_version),
            "upgrade the cluster",
        ),
        Some(version) if !version.has_native_sleep() => Finding::warning(
            Check::ApiVersion,
            format!("{} has no native sleep, so that Pods get no drain by default", api.git_version),
            "upgrade to 1.30, or drain by the shim: annotate Namespaces with fermata.dev/shim=hook",
        ),
        Some(_) => Finding::ok(Check::ApiVersion, api.git_version.clone()),
    };
    vec![reachable, version]
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::cli::check::{facts::ApiServer, finding::State};

    #[test]
    fn versions_are_good_without_a_sleep_or_too_old() {
        for (text, expected) in [
            ("v1.36.3", State::Ok),
            ("v1.30.0", State::Ok),
            ("v1.29.9", State::Warning),
            ("v1.27.0-eks", State::Warning),
            ("v1.26.1", State::Failed),
            ("latest", State::Skipped),
        ] {
            let api =
                ApiServer { server: String::new(), git_version: text.into(), version: text.parse().ok() };
            assert_eq!(judge(&api)[1].state, expected, "{text}");
        }
    }
}
