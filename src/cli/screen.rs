//! What the terminal can show.

use std::env;

/// The width of a drawing and whether its signs may be other than ASCII.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    /// Unit: characters.
    pub(super) width: usize,
    pub(super) unicode: bool,
}

impl Screen {
    /// What the environment says.
    pub(super) fn of_environment() -> Self {
        let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let width = columns.or_else(terminal).unwrap_or(80).clamp(60, 120);
        Self { width, unicode: locale_is_utf_8(|name| env::var(name).ok()) }
    }
}

/// POSIX: the first of these that is set decides.
fn locale_is_utf_8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        .unwrap_or_default()
        .to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::locale_is_utf_8;

    #[test]
    fn the_first_locale_that_is_set_decides() {
        let locale = |all: &'static str, lang: &'static str| {
            locale_is_utf_8(move |name| match name {
                "LC_ALL" => Some(all.to_owned()),
                "LANG" => Some(lang.to_owned()),
                _ => None,
            })
        };
        assert!(locale("", "en_US.UTF-8") && locale("C.utf8", "C"));
        assert!(!locale("C", "en_US.UTF-8") && !locale("", "") && !locale_is_utf_8(|_| None));
    }
}
