//! The settings that count right now: the file's newest content that was understood.
//!
//! A `ConfigMap` volume changes by the rename of a symbolic link above the file, so the content is read again and
//! again and compared; waiting for an event on the file would wait for ever.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use fermata_core::settings::ClusterSettings;

use super::{ConfigError, content, settings};
use crate::{
    polling::poll,
    telemetry::{Condition, Metrics, metrics::Reload},
};

/// The operator's settings, which may change between two reviews but never within one.
#[derive(Debug, Default)]
pub struct LiveSettings {
    current: ArcSwap<ClusterSettings>,
}

impl LiveSettings {
    /// Begins with these settings.
    #[must_use]
    pub fn new(settings: ClusterSettings) -> Self {
        Self { current: ArcSwap::from_pointee(settings) }
    }

    /// The settings of this moment.
    pub fn load(&self) -> Guard<Arc<ClusterSettings>> {
        self.current.load()
    }
}

/// Looks at the config file for as long as the program runs.
#[derive(Debug)]
pub struct ConfigWatch {
    path: PathBuf,
    live: Arc<LiveSettings>,
    metrics: Arc<Metrics>,
    condition: Arc<Condition>,
    /// The content that counts.
    taken: u64,
    /// What was found last and cannot be taken, so that it is reported once and not at every look.
    refused: Option<String>,
}

impl ConfigWatch {
    /// Reads the file for the first time.
    ///
    /// # Errors
    ///
    /// When it is not understood: there are no earlier settings to go on with.
    pub fn start(
        path: PathBuf,
        metrics: Arc<Metrics>,
        condition: Arc<Condition>,
    ) -> Result<Self, ConfigError> {
        let bytes = content(&path)?;
        let live = Arc::new(LiveSettings::new(settings(&path, &bytes)?));
        Ok(Self { path, live, metrics, condition, taken: fingerprint(&bytes), refused: None })
    }

    /// What holds the newest settings.
    #[must_use]
    pub fn live(&self) -> Arc<LiveSettings> {
        Arc::clone(&self.live)
    }

    /// Looks every so often.
    pub async fn run(self, every: Duration) {
        poll(self, every, Self::look, |_| {}).await;
    }

    fn look(&mut self) {
        let read = content(&self.path);
        let found = read.as_ref().map(|bytes| fingerprint(bytes));
        if found.as_ref().is_ok_and(|found| *found == self.taken) {
            self.refused = None;
            self.metrics.config_is_valid(true);
            self.condition.ok();
            return;
        }
        match read.and_then(|bytes| Ok((fingerprint(&bytes), settings(&self.path, &bytes)?))) {
            Ok((fingerprint, settings)) => {
                self.live.current.store(Arc::new(settings));
                self.taken = fingerprint;
                self.refused = None;
                self.metrics.config_is_valid(true);
                self.condition.ok();
                self.metrics.config_reload(Reload::Ok);
                tracing::info!(file = %self.path.display(), "the config file has changed");
            }
            Err(error) => {
                let error = error.to_string();
                if self.refused.as_ref() == Some(&error) {
                    return;
                }
                self.metrics.config_is_valid(false);
                self.metrics.config_reload(Reload::Failed);
                tracing::error!(error, "the config file cannot be taken; the earlier settings still count");
                self.condition.degraded(format!("{error}; the earlier settings still count"));
                self.refused = Some(error);
            }
        }
    }
}

fn fingerprint(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}
