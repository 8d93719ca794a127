//! What can be typed, and nothing about what it leads to.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use fermata_core::{ServerVersion, opt_in::PREFIX, settings::is_reference};
use fermata_stop_plan::Seconds;

use super::{Exit, check, serve::ServeOptions};
use crate::cluster::is_label;

/// Gives every Kubernetes Pod a correct ending.
///
/// Fermata is a mutating admission webhook. It lets a Pod that is being deleted go on serving until the network has
/// forgotten it, and gives its program enough time after the stop signal, so that a deploy causes no 502.
#[derive(Debug, Parser)]
#[command(name = "fermata", version, propagate_version = true, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer the API server: run as the admission webhook
    ///
    /// Answer the API server's reviews as a mutating admission webhook, until told to end. The first TERM or INT ends
    /// it in good order: unready at once, it goes on answering for the drain time and then finishes what is in flight.
    /// A second one ends it at once.
    Serve(Box<ServeOptions>),
    /// Show what the webhook would make of manifests
    ///
    /// No cluster is needed: the decision is the very code that answers the API server. Objects other than Pods and those
    /// that make Pods pass through untouched.
    #[command(after_long_help = preview_help())]
    Preview(PreviewOptions),
    /// Draw how Pods end, before and after, and say why
    ///
    /// From the deletion to the last kill, to scale: without Fermata and with it, container by container, with who asked
    /// for what.
    #[command(after_long_help = explain_help())]
    Explain(ExplainOptions),
    /// Say what is wrong with an installation
    ///
    /// Looks at the API server, the registration, the certificates and the replicas, tries a Pod by dry run, and says for
    /// whatever is amiss what helps. Nothing is changed. What may not be looked at is said and does not count.
    #[command(after_long_help = check_help())]
    Check(CheckOptions),
    /// Print a script that completes the command line in a shell
    #[command(
        after_long_help = "Example, for bash:\n  fermata completions bash > ~/.local/share/bash-completion/completions/fermata"
    )]
    Completions(CompletionsOptions),
}

/// What `preview` is told.
#[derive(Debug, Args)]
pub struct PreviewOptions {
    /// What is read.
    #[command(flatten)]
    pub input: InputOptions,
    /// What to print
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: PreviewFormat,
    /// When to colour a diff
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// What `explain` is told.
#[derive(Debug, Args)]
pub struct ExplainOptions {
    /// What is read.
    #[command(flatten)]
    pub input: InputOptions,
    /// What to print
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: ExplainFormat,
    /// Draw a picture into this file as well
    ///
    /// The picture is SVG, 16 by 9, fit for a slide. Of several Pods each gets a file of its own, with a number before the
    /// suffix from the second one on: ending.svg, ending-2.svg.
    #[arg(long, value_name = "FILE", value_parser = picture)]
    pub svg: Option<PathBuf>,
    /// When to use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// A file for pictures: there can be several, so standard output is no place for them.
fn picture(file: &str) -> Result<PathBuf, &'static str> {
    if file == "-" { Err("name a file; each Pod's picture gets its own") } else { Ok(file.into()) }
}

impl InputOptions {
    /// What to read, in the order that was given.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.filename.iter().chain(&self.paths).cloned().collect()
    }
}

/// What `check` is told.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The Namespace of the installation, if not the one of the registered Service
    #[arg(short, long, value_name = "NAME", value_parser = namespace_name)]
    pub namespace: Option<String>,
    /// The Namespace to try a Pod in, by dry run; by default the first opted-in one that takes it
    #[arg(long, value_name = "NAME", value_parser = namespace_name)]
    pub probe_namespace: Option<String>,
    /// How to reach the cluster, if not as kubectl does
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, if not the current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: CheckFormat,
    /// Look again until nothing fails, for at most so long
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<Seconds>,
    /// Print only what is not well
    #[arg(short, long)]
    pub quiet: bool,
    /// When to use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// A name that a Namespace can have: it becomes part of a path.
fn namespace_name(name: &str) -> Result<String, &'static str> {
    if is_label(name) {
        Ok(name.to_owned())
    } else {
        Err("expected the name of a Namespace, such as fermata")
    }
}

/// An image that a runtime could pull.
fn image(reference: &str) -> Result<String, &'static str> {
    if is_reference(reference) {
        Ok(reference.to_owned())
    } else {
        Err(
            "expected a reference such as registry.example.com/fermata-shim:0.1.0, in small letters but for the tag",
        )
    }
}

/// What `check` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// A list with a sign for each check
    #[default]
    Text,
    /// One JSON document with everything about every check
    Json,
}

/// What `completions` is told.
#[derive(Debug, Args)]
pub struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// What manifests are read, and what only a cluster would know about them.
#[derive(Debug, Args)]
pub struct InputOptions {
    /// Manifests: files, folders, or - for standard input
    ///
    /// They are YAML or JSON, with any number of documents. Of a folder, every *.yaml, *.yml and *.json below it is read,
    /// except hidden ones.
    #[arg(required_unless_present = "filename", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The same, as kubectl's users write it
    #[arg(short, long, hide = true, value_name = "PATH")]
    filename: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// An annotation that every Namespace has, such as fermata.dev/drain=30s
    ///
    /// Can be given several times, and wins over what the Namespaces of the input say. A Namespace that is in the input, in
    /// whichever file, counts with its label and its annotations; any other counts as opted in.
    #[arg(long, value_name = "KEY=VALUE")]
    pub namespace_annotation: Vec<NamespaceAnnotation>,
    /// The operator's config file, as `serve` reads it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The image that brings the shim, in place of the config file's shimImage
    #[arg(long, value_name = "IMAGE", value_parser = image)]
    pub shim_image: Option<String>,
    /// The API server's version, such as 1.29; a current one by default
    #[arg(long, value_name = "VERSION")]
    pub server_version: Option<ServerVersion>,
    /// Exit with 0 where Pods would be changed
    ///
    /// For pipelines under `set -e`, which take 1 for a failure.
    #[arg(long)]
    pub exit_zero: bool,
    /// Print no warnings and notes
    #[arg(short, long)]
    pub quiet: bool,
}

/// What `preview` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PreviewFormat {
    /// The manifests as they are, with the Pods and templates patched
    #[default]
    Yaml,
    /// What changes, as a unified diff
    Diff,
    /// One JSON Patch (RFC 6902) a Pod, a line each, relative to the Pod
    Patch,
    /// One JSON document with everything about every Pod
    Json,
}

/// What `explain` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExplainFormat {
    /// A drawing in characters
    #[default]
    Text,
    /// One JSON document with everything about every Pod
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// An annotation, as `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceAnnotation {
    /// What stands before the first `=`.
    pub key: String,
    /// What stands behind it.
    pub value: String,
}

impl FromStr for NamespaceAnnotation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = format!("expected an annotation such as {PREFIX}/drain=30s");
        let (key, value) = text.split_once('=').ok_or(&example)?;
        let (prefix, name) = key.split_once('/').ok_or(&example)?;
        if !prefix.ends_with(PREFIX) || name.is_empty() {
            return Err(format!("{example}; others do not matter here"));
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

fn preview_help() -> String {
    let examples = "\
Examples:
  fermata preview deploy.yaml                     the patched manifest
  fermata preview -o diff deploy/                 what would change, in a whole folder
  helm template shop | fermata preview -          what Helm makes, patched
  kubectl get deploy -A -o yaml | fermata preview -o patch -
  fermata preview --namespace-annotation fermata.dev/drain=30s deploy.yaml

";
    examples.to_owned() + &Exit::help()
}

fn explain_help() -> String {
    let examples = "\
Examples:
  fermata explain deploy.yaml                     the ending of its Pods, before and after
  fermata explain --svg ending.svg deploy.yaml    the same as a picture
  fermata explain -o json deploy.yaml             the same as data

";
    examples.to_owned() + &Exit::help()
}

fn check_help() -> String {
    let examples = "\
Examples:
  fermata check                                   the installation of the current cluster
  fermata check --wait 2m                         after an upgrade: until it is well, or time is over
  fermata check -q -o json                        what is not well, as data

";
    examples.to_owned() + &check::catalogue::help() + "\n" + &Exit::check_help()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Arguments, NamespaceAnnotation};

    #[test]
    fn the_grammar_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn annotations_are_pairs() {
        let annotation = NamespaceAnnotation { key: "fermata.dev/drain".into(), value: "a=b".into() };
        assert_eq!("fermata.dev/drain=a=b".parse(), Ok(annotation));
        for text in ["", "drain=30s", "fermata.dev/drain", "fermata.dev/=3", "example.com/drain=3"] {
            assert!(text.parse::<NamespaceAnnotation>().is_err(), "{text}");
        }
    }
}
