//! Recognises a command that does nothing but sleep.
//!
//! Before Kubernetes had a native `sleep` handler, everybody wrote the drain as a command, in many spellings:
//! `sleep 15`, `/bin/sh -c "sleep 15"`, `bash -ec 'set -e; /bin/sleep 15s && exit 0'`. Understanding them lets
//! the drain be raised where it is too short instead of being added a second time. Whatever is not surely a
//! sleep is not a sleep: a wrong "yes" would throw away something that the user's hook does.

use fermata_stop_plan::Seconds;

use super::Text;

/// Where the programs of a distribution live. A `/scripts/sleep` may be anything.
const FOLDERS: [&str; 5] = ["", "/bin/", "/usr/bin/", "/usr/local/bin/", "/busybox/"];

/// How long the command sleeps, in whole seconds rounded down, or `None` if it does anything else.
pub(super) fn length(command: &[Text<'_>]) -> Option<Seconds> {
    // A sleep has few words; a longer command is not worth the reading.
    const WORDS: usize = 16;
    if command.len() > WORDS {
        return None;
    }
    let words: Vec<&str> = command.iter().map(Text::as_str).collect();
    let total = words_length(&words)?;
    // The cast saturates, which is what is wanted of a sleep of a thousand years.
    #[expect(clippy::cast_possible_truncation)]
    Some(Seconds::saturating_from(total as i64))
}

fn words_length(words: &[&str]) -> Option<f64> {
    let (program, arguments) = words.split_first()?;
    let (program, arguments) = match known(program)? {
        // `busybox sleep 15`: the next word is the program, and never a path.
        "busybox" => arguments.split_first().filter(|(applet, _)| !applet.contains('/'))?,
        _ => (program, arguments),
    };
    match known(program)? {
        "sleep" => sleep_length(arguments),
        "sh" | "ash" | "bash" | "dash" | "ksh" | "zsh" => script_length(script(arguments)?),
        _ => None,
    }
}

/// The name of a program of the distribution.
fn known(program: &str) -> Option<&str> {
    let (folder, name) = program.rfind('/').map_or(("", program), |slash| program.split_at(slash + 1));
    FOLDERS.contains(&folder).then_some(name)
}

fn is_sleep(program: &str) -> bool {
    known(program) == Some("sleep")
}

/// The script among a shell's arguments: the word after the option letters that contain `c`.
fn script<'a>(arguments: &[&'a str]) -> Option<&'a str> {
    let mut arguments = arguments.iter();
    loop {
        let letters = arguments.next()?.strip_prefix('-')?;
        // Login and interactive shells (`-l`, `-i`) read profiles, which may do anything; `-o` takes a word.
        if letters.is_empty() || !letters.bytes().all(|letter| b"ceuvx".contains(&letter)) {
            return None;
        }
        if letters.contains('c') {
            return arguments.next().copied();
        }
    }
}

/// What stands between two commands of a script.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// A semicolon or the end of a line.
    Then,
    /// `&&`
    And,
    /// `||`
    Or,
}

/// The sum of all sleeps in a script of nothing but sleeps, in seconds.
fn script_length(script: &str) -> Option<f64> {
    let mut total = None;
    let mut ended = false;
    let mut before = Separator::Then;
    let mut rest = script;
    loop {
        let end = rest.find([';', '\n', '&', '|', '#']).unwrap_or(rest.len());
        let (command, tail) = rest.split_at(end);
        let command = simple_command(command)?;
        if !matches!(command, Simple::Nothing) && ended {
            return None;
        }
        match command {
            // A line may be empty, and so may the script's last one. Elsewhere the shell wants a command.
            Simple::Nothing if before == Separator::Then && !tail.starts_with([';', '&', '|']) => {}
            Simple::Nothing => return None,
            // In `sleep 15 || sleep 5` only one of the two runs.
            Simple::Sleep { .. } if before == Separator::Or => return None,
            Simple::Sleep { length, replaces_shell } => {
                total = Some(total.unwrap_or(0.0) + length);
                ended = replaces_shell;
            }
            Simple::Exit => ended = true,
            Simple::True => {}
        }
        let Some(first) = tail.chars().next() else { return total };
        (before, rest) = match first {
            '#' if command_ends_before_comment(rest, end) => {
                (Separator::Then, tail.split_once('\n').map_or("", |(_, next)| next))
            }
            ';' | '\n' => (Separator::Then, &tail[1..]),
            '&' if tail.starts_with("&&") => (Separator::And, &tail[2..]),
            '|' if tail.starts_with("||") => (Separator::Or, &tail[2..]),
            _ => return None,
        };
        // What depends on the success or failure of a command that ends the script never runs, or surprises.
        if ended && before != Separator::Then {
            return None;
        }
    }
}

/// A `#` begins a comment only where a word could begin.
fn command_ends_before_comment(rest: &str, hash: usize) -> bool {
    rest[..hash].is_empty() || rest[..hash].ends_with([' ', '\t'])
}

enum Simple {
    Sleep { length: f64, replaces_shell: bool },
    Exit,
    True,
    Nothing,
}

/// One command of a script, or `None` if it is anything but a sleep or a way of doing nothing.
fn simple_command(command: &str) -> Option<Simple> {
    // Shells split at blanks and tabs alone: a carriage return would belong to the word.
    let words = command.split([' ', '\t']).filter(|word| !word.is_empty()).map(unquoted);
    let words: Vec<&str> = words.collect::<Option<_>>()?;
    Some(match words.as_slice() {
        [] => Simple::Nothing,
        [":" | "true"] | ["set", "-e" | "-u" | "-x" | "-eu" | "-ex" | "-eux"] => Simple::True,
        ["exit"] | ["exit", "0"] => Simple::Exit,
        ["exec", program, lengths @ ..] if is_sleep(program) => {
            Simple::Sleep { length: sleep_length(lengths)?, replaces_shell: true }
        }
        [program, lengths @ ..] if is_sleep(program) => {
            Simple::Sleep { length: sleep_length(lengths)?, replaces_shell: false }
        }
        _ => return None,
    })
}

/// The word without the quotes around it, or `None` if the shell would make something else of it.
fn unquoted(word: &str) -> Option<&str> {
    let inner = ['"', '\'']
        .into_iter()
        .find_map(|quote| word.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(word);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./_:-".contains(&byte);
    (!inner.is_empty() && inner.bytes().all(plain)).then_some(inner)
}

/// The arguments of `sleep`, in seconds: GNU's takes several with units and fractions, and adds them up.
fn sleep_length(arguments: &[&str]) -> Option<f64> {
    if arguments.is_empty() {
        return None;
    }
    arguments.iter().map(|argument| one_sleep(argument)).sum()
}

fn one_sleep(argument: &str) -> Option<f64> {
    let number = argument.trim_end_matches(|last: char| "smhd".contains(last));
    let scale = match &argument[number.len()..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    };
    // Rust would read `inf`, `nan` and `1e3` as numbers too.
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    digits.then(|| number.parse::<f64>().ok()).flatten().map(|number| number * scale)
}

#[cfg(test)]
mod tests {
    use super::words_length;

    #[test]
    fn a_sleep_is_known_in_all_its_spellings() {
        for words in [
            &["sleep", "15"][..],
            &["/bin/sleep", "15"],
            &["/usr/bin/sleep", "15s"],
            &["sleep", "0.25m"],
            &["sleep", "10", "5s"],
            &["busybox", "sleep", "15"],
            &["/bin/busybox", "sh", "-c", "sleep 15"],
            &["sh", "-c", "sleep 15"],
            &["/bin/sh", "-c", "sleep 15;"],
            &["/bin/bash", "-c", "exec sleep 15"],
            &["bash", "-ec", "set -e; /bin/sleep 15s && exit 0"],
            &["bash", "-e", "-u", "-c", " sleep  15 "],
            &["ash", "-ec", "sleep 15 && exit 0"],
            &["sh", "-c", "sleep 10; sleep 5"],
            &["sh", "-c", "sleep '15' || true"],
            &["sh", "-c", "\nsleep \"15\"\n\ntrue\n"],
            &["sh", "-c", "sleep 15 # until the load balancer has noticed"],
            &["sh", "-c", "# drain; first\nsleep 15\n"],
            &["sh", "-c", "sleep 15", "name-of-the-script"],
        ] {
            assert_eq!(words_length(words), Some(15.0), "{words:?}");
        }
    }

    #[test]
    fn whatever_else_a_hook_does_it_is_no_sleep() {
        for words in [
            &[][..],
            &["sleep"],
            &["sleep", "infinity"],
            &["sleep", "-5"],
            &["sleep", "1e3"],
            &["sleep", "."],
            &["sleep", "5x"],
            &["sleep 15"],
            &["/app/sleep", "15"],
            &["./sleep", "15"],
            &["/scripts/sh", "-c", "sleep 15"],
            &["busybox", "/bin/sleep", "15"],
            &["busybox", "busybox", "sleep", "15"],
            &["sh", "-c"],
            &["sh", "sleep 15"],
            &["sh", "-c", "sleep", "15"],
            &["sh", "-o", "pipefail", "-c", "sleep 15"],
            &["bash", "-lc", "sleep 15"],
            &["bash", "-ic", "sleep 15"],
            &["sh", "-c", "true"],
            &["sh", "-c", "sleep $DRAIN"],
            &["sh", "-c", "sleep $(cat /drain)"],
            &["sh", "-c", "sleep 15 &"],
            &["sh", "-c", "sleep 15 & wait"],
            &["sh", "-c", "sleep 15 | cat"],
            &["sh", "-c", "sleep 15 > /dev/null"],
            &["sh", "-c", "sleep 15 || sleep 5"],
            &["sh", "-c", "sleep 5; nginx -s quit"],
            &["sh", "-c", "sleep 15#5"],
            &["sh", "-c", "sleep 15\r\n"],
            &["sh", "-c", "/app/sleep 15"],
            // These never get to the sleep, or the shell refuses them and does nothing.
            &["sh", "-c", "exit 0; sleep 15"],
            &["sh", "-c", "exit 0||true;sleep 5"],
            &["sh", "-c", "true||\nsleep 5"],
            &["sh", "-c", "exec sleep 5; sleep 10"],
            &["sh", "-c", "exec sleep 4||true;sleep 1"],
            &["sh", "-c", "sleep 15;;"],
            &["sh", "-c", "; sleep 15"],
            &["sh", "-c", "sleep 15 &&"],
            &["sh", "-c", "&& sleep 15"],
            &["nginx", "-s", "quit"],
        ] {
            assert_eq!(words_length(words), None, "{words:?}");
        }
    }

    #[test]
    fn a_hostile_command_is_not_read_to_its_end() {
        let text: crate::pod::Text<'_> = serde_json::from_str("\"busybox\"").unwrap();
        assert_eq!(super::length(&vec![text; 1_000_000]), None);
    }
}
