//! What the shim does as a preStop hook.

use std::{ffi::OsString, fmt, str::FromStr};

use crate::{
    Arguments, Command, DEFAULT_QUIET, Drain, FlagError, Seconds,
    plan::{ACCEPTS_DRAIN, ACCEPTS_SECONDS},
};

/// A preStop hook that drains, and then runs the hook that the container had.
///
/// ```
/// use fermata_stop_plan::PreStop;
///
/// let hook = PreStop::parse(["--drain", "5s..60s", "--probe", "10s", "--", "/app/bye", "now"])?;
/// assert_eq!(hook.drain.to_string(), "5s..1m");
/// let words: Vec<_> = hook.render().into_iter().map(|word| word.into_string().unwrap()).collect();
/// assert_eq!(words, ["--drain", "5s..1m", "--probe", "10s", "--", "/app/bye", "now"]);
/// # Ok::<(), fermata_stop_plan::FlagError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreStop {
    /// How long the container goes on serving.
    pub drain: Drain,
    /// How long no new connection must come for a range to end early.
    pub quiet: Seconds,
    /// How often each readiness probe of the Pod connects: these connections are no traffic, and they go on while
    /// the Pod terminates.
    pub probes: Vec<Seconds>,
    /// What the container's own hook was.
    pub then: Option<Then>,
}

/// A container's own hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// `exec`
    Exec(Command),
    /// `httpGet`
    HttpGet(HttpGet),
}

/// An `httpGet` hook: plain HTTP, as the kubelet would ask for it.
///
/// Written as a URL, in which the Pod itself has no host: `http://:8080/quit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGet {
    /// An IP address, or nothing for the Pod's own.
    pub host: Option<std::net::IpAddr>,
    /// The port.
    pub port: u16,
    /// Path and query, from its slash on.
    pub path: String,
    /// Headers, as names and values.
    pub headers: Vec<(String, String)>,
}

impl Default for PreStop {
    fn default() -> Self {
        Self { drain: Drain::ZERO, quiet: DEFAULT_QUIET, probes: Vec::new(), then: None }
    }
}

impl PreStop {
    /// The hook as words of the shim's command line, behind `drain`.
    #[must_use]
    pub fn render(&self) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["--drain".into(), self.drain.to_string().into()];
        if self.quiet != DEFAULT_QUIET {
            line.extend(["--quiet".into(), self.quiet.to_string().into()]);
        }
        for probe in &self.probes {
            line.extend(["--probe".into(), probe.to_string().into()]);
        }
        match &self.then {
            None => {}
            Some(Then::Exec(command)) => {
                line.push("--".into());
                line.extend(command.words().iter().cloned());
            }
            Some(Then::HttpGet(get)) => {
                line.extend(["--http-get".into(), get.to_string().into()]);
                for (name, value) in &get.headers {
                    line.extend(["--http-header".into(), format!("{name}: {value}").into()]);
                }
            }
        }
        line
    }

    /// Reads the words that stand behind `drain`. The hook that is read back from [`PreStop::render`] is the same.
    ///
    /// # Errors
    ///
    /// When a flag is unknown or has a wrong value.
    pub fn parse<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Result<Self, FlagError> {
        let mut words = Arguments::new(words);
        let mut hook = Self::default();
        let mut get: Option<HttpGet> = None;
        let mut headers = Vec::new();
        loop {
            match words.flag() {
                Some("--drain") => hook.drain = words.value("--drain", ACCEPTS_DRAIN)?,
                Some("--quiet") => hook.quiet = words.value("--quiet", ACCEPTS_SECONDS)?,
                Some("--probe") => hook.probes.push(words.value("--probe", ACCEPTS_SECONDS)?),
                Some("--http-get") => {
                    get = Some(words.value("--http-get", "a URL such as http://:8080/quit")?);
                }
                Some("--http-header") => {
                    let Header(name, value) =
                        words.value("--http-header", "a header such as 'Name: value'")?;
                    headers.push((name, value));
                }
                _ => break,
            }
        }
        let separated = words.peek().is_some_and(|word| word == "--");
        let next = if separated { words.nth(1) } else { words.next() };
        let accepts = "--drain, --quiet, --probe, --http-get, --http-header, or -- and a command";
        if let Some(program) = next {
            let shown = program.to_string_lossy().into_owned();
            if !separated && shown.starts_with('-') {
                return Err(FlagError::new("drain", &shown, "is no flag of it", accepts));
            }
            let command = Command::new(std::iter::once(program).chain(words))
                .map_err(|why| FlagError::new("drain", &shown, &why.to_string(), accepts))?;
            hook.then = Some(Then::Exec(command));
        }
        if let Some(mut get) = get {
            if hook.then.is_some() {
                return Err(FlagError::new(
                    "--http-get",
                    &get.to_string(),
                    "comes with a command",
                    "one of the two",
                ));
            }
            get.headers = headers;
            hook.then = Some(Then::HttpGet(get));
        } else if let Some((name, value)) = headers.first() {
            let header = format!("{name}: {value}");
            return Err(FlagError::new(
                "--http-header",
                &header,
                "comes without a request",
                "--http-get as well",
            ));
        }
        Ok(hook)
    }
}

impl fmt::Display for HttpGet {
    /// The URL, without the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            None => write!(f, "http://:{}{}", self.port, self.path),
            Some(host) => write!(f, "http://{}{}", std::net::SocketAddr::new(host, self.port), self.path),
        }
    }
}

impl FromStr for HttpGet {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, &'static str> {
        let rest = url.strip_prefix("http://").ok_or("is no URL of http")?;
        let slash = rest.find('/').ok_or("has no path")?;
        let (authority, path) = rest.split_at(slash);
        // What stands in a request line must not end it.
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a path with characters that a URL has to encode");
        }
        let (host, port) = authority.rsplit_once(':').ok_or("has no port")?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or("has a port that is none")?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) => Some(host.parse().map_err(|_| "has a host that is no IP address")?),
            None if host.is_empty() => None,
            None => Some(host.parse().map_err(|_| "has a host that is no IP address")?),
        };
        Ok(Self { host, port, path: path.into(), headers: Vec::new() })
    }
}

struct Header(String, String);

impl FromStr for Header {
    type Err = &'static str;

    fn from_str(header: &str) -> Result<Self, &'static str> {
        let (name, value) = header.split_once(':').ok_or("has no colon")?;
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return Err("has a name that is none");
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        if value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err("has a value of more than one line");
        }
        Ok(Self(name.into(), value.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::{HttpGet, PreStop};

    fn rendered(line: &[&str]) -> Result<String, String> {
        let hook = PreStop::parse(line).map_err(|error| error.to_string())?;
        let words = hook.render();
        assert_eq!(PreStop::parse(words.clone()), Ok(hook));
        Ok(words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_is_rendered_is_read_back() {
        for (line, same) in [
            (&["--drain=15"][..], "--drain 15s"),
            (
                &["--drain", "5s..60s", "--quiet", "3s", "--probe", "5s", "--probe", "5"],
                "--drain 5s..1m --probe 5s --probe 5s",
            ),
            (&["--drain", "1s", "sh", "-c", "bye"], "--drain 1s -- sh -c bye"),
            (&["--drain", "1s", "--", "-x", "--", ";"], "--drain 1s -- -x -- ;"),
            (
                &[
                    "--http-get",
                    "http://:80/q?a=b",
                    "--http-header",
                    "Host:shop",
                    "--http-header",
                    "X-Y: a: b",
                ],
                "--drain 0s --http-get http://:80/q?a=b --http-header Host: shop --http-header X-Y: a: b",
            ),
        ] {
            assert_eq!(rendered(line).as_deref(), Ok(same));
        }
    }

    #[test]
    fn mistakes_name_the_flag() {
        for line in [
            &["--drian", "5s"][..],
            &["--http-get", "https://:443/"],
            &["--http-get", "http://:0/"],
            &["--http-get", "http://shop:80/"],
            &["--http-get", "http://:80/a b"],
            &["--http-get", "http://:80"],
            &["--http-get", "http://:80/", "--", "sh"],
            &["--http-header", "a: b"],
            &["--http-get", "http://:80/", "--http-header", "a b: c"],
            &["--http-get", "http://:80/", "--http-header", "a: b\r\nc: d"],
            &["--", ""],
        ] {
            assert!(rendered(line).is_err(), "{line:?}");
        }
        assert!(rendered(&["--drian", "5s"]).unwrap_err().contains("\"--drian\" is no flag of it"));
    }

    #[test]
    fn urls_with_addresses_of_both_families_are_read() {
        for url in ["http://:8080/", "http://127.0.0.1:80/x", "http://[::1]:80/x"] {
            assert_eq!(url.parse::<HttpGet>().unwrap().to_string(), url);
        }
    }
}
