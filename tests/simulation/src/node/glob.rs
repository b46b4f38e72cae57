//! Patterns of keys, as SCAN and KEYS take them.

/// Whether `text` is of this pattern: `*`, `?`, `[a-c]`, `[^a]`, and `\` before what stands for itself.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let Some((&first, rest)) = pattern.split_first() else {
        return text.is_empty();
    };
    match first {
        b'*' => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        b'?' => !text.is_empty() && matches(rest, &text[1..]),
        b'[' => match (text.split_first(), class(rest)) {
            (Some((byte, text)), Some((members, rest))) => members(*byte) && matches(rest, text),
            _ => false,
        },
        b'\\' if !rest.is_empty() => {
            text.first() == rest.first() && matches(&rest[1..], &text[1..])
        }
        byte => text.first() == Some(&byte) && matches(rest, &text[1..]),
    }
}

/// What the class says that `pattern` begins with, behind its bracket, and what follows it.
fn class(pattern: &[u8]) -> Option<(impl Fn(u8) -> bool, &[u8])> {
    let end = pattern.iter().position(|byte| *byte == b']')?;
    let (class, rest) = (&pattern[..end], &pattern[end + 1..]);
    let (is_negated, class) = match class.split_first() {
        Some((b'^', class)) => (true, class),
        _ => (false, class),
    };
    let is_member = move |byte: u8| {
        let mut at = 0;
        while at < class.len() {
            if at + 2 < class.len() && class[at + 1] == b'-' {
                if (class[at]..=class[at + 2]).contains(&byte) {
                    return !is_negated;
                }
                at += 3;
            } else if class[at] == byte {
                return !is_negated;
            } else {
                at += 1;
            }
        }
        is_negated
    };
    Some((is_member, rest))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_those_of_redis() {
        for (pattern, text, expected) in [
            ("*libredlock:ballots", "app:libredlock:ballots", true),
            ("*libredlock:ballots", "libredlock:ballots:", false),
            ("h?llo", "hallo", true),
            ("h[a-c]llo", "hbllo", true),
            ("h[^a-c]llo", "hbllo", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("*", "", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
