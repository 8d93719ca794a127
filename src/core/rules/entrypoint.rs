//! What a container runs, and what that is.
//!
//! Kubernetes replaces `$(NAME)` in the words of `command` and `args`, and makes `$$` one `$`; it leaves the image's
//! own ENTRYPOINT and CMD as they are. So what moves from an image into the Pod is escaped, and what stood in the
//! Pod stays as it was.

use std::borrow::Cow;

use fermata_stop_plan::{Rewrite, Scope};

use crate::{
    pod::Container,
    settings::{Images, Layer, Resolved, Sourced},
    shim,
    skip::ShimSkip,
};

/// What a container runs.
pub(super) struct Entrypoint<'c> {
    /// The words that stand in the container's `command`, as Kubernetes expands them.
    pub(super) words: Vec<Cow<'c, str>>,
    /// What the init said whose place the shim takes.
    pub(super) init: OwnInit,
    /// Whether it is a shell with a script, which passes no signal on.
    pub(super) is_shell: bool,
}

/// What an init on a command line says about signals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnInit {
    /// Its name.
    pub(super) name: Option<&'static str>,
    /// Its signal map.
    pub(super) rewrite: Rewrite,
    /// Whom it signals.
    pub(super) scope: Option<Scope>,
}

/// What comes of a container's entrypoint.
pub(super) enum Found<'c> {
    /// It is this.
    Entrypoint(Entrypoint<'c>),
    /// It is under the shim already.
    Wrapped,
}

/// Finds out what a container runs: its own `command`, what an annotation says, or the operator's map of images.
///
/// Where none of them says it, only the image's registry could. That is the place for whatever looks there.
///
/// An entrypoint belongs to one image. What is said for a whole Pod counts only where it has one container, `alone`:
/// a proxy that another webhook adds must never be started as the app.
pub(super) fn find<'c>(
    container: &'c Container<'_>,
    alone: bool,
    resolved: &Resolved<'_, '_>,
    images: &Images,
) -> Result<Found<'c>, ShimSkip> {
    let words: Vec<Cow<'c, str>> = if container.command().len() > 0 {
        container.command().map(Cow::Borrowed).collect()
    } else if let Some(Sourced { value: entrypoint, layer }) = resolved.entrypoint(container.name()) {
        if !alone && layer < Layer::Container {
            return Err(ShimSkip::EntrypointUnknown);
        }
        entrypoint.words().iter().map(|word| Cow::Owned(escaped(&word.to_string_lossy()))).collect()
    } else if let Some(config) = images.entrypoint(container.image()) {
        let cmd = if container.args().len() == 0 { config.cmd.as_slice() } else { &[] };
        config.entrypoint.iter().chain(cmd).map(|word| Cow::Owned(escaped(word))).collect()
    } else {
        return Err(ShimSkip::EntrypointUnknown);
    };
    if words.is_empty() && container.args().len() == 0 {
        return Err(ShimSkip::EntrypointUnknown);
    }
    // Behind its own words, too: a webhook that brings secrets puts a program of its own in front.
    let all = || words.iter().map(|word| &**word).chain(container.args());
    if all().zip(all().skip(1)).any(|(program, verb)| shim::is_program(program) && verb == "run") {
        return Ok(Found::Wrapped);
    }
    let (taken, init) = own_init(&words, container.args().next());
    let program = words.iter().map(|word| &**word).skip(taken).chain(container.args());
    if program.clone().next().is_some_and(insists_on_pid_1) {
        return Err(ShimSkip::NeedsPid1);
    }
    let is_shell = is_shell_with_script(program);
    let words = words.into_iter().skip(taken).collect();
    Ok(Found::Entrypoint(Entrypoint { words, init, is_shell }))
}

/// A word that Kubernetes expands to just this.
pub(super) fn escaped(word: &str) -> String {
    word.replace('$', "$$")
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Whether a program is an init system: s6-overlay and systemd refuse to run as anything but PID 1, and the others
/// reap and kill as if they were.
fn insists_on_pid_1(program: &str) -> bool {
    matches!(program, "/init" | "/sbin/init" | "/usr/sbin/init" | "/bin/init" | "/usr/bin/init")
        || matches!(
            name(program),
            "systemd" | "s6-svscan" | "s6-overlay-suexec" | "runit" | "runit-init" | "my_init"
        )
}

/// Whether a command line is a shell with a script on it: `sh -c`, and what people write before and between the two.
fn is_shell_with_script<'w>(mut words: impl Iterator<Item = &'w str>) -> bool {
    let Some(mut program) = words.next() else { return false };
    if name(program) == "env" {
        // Which other options have a value of their own, only env knows.
        match words.find(|word| !word.contains('=') && !matches!(*word, "-" | "-i")) {
            Some(word) if !word.starts_with('-') => program = word,
            _ => return false,
        }
    }
    if name(program) == "busybox" {
        program = words.next().unwrap_or_default();
    }
    if !matches!(name(program), "sh" | "ash" | "bash" | "dash" | "ksh" | "zsh") {
        return false;
    }
    while let Some(word) = words.next() {
        if matches!(word, "--rcfile" | "--init-file") {
            words.next();
        } else if let Some(letters) = word.strip_prefix(['-', '+']).filter(|word| !word.starts_with('-')) {
            if word.starts_with('-') && letters.contains('c') {
                return true;
            }
            // Its value is the next word, such as `pipefail`.
            if letters.contains(['o', 'O']) {
                words.next();
            }
        } else if !word.starts_with("--") || word == "--" {
            // The name of a script, which may pass signals on.
            return false;
        }
    }
    false
}

/// How many words an init takes at the front whose place the shim can take, and what they say.
///
/// Two inits in a row would work, but the inner one is not PID 1 then and warns about it. One whose options are not
/// all understood is left where it is: signals pass through it, once.
fn own_init(words: &[Cow<'_, str>], first_arg: Option<&str>) -> (usize, OwnInit) {
    let none = (0, OwnInit::default());
    let Some((program, rest)) = words.split_first() else { return none };
    let mut init = match name(program) {
        // It signals the session of its own that it makes, unless told otherwise.
        "dumb-init" => OwnInit { name: Some("dumb-init"), scope: Some(Scope::Group), ..OwnInit::default() },
        "tini" | "tini-static" => OwnInit { name: Some("tini"), ..OwnInit::default() },
        "docker-init" => OwnInit { name: Some("docker-init"), ..OwnInit::default() },
        "catatonit" => OwnInit { name: Some("catatonit"), ..OwnInit::default() },
        _ => return none,
    };
    let mut options = rest.iter().map(|word| &**word).enumerate().peekable();
    let mut taken = words.len();
    let mut closed = false;
    while let Some((index, option)) = options.next() {
        if option == "--" {
            (taken, closed) = (index + 2, true);
            break;
        }
        if !option.starts_with('-') {
            (taken, closed) = (index + 1, true);
            break;
        }
        let understood = match (init.name, option) {
            (Some("dumb-init"), "-c" | "--single-child") => {
                init.scope = Some(Scope::Child);
                true
            }
            (Some("dumb-init"), "-r" | "--rewrite") => match options.next().map(|(_, map)| map.parse()) {
                Some(Ok(map)) => {
                    init.rewrite.extend(&map);
                    true
                }
                _ => false,
            },
            (Some("tini" | "docker-init" | "catatonit"), "-g") => {
                init.scope = Some(Scope::Group);
                true
            }
            // The shim is a subreaper wherever it is not PID 1.
            (Some("tini" | "docker-init"), "-s") => true,
            _ => false,
        };
        if !understood {
            return none;
        }
    }
    // Without a program it does what it does: it prints its help.
    if taken >= words.len() && first_arg.is_none() {
        return none;
    }
    // Its options may go on in `args`, which are not ours to take apart.
    if !closed && first_arg.is_none_or(|arg| arg.starts_with('-')) {
        return none;
    }
    (taken, init)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use fermata_stop_plan::Scope;

    use super::{insists_on_pid_1, is_shell_with_script, own_init};

    fn taken(words: &[&'static str], first_arg: Option<&str>) -> (usize, Option<Scope>, String) {
        let words: Vec<_> = words.iter().copied().map(Cow::Borrowed).collect();
        let (taken, init) = own_init(&words, first_arg);
        (taken, init.scope, init.rewrite.to_string())
    }

    #[test]
    fn an_init_gives_way_with_what_it_said() {
        let (group, child) = (Some(Scope::Group), Some(Scope::Child));
        for (words, first_arg, expected) in [
            (&["dumb-init", "app"][..], None, (1, group, "")),
            (&["/usr/bin/dumb-init", "--", "app"], None, (2, group, "")),
            (
                &["dumb-init", "-c", "-r", "15:3", "--rewrite", "HUP:0", "app"],
                None,
                (6, child, "HUP:0,TERM:QUIT"),
            ),
            (&["/sbin/tini", "-g", "-s", "--", "app"], None, (4, group, "")),
            (&["tini", "--"], Some("app"), (2, None, "")),
            (&["tini", "--"], Some("-x"), (2, None, "")),
            (&["tini"], Some("app"), (1, None, "")),
            (&["catatonit", "-g", "app"], None, (2, group, "")),
        ] {
            assert_eq!(taken(words, first_arg), (expected.0, expected.1, expected.2.to_owned()), "{words:?}");
        }
    }

    #[test]
    fn an_init_that_is_not_understood_stays() {
        for (words, first_arg) in [
            (&["app", "dumb-init"][..], None),
            (&["dumb-init"], None),
            (&["tini", "--"], None),
            (&["dumb-init"], Some("--rewrite")),
            (&["dumb-init", "-r", "15:3junk", "app"], None),
            (&["dumb-init", "-vr15:3", "app"], None),
            (&["tini", "-p", "KILL", "app"], None),
            (&["tini", "-e", "143", "app"], None),
            (&["catatonit", "-P"], None),
        ] {
            assert_eq!(taken(words, first_arg).0, 0, "{words:?}");
        }
    }

    #[test]
    fn init_systems_are_known() {
        for program in ["/init", "/sbin/init", "/lib/systemd/systemd", "/usr/bin/s6-svscan", "/sbin/my_init"]
        {
            assert!(insists_on_pid_1(program), "{program}");
        }
        for program in ["/app/init", "init.sh", "tini", "/usr/local/bin/docker-entrypoint.sh"] {
            assert!(!insists_on_pid_1(program), "{program}");
        }
    }

    #[test]
    fn a_shell_with_a_script_is_known_whatever_stands_between() {
        for words in [
            "sh -c x",
            "/bin/bash -ec x",
            "bash -eo pipefail -c x",
            "bash -o pipefail -o errexit -c x",
            "sh -e -u -c x",
            "bash --login -c x",
            "bash --norc --rcfile x -c x",
            "bash +x -c x",
            "bash -oe pipefail -c x",
            "env bash -c x",
            "env -i bash -c x",
            "/usr/bin/env HOME=/ sh -c x",
            "busybox sh -c x",
        ] {
            assert!(is_shell_with_script(words.split(' ')), "{words}");
        }
        for words in [
            "sh",
            "bash /start.sh",
            "bash /start.sh -c x",
            "sh -- -c",
            "bash -o cork x",
            "bash --norc",
            "nginx -c x",
            "env -c sh",
        ] {
            assert!(!is_shell_with_script(words.split(' ')), "{words}");
        }
    }
}
