//! What will be done to a Pod, and why: the one thing that patch, warnings, status, metrics, `preview` and
//! `explain` are projections of. Whatever two of them say about a Pod therefore cannot differ.

use fermata_stop_plan::{Drain, PreStop, Seconds, StopPlan};

use crate::{
    annotation::ShimMode,
    pod::{AnnotationsPath, Container, HookKind, HookPath},
    settings::{DrainLimit, Layer, Sourced},
    skip::{ContainerSkip, PodSkip, ShimSkip},
    warning::Warning,
};

/// What Kubernetes gives a Pod that does not say (`DefaultTerminationGracePeriodSeconds`).
pub const DEFAULT_GRACE_PERIOD: i64 = 30;

/// The decision about one Pod.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Whether the Pod is judged at all.
    pub judgement: Judgement,
    /// One entry a container: the regular ones first, then those of `initContainers`, each in the Pod's order.
    /// Empty where the Pod is skipped.
    pub containers: Vec<ContainerPlan<'a>>,
    /// The Pod's grace period.
    pub grace: GracePlan<'a>,
    /// What to change, in order.
    pub steps: Vec<Step>,
    /// What to tell the Pod's author.
    pub warnings: Vec<Warning>,
}

/// Whether a Pod is judged at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is, and the plan says what comes of it.
    Judged,
    /// It is left alone as a whole.
    Skipped(PodSkip),
    /// It is refused, with this message: only where the operator asked for that.
    Denied(String),
}

/// What kind of container it is; each ends in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerKind {
    /// An entry of `containers`, classic sidecars included: gets its hook and its stop signal with the others.
    Regular,
    /// An init container that restarts always: runs until the regular ones have ended.
    NativeSidecar,
    /// An init container: has ended before the Pod serves.
    Init,
}

impl ContainerKind {
    /// What an entry of `initContainers` is.
    pub(crate) fn of_init(container: &Container<'_>) -> Self {
        if container.is_native_sidecar() { Self::NativeSidecar } else { Self::Init }
    }
}

/// The decision about one container.
#[derive(Debug)]
pub struct ContainerPlan<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub kind: ContainerKind,
    /// The preStop hook that it came with.
    pub hook: Option<HookKind>,
    /// How long that hook did nothing but sleep; nothing where it does something else.
    pub drain_before: Option<Seconds>,
    /// The drain that was asked for. Nothing for a container that is never drained.
    pub drain_asked: Option<Sourced<Drain>>,
    /// What the operator's ceilings make of that, where they are lower.
    pub drain_limit: Option<DrainLimit>,
    /// The own time that was asked for after its stop signal.
    pub grace_asked: Option<Sourced<Seconds>>,
    /// What comes of it.
    pub outcome: Outcome,
    /// The shim's hook that it gets, where it is the shim that drains.
    pub pre_stop: Option<Box<PreStop>>,
    /// The shim that was asked for.
    pub shim_asked: Sourced<ShimMode>,
    /// What comes of that.
    pub shim: ShimOutcome,
}

/// What comes of a container's shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShimOutcome {
    /// It was not asked for, or has nothing to do in this container.
    Off,
    /// Its binary is there for the preStop hook.
    Hook,
    /// It runs the entrypoint.
    Init(Box<Wrapped>),
    /// The entrypoint is under it already.
    Kept,
    /// The entrypoint is left alone.
    Skipped(ShimSkip),
}

/// A container's entrypoint under the shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// What the shim does with a stop signal.
    pub plan: StopPlan,
    /// The container's new `command`: the shim, its flags, and all that ran before.
    pub command: Vec<String>,
    /// The init whose place it takes, such as `dumb-init`.
    pub instead_of: Option<&'static str>,
}

impl ShimOutcome {
    /// All words for it: the one closed list of what can come of a container's shim.
    pub const WORDS: [&'static str; 4 + ShimSkip::ALL.len()] = {
        let mut words = ["off", "hook", "init", "kept", "", "", "", "", ""];
        let mut index = 0;
        while index < ShimSkip::ALL.len() {
            words[4 + index] = ShimSkip::ALL[index].as_str();
            index += 1;
        }
        words
    };

    /// One word for it, the same in metrics, status and explanations.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Hook => "hook",
            Self::Init(_) => "init",
            Self::Kept => "kept",
            Self::Skipped(reason) => reason.as_str(),
        }
    }
}

/// What comes of a container's drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It had none and gets this one.
    Added(Drain),
    /// It had a shorter one and gets this one.
    Raised(Drain),
    /// It has one that is long enough.
    Kept(Drain),
    /// It is left alone.
    Skipped(ContainerSkip),
}

impl Outcome {
    /// All words for it: the one closed list of what can come of a container.
    pub const WORDS: [&'static str; 3 + ContainerSkip::ALL.len()] = {
        let mut words = ["added", "raised", "kept", "", "", "", "", "", "", "", ""];
        let mut index = 0;
        while index < ContainerSkip::ALL.len() {
            words[3 + index] = ContainerSkip::ALL[index].as_str();
            index += 1;
        }
        words
    };

    /// One word for it, the same in metrics and explanations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added(_) => "added",
            Self::Raised(_) => "raised",
            Self::Kept(_) => "kept",
            Self::Skipped(reason) => reason.as_str(),
        }
    }

    /// The drain that the container has in the end.
    #[must_use]
    pub const fn drain(self) -> Option<Drain> {
        match self {
            Self::Added(drain) | Self::Raised(drain) | Self::Kept(drain) => Some(drain),
            Self::Skipped(_) => None,
        }
    }
}

/// The decision about the Pod's grace period.
#[derive(Clone, Copy, Debug)]
pub struct GracePlan<'a> {
    /// What counts before: what the Pod says, or Kubernetes' default. Unit: seconds.
    pub before: i64,
    /// What counts after. Unit: seconds. Never less.
    pub after: i64,
    /// Why it was raised, if it was.
    pub raised_by: Option<GraceReason<'a>>,
}

/// Why a grace period was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraceReason<'a> {
    /// The container that needs it.
    pub container: &'a str,
    /// What that container needs it for.
    pub need: GraceNeed,
    /// Who asked for that.
    pub layer: Layer,
}

/// What a container needs more time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraceNeed {
    /// The longest drain of the Pod has become longer, and the app's own time stays what it was.
    LongerDrain,
    /// Its own time after the stop signal, by the annotation `grace-period`.
    OwnTime,
}

/// One change, with who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The change.
    pub action: Action,
    /// Who asked for it; nothing for the report about the others.
    pub layer: Option<Layer>,
}

/// A change to the Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give a container a native sleep before its stop signal.
    AddSleep {
        /// Its position in `containers`.
        container: usize,
        /// What it has already.
        path: HookPath,
        /// How long.
        drain: Seconds,
    },
    /// Lengthen the native sleep that a container has.
    LengthenSleep {
        /// Its position in `containers`.
        container: usize,
        /// How long.
        drain: Seconds,
    },
    /// Put a native sleep in the place of a command that does nothing but sleep.
    ReplaceSleepCommand {
        /// Its position in `containers`.
        container: usize,
        /// How long.
        drain: Seconds,
    },
    /// Give a container the shim's hook before its stop signal, which runs the container's own after its drain.
    SetShimHook {
        /// Its position in `containers`.
        container: usize,
        /// What it has already.
        path: HookPath,
        /// The command of the hook.
        command: Vec<String>,
    },
    /// Put the shim in front of a container's entrypoint, or give it another budget there.
    WrapEntrypoint {
        /// Its position in `containers`.
        container: usize,
        /// Whether it has a `command`, and not null.
        present: bool,
        /// All words of the new command.
        command: Vec<String>,
    },
    /// Mount the folder with the shim in a container.
    MountShim {
        /// Its position in `containers`.
        container: usize,
        /// Whether it has `volumeMounts`, and not null.
        present: bool,
    },
    /// Add the volume for the shim.
    AddShimVolume {
        /// Whether the Pod has `volumes`, and not null.
        present: bool,
    },
    /// Put the init container that brings the shim before all others.
    AddShimContainer {
        /// Whether the Pod has `initContainers`, and not null.
        present: bool,
        /// Its image.
        image: String,
        /// Its resources, as JSON.
        resources: Option<Box<str>>,
        /// The user to run as, where the Pod would make it root.
        run_as_user: Option<i64>,
    },
    /// Give the init container that brings the shim other resources.
    SetShimResources {
        /// Its position in `initContainers`.
        container: usize,
        /// Its resources, as JSON.
        resources: Box<str>,
    },
    /// Raise `terminationGracePeriodSeconds`.
    RaiseGracePeriod {
        /// Whether the Pod has the field, and not as null.
        present: bool,
        /// To how much, unit: seconds.
        to: i64,
    },
    /// Write an annotation.
    Annotate {
        /// Its key.
        key: &'static str,
        /// Whether it is there already.
        present: bool,
        /// What the Pod has of the way to it.
        path: AnnotationsPath,
        /// Its value.
        value: String,
    },
}

impl Plan<'_> {
    /// Why the Pod is left alone as a whole, if it is.
    #[must_use]
    pub const fn skipped(&self) -> Option<PodSkip> {
        match self.judgement {
            Judgement::Skipped(reason) => Some(reason),
            Judgement::Judged | Judgement::Denied(_) => None,
        }
    }

    /// Why the Pod is refused, if it is.
    #[must_use]
    pub fn denied(&self) -> Option<&str> {
        match &self.judgement {
            Judgement::Denied(message) => Some(message),
            Judgement::Judged | Judgement::Skipped(_) => None,
        }
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}
