//! The shim as a preStop hook: it drains, and then runs what was there before.

use std::ffi::OsString;

use fermata_stop_plan::{Command, HttpGet, PreStop, Seconds, Then};

use crate::{
    pod::{Container, Hook, Pod, Text},
    shim::PROGRAM,
};

/// The most probes that a hook lists. More of them are a Pod that nobody has seen.
const MAX_PROBES: usize = 16;

/// The readiness probes of a Pod, which its containers cannot tell from traffic: they share a network.
pub(super) struct Probes(Vec<Seconds>);

impl Probes {
    pub(super) fn of(pod: &Pod<'_>) -> Self {
        let sidecars = pod.init_containers().filter(|container| container.is_native_sidecar());
        let periods = pod.containers().chain(sidecars).filter_map(Container::readiness_connects_every);
        Self(periods.map(Seconds::saturating_from).take(MAX_PROBES).collect())
    }

    pub(super) fn periods(&self) -> Vec<Seconds> {
        self.0.clone()
    }
}

/// A container's own hook as the shim runs it; nothing where the shim could not do it as the kubelet does.
pub(super) fn after_drain(hook: &Hook<'_>, container: &Container<'_>) -> Option<Then> {
    let then = match hook {
        Hook::Exec { command, more: false } => {
            Then::Exec(Command::new(command.iter().map(Text::as_str)).ok()?)
        }
        Hook::HttpGet(get)
            if !get.more && matches!(get.scheme.as_str(), "" | "HTTP") && is_plain(get.path.as_str()) =>
        {
            let host = match get.host.as_str() {
                "" => None,
                host => Some(host.parse().ok()?),
            };
            let path = get.path.as_str();
            let slash = if path.starts_with('/') { "" } else { "/" };
            Then::HttpGet(HttpGet {
                host,
                port: container.port(&get.port)?,
                path: format!("{slash}{path}"),
                headers: get.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            })
        }
        _ => return None,
    };
    // What does not come back as it went is not written: a header with a line break, a path with a blank.
    let hook = PreStop { then: Some(then), ..PreStop::default() };
    (PreStop::parse(hook.render()).as_ref() == Ok(&hook)).then_some(hook.then).flatten()
}

/// Whether the kubelet asks for a path as it is written. It reads it as a URL: a fragment is left out, and what looks
/// like a host is replaced.
fn is_plain(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    !path.contains('#') && !path.starts_with("//") && !first.contains(':')
}

/// The program of the hook: that of the shim's hook which the container has, or the one that is brought.
pub(super) fn program<'c>(container: &'c Container<'_>) -> &'c str {
    container.pre_stop().shim_program().unwrap_or(PROGRAM)
}

/// The command of the hook. The kubelet takes the words as they are: only a container's own command and arguments
/// have their `$(NAME)` replaced.
pub(super) fn command(program: &str, hook: &PreStop) -> Vec<String> {
    let head = [program, "drain"].map(str::to_owned);
    head.into_iter().chain(hook.render().into_iter().map(text)).collect()
}

/// A word of a command line as it stands in JSON. All of them came from JSON.
pub(super) fn text(word: OsString) -> String {
    word.into_string().unwrap_or_else(|word| word.to_string_lossy().into_owned())
}
