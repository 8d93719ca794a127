//! Somebody else who undoes each write again and again, such as a tool that applies manifests, or that keeps the same
//! field by its own lights.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use tokio::time::Instant;

use super::writes::MANAGER;

/// How many times in a row it is a contest: an upgrade of the chart undoes one write, and a tool that learns of it
/// later another one.
pub(super) const MANY: u32 = 3;

/// How long it is quiet until a contest is over. Longer than the longest pause between two writes of the own.
const QUIET: Duration = Duration::from_secs(20);

/// How often the own writes have been undone lately.
#[derive(Debug, Default)]
pub(super) struct Contest {
    /// The last version of the object in which all was well, or that a write has made well.
    good: Option<String>,
    undone: u32,
    last: Option<Instant>,
}

impl Contest {
    /// In this version all is well, or was made well on top of it.
    pub(super) fn good(&mut self, version: &str) {
        self.good = Some(version.to_owned());
    }

    /// This version is not well. Where it was well before, somebody has undone it; gives back how many times in a row
    /// that is.
    pub(super) fn bad(&mut self, version: &str, now: Instant) -> Option<u32> {
        // In the same version it is the own needs that have changed.
        self.good.take_if(|good| *good != version)?;
        self.undone = if self.is_quiet(now) { 1 } else { self.undone.saturating_add(1) };
        self.last = Some(now);
        Some(self.undone)
    }

    /// Whether there is a contest.
    pub(super) fn is_on(&self, now: Instant) -> bool {
        self.undone >= MANY && !self.is_quiet(now)
    }

    fn is_quiet(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.duration_since(last) >= QUIET)
    }
}

/// Who else has written to an object, by what the API server notes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Writer {
    /// The field manager: the name of the program, or one that it gives itself.
    pub(super) manager: String,
    /// `Apply` or `Update`.
    pub(super) operation: String,
    /// When.
    pub(super) time: String,
}

impl Writer {
    /// The last one to write; of several in the same second, the one that owns a bundle.
    pub(super) fn of(configuration: &MutatingWebhookConfiguration) -> Option<Self> {
        let fields = configuration.metadata.managed_fields.iter().flatten();
        let others = fields.filter(|field| field.manager.as_deref() != Some(MANAGER));
        let last = others.max_by_key(|field| {
            let owned = field.fields_v1.as_ref().map(|fields| fields.0.to_string()).unwrap_or_default();
            (field.time.clone(), owned.contains("f:caBundle"))
        })?;
        Some(Self {
            manager: last.manager.clone().unwrap_or_default(),
            operation: last.operation.clone().unwrap_or_default(),
            time: last.time.as_ref().map(|time| time.0.to_string()).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};
    use tokio::time::Instant;

    use super::{Contest, MANY, QUIET, Writer};

    #[test]
    fn it_takes_several_in_a_row_and_ends_when_it_is_quiet() {
        let mut now = Instant::now();
        let mut contest = Contest::default();
        contest.good("0");
        for times in 1..=5 {
            let undone = (times * 2).to_string();
            assert_eq!(contest.bad(&undone, now), Some(times));
            assert_eq!(contest.bad(&undone, now), None, "the same one is seen again");
            assert_eq!(contest.is_on(now), times >= MANY);
            // Written on top of it, and not seen until the next one has undone it.
            contest.good(&undone);
            assert_eq!(contest.bad(&undone, now), None, "the write is not seen yet");
            now += QUIET / 2;
        }
        contest.good("11");
        assert!(!contest.is_on(now + QUIET));
        assert_eq!(contest.bad("12", now + QUIET), Some(1), "it begins anew");
    }

    #[test]
    fn own_needs_that_change_are_no_contest() {
        let now = Instant::now();
        let mut contest = Contest::default();
        for version in 0..10 {
            let version = version.to_string();
            contest.good(&version);
            assert_eq!(contest.bad(&version, now), None);
        }
        assert!(!contest.is_on(now));
    }

    #[test]
    fn the_last_writer_is_named() {
        let field = |manager: &str, time: &str, fields| {
            json!({ "manager": manager, "operation": "Update", "apiVersion": "admissionregistration.k8s.io/v1",
                "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields })
        };
        let bundle =
            json!({ "f:webhooks": { "k:{\"name\":\"a\"}": { "f:clientConfig": { "f:caBundle": {} } } } });
        let writer = |fields| {
            let object = json!({ "metadata": { "managedFields": fields } });
            Writer::of(&from_value(object).unwrap()).map(|writer| writer.manager)
        };
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
        let own = field("fermata", late, bundle.clone());
        assert_eq!(writer(json!([own])), None);
        let helm = field("helm", early, bundle.clone());
        assert_eq!(writer(json!([own, helm])).as_deref(), Some("helm"));
        let injector = field("cert-manager-cainjector", late, bundle);
        let other = field("other", late, json!({ "f:metadata": {} }));
        for fields in [json!([helm, injector, other, own]), json!([other, injector, helm])] {
            assert_eq!(writer(fields).as_deref(), Some("cert-manager-cainjector"));
        }
    }
}
