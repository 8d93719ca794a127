//! The command lines of the control plane's programs.

use std::{path::Path, time::Duration};

use anyhow::ensure;

use super::{ControlPlaneOptions, Site};
use crate::{
    assets::{Assets, Binary},
    credentials::Credentials,
    network,
    process::Program,
};

/// The data is thrown away, so nobody needs a slow and orderly end.
const GRACE: Duration = Duration::from_secs(2);

/// The longest path of a Unix socket that all systems take (macOS has 104 bytes with the end mark, Linux 108).
const SOCKET_PATH_BYTES: usize = 103;

fn etcd_socket(scratch: &Path) -> String {
    scratch.join("etcd.sock").display().to_string()
}

/// A Unix socket in a private directory needs no port that another control plane could take, and nobody else on the
/// machine can read Secrets through it, for etcd is not asked to authenticate anyone.
pub(super) fn etcd(assets: &Assets, scratch: &Path) -> anyhow::Result<Program> {
    let socket = etcd_socket(scratch);
    ensure!(
        socket.len() <= SOCKET_PATH_BYTES,
        "the path {socket} is too long for a Unix socket; set TMPDIR to a shorter one"
    );
    let args = vec![
        format!("--data-dir={}", scratch.join("etcd").display()),
        format!("--listen-client-urls=unix://{socket}"),
        // Has to have the form host:port although nobody is told: there is one member, and one client that knows.
        "--advertise-client-urls=http://127.0.0.1:0".to_owned(),
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--name=fermata".to_owned(),
        // Nothing has to survive a power cut.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    program(assets, Binary::Etcd, args)
}

pub(super) fn api_server(
    assets: &Assets,
    site: &Site,
    credentials: &Credentials,
    port: u16,
    options: &ControlPlaneOptions,
) -> anyhow::Result<Program> {
    let scratch = site.scratch.path();
    let mut args = vec![
        format!("--etcd-servers=unix://{}", etcd_socket(scratch)),
        format!("--secure-port={port}"),
        format!("--service-cluster-ip-range={}", network::SERVICE_RANGE),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
        format!("--cert-dir={}", scratch.join("pki").display()),
        format!("--tls-cert-file={}", credentials.file("kube-apiserver.crt")),
        format!("--tls-private-key-file={}", credentials.file("kube-apiserver.key")),
        format!("--client-ca-file={}", credentials.file("ca.crt")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", credentials.file("service-accounts.pub")),
        format!("--service-account-signing-key-file={}", credentials.file("service-accounts.key")),
    ];
    if site.enclosure.is_some() {
        args.extend([
            "--bind-address=0.0.0.0".to_owned(),
            format!("--advertise-address={}", network::NODE_ADDRESS),
            // As is usual: the kubelet may do what concerns its own node and Pods.
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            // For logs and exec; the node's name leads nowhere, for there is no name server.
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--kubelet-client-certificate={}", credentials.file("kube-apiserver-kubelet-client.crt")),
            format!("--kubelet-client-key={}", credentials.file("kube-apiserver-kubelet-client.key")),
        ]);
    } else {
        args.extend([
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            // The Service `kubernetes` refuses a loopback address as its endpoint, and nobody here uses it.
            "--endpoint-reconciler-type=none".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
        ]);
    }
    if !options.feature_gates.is_empty() {
        let gates: Vec<String> =
            options.feature_gates.iter().map(|(gate, on)| format!("{gate}={on}")).collect();
        args.push(format!("--feature-gates={}", gates.join(",")));
    }
    if !options.runtime_config.is_empty() {
        args.push(format!("--runtime-config={}", options.runtime_config.join(",")));
    }
    args.extend(options.api_server_args.iter().cloned());
    program(assets, Binary::KubeApiserver, args)
}

pub(super) fn controller_manager(
    assets: &Assets,
    credentials: &Credentials,
    kubeconfig: &Path,
) -> anyhow::Result<Program> {
    let args = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        "--leader-elect=false".to_owned(),
        // The API server's own roles give each controller its rights; the program as a whole has next to none.
        "--use-service-account-credentials=true".to_owned(),
        // By default it holds itself back to 20 requests a second, and spends seconds waiting when it starts.
        "--kube-api-qps=1000".to_owned(),
        "--kube-api-burst=1000".to_owned(),
        // It serves nothing that anybody here asks for.
        "--secure-port=0".to_owned(),
        format!("--root-ca-file={}", credentials.file("ca.crt")),
        "--profiling=false".to_owned(),
    ];
    program(assets, Binary::KubeControllerManager, args)
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
