//! The preStop hook that a container brings along.

use std::fmt;

use fermata_stop_plan::Seconds;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

use super::{Presence, Text, skip_value, sleep_command};

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

    /// Whether the member `preStop` is there and null.
    #[must_use]
    pub fn pre_stop_is_null(&self) -> bool {
        self.pre_stop == Presence::Null
    }
}

/// A preStop hook. Kubernetes wants exactly one kind of handler in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Hook<'a> {
    /// There is no hook.
    #[default]
    None,
    /// A command that the kubelet runs in the container.
    Exec(Vec<Text<'a>>),
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
            Self::Exec(_) => Some(HookKind::Exec),
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
            Self::Exec(command) => sleep_command::length(command),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Hook<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HookVisitor).map(|hook: Hook<'de>| hook)
    }
}

#[derive(Deserialize)]
struct ExecAction<'a> {
    #[serde(borrow)]
    command: Option<Vec<Text<'a>>>,
}

#[derive(Deserialize)]
struct SleepAction {
    // The API server always writes it; a manifest without it means zero.
    #[serde(default)]
    seconds: i64,
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
            let handler = match key.as_str() {
                "exec" => map
                    .next_value::<Option<ExecAction<'de>>>()?
                    .map(|exec| Hook::Exec(exec.command.unwrap_or_default())),
                "httpGet" => map.next_value::<Option<IgnoredAny>>()?.map(|_| Hook::HttpGet),
                "tcpSocket" => map.next_value::<Option<IgnoredAny>>()?.map(|_| Hook::TcpSocket),
                "sleep" => map.next_value::<Option<SleepAction>>()?.map(|sleep| Hook::Sleep(sleep.seconds)),
                _ => {
                    skip_value(&mut map)?;
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
        assert!(matches!(hook(r#"{"exec":{"command":["a"]}}"#), Hook::Exec(command) if command.len() == 1));
        assert_eq!(hook(r#"{"exec":{}}"#), Hook::Exec(Vec::new()));
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
