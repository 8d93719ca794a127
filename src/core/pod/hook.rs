//! The preStop hook that a container brings along.

use std::fmt;

use fermata_stop_plan::Seconds;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

use super::{Object, Presence, Text, sleep_command};

/// What the view reads of a container's `lifecycle`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle<'a> {
    #[serde(borrow, default)]
    pre_stop: Presence<Hook<'a>>,
}

impl<'a> Lifecycle<'a> {
    /// The preStop hook, [`Hook::None`] where it is absent or null.
    #[must_use]
    pub fn pre_stop(&self) -> &Hook<'a> {
        self.pre_stop.value().unwrap_or(&Hook::None)
    }
}

/// A preStop hook. Kubernetes wants exactly one kind of handler in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Hook<'a> {
    /// There is no hook.
    #[default]
    None,
    /// A command that the kubelet runs in the container.
    Exec {
        /// The command's words.
        command: Vec<Text<'a>>,
        /// Whether the hook holds something beside the command that this version does not know.
        more: bool,
    },
    /// A request that the kubelet sends to the container.
    HttpGet,
    /// A field that Kubernetes keeps for compatibility only: such a hook always fails.
    TcpSocket,
    /// The kubelet's own wait, unit: seconds.
    Sleep(i64),
    /// A kind that this version does not know, none at all, or several at once.
    Unknown,
}

/// The kind of a hook, named as in the Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// `exec`
    Exec,
    /// `httpGet`
    HttpGet,
    /// `tcpSocket`
    TcpSocket,
    /// `sleep`
    Sleep,
    /// Anything else.
    Unknown,
}

impl HookKind {
    /// The name of the field that holds it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::HttpGet => "httpGet",
            Self::TcpSocket => "tcpSocket",
            Self::Sleep => "sleep",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Hook<'_> {
    /// The kind, or nothing where there is no hook.
    #[must_use]
    pub const fn kind(&self) -> Option<HookKind> {
        match self {
            Self::None => None,
            Self::Exec { .. } => Some(HookKind::Exec),
            Self::HttpGet => Some(HookKind::HttpGet),
            Self::TcpSocket => Some(HookKind::TcpSocket),
            Self::Sleep(_) => Some(HookKind::Sleep),
            Self::Unknown => Some(HookKind::Unknown),
        }
    }

    /// How long the hook waits, if waiting is all that it does. Such a hook is a drain written by hand.
    #[must_use]
    pub fn as_drain(&self) -> Option<Seconds> {
        match self {
            Self::Sleep(seconds) => Some(Seconds::saturating_from(*seconds)),
            Self::Exec { command, more: false } => sleep_command::length(command),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Hook<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HookVisitor).map(|hook: Hook<'de>| hook)
    }
}

/// As many members as a hook can have and still be understood; there are four kinds of handlers.
const MEMBERS: usize = 8;

#[derive(Deserialize)]
struct SleepAction {
    // The API server always writes it; in a manifest it may be absent or null, which is zero to Go.
    seconds: Option<i64>,
}

/// The `exec` of a hook. Not derived, to notice members that are not known.
struct ExecAction<'a> {
    command: Vec<Text<'a>>,
    more: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for ExecAction<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ExecVisitor;

        impl<'de> Visitor<'de> for ExecVisitor {
            type Value = ExecAction<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an exec action")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut command: Option<Option<Vec<Text<'de>>>> = None;
                let mut more = false;
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    if key.as_str() != "command" {
                        more = true;
                        map.next_value::<IgnoredAny>()?;
                    } else if command.replace(map.next_value()?).is_some() {
                        return Err(M::Error::duplicate_field("command"));
                    }
                }
                Ok(ExecAction { command: command.flatten().unwrap_or_default(), more })
            }
        }

        deserializer.deserialize_map(ExecVisitor).map(|exec: ExecAction<'de>| exec)
    }
}

struct HookVisitor;

impl<'de> Visitor<'de> for HookVisitor {
    type Value = Hook<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lifecycle handler")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut seen: Vec<Text<'de>> = Vec::with_capacity(1);
        let mut handlers = Vec::with_capacity(1);
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if seen.contains(&key) {
                return Err(M::Error::custom(format_args!("duplicate field `{}`", key.as_str())));
            }
            if seen.len() == MEMBERS {
                // Several handlers already: whatever else there is, this hook is not understood.
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let handler = match key.as_str() {
                "exec" => map
                    .next_value::<Option<ExecAction<'de>>>()?
                    .map(|ExecAction { command, more }| Hook::Exec { command, more }),
                "httpGet" => map.next_value::<Option<IgnoredAny>>()?.map(|_| Hook::HttpGet),
                "tcpSocket" => map.next_value::<Option<IgnoredAny>>()?.map(|_| Hook::TcpSocket),
                "sleep" => map
                    .next_value::<Option<Object<SleepAction>>>()?
                    .map(|sleep| Hook::Sleep(sleep.seconds.unwrap_or_default())),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    Some(Hook::Unknown)
                }
            };
            handlers.extend(handler);
            seen.push(key);
        }
        let mut handlers = handlers.into_iter();
        Ok(match (handlers.next(), handlers.next()) {
            (Some(hook), None) => hook,
            _ => Hook::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Hook;

    fn hook(json: &str) -> Hook<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn each_kind_is_told_apart() {
        assert!(
            matches!(hook(r#"{"exec":{"command":["a"]}}"#), Hook::Exec { command, more: false } if command.len() == 1)
        );
        assert_eq!(hook(r#"{"exec":{}}"#), Hook::Exec { command: Vec::new(), more: false });
        assert_eq!(hook(r#"{"exec":{"user":"root"}}"#), Hook::Exec { command: Vec::new(), more: true });
        assert_eq!(hook(r#"{"httpGet":{"port":80}}"#), Hook::HttpGet);
        assert_eq!(hook(r#"{"tcpSocket":{"port":80}}"#), Hook::TcpSocket);
        assert_eq!(hook(r#"{"sleep":{"seconds":5}}"#), Hook::Sleep(5));
        assert_eq!(hook(r#"{"exec":null,"sleep":{"seconds":5}}"#), Hook::Sleep(5));
    }

    #[test]
    fn what_is_not_exactly_one_known_handler_is_left_to_the_api_server() {
        for json in [
            "{}",
            r#"{"grpc":{}}"#,
            r#"{"sleep":{"seconds":5},"exec":{}}"#,
            r#"{"sleep":{"seconds":5},"grpc":{}}"#,
        ] {
            assert_eq!(hook(json), Hook::Unknown, "{json}");
        }
    }
}
