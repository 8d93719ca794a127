//! The findings for a person, in the manner of `linkerd check`.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::finding::{Finding, State, Summary};
use crate::cli::screen::Screen;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const UNSURE: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// How far what is said about a check stands in.
const INDENT: usize = 6;

/// Draws the findings; only those that are not well, if that is what is asked for.
pub(super) fn draw(findings: &[Finding], screen: Screen, quiet: bool) -> String {
    let mut out = String::new();
    let mut group = None;
    for finding in findings {
        if quiet && matches!(finding.state, State::Ok | State::Skipped) {
            continue;
        }
        if group != Some(finding.check.group()) {
            if group.is_some() {
                out.push('\n');
            }
            group = Some(finding.check.group());
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(out, "{BOLD}{}{BOLD:#}", finding.check.group().as_str());
        }
        one(&mut out, finding, screen);
    }
    if !quiet {
        let _ = writeln!(out, "\n{}", summary(&Summary::of(findings)));
    }
    out
}

fn one(out: &mut String, finding: &Finding, screen: Screen) {
    let (style, sign) = sign(finding.state, screen.unicode);
    let title = finding.check.title();
    if finding.state == State::Ok {
        let detail =
            if finding.message.is_empty() { String::new() } else { format!(": {}", finding.message) };
        let _ = writeln!(out, "{style}{sign}{style:#} {title}{detail}");
        return;
    }
    let _ = writeln!(out, "{style}{sign}{style:#} {title}  {DIM}[{}]{DIM:#}", finding.check.id());
    for line in wrap(&finding.message, screen.width - INDENT) {
        let _ = writeln!(out, "{:INDENT$}{line}", "");
    }
    if let Some(hint) = &finding.hint {
        let arrow = if screen.unicode { "→" } else { "->" };
        let inner = INDENT + arrow.chars().count() + 1;
        let broken = |line: &str| {
            if is_command(line) { vec![line.to_owned()] } else { wrap(line, screen.width - inner) }
        };
        for (index, line) in hint.lines().flat_map(broken).enumerate() {
            let lead = if index == 0 { format!("{:INDENT$}{arrow} ", "") } else { " ".repeat(inner) };
            let _ = writeln!(out, "{lead}{line}");
        }
    }
}

/// The signs of `linkerd check`, or words where they cannot be shown.
const fn sign(state: State, unicode: bool) -> (Style, &'static str) {
    match (state, unicode) {
        (State::Ok, true) => (GOOD, "√"),
        (State::Ok, false) => (GOOD, "ok  "),
        (State::Warning, true) => (UNSURE, "‼"),
        (State::Warning, false) => (UNSURE, "warn"),
        (State::Failed, true) => (BAD, "×"),
        (State::Failed, false) => (BAD, "FAIL"),
        (State::Skipped, true) => (DIM, "·"),
        (State::Skipped, false) => (DIM, "skip"),
    }
}

/// What it comes to, in one line.
pub(super) fn summary(summary: &Summary) -> String {
    let Summary { ok, warning, failed, skipped } = *summary;
    let verdict = match (failed, warning) {
        // Where most of it may not be seen, that would say too much.
        (0, _) if skipped > ok => "Nothing is known to be wrong",
        (0, 0) => "Fermata is well",
        (0, _) => "Fermata is well, with warnings",
        _ => "Fermata is not well",
    };
    let mut line = format!("{verdict}: {ok} ok");
    for (count, word) in [(warning, "to mind"), (failed, "failed"), (skipped, "not known or not of use here")]
    {
        if count > 0 {
            let _ = write!(line, ", {count} {word}");
        }
    }
    line
}

/// Whether a line of a way out is to be pasted, for which it must stay whole.
pub(super) fn is_command(line: &str) -> bool {
    ["kubectl ", "helm "].iter().any(|program| line.starts_with(program))
}

/// Breaks a text between words. A word that is longer than a line, such as a URL, stays whole.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let current = lines.last_mut();
        match current {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::{draw, wrap};
    use crate::cli::{
        check::{catalogue::Check, finding::Finding},
        screen::Screen,
    };

    fn findings() -> Vec<Finding> {
        vec![
            Finding::ok(Check::ApiReachable, "https://example.com"),
            Finding::warning(Check::ApiVersion, "v1.29.0 is old", "upgrade"),
            Finding::failed(Check::RegistrationExists, "nothing is there", "helm install"),
            Finding::skipped(Check::RegistrationUnique, "nothing is registered"),
        ]
    }

    fn plain(unicode: bool, quiet: bool) -> String {
        let drawn = draw(&findings(), Screen { width: 80, unicode }, quiet);
        anstream::adapter::strip_str(&drawn).to_string()
    }

    #[test]
    fn each_finding_has_its_sign_and_its_way_out() {
        assert_eq!(
            plain(true, false),
            "\
kubernetes-api
√ the API server answers: https://example.com
‼ its version has what Fermata needs  [api-version]
      v1.29.0 is old
      → upgrade

registration
× a MutatingWebhookConfiguration registers Fermata  [registration-exists]
      nothing is there
      → helm install
· no other one does  [registration-unique]
      nothing is registered

Fermata is not well: 1 ok, 1 to mind, 1 failed, 1 not known or not of use here
"
        );
    }

    #[test]
    fn quiet_shows_what_is_not_well() {
        assert_eq!(
            plain(false, true),
            "\
kubernetes-api
warn its version has what Fermata needs  [api-version]
      v1.29.0 is old
      -> upgrade

registration
FAIL a MutatingWebhookConfiguration registers Fermata  [registration-exists]
      nothing is there
      -> helm install
"
        );
    }

    #[test]
    fn commands_stay_whole_so_that_they_can_be_pasted() {
        let command = "kubectl -n shop rollout restart deployment/checkout deployment/cart deployment/payment deployment/web";
        let hint = format!(
            "what is older than the label has to be made anew, which takes no more than this:\n{command}"
        );
        let findings = [Finding::warning(Check::PodsCovered, "", hint)];
        let drawn = draw(&findings, Screen { width: 60, unicode: true }, true);
        let drawn = anstream::adapter::strip_str(&drawn).to_string();
        let lines: Vec<_> = drawn.lines().skip(2).map(str::trim_start).collect();
        assert_eq!(
            lines,
            [
                "→ what is older than the label has to be made anew,",
                "which takes no more than this:",
                command
            ]
        );
    }

    #[test]
    fn words_stay_whole() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("https://example.com/long b", 5), ["https://example.com/long", "b"]);
        assert!(wrap("", 5).is_empty());
    }
}
