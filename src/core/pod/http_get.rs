//! An `httpGet` hook.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

use super::{
    Object, Text,
    list::{List, Listed},
};

/// What the kubelet asks a container for.
#[derive(Debug, Default)]
pub struct HttpGetAction<'a> {
    /// The host; empty for the Pod itself.
    pub host: Text<'a>,
    /// The path; empty for the root.
    pub path: Text<'a>,
    /// The port.
    pub port: Port<'a>,
    /// `HTTP` or `HTTPS`; empty for the former.
    pub scheme: Text<'a>,
    /// Whether it holds something that this version does not know.
    pub more: bool,
    headers: List<Object<HttpHeader<'a>>>,
}

impl HttpGetAction<'_> {
    /// The headers, as names and values.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|header| (header.name.as_str(), header.value.as_str()))
    }
}

#[derive(Debug, Deserialize)]
struct HttpHeader<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    value: Text<'a>,
}

impl Listed for Object<HttpHeader<'_>> {
    const PLURAL: &'static str = "HTTP headers";
}

/// A port, by number or by the name that the container gives it.
#[derive(Debug)]
pub enum Port<'a> {
    /// By number.
    Number(i64),
    /// By name.
    Name(Text<'a>),
}

impl Default for Port<'_> {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Port<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortVisitor;

        impl<'de> Visitor<'de> for PortVisitor {
            type Value = Port<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number or the name of a port")
            }

            fn visit_i64<E: Error>(self, port: i64) -> Result<Self::Value, E> {
                Ok(Port::Number(port))
            }

            fn visit_u64<E: Error>(self, port: u64) -> Result<Self::Value, E> {
                Ok(Port::Number(i64::try_from(port).unwrap_or(i64::MAX)))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Port::default())
            }

            fn visit_borrowed_str<E: Error>(self, port: &'de str) -> Result<Self::Value, E> {
                Ok(Port::Name(Text::from(port)))
            }

            fn visit_str<E: Error>(self, port: &str) -> Result<Self::Value, E> {
                Ok(Port::Name(Text::from(port.to_owned())))
            }
        }

        deserializer.deserialize_any(PortVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for HttpGetAction<'a> {
    // Not derived, to notice members that are not known.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ActionVisitor;

        impl<'de> Visitor<'de> for ActionVisitor {
            type Value = HttpGetAction<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an HTTP request")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut action = HttpGetAction::default();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    match key.as_str() {
                        "host" => action.host = map.next_value()?,
                        "path" => action.path = map.next_value()?,
                        "port" => action.port = map.next_value()?,
                        "scheme" => action.scheme = map.next_value()?,
                        "httpHeaders" => {
                            action.headers = map.next_value::<Option<List<_>>>()?.unwrap_or_default();
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            action.more = true;
                        }
                    }
                }
                Ok(action)
            }
        }

        deserializer.deserialize_map(ActionVisitor).map(|action: HttpGetAction<'de>| action)
    }
}
