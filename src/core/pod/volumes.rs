//! The volumes of a Pod, and where its containers mount them.

use serde::Deserialize;

use super::{Object, Text, list::Listed};

/// What the view reads of an entry of `volumes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow)]
    empty_dir: Option<Object<EmptyDir<'a>>>,
}

#[derive(Debug, Deserialize)]
struct EmptyDir<'a> {
    #[serde(borrow, default)]
    medium: Text<'a>,
}

impl Volume<'_> {
    /// The volume's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Whether it is an empty folder in memory.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        self.empty_dir.as_ref().is_some_and(|folder| folder.medium.as_str() == "Memory")
    }
}

/// What the view reads of an entry of `volumeMounts`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    mount_path: Text<'a>,
}

impl VolumeMount<'_> {
    /// The name of the volume.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Where it is mounted in the container.
    #[must_use]
    pub fn mount_path(&self) -> &str {
        self.mount_path.as_str()
    }
}

/// What the view reads of an entry of `volumeDevices`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VolumeDevice<'a> {
    #[serde(borrow, default)]
    pub(super) device_path: Text<'a>,
}

impl Listed for Object<Volume<'_>> {
    const PLURAL: &'static str = "volumes";
}

impl Listed for Object<VolumeMount<'_>> {
    const PLURAL: &'static str = "volume mounts";
}

impl Listed for Object<VolumeDevice<'_>> {
    const PLURAL: &'static str = "volume devices";
}
