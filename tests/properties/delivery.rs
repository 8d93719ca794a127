//! What must hold wherever the shim comes into a Pod.
//!
//! Names and paths are written out here once more: they stand in Pods that live longer than a version.

use std::path::Path;

use fermata_core::{
    annotation::ShimMode,
    plan::{ContainerKind, ContainerPlan, Judgement, Outcome, Plan, ShimOutcome},
    settings::{Layer, LayerValues, PodAnnotations},
    skip::ShimSkip,
    warning::Warning,
};
use fermata_stop_plan::{Arguments, Command, Drain, PreStop, StopPlan, StopPlanFlags, Then};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{config, expansion::expanded, grace_period, patched, pods::Case, quality, tried, with_plan};

pub(crate) const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
const NAME: &str = "fermata-shim";
const PROGRAM: &str = "/fermata/fermata-shim";

/// The elements of a list of the spec; none where it is absent or null.
fn list<'p>(of: &'p Value, name: &str) -> &'p [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|word| word.as_str().unwrap_or_default()).collect()
}

/// The containers before and after, in pairs.
fn pairs<'p>(before: &'p Value, after: &'p Value) -> impl Iterator<Item = (&'p Value, &'p Value)> {
    list(&before["spec"], "containers").iter().zip(list(&after["spec"], "containers"))
}

fn of_name<'p>(items: &'p [Value], name: &str) -> Vec<&'p Value> {
    items.iter().filter(|item| item["name"] == name).collect()
}

fn is_mount(mount: &Value) -> bool {
    mount["name"] == NAME && mount["mountPath"] == "/fermata"
}

/// Whether the shim is where a container looks for it.
fn is_brought(pod: &Value, container: &Value) -> bool {
    let volumes = of_name(list(&pod["spec"], "volumes"), NAME);
    let inits = of_name(list(&pod["spec"], "initContainers"), NAME);
    let [volume] = volumes[..] else { return false };
    let [init] = inits[..] else { return false };
    volume["emptyDir"]["medium"] == "Memory"
        && words(&init["command"]).contains(&"install")
        && list(init, "volumeMounts").iter().any(|mount| is_mount(mount) && mount.get("readOnly").is_none())
        && list(container, "volumeMounts").iter().any(is_mount)
}

/// The highest layer's value for a container, with its layer.
fn said<T>(case: &Case, container: &str, get: impl Fn(&LayerValues<'_>) -> Option<T>) -> Option<(Layer, T)> {
    let annotations: Vec<_> = case.pod["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
        .collect();
    let read = PodAnnotations::read(annotations);
    let of =
        |layer: Layer, values: Option<&LayerValues<'_>>| values.and_then(&get).map(|value| (layer, value));
    of(Layer::Container, read.containers.get(container))
        .or_else(|| of(Layer::Pod, Some(&read.pod)))
        .or_else(|| of(Layer::Namespace, case.namespace.as_ref().map(|namespace| &namespace.values)))
        .or_else(|| of(Layer::Cluster, Some(&case.cluster.defaults)))
}

/// What a container runs without the shim, if anybody knows: its command, what was said about its image, or what
/// the operator knows of it; the image's own words are not expanded.
fn runs(case: &Case, container: &Value) -> Option<Vec<String>> {
    let args: Vec<_> = words(&container["args"]).into_iter().map(expanded).collect();
    let command = words(&container["command"]);
    if !command.is_empty() {
        return Some(command.into_iter().map(expanded).chain(args).collect());
    }
    let name = container["name"].as_str().unwrap_or_default();
    let alone = list(&case.pod["spec"], "containers").len() == 1;
    let entrypoint = said(case, name, |values| values.entrypoint.clone());
    if let Some((layer, Some(entrypoint))) = entrypoint {
        let meant = alone || layer == Layer::Container;
        return meant.then(|| plain(&entrypoint).into_iter().chain(args).collect());
    }
    let config = case.cluster.images.entrypoint(container["image"].as_str().unwrap_or_default())?;
    let args = if args.is_empty() { config.cmd.clone() } else { args };
    Some(config.entrypoint.iter().cloned().chain(args).collect())
}

fn plain(command: &Command) -> Vec<String> {
    command.words().iter().map(|word| word.to_str().unwrap().to_owned()).collect()
}

/// Whether those words are an init, with options that say nothing beyond what the shim takes over.
fn is_init(words: &[String]) -> bool {
    let Some((program, options)) = words.split_first() else { return false };
    let inits = ["dumb-init", "tini", "tini-static", "docker-init", "catatonit"];
    let name = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut options = options.iter().map(String::as_str);
    while let Some(option) = options.next() {
        let known = match option {
            "-r" | "--rewrite" => options.next().is_some(),
            option => ["--", "-c", "--single-child", "-g", "-s"].contains(&option),
        };
        if !known {
            return false;
        }
    }
    inits.contains(&name)
}

/// The stop plan in an expanded command line, and the words behind its `--`.
fn parsed(line: &[String]) -> Result<(StopPlan, Vec<String>), String> {
    let [program, run, flags @ ..] = line else { return Err("too short".into()) };
    if (program.as_str(), run.as_str()) != (PROGRAM, "run") {
        return Err(format!("{program} {run}"));
    }
    let mut words = Arguments::new(flags.iter().cloned());
    let mut plan = StopPlanFlags::default();
    while plan.take(&mut words).map_err(|error| error.to_string())? {}
    if words.next().is_none_or(|word| word != "--") {
        return Err("no --".into());
    }
    Ok((plan.into_plan(), words.rest().map(|word| word.into_string().unwrap()).collect()))
}

fn regular<'p, 'a>(plan: &'p Plan<'a>) -> impl Iterator<Item = &'p ContainerPlan<'a>> {
    plan.containers.iter().filter(|container| container.kind == ContainerKind::Regular)
}

/// The words of an `exec` hook, if it is the shim's.
fn hook_of_shim(container: &Value) -> Option<Vec<&str>> {
    let words = words(&container["lifecycle"]["preStop"]["exec"]["command"]);
    (words.first().is_some_and(|program| program.ends_with(NAME)) && words.get(1) == Some(&"drain"))
        .then_some(words)
}

/// The path as a place: empty and `.` parts say nothing, and `..` goes back.
fn is_below_folder(path: &Value) -> bool {
    let mut place = Vec::new();
    for part in path.as_str().unwrap_or_default().split('/').filter(|part| !["", "."].contains(part)) {
        if part == ".." {
            place.pop();
        } else {
            place.push(part);
        }
    }
    place.first() == Some(&"fermata")
}

/// Whether a skipped shim's reason is a fact of the Pod.
fn holds(reason: ShimSkip, case: &Case, container: &Value) -> bool {
    let spec = &case.pod["spec"];
    match reason {
        ShimSkip::NoShimImage => case.cluster.shim_image.is_none(),
        ShimSkip::NameTaken => ["containers", "initContainers", "volumes"]
            .iter()
            .any(|name| !of_name(list(spec, name), NAME).is_empty()),
        ShimSkip::PathTaken => {
            let mounts = list(container, "volumeMounts").iter().map(|mount| &mount["mountPath"]);
            let devices = list(container, "volumeDevices").iter().map(|device| &device["devicePath"]);
            mounts.chain(devices).any(is_below_folder)
        }
        ShimSkip::EntrypointUnknown => runs(case, container).is_none_or(|words| words.is_empty()),
        ShimSkip::NeedsPid1 => {
            let systems = ["/init", "/lib/systemd/systemd"];
            runs(case, container)
                .is_some_and(|words| words.iter().any(|word| systems.contains(&word.as_str())))
        }
    }
}

/// A container without the time that its shim is told, which follows the grace period.
pub(crate) fn without_budget(container: &Value) -> Value {
    let mut container = container.clone();
    if let Some(words) =
        container["command"].as_array_mut().filter(|words| words.first() == Some(&json!(PROGRAM)))
        && let Some(flags) = words.iter().position(|word| word == "--")
        && let Some(budget) = words[..flags].iter().position(|word| word == "--budget")
    {
        words.drain(budget..=budget + 1);
    }
    container
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_shim_is_never_referred_to_where_it_is_not_brought(case in tried()) {
        let once = patched(&case.pod, &case);
        for (before, after) in pairs(&case.pod, &once) {
            let hook = |container: &Value| container["lifecycle"]["preStop"].clone();
            let changed = before["command"] != after["command"] && words(&after["command"]).contains(&PROGRAM)
                || hook(before) != hook(after) && hook_of_shim(after).is_some_and(|words| words[0] == PROGRAM);
            prop_assert!(!changed || is_brought(&once, after), "\n{:#}", once);
        }
    }

    #[test]
    fn what_ran_before_is_visible_and_runs_after(case in tried()) {
        let once = patched(&case.pod, &case);
        with_plan(&case.pod, &case, |_, plan| {
            let unplanned = std::iter::repeat(None);
            for ((before, after), planned) in pairs(&case.pod, &once).zip(regular(plan).map(Some).chain(unplanned)) {
                prop_assert_eq!(&before["args"], &after["args"]);
                let wrapped = planned.and_then(|planned| match &planned.shim {
                    ShimOutcome::Init(wrapped) => Some(wrapped),
                    _ => None,
                });
                let Some(wrapped) = wrapped else {
                    prop_assert_eq!(&without_budget(before)["command"], &without_budget(after)["command"]);
                    continue;
                };
                let line = words(&after["command"]).into_iter().chain(words(&after["args"])).map(expanded);
                let line: Vec<_> = line.collect();
                let (stop_plan, now) = parsed(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
                prop_assert_eq!(&stop_plan, &wrapped.plan, "{:?}", line);
                let then = runs(&case, before).expect("nobody knows what it runs");
                prop_assert!(!now.is_empty() && then.ends_with(&now), "{:?} became {:?}", then, now);
                let gone = &then[..then.len() - now.len()];
                prop_assert!(gone.is_empty() || is_init(gone), "{:?} became {:?}", then, now);

                let name = before["name"].as_str().unwrap();
                let status = said(&case, name, |values| values.status_command.clone());
                prop_assert_eq!(stop_plan.status_command, status.and_then(|(_, command)| command));
                let stop = said(&case, name, |values| values.stop_command.clone());
                prop_assert_eq!(stop_plan.stop_command, stop.and_then(|(_, command)| command));
                if let Some(budget) = stop_plan.budget {
                    let drain = planned.and_then(|planned| planned.outcome.drain().map(Drain::most).or(planned.drain_before));
                    let left = grace_period(&once).max(1).saturating_sub(drain.map_or(0, i64::from));
                    // What the kubelet grants at least.
                    prop_assert!(i64::from(budget) <= left.max(2), "{budget} of {left}");
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn an_entrypoint_is_wrapped_if_that_is_asked_for_or_there_is_a_reason(case in tried()) {
        with_plan(&case.pod, &case, |pod, plan| {
            if plan.judgement != Judgement::Judged {
                return Ok(());
            }
            for (planned, container) in regular(plan).zip(list(&case.pod["spec"], "containers")) {
                let name = planned.name;
                let asked = said(&case, name, |values| values.shim);
                let (layer, mode) = asked.unwrap_or((Layer::BuiltIn, ShimMode::Off));
                let selected = said(&case, name, |values| values.containers.clone().map(|names| names.iter().any(|other| other == name)));
                let selected = selected.is_none_or(|(_, selected)| selected) && (!pod.is_owned_by_job() || layer >= Layer::Pod);
                match &planned.shim {
                    ShimOutcome::Init(_) | ShimOutcome::Kept => prop_assert!(mode == ShimMode::Init && selected),
                    ShimOutcome::Hook => prop_assert!(mode == ShimMode::Hook && selected),
                    ShimOutcome::Off => prop_assert!(mode != ShimMode::Init || !selected),
                    ShimOutcome::Skipped(reason) => {
                        prop_assert!(mode > ShimMode::Off && selected);
                        prop_assert!(holds(*reason, &case, container), "{reason}: {container:#}");
                        let told = plan.warnings.iter().any(|warning| {
                            matches!(warning, Warning::ShimSkipped { container, .. } if **container == *name)
                        });
                        prop_assert!(told || layer <= Layer::Cluster);
                    }
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_hook_that_does_more_than_sleep_still_runs(case in tried()) {
        let once = patched(&case.pod, &case);
        with_plan(&case.pod, &case, |_, plan| {
            let hooks = regular(plan).map(|planned| planned.pre_stop.as_deref()).chain(std::iter::repeat(None));
            for ((before, after), planned) in pairs(&case.pod, &once).zip(hooks) {
                let written = hook_of_shim(after).map(|words| PreStop::parse(words[2..].iter().copied()));
                if let Some(planned) = planned {
                    prop_assert_eq!(written.as_ref().unwrap().as_ref().ok(), Some(planned));
                }
                let container = after;
                let [before, after] = [before, after].map(|container| &container["lifecycle"]["preStop"]);
                let sleeps = before["sleep"].is_object() || before["exec"]["command"].to_string().contains("sleep");
                if before.as_object().is_none_or(serde_json::Map::is_empty) || sleeps || before == after {
                    continue;
                }
                let exec = words(&before["exec"]["command"]);
                let drains_only = exec.get(1) == Some(&"drain") && !exec.contains(&"--") && !exec.contains(&"--http-get");
                if after["sleep"].is_object() {
                    // The shim's own hook, where the shim is no more.
                    prop_assert!(drains_only && !is_brought(&once, container));
                    continue;
                }
                let then = written.expect("the shim's").unwrap().then;
                match then {
                    None => prop_assert!(drains_only),
                    // The shim's own hook, raised.
                    Some(Then::Exec(command))
                        if exec.first().is_some_and(|program| program.ends_with(NAME)) && exec.contains(&"--") =>
                    {
                        let own = exec.iter().position(|word| *word == "--").unwrap() + 1;
                        prop_assert_eq!(plain(&command), &exec[own..]);
                    }
                    Some(Then::Exec(command)) => {
                        prop_assert_eq!(plain(&command), exec);
                        prop_assert_eq!(before["exec"].as_object().unwrap().len(), 1);
                    }
                    Some(Then::HttpGet(get)) if exec.is_empty() => {
                        let asked = &before["httpGet"];
                        let port = if asked["port"] == "web" { json!(8080) } else { asked["port"].clone() };
                        prop_assert_eq!(json!(get.port), port);
                        prop_assert_eq!(get.path.trim_start_matches('/'), asked["path"].as_str().unwrap_or_default().trim_start_matches('/'));
                        prop_assert_eq!(get.host.map(|host| host.to_string()).unwrap_or_default(), asked["host"].as_str().unwrap_or_default());
                        prop_assert!(["", "HTTP"].contains(&asked["scheme"].as_str().unwrap_or_default()));
                        let headers = list(asked, "httpHeaders").iter().map(|header| (header["name"].as_str().unwrap(), header["value"].as_str().unwrap()));
                        let kept: Vec<_> = get.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                        prop_assert_eq!(kept, headers.collect::<Vec<_>>());
                        prop_assert!(asked.get("future").is_none());
                    }
                    Some(Then::HttpGet(get)) => prop_assert!(exec.contains(&get.to_string().as_str())),
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_class_of_service_and_what_the_pod_counts_for_stay(case in tried()) {
        let once = patched(&case.pod, &case);
        prop_assert_eq!(quality::class(&once), quality::class(&case.pod), "\n{:#}", once);
        prop_assert_eq!(quality::counted(&once), quality::counted(&case.pod), "\n{:#}", once);
    }

    #[test]
    fn lists_of_the_user_s_stay_in_order_and_whole(case in tried()) {
        let once = patched(&case.pod, &case);
        let [before, after] = [&case.pod["spec"], &once["spec"]];
        let added = list(after, "volumes").len() - list(before, "volumes").len();
        prop_assert!(added <= 1);
        prop_assert!(list(after, "volumes").starts_with(list(before, "volumes")));
        prop_assert!(list(after, "initContainers").ends_with(list(before, "initContainers")));
        prop_assert_eq!(list(after, "initContainers").len() - list(before, "initContainers").len(), added);
        if added == 1 {
            prop_assert_eq!(&list(after, "volumes").last().unwrap()["name"], NAME);
            prop_assert_eq!(&list(after, "initContainers")[0]["name"], NAME);
        }
        for (before, after) in pairs(&case.pod, &once) {
            let [before, after] = [list(before, "volumeMounts"), list(after, "volumeMounts")];
            prop_assert!(after.starts_with(before));
            let new = &after[before.len()..];
            prop_assert!(new.is_empty() || new.len() == 1 && is_mount(&new[0]) && new[0]["readOnly"] == true);
        }
        let evict = |pod: &Value| {
            let value = pod["metadata"]["annotations"][SAFE_TO_EVICT].as_str().unwrap_or_default();
            let names = value.split(',').map(str::to_owned);
            names.filter(|name| !name.trim().is_empty()).collect::<Vec<_>>()
        };
        let mut expected = evict(&case.pod);
        if added == 1 && !expected.iter().any(|name| name == NAME) {
            expected.push(NAME.into());
        }
        prop_assert_eq!(evict(&once), expected);
    }

    #[test]
    fn the_shim_is_in_a_pod_only_where_it_does_something(case in tried()) {
        let once = patched(&case.pod, &case);
        let mounted = |pod: &Value| {
            list(&pod["spec"], "containers").iter().flat_map(|each| list(each, "volumeMounts")).filter(|mount| is_mount(mount)).count()
        };
        with_plan(&case.pod, &case, |_, plan| {
            let has_use = |planned: &&ContainerPlan<'_>| planned.pre_stop.is_some() || matches!(planned.shim, ShimOutcome::Init(_));
            prop_assert!(mounted(&once) - mounted(&case.pod) <= regular(plan).filter(has_use).count());
            let brought = list(&once["spec"], "volumes").len() > list(&case.pod["spec"], "volumes").len();
            prop_assert!(!brought || mounted(&once) > 0);
            let asked = regular(plan).any(|planned| planned.shim_asked.value > ShimMode::Off);
            prop_assert!(!brought || asked);
            for planned in regular(plan) {
                // Only the shim can end a drain early.
                if let Outcome::Added(drain) | Outcome::Raised(drain) = planned.outcome {
                    prop_assert!(!drain.is_range() || planned.pre_stop.is_some());
                }
            }
            Ok(())
        })?;
    }
}
