//! Integers as C reads them.

/// What `strtol` takes from the front of a text in base ten, and what it leaves: white space, a sign and digits. What
/// does not fit becomes the nearest that does. Nothing if there is no digit.
pub(super) fn strtol(text: &[u8]) -> Option<(i64, &[u8])> {
    // C counts the vertical tab as white space, which Rust leaves out.
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let end = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(end);
    let value = digits.iter().fold(0_i64, |value, digit| {
        let (value, digit) = (value.saturating_mul(10), i64::from(digit - b'0'));
        if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) }
    });
    (end > 0).then_some((value, rest))
}

/// The `int` that C makes of a `long`: its low half.
#[expect(clippy::cast_possible_truncation, reason = "it is what C does here, and what its callers rely on")]
pub(super) const fn int(long: i64) -> i32 {
    long as i32
}

#[cfg(test)]
mod tests {
    use super::{int, strtol};

    #[test]
    fn text_is_taken_as_c_takes_it() {
        for (text, value, rest) in [
            (&b"15:3"[..], 15, &b":3"[..]),
            (b" \t\n\x0b\x0c\r15", 15, b""),
            (b"+15junk", 15, b"junk"),
            (b"-0", 0, b""),
            (b"0x10", 0, b"x10"),
            (b"99999999999999999999", i64::MAX, b""),
            (b"-99999999999999999999", i64::MIN, b""),
        ] {
            assert_eq!(strtol(text), Some((value, rest)));
        }
        for text in [&b""[..], b" ", b"+", b"- 1", b"+-1", b"x", b"\xa015"] {
            assert_eq!(strtol(text), None);
        }
    }

    #[test]
    fn a_long_loses_its_high_half() {
        assert_eq!(int(i64::MAX), -1);
        assert_eq!(int((1 << 32) + 15), 15);
        assert_eq!(int(-15), -15);
    }
}
