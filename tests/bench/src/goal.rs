//! What a figure is to reach.

use std::fmt;

use serde::Serialize;

/// A figure beside its target.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Goal {
    /// What was measured.
    pub(crate) what: &'static str,
    /// What came out.
    pub(crate) measured: f64,
    /// The unit of both, for people: ` ms`, ` MiB`, ` times`.
    pub(crate) unit: &'static str,
    /// The bound.
    pub(crate) target: Target,
    /// Whether it was reached.
    pub(crate) met: bool,
}

/// A bound on a figure.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Target {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

impl Goal {
    /// Compares a figure with its target.
    #[must_use]
    pub(crate) fn new(what: &'static str, measured: f64, unit: &'static str, target: Target) -> Self {
        let met = match target {
            Target::AtLeast(bound) => measured >= bound,
            Target::AtMost(bound) => measured <= bound,
        };
        Self { what, measured, unit, target, met }
    }

    /// The target in words.
    #[must_use]
    pub(crate) fn target_in_words(&self) -> String {
        match self.target {
            Target::AtLeast(bound) => format!("at least {bound}{}", self.unit),
            Target::AtMost(bound) => format!("at most {bound}{}", self.unit),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.met { "meets its target" } else { "misses its target" };
        let Self { what, measured, unit, .. } = self;
        write!(f, "{verdict}: {what} is {measured:.2}{unit}, target {}", self.target_in_words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_says_plainly_whether_it_is_met() {
        let goal = Goal::new("the idle memory", 17.5, " MiB", Target::AtMost(16.0));
        assert_eq!(
            goal.to_string(),
            "misses its target: the idle memory is 17.50 MiB, target at most 16 MiB"
        );
        assert!(Goal::new("the rate", 1.0, " times", Target::AtLeast(1.0)).met);
    }
}
