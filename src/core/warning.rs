//! What `kubectl` tells the person who creates the Pod.
//!
//! The API server passes warnings on to the client. It advises at most 120 characters and may cut at 256, and
//! all warnings of a request share 4 KiB; so each is short, and there are few.

use std::fmt;

use fermata_stop_plan::{Drain, Seconds};

use crate::{
    annotation::{Key, ShimMode, TABLE},
    opt_in,
    pod::HookKind,
    settings::{DrainLimit, Layer, Mistake, Sourced, cut, short_name},
    skip::{ContainerSkip, PodSkip, ShimSkip},
};

/// The most characters that a warning may have.
pub const MAX_CHARACTERS: usize = 256;

/// The most warnings that one review returns.
pub const MAX_WARNINGS: usize = 10;

/// Cluster-autoscaler waits no longer than this for a Pod that it evicts (`--max-graceful-termination-sec`).
pub const AUTOSCALER_PATIENCE: i64 = 600;

/// Something that the Pod's author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// An annotation counts for nothing.
    Mistake(Mistake),
    /// The container's own hook stands where the drain would.
    OwnPreStop {
        /// The container.
        container: Box<str>,
        /// The kind of its hook.
        hook: HookKind,
        /// The drain that it does not get.
        drain: Drain,
        /// Whether the shim was asked for, which could run it after the drain.
        shim: ShimMode,
        /// Why the shim cannot come, if that is the reason.
        missing: Option<ShimSkip>,
    },
    /// A range was asked for, and cannot end early.
    RangeFixed {
        /// The container.
        container: Box<str>,
        /// The range.
        asked: Sourced<Drain>,
        /// The drain that it gets.
        drain: Seconds,
        /// Whether that is because the Pod is in its node's network.
        host_network: bool,
        /// Whether the shim was asked for, which could end it.
        shim: ShimMode,
    },
    /// The container does not get the shim that was asked for.
    ShimSkipped {
        /// The container.
        container: Box<str>,
        /// Why it does not.
        reason: ShimSkip,
    },
    /// The API server has no native sleep.
    NeedsShim {
        /// The container.
        container: Box<str>,
        /// How long its own hook sleeps, if it does.
        sleeps: Option<Seconds>,
        /// The drain that it does not get.
        drain: Sourced<Drain>,
        /// Whether the shim was asked for, which could do it.
        shim: ShimMode,
    },
    /// The operator's ceiling is lower than the drain.
    DrainLimited {
        /// The container.
        container: Box<str>,
        /// The drain that was asked for.
        asked: Sourced<Drain>,
        /// What it gets.
        limit: DrainLimit,
    },
    /// The operator's ceiling is lower than the grace period that the drain needs.
    GraceLimited {
        /// The grace period that is needed, unit: seconds.
        needed: i64,
        /// What the Pod gets, unit: seconds.
        limit: i64,
    },
    /// The Pod is left alone although its annotations ask for something.
    NoEffect {
        /// Why it is.
        reason: PodSkip,
    },
    /// The operator's ceiling leaves no room for a drain.
    NoRoom {
        /// The container.
        container: Box<str>,
    },
    /// The grace period is longer than cluster-autoscaler waits.
    BeyondAutoscaler {
        /// The grace period, unit: seconds.
        grace_period: i64,
    },
    /// A probe's own grace period is shorter than the drain.
    ProbeGrace {
        /// The container.
        container: Box<str>,
        /// The probe's grace period, unit: seconds.
        probe: i64,
        /// The drain.
        drain: Seconds,
    },
    /// The container's own hook sleeps for as long as the Pod may take, or longer.
    HookFillsGrace {
        /// The container.
        container: Box<str>,
        /// How long its hook sleeps.
        drain: Seconds,
        /// The Pod's grace period, unit: seconds.
        grace_period: i64,
    },
    /// The status annotation would make the annotations larger than the API server allows.
    NoRoomForStatus,
    /// The Pod cannot be judged.
    Unreadable {
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// More than [`MAX_WARNINGS`].
    More {
        /// How many are not shown.
        count: usize,
    },
}

impl Warning {
    /// The annotation that counts for nothing, if that is what this is about.
    #[must_use]
    pub fn ignored_annotation(&self) -> Option<&str> {
        match self {
            Self::Mistake(
                Mistake::Value { annotation, .. }
                | Mistake::UnknownKey { annotation, .. }
                | Mistake::NotPerContainer { annotation, .. }
                | Mistake::ContainerOnNamespace { annotation }
                | Mistake::UnknownContainer { annotation, .. }
                | Mistake::NeedsInit { annotation }
                | Mistake::NeverDrained { annotation, .. },
            ) => Some(annotation),
            _ => None,
        }
    }

    /// The text as it is sent, at most [`MAX_CHARACTERS`].
    #[must_use]
    pub fn text(&self) -> String {
        let text = format!("fermata: {self}");
        // The API server's client refuses control characters in the header that carries the warning.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match cut(&text, MAX_CHARACTERS) {
            std::borrow::Cow::Borrowed(_) => text,
            std::borrow::Cow::Owned(cut) => cut,
        }
    }
}

/// The texts to send: all of them, or the first ones and how many more there are.
#[must_use]
pub fn texts(warnings: &[Warning]) -> Vec<String> {
    if warnings.len() <= MAX_WARNINGS {
        return warnings.iter().map(Warning::text).collect();
    }
    let (shown, hidden) = warnings.split_at(MAX_WARNINGS - 1);
    let more = Warning::More { count: hidden.len() };
    shown.iter().chain([&more]).map(Warning::text).collect()
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake(mistake) => {
                mistake.fmt(f)?;
                match mistake {
                    Mistake::Value { layer: Layer::Namespace, .. }
                    | Mistake::UnknownKey { layer: Layer::Namespace, .. } => {
                        f.write_str(" (on the Namespace; ignored)")
                    }
                    Mistake::Value { .. } | Mistake::UnknownKey { .. } => f.write_str(" (ignored)"),
                    _ => Ok(()),
                }
            }
            Self::OwnPreStop { container, hook, drain, shim, missing } => {
                own_pre_stop(f, &short_name(container), *hook, *drain, *shim, *missing)
            }
            Self::RangeFixed { container, asked, drain, host_network, shim } => {
                let Sourced { value, layer } = asked;
                write!(
                    f,
                    "container {}: a drain of {value} ({layer}) lasts {drain}: ",
                    short_name(container)
                )?;
                if *host_network {
                    f.write_str("a Pod with hostNetwork sees the connections of its whole node, so it cannot end early")
                } else if *shim == ShimMode::Off {
                    write!(f, "only the shim can end it early; set {} to hook", Key::Shim)
                } else {
                    f.write_str("only the shim can end it early, and it cannot come into this container")
                }
            }
            Self::ShimSkipped { container, reason } => {
                write!(f, "container {}: no shim ({reason}): ", short_name(container))?;
                match reason {
                    ShimSkip::EntrypointUnknown => write!(
                        f,
                        "set its command, or {}.{} to its image's ENTRYPOINT and CMD",
                        short_name(container),
                        Key::Entrypoint,
                    ),
                    reason => f.write_str(reason.meaning()),
                }
            }
            Self::NeedsShim { container, sleeps, drain, shim } => {
                let Sourced { value, layer } = drain;
                let name = short_name(container);
                let reason = ContainerSkip::NeedsShim;
                write!(
                    f,
                    "container {name}: no drain of {value} ({reason}, {layer}): API servers below 1.30 have no native sleep; "
                )?;
                match sleeps {
                    _ if *shim == ShimMode::Off => write!(f, "set {} to hook", Key::Shim),
                    Some(_) => write!(f, "lengthen the sleep in its preStop hook"),
                    None => write!(f, "upgrade, or add a preStop hook that sleeps"),
                }
            }
            Self::DrainLimited { container, asked, limit } => write!(
                f,
                "container {}: the operator's {} shortens the drain of {} ({}) to {}",
                short_name(container),
                limit.ceiling,
                asked.value,
                asked.layer,
                limit.to,
            ),
            Self::GraceLimited { needed, limit } => write!(
                f,
                "drain and own time need a grace period of {needed}s, above the operator's limits.maxGracePeriod; the Pod gets {limit}s, so its app has less time after the stop signal"
            ),
            Self::NoEffect { reason } => {
                write!(f, "the Pod's annotations have no effect ({reason}): {}", reason.meaning())
            }
            Self::NoRoom { container } => write!(
                f,
                "container {}: no drain ({}): the operator's limits leave no second for it",
                short_name(container),
                ContainerSkip::NoRoom,
            ),
            Self::BeyondAutoscaler { grace_period } => write!(
                f,
                "the grace period of {grace_period}s is above the {AUTOSCALER_PATIENCE}s that cluster-autoscaler waits by default; on scale-down the Pod is killed earlier"
            ),
            Self::ProbeGrace { container, probe, drain } => write!(
                f,
                "container {}: a probe's terminationGracePeriodSeconds of {probe} is shorter than the drain of {drain}, which it cuts short when the probe fails",
                short_name(container),
            ),
            Self::HookFillsGrace { container, drain, grace_period } => write!(
                f,
                "container {}: its preStop sleep of {drain} fills the grace period of {grace_period}s, so its app is killed without time of its own; set fermata.dev/grace-period to give it some",
                short_name(container),
            ),
            Self::NoRoomForStatus => f.write_str(
                "the Pod's annotations are near the limit of 256 KiB, so there is no fermata.dev/status",
            ),
            Self::Unreadable { reason } => {
                write!(f, "the Pod is left unchanged, because it cannot be judged: {reason}")
            }
            Self::More { count } => write!(f, "{count} more warnings; `fermata explain` shows them all"),
        }
    }
}

/// What to do about a hook that stands where the drain would.
fn own_pre_stop(
    f: &mut fmt::Formatter<'_>,
    container: &str,
    hook: HookKind,
    drain: Drain,
    shim: ShimMode,
    missing: Option<ShimSkip>,
) -> fmt::Result {
    write!(f, "container {container}: no drain ({}): ", ContainerSkip::OwnPreStop)?;
    match hook {
        HookKind::TcpSocket => write!(
            f,
            "its preStop is a tcpSocket hook, which Kubernetes never runs; remove it to get the drain of {drain}"
        ),
        HookKind::Exec | HookKind::HttpGet if shim == ShimMode::Off => write!(
            f,
            "its {hook} preStop hook stays as it is; set {} to hook to run it after a drain of {drain}",
            Key::Shim,
        ),
        HookKind::Exec | HookKind::HttpGet if let Some(reason) = missing => write!(
            f,
            "its {hook} preStop hook stays as it is, because the shim cannot come into this container ({reason})"
        ),
        HookKind::Exec => write!(
            f,
            "its exec preStop hook stays as it is; let it sleep {drain} first and set the container's {} to 0, or remove it",
            Key::Drain,
        ),
        HookKind::HttpGet => f.write_str(
            "its httpGet preStop hook stays as it is: the shim cannot send it (HTTPS, a host by name, an odd path or header); use an exec hook",
        ),
        HookKind::Sleep | HookKind::Unknown => write!(
            f,
            "its preStop hook is of a kind not known here and stays as it is; remove it to get the drain of {drain}"
        ),
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { annotation, key, value, why, .. } => {
                write!(f, "{annotation}: {value} {why}; use {}", key.definition().accepts)
            }
            Self::UnknownKey { annotation, nearest: Some(nearest), .. } if &**nearest == opt_in::LABEL => {
                write!(f, "{annotation} is a label, not an annotation; set it under labels")
            }
            Self::UnknownKey { annotation, nearest: Some(nearest), .. } => {
                write!(f, "there is no annotation {annotation}; did you mean {nearest}?")
            }
            Self::UnknownKey { annotation, nearest: None, .. } => {
                let known: Vec<_> = TABLE.iter().map(|row| row.name).collect();
                // The list is the way out, and must not be cut off.
                write!(f, "there is no annotation {}; known are {}", cut(annotation, 44), known.join(", "))
            }
            Self::NotPerContainer { annotation, key } => {
                write!(f, "{annotation}: {key} is for the whole Pod; write it without the container's name")
            }
            Self::ContainerOnNamespace { annotation } => {
                write!(
                    f,
                    "{annotation} on the Namespace: one container's annotation belongs on the Pod; it is ignored"
                )
            }
            Self::UnknownContainer { annotation, nearest: Some(nearest) } => {
                write!(f, "{annotation}: the Pod has no such container; did you mean {nearest}?")
            }
            Self::UnknownContainer { annotation, nearest: None } => {
                write!(f, "{annotation}: the Pod has no such container; use the name of one that it has")
            }
            Self::UnknownInList { container, nearest: Some(nearest) } => {
                write!(
                    f,
                    "{}: the Pod has no container {container}; did you mean {nearest}?",
                    Key::Containers
                )
            }
            Self::UnknownInList { container, nearest: None } => {
                write!(f, "{}: the Pod has no container {container}; name one that it has", Key::Containers)
            }
            Self::NeverDrained { annotation, reason } => {
                write!(f, "{annotation} has no effect ({reason}): {}; remove it", reason.meaning())
            }
            Self::NeedsInit { annotation } => {
                write!(f, "{annotation} has no effect without the shim as PID 1; set {} to init", Key::Shim)
            }
            Self::InjectLabel { value } => write!(
                f,
                "label {}: {value} means nothing on a Pod; use {:?} to opt the Pod out",
                opt_in::LABEL,
                opt_in::DISABLED
            ),
        }
    }
}
