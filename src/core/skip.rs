//! Why a Pod or a container is left alone: one closed list for warnings, status, metrics and documentation.

use std::fmt;

/// Why a whole Pod is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PodSkip {
    /// The kubelet's mirror of a static Pod: changing it changes nothing on the node.
    Mirror,
    /// A namespace of the cluster itself.
    SystemNamespace,
    /// Fermata's own namespace: its Pods must start without it.
    OwnNamespace,
    /// The Namespace does not have the label.
    NotOptedIn,
    /// The Pod has the label that opts it out.
    OptedOut,
    /// A Pod for Windows nodes.
    Windows,
    /// The Pod's grace period is 0: its owner wants no ending.
    GraceZero,
    /// A Job's Pod takes no traffic, and its hooks never run when it completes. A drain that the Pod's own
    /// annotations ask for counts all the same.
    OwnedByJob,
}

impl PodSkip {
    /// All reasons, in the order in which they are looked for.
    pub const ALL: [Self; 8] = [
        Self::Mirror,
        Self::SystemNamespace,
        Self::OwnNamespace,
        Self::NotOptedIn,
        Self::OptedOut,
        Self::Windows,
        Self::GraceZero,
        Self::OwnedByJob,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::SystemNamespace => "system-namespace",
            Self::OwnNamespace => "own-namespace",
            Self::NotOptedIn => "not-opted-in",
            Self::OptedOut => "opted-out",
            Self::Windows => "windows",
            Self::GraceZero => "grace-zero",
            Self::OwnedByJob => "owned-by-job",
        }
    }

    /// One sentence for a person.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Mirror => "it mirrors a static Pod, and changing the mirror changes nothing on the node",
            Self::SystemNamespace => "Pods of the cluster's own namespaces are never touched",
            Self::OwnNamespace => "Fermata's own Pods must start without it",
            Self::NotOptedIn => "its Namespace does not have the label fermata.dev/inject: enabled",
            Self::OptedOut => "it has the label fermata.dev/inject: disabled",
            Self::Windows => "it is for Windows nodes",
            Self::GraceZero => "its grace period is 0, which means that no ending is wanted",
            Self::OwnedByJob => {
                "a Job's Pod takes no traffic; annotate the Job's Pod template with fermata.dev/drain to drain it all the same"
            }
        }
    }
}

/// Why one container is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerSkip {
    /// An init container has ended before the Pod serves, and may not have hooks.
    InitContainer,
    /// A native sidecar gets its stop signal only after the regular containers have ended.
    NativeSidecar,
    /// A Job's container that no annotation of the Pod asks to drain.
    OwnedByJob,
    /// The annotation `containers` does not name it.
    NotSelected,
    /// Its drain is 0.
    DrainZero,
    /// It has a preStop hook of its own, which does more than sleep.
    OwnPreStop,
    /// The API server has no native sleep (below 1.30).
    NeedsShim,
    /// The operator's ceilings leave no second for it.
    NoRoom,
}

impl ContainerSkip {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::InitContainer,
        Self::NativeSidecar,
        Self::OwnedByJob,
        Self::NotSelected,
        Self::DrainZero,
        Self::OwnPreStop,
        Self::NeedsShim,
        Self::NoRoom,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InitContainer => "init-container",
            Self::NativeSidecar => "native-sidecar",
            Self::OwnedByJob => PodSkip::OwnedByJob.as_str(),
            Self::NotSelected => "not-selected",
            Self::DrainZero => "drain-zero",
            Self::OwnPreStop => "own-pre-stop",
            Self::NeedsShim => "needs-shim",
            Self::NoRoom => "no-room",
        }
    }

    /// One sentence for a person.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::InitContainer => "it has ended before the Pod serves",
            Self::NativeSidecar => "it gets its stop signal only after the regular containers have ended",
            Self::OwnedByJob => {
                "of a Job's Pod only the containers are drained that an annotation of the Pod names"
            }
            Self::NotSelected => "fermata.dev/containers does not name it",
            Self::DrainZero => "its drain is 0",
            Self::OwnPreStop => "it has a preStop hook of its own, which stays as it is",
            Self::NeedsShim => {
                "the API server is older than 1.30 and has no native sleep; the shim could (fermata.dev/shim: hook)"
            }
            Self::NoRoom => "the operator's limits leave no second for a drain",
        }
    }
}

/// Why a container does not get the shim that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShimSkip {
    /// The operator has not said which image brings the shim.
    NoShimImage,
    /// The Pod has a volume or a container of its own by the shim's name.
    NameTaken,
    /// The container has something of its own where the shim would be mounted.
    PathTaken,
    /// The Pod leaves it to the image what to start, and nobody has said what that is.
    EntrypointUnknown,
    /// The program insists on being PID 1.
    NeedsPid1,
}

impl ShimSkip {
    /// All reasons.
    pub const ALL: [Self; 5] =
        [Self::NoShimImage, Self::NameTaken, Self::PathTaken, Self::EntrypointUnknown, Self::NeedsPid1];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoShimImage => "no-shim-image",
            Self::NameTaken => "name-taken",
            Self::PathTaken => "path-taken",
            Self::EntrypointUnknown => "entrypoint-unknown",
            Self::NeedsPid1 => "needs-pid-1",
        }
    }

    /// One sentence for a person.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NoShimImage => "the operator has not set shimImage, which brings the shim",
            Self::NameTaken => "the Pod has a volume or a container of its own called fermata-shim",
            Self::PathTaken => "it has something of its own mounted at or below /fermata",
            Self::EntrypointUnknown => {
                "the Pod leaves it to the image what to start; set command, or fermata.dev/entrypoint, or the operator's images"
            }
            Self::NeedsPid1 => "its program is an init system that insists on being PID 1",
        }
    }
}

impl fmt::Display for ShimSkip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for PodSkip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ContainerSkip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
