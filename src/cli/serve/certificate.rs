//! Where the certificate comes from: files, an authority that the replicas share, or memory.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use clap::{ArgGroup, Args};
use kube::Client;

use crate::{
    telemetry::{Conditions, Metrics},
    tls::{
        CertificateHolder,
        authority::is_name,
        files::{PairFiles, PairWatch},
        keeper::{Keeper, Own},
        lifetime::Lifetime,
        self_signed,
    },
};

/// Options about the certificate.
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("made").args(["tls_self_signed", "tls_secret"]))]
pub struct CertificateOptions {
    /// Certificate chain as PEM, leaf first; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's key as PEM; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Make certificates with an authority that all replicas share by this Secret
    ///
    /// The Secret is in the Namespace that this runs in. The authority and the certificates are renewed long before they
    /// expire, and --webhook-configuration is told whom to trust.
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["tls_cert", "tls_key", "tls_self_signed"],
        requires = "tls_name"
    )]
    pub tls_secret: Option<String>,

    /// Make a certificate in memory, for trials
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub tls_self_signed: bool,

    /// Host names and addresses that the made certificate is for [default for trials: localhost,127.0.0.1]
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "made")]
    pub tls_name: Vec<String>,

    /// Where to write the made authority's certificate, for the webhook's caBundle
    #[arg(long, value_name = "FILE", requires = "tls_self_signed")]
    pub tls_ca_out: Option<PathBuf>,

    /// How long an authority is valid that is kept in --tls-secret
    #[arg(long, value_name = "DURATION", default_value = "365d", requires = "tls_secret")]
    pub tls_authority_lifetime: Lifetime,

    /// How long a certificate is valid that this authority signs
    #[arg(long, value_name = "DURATION", default_value = "30d", requires = "tls_secret")]
    pub tls_certificate_lifetime: Lifetime,

    /// The `MutatingWebhookConfiguration` by which API servers call
    ///
    /// Ready is only who serves a certificate that its caBundle accepts. With --tls-secret, the caBundle is kept up to date.
    #[arg(long, value_name = "NAME")]
    pub webhook_configuration: Option<String>,
}

/// Where the certificate comes from, and what keeps it fresh.
pub(super) struct Certificate {
    pub(super) holder: Arc<CertificateHolder>,
    /// The files, where it comes from there.
    pub(super) files: Option<PairWatch>,
    /// The authority, where it is signed here.
    own: Option<Own>,
    configuration: Option<String>,
}

impl Certificate {
    /// Whatever can be wrong with the options is found here, before anything is started.
    pub(super) fn new(
        options: CertificateOptions,
        own_namespace: Option<&str>,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        if let Some(other) = options.tls_name.iter().find(|name| !is_name(name)) {
            bail!("cannot make a certificate for {other:?}; --tls-name takes host names and IP addresses");
        }
        let configuration = options.webhook_configuration.clone();
        let with = |holder, files, own| Self { holder, files, own, configuration };
        match (options.tls_cert, options.tls_key, options.tls_secret) {
            (Some(certificate), Some(key), _) => {
                let watch = PairWatch::start(PairFiles { certificate, key }, Arc::clone(metrics))?;
                Ok(with(watch.holder(), Some(watch), None))
            }
            (_, _, Some(secret)) => {
                let Some(namespace) = own_namespace else {
                    bail!(
                        "--tls-secret {secret} is in the Namespace that this runs in, which is not known; give --own-namespace"
                    );
                };
                let own = Own {
                    namespace: namespace.to_owned(),
                    secret,
                    names: options.tls_name,
                    authority_lifetime: options.tls_authority_lifetime,
                    certificate_lifetime: options.tls_certificate_lifetime,
                };
                Ok(with(Arc::default(), None, Some(own)))
            }
            _ if options.tls_self_signed => Ok(with(made(options.tls_name, options.tls_ca_out)?, None, None)),
            _ => bail!(
                "there is no certificate; give --tls-secret, or --tls-cert and --tls-key, or --tls-self-signed for a trial"
            ),
        }
    }

    /// What keeps authority and registration in order, where there is anything to keep or to watch.
    pub(super) fn keeper(
        self,
        client: Option<&Client>,
        conditions: &Conditions,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<Option<Keeper>> {
        if self.own.is_none() && self.configuration.is_none() {
            return Ok(None);
        }
        let Some(client) = client else {
            bail!("--tls-secret and --webhook-configuration need a cluster; give --kubeconfig");
        };
        if self.own.is_some() && self.configuration.is_none() {
            tracing::warn!("no --webhook-configuration: the caBundle has to be kept by somebody else");
        }
        if self.own.is_some() {
            conditions.tls.failed("there is no certificate yet");
            conditions.authority.failed("the Secret is not known yet");
        }
        if self.configuration.is_some() {
            conditions.registration.failed("the registration is not known yet");
        }
        Ok(Some(Keeper {
            client: client.clone(),
            own: self.own,
            configuration: self.configuration,
            holder: self.holder,
            served: Arc::default(),
            conditions: conditions.clone(),
            metrics: Arc::clone(metrics),
        }))
    }
}

/// A certificate in memory.
fn made(mut names: Vec<String>, authority_out: Option<PathBuf>) -> anyhow::Result<Arc<CertificateHolder>> {
    if names.is_empty() {
        names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
    }
    let made = self_signed::generate(&names)?;
    if let Some(path) = authority_out {
        fs::write(&path, &made.authority).with_context(|| {
            format!("cannot write the authority's certificate to {}; check --tls-ca-out", path.display())
        })?;
    }
    Ok(Arc::new(CertificateHolder::new(made.identity)))
}
