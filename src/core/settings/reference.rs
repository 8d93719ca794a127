//! What an image is called.

/// Whether container runtimes take this for the reference of an image. The grammar is the one that they share
/// (github.com/distribution/reference); kubelets leave a Pod with any other in `InvalidImageName`.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    let reference = Reference::of(text);
    let (host, path) = host_and_path(reference.name);
    host.is_none_or(is_host)
        && path.split('/').all(is_path_component)
        && reference.tag.is_none_or(is_tag)
        && reference.digest.is_none_or(is_digest)
}

/// The parts of an image's reference.
#[derive(Clone, Copy)]
pub(super) struct Reference<'a> {
    name: &'a str,
    pub(super) tag: Option<&'a str>,
    pub(super) digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    pub(super) fn of(image: &'a str) -> Self {
        let (rest, digest) =
            image.split_once('@').map_or((image, None), |(rest, digest)| (rest, Some(digest)));
        // A colon before the last slash belongs to a port.
        let path = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[path..].split_once(':') {
            Some((_, tag)) => (&rest[..rest.len() - tag.len() - 1], Some(tag)),
            None => (rest, None),
        };
        Self { name, tag, digest }
    }

    /// The name with the registry that a runtime would ask.
    pub(super) fn full_name(&self) -> String {
        let name = self.name;
        let name = name.strip_prefix("index.docker.io/").or(name.strip_prefix("docker.io/")).unwrap_or(name);
        match host_and_path(name) {
            (Some(_), _) => name.to_owned(),
            (None, path) if path.contains('/') => format!("docker.io/{path}"),
            (None, path) => format!("docker.io/library/{path}"),
        }
    }
}

/// The registry, where a name says it, and what it is asked for.
fn host_and_path(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((host, path)) if is_meant_as_host(host) => (Some(host), path),
        _ => (None, name),
    }
}

fn is_meant_as_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// A name or an address, of version 6 in brackets, and maybe a port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_named = || {
        host.split('.').all(|label| {
            let ends = label.starts_with('-') || label.ends_with('-');
            !label.is_empty()
                && !ends
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    };
    let is_address = || {
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
    };
    port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
        && (is_named() || is_address())
}

/// Small letters and digits, parted by a dot, by one or two underscores, or by hyphens.
fn is_path_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut separators =
        text.split(|letter: char| u8::try_from(letter).is_ok_and(is_word)).filter(|part| !part.is_empty());
    let is_separator = |part: &str| matches!(part, "." | "_" | "__") || part.bytes().all(|byte| byte == b'-');
    let ends = |end: Option<u8>| end.is_some_and(is_word);
    ends(text.bytes().next()) && ends(text.bytes().last()) && separators.all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    // Of the algorithms that the OCI image specification registers, the two that runtimes have in common.
    let length = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::is_reference;

    #[test]
    fn what_runtimes_take_is_told_from_what_they_do_not() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for reference in [
            "fermata-shim",
            "fermata/fermata-shim:0.1.0",
            "registry.example.com/fermata-shim:V1.0-rc_1",
            "registry.example.com:5000/mirror/a.b/c__d/e--f",
            "localhost/shim",
            "localhost:5000/shim:1",
            "Registry.Example.com/shim",
            "[::1]:5000/shim",
            "192.0.2.1:5000/shim",
            &format!("shim@{digest}"),
            &format!("registry.example.com:5000/shim:1@{digest}"),
        ] {
            assert!(is_reference(reference), "{reference}");
        }
        for text in [
            "",
            "Shim",
            "ghcr.io/Acme/shim:1",
            "ghcr.io/acme//shim:1",
            "ghcr.io/acme/shim:1:2",
            "ghcr.io/acme/shim:",
            "ghcr.io/acme/shim@",
            "ghcr.io/acme/",
            "/shim",
            "-shim",
            "shim-",
            "a___b",
            "a._b",
            "shim:.1",
            "shim 1",
            "https://registry.example.com/shim",
            "registry.example.com:x/shim",
            "registry..example.com/shim",
            "shim@sha256:1234",
            "shim@md5:00",
            &format!("shim@{}", digest.to_uppercase()),
            &format!("shim:{}", "1".repeat(129)),
        ] {
            assert!(!is_reference(text), "{text}");
        }
    }
}
