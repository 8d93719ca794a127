//! Recognises a command that does nothing but sleep.
//!
//! Before Kubernetes had a native `sleep` handler, everybody wrote the drain as a command, in many spellings:
//! `sleep 15`, `/bin/sh -c "sleep 15"`, `bash -ec 'exec /bin/sleep 15s; exit 0'`. Understanding them lets the
//! drain be raised where it is too short instead of being added a second time. Whatever is not surely a sleep
//! is not a sleep: a wrong "yes" would throw away something that the user's hook does.

use fermata_stop_plan::Seconds;

use super::Text;

/// How long the command sleeps, in whole seconds rounded down, or `None` if it does anything else.
pub(super) fn length(command: &[Text<'_>]) -> Option<Seconds> {
    let words: Vec<&str> = command.iter().map(Text::as_str).collect();
    let total = words_length(&words)?;
    // The cast saturates, which is what is wanted of a sleep of a thousand years.
    #[expect(clippy::cast_possible_truncation)]
    Some(Seconds::saturating_from(total as i64))
}

fn words_length(words: &[&str]) -> Option<f64> {
    let (program, arguments) = words.split_first()?;
    match file_name(program) {
        "sleep" => sleep_length(arguments),
        "busybox" => {
            words_length(arguments).filter(|_| arguments.first().is_some_and(|applet| !applet.contains('/')))
        }
        "sh" | "ash" | "bash" | "dash" | "ksh" | "zsh" => script_length(script(arguments)?),
        _ => None,
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The script among a shell's arguments: the word after the option letters that contain `c`.
fn script<'a>(arguments: &[&'a str]) -> Option<&'a str> {
    let mut arguments = arguments.iter();
    loop {
        let letters = arguments.next()?.strip_prefix('-')?;
        // `-o pipefail` and long options take words of their own; leave those to whoever wrote them.
        if letters.is_empty() || !letters.bytes().all(|letter| b"ceiluvx".contains(&letter)) {
            return None;
        }
        if letters.contains('c') {
            return arguments.next().copied();
        }
    }
}

/// The sum of all sleeps in a script of nothing but sleeps, in seconds.
fn script_length(script: &str) -> Option<f64> {
    let mut total = None;
    let mut rest = script;
    let mut after_or = false;
    loop {
        let end = rest.find([';', '\n', '&', '|']).unwrap_or(rest.len());
        let (command, tail) = rest.split_at(end);
        let ends_script = match simple_command(command)? {
            // In `sleep 15 || sleep 5` only one of the two runs.
            Simple::Sleep { .. } if after_or => return None,
            Simple::Sleep { length, replaces_shell } => {
                total = Some(total.unwrap_or(0.0) + length);
                replaces_shell
            }
            Simple::Exit => true,
            Simple::Nothing => false,
        };
        if tail.is_empty() {
            return total;
        }
        let separator = ["&&", "||", ";", "\n"].into_iter().find(|separator| tail.starts_with(separator))?;
        after_or = separator == "||";
        rest = &tail[separator.len()..];
        // What stands behind `exec sleep` or `exit` never runs, unless it depends on a failure.
        if ends_script && !after_or {
            return rest.trim().is_empty().then_some(total).flatten();
        }
    }
}

enum Simple {
    Sleep { length: f64, replaces_shell: bool },
    Exit,
    Nothing,
}

/// One command of a script, or `None` if it is anything but a sleep or a way of doing nothing.
fn simple_command(command: &str) -> Option<Simple> {
    let words: Option<Vec<&str>> = command.split_ascii_whitespace().map(unquoted).collect();
    let words = words?;
    Some(match words.as_slice() {
        [] | [":" | "true"] => Simple::Nothing,
        ["exit"] | ["exit", "0"] => Simple::Exit,
        ["exec", program, lengths @ ..] if file_name(program) == "sleep" => {
            Simple::Sleep { length: sleep_length(lengths)?, replaces_shell: true }
        }
        [program, lengths @ ..] if file_name(program) == "sleep" => {
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
    inner.bytes().all(plain).then_some(inner)
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

    fn seconds(words: &[&str]) -> Option<f64> {
        words_length(words)
    }

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
            &["bash", "-lc", "/bin/sleep 15"],
            &["bash", "-e", "-u", "-c", " sleep  15 "],
            &["ash", "-ec", "sleep 15 && exit 0"],
            &["sh", "-c", "sleep 10; sleep 5"],
            &["sh", "-c", "sleep '15' || true"],
            &["sh", "-c", "sleep \"15\"\ntrue\n"],
            &["sh", "-c", "sleep 15", "name-of-the-script"],
        ] {
            assert_eq!(seconds(words), Some(15.0), "{words:?}");
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
            &["/test/sleeper", "15"],
            &["busybox", "/bin/sleep", "15"],
            &["sh", "-c"],
            &["sh", "sleep 15"],
            &["sh", "-c", "sleep", "15"],
            &["sh", "-o", "pipefail", "-c", "sleep 15"],
            &["sh", "-c", "true"],
            &["sh", "-c", "sleep $DRAIN"],
            &["sh", "-c", "sleep $(cat /drain)"],
            &["sh", "-c", "sleep 15 &"],
            &["sh", "-c", "sleep 15 & wait"],
            &["sh", "-c", "sleep 15 | cat"],
            &["sh", "-c", "sleep 15 > /dev/null"],
            &["sh", "-c", "sleep 15 || sleep 5"],
            &["sh", "-c", "sleep 5; nginx -s quit"],
            &["sh", "-c", "exit 0; sleep 15"],
            &["sh", "-c", "exec sleep 5; sleep 10"],
            &["nginx", "-s", "quit"],
        ] {
            assert_eq!(seconds(words), None, "{words:?}");
        }
    }
}
