//! The operator's config file: defaults for all Pods, ceilings, and what a mistake leads to.
//!
//! `serve` and `preview` read the same file by the same code, and its values have the grammar of the annotations,
//! because they pass through the same parser.

mod document;
pub mod live;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use fermata_core::settings::ClusterSettings;

/// The largest file that is read: what a `ConfigMap` can hold. Unit: bytes.
pub const MAX_SIZE: u64 = 1 << 20;

/// Why a config file counts for nothing.
#[derive(Debug, thiserror::Error)]
#[error("config file {}: {fault}", path.display())]
pub struct ConfigError {
    path: PathBuf,
    // Part of the message, and for that reason no source: a chain of errors would say it twice.
    fault: Fault,
}

/// What is wrong with a config file.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("there is no such file; check the path, or leave --config out for the built-in defaults")]
    Missing,
    #[error("it is a folder; name the file in it")]
    Folder,
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("it is larger than 1 MiB, which no list of settings is; check the path")]
    TooLarge,
    #[error("it is not UTF-8 from byte {0} on; save it as UTF-8")]
    NotUtf8(usize),
    #[error("it is empty; write {{}} for the built-in defaults")]
    Empty,
    #[error(transparent)]
    Document(#[from] document::DocumentError),
}

/// Reads the settings from a file.
///
/// # Errors
///
/// When the file cannot be read or says something that is not understood. The error names the file, the place
/// in it and the way out.
pub fn load(path: &Path) -> Result<ClusterSettings, ConfigError> {
    settings(path, &content(path)?)
}

/// Reads a file's bytes, without looking at what they say.
///
/// # Errors
///
/// When it is no readable file of a sane size.
pub(crate) fn content(path: &Path) -> Result<Vec<u8>, ConfigError> {
    read(path).map_err(|fault| ConfigError { path: path.to_owned(), fault })
}

/// Reads the settings from a file's bytes; the path is for messages.
///
/// # Errors
///
/// When they say something that is not understood.
pub(crate) fn settings(path: &Path, content: &[u8]) -> Result<ClusterSettings, ConfigError> {
    parse(content).map_err(|fault| ConfigError { path: path.to_owned(), fault })
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing,
        io::ErrorKind::IsADirectory => Fault::Folder,
        _ => Fault::Unreadable(error),
    };
    let mut content = Vec::new();
    File::open(path).map_err(unreadable)?.take(MAX_SIZE + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > MAX_SIZE {
        return Err(Fault::TooLarge);
    }
    Ok(content)
}

fn parse(content: &[u8]) -> Result<ClusterSettings, Fault> {
    let text = std::str::from_utf8(content).map_err(|error| Fault::NotUtf8(error.valid_up_to()))?;
    let nothing = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    };
    if text.trim_start_matches('\u{feff}').lines().all(nothing) {
        return Err(Fault::Empty);
    }
    Ok(document::parse(text)?)
}

#[cfg(test)]
mod tests {
    use fermata_core::settings::{ClusterSettings, OnInvalid};

    use super::parse;

    fn settings(text: &str) -> ClusterSettings {
        parse(text.as_bytes()).unwrap()
    }

    fn fault(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn everything_can_be_said() {
        let settings = settings(
            "defaults:\n  drain: 20s\n  grace-period: 1m30s\n  containers: app, web\nlimits:\n  maxDrain: 2m\n  maxGracePeriod: 10m\nonInvalid: deny\n",
        );
        assert_eq!(settings.defaults.drain.unwrap().most().get(), 20);
        assert_eq!(settings.defaults.grace_period.unwrap().get(), 90);
        assert_eq!(settings.defaults.containers.unwrap(), ["app", "web"]);
        assert_eq!(settings.limits.max_drain.unwrap().get(), 120);
        assert_eq!(settings.limits.max_grace_period.unwrap().get(), 600);
        assert_eq!(settings.on_invalid, OnInvalid::Deny);
    }

    #[test]
    fn the_shim_and_what_images_start_can_be_said() {
        let settings = settings(
            "defaults:\n  shim: init\n  stop-command: [nginx, -s, quit]\n  drain: 5s..60s\nshimImage: registry.example.com/fermata-shim:0.1.0\nimages:\n  nginx:\n    entrypoint: [/docker-entrypoint.sh]\n    cmd: [nginx, -g, 'daemon off;']\n",
        );
        assert_eq!(settings.defaults.stop_command.unwrap().unwrap().to_string(), "nginx -s quit");
        assert_eq!(settings.defaults.drain.unwrap().to_string(), "5s..1m");
        assert_eq!(settings.shim_image.as_deref(), Some("registry.example.com/fermata-shim:0.1.0"));
        let nginx = settings.images.entrypoint("nginx:1.27").unwrap();
        assert_eq!(nginx.entrypoint, ["/docker-entrypoint.sh"]);
        assert_eq!(nginx.cmd, ["nginx", "-g", "daemon off;"]);
    }

    #[test]
    fn nothing_needs_to_be_said() {
        for text in ["{}", "defaults: {}", "---\ndefaults: {}\nlimits: {}\n", "onInvalid: warn"] {
            assert_eq!(settings(text), ClusterSettings::default(), "{text}");
        }
    }

    #[test]
    fn yaml_types_do_not_get_in_the_way() {
        assert_eq!(settings("defaults: { drain: 20 }").defaults.drain.unwrap().most().get(), 20);
        assert_eq!(settings("defaults: { drain: '20' }").defaults.drain.unwrap().most().get(), 20);
        assert_eq!(settings(r#"{"defaults": {"drain": 20}}"#).defaults.drain.unwrap().most().get(), 20);
        assert_eq!(
            settings("defaults: { containers: [app, web] }").defaults.containers.unwrap(),
            ["app", "web"]
        );
        assert_eq!(settings("defaults:\n  containers:\n  - app\n").defaults.containers.unwrap(), ["app"]);
    }

    #[test]
    fn slips_are_refused_with_their_place_and_the_way_out() {
        for (text, message) in [
            ("drain: 5s", "line 1, column 1: there is no setting drain; it belongs under defaults"),
            (
                "defaults:\n  drian: 5s",
                "line 2, column 3: there is no setting defaults.drian; did you mean drain?",
            ),
            (
                "defaults:\n  verbosity: 3",
                "line 2, column 3: there is no setting defaults.verbosity; known are drain, quiet, grace-period, shim, profile, rewrite, signal-scope, status-command, stop-command, exit-code, entrypoint, containers",
            ),
            ("shim: init", "line 1, column 1: there is no setting shim; it belongs under defaults"),
            (
                "defaults: { stop-command: [bye, [now]] }",
                "line 1, column 33: defaults.stop-command must be one value",
            ),
            (
                "defaults: { entrypoint: /app }",
                "line 1, column 25: defaults.entrypoint: \"/app\" is not a JSON array of strings; use a JSON array of words, or none",
            ),
            (
                "shimImage: a b",
                "line 1, column 12: shimImage: \"a b\" is no image; use a reference such as registry.example.com/fermata-shim:0.1.0, in small letters but for the tag",
            ),
            (
                "shimImage: ghcr.io/Acme/fermata-shim:1",
                "line 1, column 12: shimImage: \"ghcr.io/Acme/fermata-shim:1\" is no image; use a reference such as registry.example.com/fermata-shim:0.1.0, in small letters but for the tag",
            ),
            (
                "images: { nginx: { stopSignal: KILL } }",
                "line 1, column 32: images.nginx.stopSignal: \"KILL\" tells no program to end; use one such as QUIT or SIGUSR1",
            ),
            (
                "images: { nginx: { stopSignal: SIGNOPE } }",
                "line 1, column 32: images.nginx.stopSignal: \"SIGNOPE\" is not the name of a signal; use one such as QUIT or SIGUSR1",
            ),
            (
                "images: { nginx: nginx }",
                "line 1, column 18: images.nginx must hold settings, each as `name: value`; write {} for none",
            ),
            (
                "images: { nginx: { entrypoint: nginx } }",
                "line 1, column 32: images.nginx.entrypoint must be a list of words, such as [nginx, -g, daemon off;]",
            ),
            (
                "images: { nginx: {} }",
                "line 1, column 11: images.nginx says nothing; give it an entrypoint or a cmd, as lists of words, or a stopSignal",
            ),
            (
                "images: { nginx: { cmds: [a] } }",
                "line 1, column 20: there is no setting images.nginx.cmds; did you mean cmd?",
            ),
            (
                "images: { nginx: { cmd: [a] }, docker.io/nginx: { cmd: [b] } }",
                "line 1, column 32: images.docker.io/nginx is there twice, under another name",
            ),
            (
                "limits:\n  max-drain: 5s",
                "line 2, column 3: there is no setting limits.max-drain; did you mean maxDrain?",
            ),
            ("oninvalid: deny", "line 1, column 1: there is no setting oninvalid; did you mean onInvalid?"),
            ("onInvalid: denied", "line 1, column 12: onInvalid: \"denied\" is neither warn nor deny"),
            (
                "defaults:\n  drain: 1.5s",
                "line 2, column 10: defaults.drain: \"1.5s\" is not in whole seconds; use a duration such as 15s, 1m30s or 90, or a range such as 5s..60s",
            ),
            (
                "defaults:\n  drain: 1.5",
                "line 2, column 10: defaults.drain: \"1.5\" is not in whole seconds; use a duration such as 15s, 1m30s or 90, or a range such as 5s..60s",
            ),
            (
                "defaults:\n  drain: 015",
                "line 2, column 10: defaults.drain: \"015\" has a leading zero; use a duration such as 15s, 1m30s or 90, or a range such as 5s..60s",
            ),
            (
                "limits:\n  maxDrain: forever",
                "line 2, column 13: limits.maxDrain: \"forever\" is not a duration; use a duration such as 15s, 1m30s or 90",
            ),
            (
                "defaults:\n  containers: [app, A]",
                "line 2, column 21: defaults.containers: \"A\" is not a list of container names; use container names separated by commas",
            ),
            (
                "defaults:\n  containers: []",
                "line 2, column 15: defaults.containers: names no container; use container names separated by commas",
            ),
        ] {
            assert_eq!(fault(text), message, "{text}");
        }
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        for text in [
            "[]",
            "5s",
            "defaults",
            "defaults:",
            "defaults: 5s",
            "limits: []",
            "defaults: { drain: }",
            "defaults: { drain: [5s] }",
            "defaults: { drain: { a: b } }",
            "onInvalid: [deny]",
            "\"",
            "a: b: c",
            "{",
            "{}\n---\n{}",
            "onInvalid: deny\nonInvalid: warn",
            "defaults: { drain: 5s, drain: 6s }",
            "? [a]\n: b",
            "defaults: &a\n  <<: *a",
            "\0",
        ] {
            assert!(fault(text).starts_with("line "), "{text}: {}", fault(text));
            assert!(!fault(text).contains('\n'), "{text}: {}", fault(text));
        }
    }

    #[test]
    fn files_that_say_nothing_are_refused() {
        for text in ["", "  \n\n", "# nothing\n", "---\n", "\u{feff}"] {
            assert_eq!(fault(text), "it is empty; write {} for the built-in defaults", "{text:?}");
        }
        assert_eq!(
            parse(b"a: \xff").unwrap_err().to_string(),
            "it is not UTF-8 from byte 3 on; save it as UTF-8"
        );
    }
}
