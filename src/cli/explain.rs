//! `fermata explain`: how Pods end, before and after, and why.

mod svg;
mod text;
mod timeline;

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{
    Exit,
    grammar::{ExplainFormat, ExplainOptions},
    judge::{Judgement, judge},
    output,
    preview::report,
    screen::Screen,
    summary,
};

/// Explains manifests.
pub(super) fn run(options: &ExplainOptions) -> anyhow::Result<Exit> {
    let judgement = judge(&options.input)?;
    summary::errors(&judgement);
    if let Some(file) = &options.svg {
        pictures(&judgement, file)?;
    }
    match options.output {
        ExplainFormat::Text => {
            output::colored(&text::draw(&judgement, Screen::of_environment()), options.color)?;
        }
        ExplainFormat::Json => {
            summary::undecided(&judgement);
            if !options.input.quiet {
                summary::notes(&judgement);
            }
            output::plain(&report::json(&judgement)?)?;
        }
    }
    Ok(summary::exit(&judgement, options.input.exit_zero))
}

/// Draws every Pod whose ending can be told into a file of its own.
fn pictures(judgement: &Judgement, file: &Path) -> anyhow::Result<()> {
    let mut drawn = 0;
    for pod in &judgement.pods {
        let Some(explanation) = pod.explanation.as_ref().filter(|found| !found.containers.is_empty()) else {
            continue;
        };
        drawn += 1;
        let file = numbered(file, drawn);
        let picture = svg::draw(&summary::object(pod), explanation);
        std::fs::write(&file, picture).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if drawn == 0 {
        output::tell(format_args!(
            "note: there is no Pod whose ending could be drawn, so there is no {}",
            file.display()
        ));
    }
    Ok(())
}

/// `ending.svg`, `ending-2.svg` and so on.
fn numbered(file: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return file.to_owned();
    }
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::numbered;

    #[test]
    fn further_pictures_are_numbered() {
        assert_eq!(numbered(Path::new("a/ending.svg"), 1), Path::new("a/ending.svg"));
        assert_eq!(numbered(Path::new("a/ending.svg"), 2), Path::new("a/ending-2.svg"));
        assert_eq!(numbered(Path::new("ending"), 3), Path::new("ending-3"));
    }
}
