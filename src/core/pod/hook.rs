//! The preStop hook that a container brings along.

use std::fmt;

use fermata_stop_plan::{PreStop, Seconds};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

use super::{HttpGetAction, Object, Presence, Text, sleep_command};
use crate::shim;

/// What the view reads of a container's `lifecycle`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle<'a> {
    #[serde(borrow, default)]
    pre_stop: Presence<Hook<'a>>,
    #[serde(borrow)]
    stop_signal: Option<Text<'a>>,
}

impl<'a> Lifecycle<'a> {
    /// The preStop hook, [`Hook::None`] where it is absent or null.
    #[must_use]
    pub fn pre_stop(&self) -> &Hook<'a> {
        self.pre_stop.value().unwrap_or(&Hook::None)
    }

    /// The stop signal that the Pod gives the container in place of the image's, such as `SIGUSR1`.
    #[must_use]
    pub fn stop_signal(&self) -> Option<&str> {
        self.stop_signal.as_ref().map(Text::as_str)
    }
}

/// A preStop hook. Kubernetes wants exactly one kind of handler in it.
#[derive(Debug, Default)]
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
    HttpGet(Box<HttpGetAction<'a>>),
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
            Self::HttpGet(_) => Some(HookKind::HttpGet),
            Self::TcpSocket => Some(HookKind::TcpSocket),
            Self::Sleep(_) => Some(HookKind::Sleep),
            Self::Unknown => Some(HookKind::Unknown),
        }
    }

    /// How long the hook waits, if waiting is all that it does: a drain written by hand, or the shim's.
    #[must_use]
    pub fn as_drain(&self) -> Option<Seconds> {
        match self {
            Self::Sleep(seconds) => Some(Seconds::saturating_from(*seconds)),
            Self::Exec { command, more: false } => {
                sleep_command::length(command).or_else(|| self.as_shim().map(|hook| hook.drain.most()))
            }
            _ => None,
        }
    }

    /// The shim's hook, if it is one.
    #[must_use]
    pub fn as_shim(&self) -> Option<PreStop> {
        self.shim().map(|(_, hook)| hook)
    }

    /// Where the shim lies that its hook calls, if it is one.
    #[must_use]
    pub fn shim_program(&self) -> Option<&str> {
        self.shim().map(|(program, _)| program)
    }

    fn shim(&self) -> Option<(&str, PreStop)> {
        let Self::Exec { command, more: false } = self else { return None };
        let [program, drain, words @ ..] = command.as_slice() else { return None };
        let program = Some(program.as_str()).filter(|program| shim::is_program(program))?;
        let hook = || PreStop::parse(words.iter().map(Text::as_str)).ok();
        if drain.as_str() == "drain" { Some((program, hook()?)) } else { None }
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
                "httpGet" => {
                    map.next_value::<Option<HttpGetAction<'de>>>()?.map(|get| Hook::HttpGet(Box::new(get)))
                }
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
    use crate::pod::Port;

    fn hook(json: &str) -> Hook<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn each_kind_is_told_apart() {
        assert!(
            matches!(hook(r#"{"exec":{"command":["a"]}}"#), Hook::Exec { command, more: false } if command.len() == 1)
        );
        assert!(matches!(hook(r#"{"exec":{}}"#), Hook::Exec { command, more: false } if command.is_empty()));
        assert!(
            matches!(hook(r#"{"exec":{"user":"root"}}"#), Hook::Exec { command, more: true } if command.is_empty())
        );
        assert!(matches!(hook(r#"{"tcpSocket":{"port":80}}"#), Hook::TcpSocket));
        assert!(matches!(hook(r#"{"sleep":{"seconds":5}}"#), Hook::Sleep(5)));
        assert!(matches!(hook(r#"{"exec":null,"sleep":{"seconds":5}}"#), Hook::Sleep(5)));
    }

    #[test]
    fn a_request_is_read_with_all_that_it_says() {
        let Hook::HttpGet(get) = hook(
            r#"{"httpGet":{"port":"web","path":"/q","scheme":"HTTP","host":"","httpHeaders":[{"name":"A","value":"b"}]}}"#,
        ) else {
            panic!("not a request");
        };
        assert!(matches!(&get.port, Port::Name(name) if name.as_str() == "web"));
        assert_eq!((get.path.as_str(), get.more), ("/q", false));
        assert_eq!(get.headers().collect::<Vec<_>>(), [("A", "b")]);
        let number = |json| matches!(hook(json), Hook::HttpGet(get) if matches!(get.port, Port::Number(80)) && get.more);
        assert!(number(r#"{"httpGet":{"port":80,"future":1}}"#));
    }

    #[test]
    fn what_is_not_exactly_one_known_handler_is_left_to_the_api_server() {
        for json in [
            "{}",
            r#"{"grpc":{}}"#,
            r#"{"sleep":{"seconds":5},"exec":{}}"#,
            r#"{"sleep":{"seconds":5},"grpc":{}}"#,
        ] {
            assert!(matches!(hook(json), Hook::Unknown), "{json}");
        }
    }
}
