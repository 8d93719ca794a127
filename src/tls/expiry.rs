//! What is said of the served certificate's end: a metric always, a warning while there is time left, and no
//! readiness once it has come.

use std::time::SystemTime;

use super::{CertificateHolder, certificate::Validity};
use crate::telemetry::{Condition, Metrics, metrics::unix_seconds};

/// When a certificate should have been replaced, in thousandths of its lifetime.
#[derive(Clone, Copy, Debug)]
pub struct Late(u32);

impl Late {
    /// One from elsewhere: a third of its lifetime is left, when cert-manager has replaced it.
    pub const FROM_ELSEWHERE: Self = Self(667);
    /// One of the own making, be it a certificate or the authority: its renewal is due at a random moment between 600
    /// and 700, and takes a moment. At a third left, which is 667, one that is well would often be warned about.
    pub const OWN: Self = Self(750);

    /// Whether it should have been replaced by now.
    pub(super) fn has_come(self, validity: Validity, now: SystemTime) -> bool {
        now >= validity.at_thousandths(self.0)
    }
}

/// Says when the served certificate expires, and takes the program out of service once it has: no API server
/// would accept it any more.
///
/// By the wall clock, because a monotonic one sleeps while the machine does.
pub fn report(holder: &CertificateHolder, late: Late, metrics: &Metrics, condition: &Condition) {
    let Some(identity) = holder.current() else {
        condition.failed("there is no certificate yet");
        return;
    };
    let Some(validity) = identity.validity() else { return };
    metrics.certificate_expiry.set(unix_seconds(validity.not_after()));
    let now = SystemTime::now();
    match End::of(validity, late, now) {
        End::Far => {
            condition.ok();
        }
        End::Near => {
            condition.ok();
            if identity.is_first_warning() {
                let left = validity.not_after().duration_since(now).unwrap_or_default().as_secs();
                tracing::warn!(
                    seconds_left = left,
                    "the certificate expires soon and should have been renewed by now; look at what renews it"
                );
            }
        }
        End::Past => {
            if condition.failed("the certificate has expired; replace it") {
                tracing::error!("the certificate has expired, and API servers refuse it; replace it");
            }
        }
    }
}

/// How near the end of a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Far,
    Near,
    Past,
}

impl End {
    fn of(validity: Validity, late: Late, now: SystemTime) -> Self {
        if validity.is_over(now) {
            Self::Past
        } else if late.has_come(validity, now) {
            Self::Near
        } else {
            Self::Far
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{End, Late};
    use crate::tls::certificate::Validity;

    #[test]
    fn the_last_third_is_near() {
        let begin = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let day = Duration::from_hours(24);
        let validity = Validity::issued(begin, day * 30);
        for (days, elsewhere, own) in [
            (0, End::Far, End::Far),
            (19, End::Far, End::Far),
            (21, End::Near, End::Far),
            (23, End::Near, End::Near),
            (29, End::Near, End::Near),
            (31, End::Past, End::Past),
        ] {
            let now = begin + day * days;
            assert_eq!(End::of(validity, Late::FROM_ELSEWHERE, now), elsewhere, "after {days} days");
            assert_eq!(End::of(validity, Late::OWN, now), own, "after {days} days");
        }
    }
}
