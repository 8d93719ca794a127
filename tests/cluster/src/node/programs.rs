//! What runs on a node, and the files that tell it how.

use std::{fs, net::Ipv4Addr, path::Path, time::Duration};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{NODE_NAME, image};
use crate::{
    assets::{Assets, Binary},
    credentials::Credentials,
    network,
    process::Program,
};

/// Where Debian, Fedora and others put the CNI plugins.
pub(super) const CNI_FOLDERS: [&str; 3] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/// It ends with the node's namespaces, and there is no use in asking first.
const GRACE: Duration = Duration::ZERO;

/// The container runtime.
pub(super) fn containerd(assets: &Assets, scratch: &Path, snapshotter: &str) -> anyhow::Result<Program> {
    let networks = scratch.join("cni");
    fs::create_dir(&networks)?;
    write(&networks.join("10-node.conflist"), &cni(scratch))?;
    let config = scratch.join("containerd.toml");
    let folders = CNI_FOLDERS.map(|folder| format!("'{folder}'")).join(", ");
    // The usual paths for root and state are the node's own.
    let text = format!(
        "version = 3\n\
         # Not needed by anything here, and slow to start.\n\
         disabled_plugins = ['io.containerd.nri.v1.nri', 'io.containerd.internal.v1.tracing']\n\
         [plugins.'io.containerd.cri.v1.images']\n\
         snapshotter = '{snapshotter}'\n\
         [plugins.'io.containerd.cri.v1.images'.pinned_images]\n\
         sandbox = '{sandbox}'\n\
         [plugins.'io.containerd.cri.v1.runtime']\n\
         # Where CAP_SYS_RESOURCE is missing, runc may not lower a score, and no Pod would start.\n\
         restrict_oom_score_adj = true\n\
         [plugins.'io.containerd.cri.v1.runtime'.cni]\n\
         bin_dirs = [{folders}]\n\
         conf_dir = '{networks}'\n",
        sandbox = image::BUSYBOX,
        networks = networks.display(),
    );
    fs::write(&config, text).with_context(|| format!("failed to write {}", config.display()))?;
    let shim = assets.require(Binary::ContainerdShim)?;
    let folder = shim.parent().context("expected a folder of programs")?;
    let path = std::env::var("PATH").unwrap_or_default();
    Ok(Program {
        env: vec![("PATH".to_owned(), format!("{}:{path}:/usr/sbin:/sbin", folder.display()))],
        ..program(assets, Binary::Containerd, vec![format!("--config={}", config.display())])?
    })
}

/// Each Pod has a link of its own to the node, which routes. With a common bridge, an answer from one Pod to another
/// would pass by the node's address translation unless a kernel module looks into bridges, and Services would fail.
fn cni(scratch: &Path) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": scratch.join("addresses"),
                    "ranges": [[{ "subnet": network::POD_RANGE }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

/// Runs the Pods.
pub(super) fn kubelet(
    assets: &Assets,
    scratch: &Path,
    credentials: &Credentials,
    kubeconfig: &Path,
) -> anyhow::Result<Program> {
    let config = scratch.join("kubelet.json");
    let resolv = scratch.join("resolv.conf");
    fs::write(&resolv, "")?;
    let manifests = scratch.join("manifests");
    fs::create_dir(&manifests)?;
    let settings = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": credentials.file("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [network::DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": resolv,
        "staticPodPath": manifests,
        "localStorageCapacityIsolation": false,
        "enforceNodeAllocatable": [],
        // How full the disk of this machine is, is no business of a test.
        "evictionHard": {
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        // By default it holds itself back to 50 requests a second.
        "kubeAPIQPS": 1000,
        "kubeAPIBurst": 1000,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "serializeImagePulls": false,
    });
    write(&config, &settings)?;
    let args = vec![
        format!("--config={}", config.display()),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--hostname-override={NODE_NAME}"),
        format!("--node-ip={}", network::NODE_ADDRESS),
    ];
    program(assets, Binary::Kubelet, args)
}

/// Places the Pods.
pub(super) fn scheduler(assets: &Assets, kubeconfig: &Path) -> anyhow::Result<Program> {
    let args = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--kube-api-qps=1000".to_owned(),
        "--kube-api-burst=1000".to_owned(),
    ];
    program(assets, Binary::KubeScheduler, args)
}

/// Makes Services reachable.
pub(super) fn proxy(assets: &Assets, kubeconfig: &Path) -> anyhow::Result<Program> {
    let any = Ipv4Addr::UNSPECIFIED;
    let args = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        "--proxy-mode=iptables".to_owned(),
        format!("--hostname-override={NODE_NAME}"),
        format!("--cluster-cidr={}", network::POD_RANGE),
        format!("--healthz-bind-address={any}:10256"),
        // By default it gathers changes for a second, in which a Service still leads to a Pod that is gone. That is
        // kept: it is what a real cluster does.
        // The limits of connection tracking belong to the machine, not to the node.
        "--conntrack-max-per-core=0".to_owned(),
        "--conntrack-tcp-timeout-established=0".to_owned(),
        "--conntrack-tcp-timeout-close-wait=0".to_owned(),
    ];
    program(assets, Binary::KubeProxy, args)
}

fn program(assets: &Assets, binary: Binary, args: Vec<String>) -> anyhow::Result<Program> {
    Ok(Program {
        name: binary.name().to_owned(),
        path: assets.require(binary)?.to_owned(),
        args,
        env: Vec::new(),
        grace: GRACE,
    })
}

fn write(path: &Path, value: &Value) -> anyhow::Result<()> {
    fs::write(path, format!("{value:#}\n")).with_context(|| format!("failed to write {}", path.display()))
}
