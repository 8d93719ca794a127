//! The parts of a Pod that bring the shim: a volume in memory, the container that fills it, and its mounts.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::shim::{FOLDER, NAME, PROGRAM_IN_IMAGE, VOLUME_SIZE};

/// A volume in memory: it needs no disk quota, and the node's autoscaler does not mind to lose it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Volume {
    name: &'static str,
    empty_dir: EmptyDir,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmptyDir {
    medium: &'static str,
    size_limit: &'static str,
}

impl Volume {
    pub(super) const SHIM: Self =
        Self { name: NAME, empty_dir: EmptyDir { medium: "Memory", size_limit: VOLUME_SIZE } };
}

/// Where the volume is mounted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VolumeMount {
    name: &'static str,
    mount_path: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
}

impl VolumeMount {
    /// For the containers that run the shim: none of them may replace it.
    pub(super) const READ_ONLY: Self = Self { name: NAME, mount_path: FOLDER, read_only: true };

    const WRITABLE: Self = Self { name: NAME, mount_path: FOLDER, read_only: false };
}

/// The init container that copies the shim from its image into the volume.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container<'a> {
    name: &'static str,
    image: &'a str,
    command: [&'static str; 3],
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<&'a RawValue>,
    security_context: SecurityContext,
    volume_mounts: [VolumeMount; 1],
}

/// What the Pod Security Standard `restricted` asks of a container.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SecurityContext {
    allow_privilege_escalation: bool,
    capabilities: Capabilities,
    read_only_root_filesystem: bool,
    run_as_non_root: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_as_user: Option<i64>,
    seccomp_profile: SeccompProfile,
}

#[derive(Serialize)]
struct Capabilities {
    drop: [&'static str; 1],
}

#[derive(Serialize)]
struct SeccompProfile {
    r#type: &'static str,
}

/// JSON as it stands: it was that when it was taken from the Pod.
pub(super) fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

impl<'a> Container<'a> {
    pub(super) fn new(image: &'a str, resources: Option<&'a str>, run_as_user: Option<i64>) -> Self {
        Self {
            name: NAME,
            image,
            command: [PROGRAM_IN_IMAGE, "install", FOLDER],
            resources: resources.and_then(raw),
            security_context: SecurityContext {
                allow_privilege_escalation: false,
                capabilities: Capabilities { drop: ["ALL"] },
                read_only_root_filesystem: true,
                run_as_non_root: true,
                run_as_user,
                seccomp_profile: SeccompProfile { r#type: "RuntimeDefault" },
            },
            volume_mounts: [VolumeMount::WRITABLE],
        }
    }
}
