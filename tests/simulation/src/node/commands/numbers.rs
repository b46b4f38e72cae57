//! Numbers in the words of commands.

/// An integer as Redis reads one: as it would write it itself.
pub fn integer(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    let number: i64 = text.parse().ok()?;
    let is_canonical = matches!(word, b"0" | [b'-', b'1'..=b'9', ..] | [b'1'..=b'9', ..]);
    is_canonical.then_some(number)
}

/// A score.
pub(super) fn score(word: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(word).ok()?;
    let number: f64 = text.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

/// The end of a range of scores, and whether it is left out itself: `5`, `(5`, `-inf`.
pub(super) fn bound(word: &[u8]) -> Option<(f64, bool)> {
    // Nothing at all is 0 here.
    let number = |word: &[u8]| {
        if word.is_empty() {
            Some(0.0)
        } else {
            score(word)
        }
    };
    match word.split_first() {
        Some((b'(', rest)) => Some((number(rest)?, true)),
        _ => Some((number(word)?, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_redis_does() {
        assert_eq!(integer(b"-12"), Some(-12));
        assert_eq!(integer(b"0"), Some(0));
        for word in [
            &b""[..],
            b"+1",
            b"01",
            b"-0",
            b" 1",
            b"1 ",
            b"1.0",
            b"-",
            b"9223372036854775808",
        ] {
            assert_eq!(integer(word), None, "{word:?}");
        }
    }
}
