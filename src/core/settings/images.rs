//! What images start, and by what they are ended: the operator's map, for Pods that leave it to the image.

use std::collections::BTreeMap;

use fermata_stop_plan::Signal;

use super::reference::Reference;

/// What an image starts unless the Pod says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Its ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// Its CMD: the arguments of the ENTRYPOINT, or the whole command where there is none.
    pub cmd: Vec<String>,
    /// Its STOPSIGNAL, by which the runtime ends it; nothing for TERM.
    pub stop_signal: Option<Signal>,
}

impl ImageConfig {
    /// Whether it says what is started.
    #[must_use]
    pub const fn has_entrypoint(&self) -> bool {
        !self.entrypoint.is_empty() || !self.cmd.is_empty()
    }
}

/// The configs of images, by their names.
///
/// A name with a tag or a digest is for that one; a name without is for all that have no entry of their own.
/// `nginx` and `docker.io/library/nginx` are the same, as they are to the container runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images(BTreeMap<String, ImageConfig>);

impl Images {
    /// Adds an image. Returns false where it is there already.
    pub fn insert(&mut self, name: &str, config: ImageConfig) -> bool {
        let reference = Reference::of(name);
        let (name, Reference { tag, digest, .. }) = (reference.full_name(), reference);
        let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        self.0.insert(format!("{name}{tag}{digest}"), config).is_none()
    }

    /// Finds what an image starts.
    #[must_use]
    pub fn entrypoint(&self, image: &str) -> Option<&ImageConfig> {
        self.find(image, ImageConfig::has_entrypoint)
    }

    /// Finds by what an image is ended, where that is said.
    #[must_use]
    pub fn stop_signal(&self, image: &str) -> Option<Signal> {
        self.find(image, |config| config.stop_signal.is_some())?.stop_signal
    }

    /// Finds the most exact entry of an image that says something: by digest, by tag, or by its name alone.
    fn find(&self, image: &str, says_it: impl Fn(&ImageConfig) -> bool) -> Option<&ImageConfig> {
        if self.0.is_empty() || image.is_empty() {
            return None;
        }
        let reference = Reference::of(image);
        let (name, Reference { tag, digest, .. }) = (reference.full_name(), reference);
        let get = |name: &str| self.0.get(name).filter(|config| says_it(config));
        let by_both = || get(&format!("{name}:{}@{}", tag?, digest?));
        let by_digest = || get(&format!("{name}@{}", digest?));
        // What has a digest is that digest, whatever the tag says; what has neither is `latest`.
        let by_tag = || {
            get(&format!("{name}:{}", tag.unwrap_or("latest"))).filter(|_| digest.is_none() || tag.is_some())
        };
        by_both().or_else(by_digest).or_else(by_tag).or_else(|| get(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageConfig, Images};

    fn images(names: &[&str]) -> Images {
        let mut images = Images::default();
        for name in names {
            let config = ImageConfig { entrypoint: vec![(*name).to_owned()], ..ImageConfig::default() };
            assert!(images.insert(name, config), "{name}");
        }
        images
    }

    #[test]
    fn the_most_exact_name_counts() {
        let images =
            images(&["nginx", "nginx:1.27", "nginx@sha256:aa", "localhost:5000/shop/app", "shop/app"]);
        let found = |image: &str| images.entrypoint(image).map(|config| config.entrypoint[0].as_str());
        for (image, name) in [
            ("nginx", Some("nginx")),
            ("docker.io/nginx:1.26", Some("nginx")),
            ("docker.io/library/nginx:1.27", Some("nginx:1.27")),
            ("nginx:1.27@sha256:aa", Some("nginx@sha256:aa")),
            ("nginx:1.27@sha256:bb", Some("nginx:1.27")),
            ("nginx@sha256:bb", Some("nginx")),
            ("localhost:5000/shop/app:v1", Some("localhost:5000/shop/app")),
            ("localhost:5000/shop/app", Some("localhost:5000/shop/app")),
            ("docker.io/shop/app:v1", Some("shop/app")),
            ("registry.example.com/nginx", None),
            ("", None),
            (":", None),
        ] {
            assert_eq!(found(image), name, "{image}");
        }
    }

    #[test]
    fn an_exact_entry_takes_nothing_from_a_general_one() {
        let mut images = images(&["nginx", "httpd:2.4"]);
        let stop_signal =
            |signal: &str| ImageConfig { stop_signal: signal.parse().ok(), ..ImageConfig::default() };
        images.insert("nginx:1.27", stop_signal("QUIT"));
        images.insert("httpd", stop_signal("WINCH"));
        for (image, entrypoint, signal) in [
            ("nginx:1.27", "nginx", Some("QUIT")),
            ("nginx:1.26", "nginx", None),
            ("httpd:2.4", "httpd:2.4", Some("WINCH")),
        ] {
            assert_eq!(images.entrypoint(image).unwrap().entrypoint, [entrypoint], "{image}");
            assert_eq!(images.stop_signal(image), signal.map(|signal| signal.parse().unwrap()), "{image}");
        }
    }

    #[test]
    fn two_names_of_one_image_are_one() {
        let mut images = images(&["nginx:1.27"]);
        assert!(!images.insert("docker.io/library/nginx:1.27", ImageConfig::default()));
    }
}
