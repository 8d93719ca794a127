//! `fermata check`: what is wrong with an installation.
//!
//! Facts are gathered first, everything once and at the same time; then they are judged, which is pure; then the
//! findings are printed.

pub(super) mod catalogue;
mod certificate;
mod facts;
mod finding;
mod gather;
mod judge;
mod registered;
mod report;
mod selector;
mod text;

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    runtime,
    time::{Instant, sleep},
};

use super::{
    Exit,
    grammar::{CheckFormat, CheckOptions},
    output,
    screen::Screen,
};
use crate::cluster::{self, Reached};
use finding::{Finding, State};
use gather::Scope;

/// How long to leave things alone between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Checks an installation.
pub(super) fn run(options: &CheckOptions) -> anyhow::Result<Exit> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let findings = runtime.block_on(findings(options));
    // A name server that does not answer holds up nobody: what asks it cannot be stopped, and is no longer waited for.
    runtime.shutdown_background();
    let findings = findings?;
    match options.output {
        CheckFormat::Text => {
            let drawn = text::draw(&findings, Screen::of_environment(), options.quiet);
            output::colored(&drawn, options.color)?;
        }
        CheckFormat::Json => output::plain(&report::json(&findings, options.quiet)?)?,
    }
    Ok(if has_failed(&findings) { Exit::NOT_WELL } else { Exit::Unchanged })
}

async fn findings(options: &CheckOptions) -> anyhow::Result<Vec<Finding>> {
    let reached =
        cluster::command_line_client(options.kubeconfig.as_deref(), options.context.as_deref()).await?;
    let Some(reached) = reached else {
        bail!("there is no cluster; name one with --kubeconfig, or set KUBECONFIG")
    };
    let scope = Scope {
        namespace: options.namespace.as_deref(),
        probe_namespace: options.probe_namespace.as_deref(),
    };
    let deadline = options.wait.map(|wait| Instant::now() + Duration::from_secs(wait.get().into()));
    let mut told = String::new();
    loop {
        let findings = look(&reached, scope).await;
        let left = deadline.is_some_and(|deadline| Instant::now() + PAUSE < deadline);
        if !left || !has_failed(&findings) {
            return Ok(findings);
        }
        progress(&findings, &mut told);
        sleep(PAUSE).await;
    }
}

/// Looks once.
async fn look(reached: &Reached, scope: Scope<'_>) -> Vec<Finding> {
    // On the heap: what is asked at the same time makes a large future.
    match Box::pin(gather::gather(reached, scope)).await {
        Ok(facts) => judge::judge(&facts),
        Err(reason) => judge::unreachable(&reason),
    }
}

fn has_failed(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.state == State::Failed)
}

/// Says what is waited for, each thing once, to whoever sits before a terminal.
fn progress(findings: &[Finding], told: &mut String) {
    let failed = findings.iter().filter(|finding| finding.state == State::Failed);
    let waiting = failed.map(|finding| finding.check.id()).collect::<Vec<_>>().join(", ");
    if stderr().is_terminal() && waiting != *told {
        output::tell(format_args!("waiting for {waiting}"));
        *told = waiting;
    }
}
