//! `fermata explain`: how Pods end, before and after, and why.

use super::{
    Exit,
    grammar::{ExplainFormat, ExplainOptions},
    judge::judge,
    output,
    preview::report,
    summary,
};

/// Explains manifests.
pub(super) fn run(options: &ExplainOptions) -> anyhow::Result<Exit> {
    let judgement = match judge(&options.input) {
        Ok(judgement) => judgement,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return Ok(Exit::BadInput);
        }
    };
    summary::report(&judgement, options.input.quiet);
    match options.output {
        ExplainFormat::Text => {}
        ExplainFormat::Json => output::plain(&report::json(&judgement)?)?,
    }
    Ok(summary::exit(&judgement, options.input.exit_zero))
}
