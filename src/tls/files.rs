//! The certificate and key from files, and their changes.
//!
//! A Secret volume changes by the rename of a symbolic link above the files, so neither file ever gets an event of
//! its own. Both are therefore read again and again, and compared by content. A reader may see one file from
//! before the rename and one from after it; such a pair does not match, and is read once more before it counts as a fault.

use std::{
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};

use super::{
    CertificateHolder, Identity,
    expiry::{self, Late},
};
use crate::{
    polling::poll,
    telemetry::{Condition, Metrics, metrics::Reload},
};

/// The largest file that is read: what a Secret can hold. Unit: bytes.
const MAX_SIZE: u64 = 1 << 20;

/// Where certificate and key are.
#[derive(Clone, Debug)]
pub struct PairFiles {
    /// The chain as PEM, leaf first.
    pub certificate: PathBuf,
    /// The leaf's key as PEM.
    pub key: PathBuf,
}

/// Why a pair cannot be served. The fault is part of each message, and for that reason no source: a chain of errors
/// would say it twice.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file cannot be read.
    #[error("cannot read the {what} {}: {fault}; check {flag}", path.display())]
    Unreadable {
        /// Which of the two.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        fault: io::Error,
        /// The option that names it.
        flag: &'static str,
    },
    /// A file is not PEM, or holds something else.
    #[error("{} holds no {what} as PEM{}; check {flag}", path.display(), detail(fault.as_ref()))]
    NotPem {
        /// What was expected.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// What is wrong, where it is more than absence.
        fault: Option<pem::Error>,
        /// The option that names it.
        flag: &'static str,
    },
    /// The two cannot be used together.
    #[error("the certificate {} and the key {} cannot be served: {}", files.certificate.display(), files.key.display(), reason(fault))]
    Unusable {
        /// Their paths.
        files: PairFiles,
        /// What is wrong.
        fault: rustls::Error,
    },
}

fn detail(fault: Option<&pem::Error>) -> String {
    fault.map(|fault| format!(" ({fault})")).unwrap_or_default()
}

fn reason(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "the key is not the certificate's".into(),
        other => other.to_string(),
    }
}

/// What the two files held at one moment.
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Content {
    /// Enough to see that something has changed, without keeping a second copy of the key.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.certificate, &self.key).hash(&mut hasher);
        hasher.finish()
    }
}

impl PairFiles {
    /// Reads both files.
    ///
    /// # Errors
    ///
    /// When one cannot be read, is not PEM, or the two do not belong together.
    pub fn load(&self) -> Result<Identity, PairError> {
        self.identity(&self.read()?)
    }

    fn read(&self) -> Result<Content, PairError> {
        let file = |path: &Path, what, flag| {
            let unreadable = |fault| PairError::Unreadable { what, path: path.to_owned(), fault, flag };
            let mut content = Vec::new();
            File::open(path)
                .and_then(|file| file.take(MAX_SIZE).read_to_end(&mut content))
                .map_err(unreadable)?;
            Ok(content)
        };
        Ok(Content {
            certificate: file(&self.certificate, "certificate", "--tls-cert")?,
            key: file(&self.key, "key", "--tls-key")?,
        })
    }

    fn identity(&self, content: &Content) -> Result<Identity, PairError> {
        let no_certificate = |fault| PairError::NotPem {
            what: "certificate",
            path: self.certificate.clone(),
            fault,
            flag: "--tls-cert",
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&content.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| no_certificate(Some(error)))?;
        if chain.is_empty() {
            return Err(no_certificate(None));
        }
        let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(|error| PairError::NotPem {
            what: "private key",
            path: self.key.clone(),
            fault: (!matches!(error, pem::Error::NoItemsFound)).then_some(error),
            flag: "--tls-key",
        })?;
        Identity::new(chain, key).map_err(|fault| PairError::Unusable { files: self.clone(), fault })
    }
}

/// Looks at the files for as long as the program runs, and serves what is new and whole.
#[derive(Debug)]
pub struct PairWatch {
    files: PairFiles,
    holder: Arc<CertificateHolder>,
    metrics: Arc<Metrics>,
    served: Option<u64>,
    refused: Option<Refused>,
}

/// What could not be taken, so that it is reported once and not at every look.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Content(u64),
    Unreadable(String),
}

impl PairWatch {
    /// Reads the files for the first time.
    ///
    /// # Errors
    ///
    /// When they cannot be served: there is no earlier pair to go on with.
    pub fn start(files: PairFiles, metrics: Arc<Metrics>) -> Result<Self, PairError> {
        let content = files.read()?;
        let holder = Arc::new(CertificateHolder::new(files.identity(&content)?));
        Ok(Self { files, holder, metrics, served: Some(content.fingerprint()), refused: None })
    }

    /// What serves the newest pair.
    #[must_use]
    pub fn holder(&self) -> Arc<CertificateHolder> {
        Arc::clone(&self.holder)
    }

    /// Looks every so often.
    pub async fn run(self, every: Duration, condition: Arc<Condition>) {
        poll(self, every, Self::look, |watch| {
            expiry::report(&watch.holder, Late::FROM_ELSEWHERE, &watch.metrics, &condition);
        })
        .await;
    }

    fn look(&mut self) {
        let mut content = match self.files.read() {
            Ok(content) => content,
            Err(error) => return self.refuse(Refused::Unreadable(error.to_string()), &error),
        };
        let mut fingerprint = content.fingerprint();
        if self.served == Some(fingerprint) {
            self.refused = None;
            return;
        }
        if self.refused == Some(Refused::Content(fingerprint)) {
            return;
        }
        let mut identity = self.files.identity(&content);
        // The files may have been changed between the one and the other, which is no fault of theirs.
        if identity.is_err()
            && let Ok(again) = self.files.read()
            && again.fingerprint() != fingerprint
        {
            content = again;
            fingerprint = content.fingerprint();
            identity = self.files.identity(&content);
        }
        match identity {
            Ok(identity) => {
                self.holder.replace(identity);
                self.served = Some(fingerprint);
                self.refused = None;
                self.metrics.certificate_reload(Reload::Ok);
                tracing::info!(file = %self.files.certificate.display(), "the certificate has changed");
            }
            Err(error) => self.refuse(Refused::Content(fingerprint), &error),
        }
    }

    fn refuse(&mut self, refused: Refused, error: &PairError) {
        if self.refused.as_ref() == Some(&refused) {
            return;
        }
        self.refused = Some(refused);
        self.metrics.certificate_reload(Reload::Failed);
        tracing::error!(%error, "the certificate files cannot be taken; the earlier pair is still served");
    }
}
