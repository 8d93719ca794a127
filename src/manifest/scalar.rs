//! What a plain scalar means to `kubectl`.
//!
//! `kubectl` reads YAML as version 1.1 has it (`sigs.k8s.io/yaml` over go-yaml 2): `yes`, `on` and `y` are true, `010`
//! is eight, `1_000` a thousand, and `30.0` reaches the API server as `30`. A date stays text. Preview has to
//! read a manifest exactly so, or it would judge another Pod than the one that is created.

use serde_json::{Number, Value};

/// A plain scalar's value; nothing for a number that JSON cannot hold.
pub(super) fn plain(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => return None,
        _ if text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) => {
            match number(text) {
                Read::Number(number) => Value::Number(number),
                Read::Text => text.into(),
                Read::Beyond => return None,
            }
        }
        _ => text.into(),
    })
}

/// Whether a text that is written plainly is read back as that text.
pub(super) fn is_text(text: &str) -> bool {
    plain(text).is_some_and(|value| value.is_string())
}

enum Read {
    Number(Number),
    Text,
    /// A number that overflows.
    Beyond,
}

fn number(text: &str) -> Read {
    let plain: String;
    let text = if text.contains('_') && !text.starts_with('.') {
        plain = text.replace('_', "");
        &plain
    } else {
        text
    };
    integer(text).map_or_else(|| float(text), Read::Number)
}

/// An integer as Go reads it with base 0.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // A second sign would pass `from_str_radix`.
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative { 0_i64.checked_sub_unsigned(magnitude).map(Number::from) } else { Some(magnitude.into()) }
}

fn float(text: &str) -> Read {
    if !looks_like_float(text) {
        return Read::Text;
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => {
            whole(float).or_else(|| Number::from_f64(float)).map_or(Read::Beyond, Read::Number)
        }
        _ => Read::Beyond,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn looks_like_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['-', '+']).unwrap_or(exponent));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// A float without a fraction, as the integer that Go writes it as.
fn whole(float: f64) -> Option<Number> {
    // Beyond 2^53 a float's digits are no longer those that were written; such a number stays a float, which no
    // integer field accepts.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.fract() != 0.0 || float.abs() > EXACT {
        return None;
    }
    // Printing a whole float writes its integer.
    format!("{float:.0}").parse::<i64>().ok().map(Number::from)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::plain;

    #[test]
    fn booleans_and_nulls_are_those_of_yaml_1_1() {
        for text in ["y", "Yes", "on", "TRUE"] {
            assert_eq!(plain(text), Some(json!(true)), "{text}");
        }
        for text in ["N", "no", "Off", "false"] {
            assert_eq!(plain(text), Some(json!(false)), "{text}");
        }
        for text in ["", "~", "null", "NULL"] {
            assert_eq!(plain(text), Some(Value::Null), "{text}");
        }
        for text in ["yEs", "oN", "nil", "none", "tRue"] {
            assert_eq!(plain(text), Some(json!(text)), "{text}");
        }
    }

    #[test]
    fn numbers_are_those_of_kubectl() {
        for (text, number) in [
            ("0", json!(0)),
            ("30", json!(30)),
            ("+30", json!(30)),
            ("-1", json!(-1)),
            ("010", json!(8)),
            ("0o10", json!(8)),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("1_000", json!(1000)),
            ("08", json!(8)),
            ("30.0", json!(30)),
            ("1e3", json!(1000)),
            ("30.5", json!(30.5)),
            (".5", json!(0.5)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551615", json!(u64::MAX)),
            ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
        ] {
            assert_eq!(plain(text), Some(number), "{text}");
        }
    }

    #[test]
    fn what_only_begins_like_a_number_is_text() {
        for text in [
            "30s",
            "1.2.3",
            "2001-01-01",
            "10:30",
            "-",
            "+",
            "--1",
            "0x",
            "1e",
            "-+1",
            ".",
            "..",
            "0.5.",
            "1__s",
            ".",
        ] {
            assert_eq!(plain(text), Some(json!(text)), "{text}");
        }
    }

    #[test]
    fn what_json_cannot_hold_is_nothing() {
        for text in [".nan", "-.Inf", "1e999"] {
            assert_eq!(plain(text), None, "{text}");
        }
    }
}
