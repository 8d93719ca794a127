//! How Pods end on a real node that has Fermata, as people have it: by the chart, from the images of `make images`.
//!
//! A node takes seconds to start, so that all cases share one. `FERMATA_IMAGES` names the folder of the images.
//! `FERMATA_CONTEXT` names a context of a cluster to use instead, such as `kind-kind`, and `FERMATA_LOAD` the command that
//! gives an OCI archive to its nodes where it is neither kind's nor k3d's.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "ending/drain.rs"]
mod drain;
#[path = "ending/entrypoint.rs"]
mod entrypoint;
#[path = "ending/installation.rs"]
mod installation;
#[path = "ending/interruption.rs"]
mod interruption;
#[path = "ending/profiles.rs"]
mod profiles;
#[path = "node/release.rs"]
mod release;
#[path = "ending/security.rs"]
mod security;
#[path = "ending/shop.rs"]
mod shop;
#[path = "ending/sidecars.rs"]
mod sidecars;
#[path = "ending/stage.rs"]
mod stage;
#[path = "ending/workloads.rs"]
mod workloads;

use std::{
    env,
    pin::Pin,
    process::{ExitCode, exit},
    sync::{Arc, OnceLock, Weak},
};

use fermata_test_cluster::{Cluster, node};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

use crate::stage::Stage;

/// How many cases run at once: they mostly wait.
const AT_ONCE: usize = 6;

/// One case, given the node.
type Case = for<'s> fn(&'s Stage) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + 's>>;

/// All cases, by name.
macro_rules! cases {
    ($($module:ident :: $case:ident,)*) => {
        [$((concat!(stringify!($module), "::", stringify!($case)), (|stage| Box::pin($module::$case(stage))) as Case),)*]
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let runtime = Arc::new(Runtime::new().unwrap());
    let stage = Arc::new(OnceLock::<Stage>::new());
    let wanting = wanting();
    if let Some(wanting) = &wanting {
        assert!(env::var_os("FERMATA_REQUIRE_ALL").is_none_or(|value| value != "1"), "{wanting}");
        eprintln!("SKIPPED: {wanting}");
    }

    let cases = cases![
        // Those that take longest begin first.
        workloads::a_stateful_set_is_rolled_with_a_drain_for_each_pod,
        workloads::a_rolling_update_loses_no_request,
        workloads::a_job_that_completes_does_not_wait,
        drain::the_native_sleep_keeps_a_pod_serving,
        drain::the_shim_drains_before_the_container_s_own_hook,
        entrypoint::the_shim_is_pid_1,
        entrypoint::signals_are_rewritten,
        entrypoint::the_sequence_of_the_post_mortem_runs,
        entrypoint::an_entrypoint_of_the_image_is_wrapped_once_it_is_named,
        profiles::nginx_finishes_what_it_has_begun,
        profiles::haproxy_finishes_what_it_has_begun,
        sidecars::a_native_sidecar_ends_last,
        sidecars::classic_sidecars_are_drained_as_well,
        sidecars::init_containers_run_as_they_did,
        security::the_strictest_standard_is_met,
        security::a_quota_holds_as_before,
        interruption::an_eviction_is_drained,
        interruption::a_short_deletion_cuts_the_drain_off,
        interruption::a_failed_liveness_probe_restarts_the_container,
        installation::pods_start_while_the_webhook_is_down,
        installation::wrapped_pods_end_well_without_fermata,
    ];
    let trials = cases.map(|(name, case)| {
        let (runtime, stage) = (Arc::clone(&runtime), Arc::clone(&stage));
        let trial = move || {
            let stage = stage.get().ok_or("there is no node")?;
            runtime.block_on(case(stage)).map_err(|error| Failed::from(format!("{error:#}")))
        };
        Trial::test(name, trial).with_ignored_flag(wanting.is_some())
    });
    if wanting.is_none() && !arguments.list {
        let started = runtime.block_on(Stage::start());
        assert!(stage.set(started).is_ok());
        let (runtime, stage) = (Arc::clone(&runtime), Arc::downgrade(&stage));
        std::thread::spawn(move || runtime.block_on(leave_when_told(stage)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials.into());
    if let Some(stage) = Arc::into_inner(stage).and_then(OnceLock::into_inner) {
        runtime.block_on(stage.stop());
    }
    conclusion.exit_code()
}

/// At Ctrl-C, takes away what was brought into a cluster of somebody's own. A node goes with this process.
async fn leave_when_told(stage: Weak<OnceLock<Stage>>) {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        told = tokio::signal::ctrl_c() => told.unwrap(),
        _ = terminate.recv() => {}
    }
    if let Some(stage) = stage.upgrade()
        && let Some(stage) = stage.get()
    {
        eprintln!("stopped before all was done; what was brought is taken away");
        stage.leave().await;
    }
    // What a shell reports of a program that Ctrl-C has ended.
    exit(130);
}

/// What is missing for it.
fn wanting() -> Option<String> {
    let check = if Cluster::is_given() { Ok(()) } else { node::check() };
    if let Err(error) = check {
        return Some(format!("no node: {error:#}"));
    }
    env::var_os("FERMATA_IMAGES")
        .is_none_or(|folder| folder.is_empty())
        .then(|| "no images: make images, and FERMATA_IMAGES=target/images".to_owned())
}
