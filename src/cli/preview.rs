//! `fermata preview`: what the webhook would make of manifests, without a cluster.

mod diff;
pub(super) mod report;
mod yaml;

use std::fmt::Write;

use super::{
    Exit,
    grammar::{PreviewFormat, PreviewOptions},
    judge::{Judgement, judge},
    output, summary,
};

/// Previews manifests.
pub(super) fn run(options: &PreviewOptions) -> anyhow::Result<Exit> {
    let judgement = match judge(&options.input) {
        Ok(judgement) => judgement,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return Ok(Exit::BadInput);
        }
    };
    summary::errors(&judgement);
    summary::undecided(&judgement);
    if !options.input.quiet {
        summary::notes(&judgement);
    }
    let mut exit = summary::exit(&judgement, options.input.exit_zero);
    match options.output {
        PreviewFormat::Yaml => {
            let patched = yaml::patched(&judgement, options.input.quiet);
            exit = exit.max(patched.exit());
            output::plain(&yaml::joined(&patched))?;
        }
        PreviewFormat::Diff => {
            let patched = yaml::patched(&judgement, options.input.quiet);
            exit = exit.max(patched.exit());
            output::colored(&diff::unified(&patched), options.color)?;
        }
        PreviewFormat::Patch => output::plain(&patches(&judgement)?)?,
        PreviewFormat::Json => output::plain(&report::json(&judgement)?)?,
    }
    Ok(exit)
}

/// One patch a Pod, a line each.
fn patches(judgement: &Judgement) -> anyhow::Result<String> {
    let mut lines = String::new();
    for pod in &judgement.pods {
        writeln!(lines, "{}", serde_json::to_string(&pod.operations)?)?;
    }
    Ok(lines)
}
