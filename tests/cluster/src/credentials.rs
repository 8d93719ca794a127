//! Certificates, keys and kubeconfig files of a control plane.
//!
//! Everything is made in memory for one run and written readable for its owner only. Each control plane has an
//! authority of its own, so a client can never take another control plane's API server for its own.

use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

use crate::network;

/// By what the API server is called: on loopback, by its Service's first address, by the node's, and by name.
const API_SERVER_NAMES: [&str; 7] = [
    "127.0.0.1",
    "localhost",
    "kubernetes.default.svc",
    "kubernetes.default",
    "kubernetes",
    network::API_SERVICE_ADDRESS,
    network::NODE_ADDRESS,
];

/// A certificate authority, also of use for the certificates of a webhook.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: Vec<u8>,
}

/// A certificate with its private key, both in PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key (PKCS #8).
    pub key: String,
}

impl Authority {
    /// A new self-signed authority.
    ///
    /// # Errors
    ///
    /// When the system has no randomness to give.
    pub fn new(common_name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { pem: certificate.pem(), der: certificate.der().to_vec(), issuer: Issuer::new(params, key) })
    }

    /// Its certificate in PEM, for a `caBundle` or a kubeconfig.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Issues a server certificate for host names and addresses.
    ///
    /// # Errors
    ///
    /// When a name is not valid in a certificate.
    pub fn issue_server(&self, names: &[&str]) -> anyhow::Result<Identity> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone())?;
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("server", String::as_str));
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues a client certificate: the API server reads it as a user and, optionally, a group of that user.
    ///
    /// # Errors
    ///
    /// When a name is not valid in a certificate.
    pub fn issue_client(&self, user: &str, group: Option<&str>) -> anyhow::Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> anyhow::Result<Identity> {
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// The credentials of one control plane, and the folder that has them as files.
#[derive(Debug)]
pub(crate) struct Credentials {
    folder: PathBuf,
    pub(crate) authority: Authority,
}

impl Credentials {
    /// Issues all that the control plane's programs and its administrator need.
    pub(crate) fn issue(folder: PathBuf) -> anyhow::Result<Self> {
        let credentials = Self { folder, authority: Authority::new("fermata-test-cluster")? };
        let authority = &credentials.authority;
        credentials.write("ca.crt", authority.pem())?;
        credentials.write_identity("kube-apiserver", &authority.issue_server(&API_SERVER_NAMES)?)?;
        credentials.write_identity("admin", &authority.issue_client("admin", Some("system:masters"))?)?;
        credentials.write_identity(
            "kube-controller-manager",
            &authority.issue_client("system:kube-controller-manager", None)?,
        )?;
        let service_accounts = KeyPair::generate()?;
        credentials.write("service-accounts.key", &service_accounts.serialize_pem())?;
        credentials.write("service-accounts.pub", &service_accounts.public_key_pem())?;
        Ok(credentials)
    }

    /// Issues what the programs of a node need beside.
    pub(crate) fn issue_for_node(&self, node: &str) -> anyhow::Result<()> {
        let clients = [
            ("kubelet", format!("system:node:{node}"), Some("system:nodes")),
            ("kube-scheduler", "system:kube-scheduler".to_owned(), None),
            ("kube-proxy", "system:kube-proxy".to_owned(), None),
            // By which the API server asks the kubelet for logs, and to run commands.
            ("kube-apiserver-kubelet-client", "kube-apiserver".to_owned(), Some("system:masters")),
        ];
        for (name, user, group) in clients {
            self.write_identity(name, &self.authority.issue_client(&user, group)?)?;
        }
        Ok(())
    }

    /// The path of a file, as a command-line argument.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Writes a kubeconfig for one of the clients, named as its certificate's files.
    ///
    /// It is written as JSON, which every reader of YAML takes, and which has one way only to quote a path.
    pub(crate) fn write_kubeconfig(&self, user: &str, server: &str, path: &Path) -> anyhow::Result<()> {
        let name = "fermata-test-cluster";
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "contexts": [{ "name": name, "context": { "cluster": name, "user": user } }],
            "clusters": [{
                "name": name,
                "cluster": { "server": server, "certificate-authority": self.file("ca.crt") },
            }],
            "users": [{
                "name": user,
                "user": {
                    "client-certificate": self.file(&format!("{user}.crt")),
                    "client-key": self.file(&format!("{user}.key")),
                },
            }],
        });
        write_private(path, &format!("{kubeconfig:#}\n"))
    }

    fn write_identity(&self, name: &str, identity: &Identity) -> anyhow::Result<()> {
        self.write(&format!("{name}.crt"), &identity.certificate)?;
        self.write(&format!("{name}.key"), &identity.key)
    }

    fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        write_private(&self.folder.join(name), content)
    }
}

/// Writes a file that nobody else may read, replacing an older one.
///
/// # Errors
///
/// When it cannot be written.
pub fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()));
    written.with_context(|| format!("failed to write {}", path.display()))
}
