//! What is installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use fermata_stop_plan::PROFILES;

/// The programs that the tests of a profile need.
fn needs(profile: &str) -> Vec<(&'static str, Option<PathBuf>)> {
    let named = |names: &[&'static str]| names.iter().map(|name| (*name, program(name))).collect();
    match profile {
        "nginx" => named(&["nginx"]),
        "apache" => named(&["apache2"]),
        "php-fpm" => vec![("php-fpm", php_fpm())],
        "haproxy" => named(&["haproxy"]),
        "postgres" => vec![("postgres", postgres("postgres")), ("psql", postgres("psql"))],
        "puma" => named(&["puma"]),
        "unicorn" => named(&["unicorn"]),
        "passenger" => named(&["passenger", "nginx"]),
        "gunicorn" => vec![("gunicorn", python("gunicorn"))],
        "uvicorn" => vec![("uvicorn", python("uvicorn"))],
        "sidekiq" => named(&["sidekiq", "redis-server", "redis-cli"]),
        "node" => named(&["node"]),
        "spring" => named(&["java", "javac"]),
        other => panic!("the profile {other} has no test against its server"),
    }
}

/// Whether all that a profile's tests need is there.
pub(crate) fn is_installed(profile: &str) -> bool {
    needs(profile).iter().all(|(_, place)| place.is_some())
}

/// A program on the search path, or where servers are kept off it.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let others = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(others).map(|folder| folder.join(name)).find(|place| place.is_file())
}

/// Debian has the version in the name.
pub(crate) fn php_fpm() -> Option<PathBuf> {
    program("php-fpm").or_else(|| {
        let names = fs::read_dir("/usr/sbin").ok()?;
        names.flatten().map(|entry| entry.path()).find(|place| {
            place.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"php-fpm"))
        })
    })
}

/// Debian keeps each version in a folder of its own.
pub(crate) fn postgres(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|entry| entry.path().join("bin").join(name)).find(|place| place.is_file());
    debian.or_else(|| program(name))
}

/// From the virtual environment that `make peers` makes for these pins.
pub(crate) fn python(name: &str) -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache")))?;
    let environments = fs::read_dir(cache.join("fermata")).ok()?;
    let complete = environments.flatten().map(|entry| entry.path()).filter(|place| {
        let pins = fs::read_to_string(place.join("complete")).unwrap_or_default();
        pins == include_str!("../../../../tests/peers/requirements.txt")
    });
    complete.map(|place| place.join("bin").join(name)).find(|place| place.is_file())
}

#[test]
fn servers_that_are_missing_are_named() {
    let mut missing = Vec::new();
    for profile in &PROFILES {
        let needs = needs(profile.name);
        missing.extend(needs.iter().filter(|(_, place)| place.is_none()).map(|(name, _)| *name));
    }
    missing.sort_unstable();
    missing.dedup();
    let skipped: Vec<_> =
        PROFILES.iter().map(|profile| profile.name).filter(|profile| !is_installed(profile)).collect();
    if skipped.is_empty() {
        return;
    }
    let said = format!(
        "{} of {} profiles not verified: {}; not installed: {}; make peers installs them",
        skipped.len(),
        PROFILES.len(),
        skipped.join(", "),
        missing.join(", ")
    );
    crate::skip::skip(&said);
}
