//! One cell of the experiment: an application, what is done for its ending, how its Pods come to end, and the proxy.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{app::App, proxy::Upstream};

/// The hand-written drain, in seconds.
const HAND_WRITTEN: u32 = 15;

/// What is done for the Pods' ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// Nothing.
    Nothing,
    /// A preStop hook that sleeps for 15 seconds, as people write it: the grace period stays as it is.
    HandWritten,
    /// Fermata, with its Namespace's label and nothing else.
    Fermata,
    /// Fermata with the shim, and what it has to know about the application.
    Shim,
}

impl Treatment {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::HandWritten, Self::Fermata, Self::Shim];

    /// What it is, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::HandWritten => "`preStop: sleep 15`",
            Self::Fermata => "Fermata",
            Self::Shim => "Fermata, shim and profile",
        }
    }

    /// Whether Fermata is asked for.
    #[must_use]
    pub fn is_fermata(self) -> bool {
        matches!(self, Self::Fermata | Self::Shim)
    }
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::HandWritten => "hand-written",
            Self::Fermata => "fermata",
            Self::Shim => "shim",
        })
    }
}

/// Why Pods end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disturbance {
    /// Three replicas are replaced one by one.
    Rollout,
    /// Each of three Pods is evicted, as `kubectl drain` does, with a budget of one.
    Eviction,
    /// Three replicas become one.
    ScaleDown,
}

impl Disturbance {
    /// What it is, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Rollout => "rolling restart of 3 replicas",
            Self::Eviction => "eviction of 3 Pods, as a node's drain does",
            Self::ScaleDown => "scale-down from 3 replicas to 1",
        }
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rollout => "rollout",
            Self::Eviction => "eviction",
            Self::ScaleDown => "scale-down",
        })
    }
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// Why Pods end.
    pub disturbance: Disturbance,
    /// Whose Pods.
    pub app: App,
    /// What the proxy does with connections.
    pub upstream: Upstream,
    /// What is done about it.
    pub treatment: Treatment,
}

impl Cell {
    /// All cells: every application through rolling restarts, and two of them through evictions and scale-downs.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        let further = [App::Dies, App::Graceful];
        for (disturbance, apps) in [
            (Disturbance::Rollout, App::ALL.as_slice()),
            (Disturbance::Eviction, &further),
            (Disturbance::ScaleDown, &further),
        ] {
            for &app in apps {
                for upstream in Upstream::ALL {
                    for treatment in Treatment::ALL {
                        cells.push(Self { disturbance, app, upstream, treatment });
                    }
                }
            }
        }
        cells
    }

    /// Whether the README quotes it: rolling restarts behind a proxy that keeps connections, without anything, with a hook by
    /// hand, and with all that Fermata has; and all that is said of the graceful server, which is to lose nothing.
    #[must_use]
    pub fn is_quoted(&self) -> bool {
        let is_graceful = self.app == App::Graceful;
        self.disturbance == Disturbance::Rollout
            && (self.upstream == Upstream::Kept || is_graceful)
            && match self.treatment {
                Treatment::Nothing | Treatment::HandWritten | Treatment::Shim => true,
                Treatment::Fermata => is_graceful,
            }
    }

    /// What its program does at its end to a request that is under way then.
    #[must_use]
    pub fn what_cuts_off(&self) -> &'static str {
        let with_shim = self.treatment == Treatment::Shim;
        match self.app {
            App::Dies => "it dies at once on TERM, whatever is under way",
            App::Passenger if with_shim => "its stop command ends it, whatever is under way",
            App::Shell | App::Passenger if !with_shim => {
                "TERM does nothing, and KILL ends it, whatever is under way"
            }
            App::Shell | App::Graceful | App::Nginx | App::Passenger => {
                "it closes idle connections, and the proxy may be sending a request on one of them"
            }
        }
    }

    /// About how long a run takes, to know which to begin first and how much is left. Unit: seconds.
    #[must_use]
    pub fn about(&self) -> u64 {
        let drain = match (self.treatment, self.app) {
            (Treatment::Nothing, _) => 0,
            (Treatment::Shim, App::Passenger) => 30,
            _ => 15,
        };
        // Without the shim these two wait for KILL, at the end of a grace period that a hand-written hook eats up.
        let waits = matches!(self.app, App::Shell | App::Passenger);
        let ending = match self.treatment {
            Treatment::Fermata if waits => drain + 31,
            Treatment::Nothing | Treatment::HandWritten if waits => 31,
            _ => drain + 2,
        };
        // Pods that get ready, before and meanwhile, and the load on its own.
        ending + if self.disturbance == Disturbance::ScaleDown { 14 } else { 20 }
    }

    /// The Deployment, whose Pods have the label `app` with the application's name.
    #[must_use]
    pub fn deployment(&self) -> Value {
        let Self { app, treatment, .. } = self;
        let name = app.to_string();
        let mut container = json!({
            "name": "app",
            "image": app.image_name(),
            "command": app.command(),
            "ports": [{ "name": "http", "containerPort": app.port() }],
            "readinessProbe": { "httpGet": { "path": "/", "port": "http" }, "periodSeconds": 1 },
        });
        if *treatment == Treatment::HandWritten {
            container["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": HAND_WRITTEN } } });
        }
        let annotations = if *treatment == Treatment::Shim { app.annotations() } else { json!({}) };
        json!({
            "metadata": { "name": name },
            "spec": {
                "replicas": 3,
                "strategy": { "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
                "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": { "app": name }, "annotations": annotations },
                    "spec": { "containers": [container] },
                },
            },
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { disturbance, app, upstream, treatment } = self;
        write!(f, "{disturbance}/{app}/{upstream}/{treatment}")
    }
}
