//! The servers that a node can be, where they differ.

/// A server whose replies a node gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Redis 6.2.
    V6_2,
    /// Redis 7.0.
    V7_0,
    /// Redis 8.2.
    V8_2,
}

impl Version {
    /// All of them.
    pub const ALL: [Version; 3] = [Version::V6_2, Version::V7_0, Version::V8_2];

    /// The one that a server is that tells this version of itself, such as `7.0.15`.
    pub fn of(text: &str) -> Option<Version> {
        match text {
            _ if text.starts_with("6.2.") => Some(Version::V6_2),
            _ if text.starts_with("7.0.") => Some(Version::V7_0),
            _ if text.starts_with("8.2.") => Some(Version::V8_2),
            _ => None,
        }
    }

    /// What it tells of itself.
    pub fn number(self) -> &'static str {
        match self {
            Version::V6_2 => "6.2.14",
            Version::V7_0 => "7.0.15",
            Version::V8_2 => "8.2.3",
        }
    }

    /// A score in decimal digits.
    pub fn score(self, score: f64) -> String {
        const EXACT: f64 = 4_503_599_627_370_496.0;
        if score.is_infinite() {
            return if score > 0.0 { "inf" } else { "-inf" }.to_owned();
        }
        if score == score.trunc() && score.abs() < EXACT {
            return format!("{}", score as i64);
        }
        match self {
            Version::V8_2 => shortest(score),
            _ => printf_g17(score),
        }
    }
}

/// As `%.17g` of printf.
pub fn printf_g17(number: f64) -> String {
    let scientific = format!("{number:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        let digits = usize::try_from(16 - exponent).unwrap_or(0);
        return trimmed(&format!("{number:.digits$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

/// The fewest digits that tell the number, as Redis has written them since 7.2.
fn shortest(number: f64) -> String {
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.chars().filter(char::is_ascii_digit).count() as i32;
    // Of the last digit.
    let place = exponent + 1 - digits;
    let is_plain = match place {
        0.. => exponent < digits + 7,
        _ => place > -7 || exponent.abs() < 4,
    };
    if is_plain {
        return format!("{number}");
    }
    let minus = if number < 0.0 { "-" } else { "" };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{minus}{mantissa}e{sign}{}", exponent.abs())
}

/// Without zeros at the end of a fraction.
fn trimmed(digits: &str) -> &str {
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_does() {
        for (number, text) in [
            (0.5, "0.5"),
            (0.1, "0.10000000000000001"),
            (1e17, "1e+17"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (4503599627370497.0, "4503599627370497"),
            (1e-5, "1.0000000000000001e-05"),
            (-2.25, "-2.25"),
        ] {
            assert_eq!(printf_g17(number), text);
        }
    }
}
