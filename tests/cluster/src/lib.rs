//! A real Kubernetes control plane for tests and for `make try`.
//!
//! What a mutating webhook is worth shows only behind the API server that calls it: defaulting, reinvocation,
//! selectors, failure policies and validation all happen there and nowhere else. This crate therefore builds and
//! starts the real etcd, kube-apiserver and kube-controller-manager, on loopback and without root. There is no
//! kubelet: Pods are admitted and stored, and stay `Pending`. Where Pods have to run, [`node`] starts a whole node.
//!
//! Nothing started here outlives the process that started it, not even after `kill -9` (see [`process`]).

pub mod assets;
pub mod cluster;
pub mod control_plane;
pub mod credentials;
pub mod existing;
pub mod fermata;
pub mod helm;
pub mod http;
pub mod mounted;
pub mod namespace;
pub mod network;
pub mod node;
pub mod pod_load;
pub mod ports;
pub mod process;
pub mod reviews;
pub mod scratch;
pub mod service;
pub mod wait;
pub mod webhook;
pub mod webhook_client;

pub use cluster::Cluster;
pub use control_plane::{ControlPlane, ControlPlaneOptions};
pub use existing::ExistingCluster;
pub use fermata::{Fermata, Launch, Ports};
pub use helm::Helm;
pub use namespace::TestNamespace;
pub use node::{Image, Node, NodeOptions};
pub use scratch::Scratch;
pub use webhook::{WebhookOptions, WebhookRegistration};
