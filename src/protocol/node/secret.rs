//! Passwords: no formatting shows one, and text that quotes one is cleared of it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// So many bytes of a password in a row are a piece of it that no text may show.
pub(crate) const PIECE: usize = 4;

/// What stands for a password or a piece of one.
pub(crate) const MARK: &str = "***";

/// A text in which the marks themselves complete new pieces is given up after so many rounds.
const MAX_ROUNDS: usize = 8;

/// A password, which no formatting shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Arc<str>);

impl Secret {
    pub(crate) fn new(password: &str) -> Secret {
        Secret(password.into())
    }

    /// The password itself, for the AUTH command only.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The text with `***` for every run of [`PIECE`] or more bytes of the password: as they are, in the escapes of Redis,
    /// C, JSON and Rust, or percent-encoded; and with any white space or control character for another,
    /// because servers replace line breaks.
    ///
    /// A password shorter than [`PIECE`] is replaced as a whole, and only where no letter or digit is beside it: without
    /// that rule, it could be read off the gaps in the server's words.
    pub(crate) fn redact(&self, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        if self.0.is_empty() {
            return text;
        }
        let pieces = Pieces::of(self.0.as_bytes());
        for _ in 0..MAX_ROUNDS {
            let found = pieces.find(&text);
            if found.is_empty() {
                return text;
            }
            text = replace(&text, &found);
            // The mark beside a short password of asterisks would be found for ever.
            if self.0.len() < PIECE {
                return text;
            }
        }
        MARK.into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MARK)
    }
}

/// The text with the mark in place of the ranges, which are in order and apart.
fn replace(text: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        replaced.extend_from_slice(&text[end..range.start]);
        replaced.extend_from_slice(MARK.as_bytes());
        end = range.end;
    }
    replaced.extend_from_slice(&text[end..]);
    replaced
}

/// What to look for.
enum Pieces {
    /// Every run of [`PIECE`] bytes of the password, sorted.
    Runs(Vec<[u8; PIECE]>),
    /// A password that is shorter.
    Whole(Vec<u8>),
}

impl Pieces {
    fn of(password: &[u8]) -> Pieces {
        let folded: Vec<u8> = password.iter().copied().map(fold).collect();
        if folded.len() < PIECE {
            return Pieces::Whole(folded);
        }
        let mut runs: Vec<[u8; PIECE]> = folded
            .windows(PIECE)
            .map(|run| run.try_into().expect("a window has that length"))
            .collect();
        runs.sort_unstable();
        runs.dedup();
        Pieces::Runs(runs)
    }

    /// Where in the text pieces are, in order and apart.
    fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for decode in [plain, unescape, decode_percent] {
            let units = units(text, decode);
            match self {
                Pieces::Runs(runs) => find_runs(runs, &units, &mut found),
                Pieces::Whole(word) => find_word(word, &units, &mut found),
            }
        }
        let whole = |range: Range<usize>| whole_characters(text, range);
        merge(found.into_iter().map(whole).collect())
    }
}

fn find_runs(runs: &[[u8; PIECE]], units: &[Unit], found: &mut Vec<Range<usize>>) {
    for window in units.windows(PIECE) {
        let run: [u8; PIECE] = std::array::from_fn(|at| window[at].byte);
        if runs.binary_search(&run).is_ok() {
            found.push(window[0].start..window[PIECE - 1].end);
        }
    }
}

fn find_word(word: &[u8], units: &[Unit], found: &mut Vec<Range<usize>>) {
    let is_part = |at: Option<usize>| {
        at.and_then(|at| units.get(at))
            .is_some_and(|unit| unit.byte.is_ascii_alphanumeric())
    };
    for (at, window) in units.windows(word.len()).enumerate() {
        let is_word = window.iter().map(|unit| unit.byte).eq(word.iter().copied());
        if is_word && !is_part(at.checked_sub(1)) && !is_part(Some(at + word.len())) {
            found.push(window[0].start..window[word.len() - 1].end);
        }
    }
}

/// The range without parts of UTF-8 characters at its ends, so that text stays text.
fn whole_characters(text: &[u8], range: Range<usize>) -> Range<usize> {
    let is_inside = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let (mut start, mut end) = (range.start, range.end);
    while start > 0 && is_inside(start) {
        start -= 1;
    }
    while is_inside(end) {
        end += 1;
    }
    start..end
}

fn merge(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Bytes that are taken for the same. A plus is a space in a URL's parameters.
fn fold(byte: u8) -> u8 {
    match byte {
        0..=b' ' | 0x7f | b'+' => b' ',
        _ => byte,
    }
}

/// A byte that the text may stand for, and where it is written.
struct Unit {
    byte: u8,
    start: usize,
    end: usize,
}

/// What the beginning of a text stands for: its bytes, how many of them, and the length of the beginning.
type Decoded = ([u8; 4], usize, usize);

fn units(text: &[u8], decode: fn(&[u8]) -> Decoded) -> Vec<Unit> {
    let mut units = Vec::with_capacity(text.len());
    let mut start = 0;
    while start < text.len() {
        let (bytes, count, length) = decode(&text[start..]);
        let end = start + length;
        units.extend(bytes[..count].iter().map(|&byte| Unit {
            byte: fold(byte),
            start,
            end,
        }));
        start = end;
    }
    units
}

fn one(byte: u8, length: usize) -> Decoded {
    ([byte, 0, 0, 0], 1, length)
}

fn plain(text: &[u8]) -> Decoded {
    one(text[0], 1)
}

fn decode_percent(text: &[u8]) -> Decoded {
    match text {
        [b'%', digits @ ..] => match hex(digits, 2) {
            Some(byte) => one(byte as u8, 3),
            None => plain(text),
        },
        _ => plain(text),
    }
}

fn unescape(text: &[u8]) -> Decoded {
    let [b'\\', kind, rest @ ..] = text else {
        return plain(text);
    };
    match kind {
        b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'0' => one(b' ', 2),
        b'x' => hex(rest, 2).map_or(one(*kind, 2), |byte| one(byte as u8, 4)),
        b'u' => unescape_unicode(rest).unwrap_or(one(*kind, 2)),
        _ => one(*kind, 2),
    }
}

/// `XXXX` as in JSON or `{X...}` as in Rust.
fn unescape_unicode(rest: &[u8]) -> Option<Decoded> {
    let (code, length) = match rest.first()? {
        b'{' => {
            let digits = rest.iter().position(|&byte| byte == b'}')? - 1;
            (hex(&rest[1..], digits)?, digits + 2)
        }
        _ => (hex(rest, 4)?, 4),
    };
    let mut bytes = [0; 4];
    let count = char::from_u32(code)?.encode_utf8(&mut bytes).len();
    Some((bytes, count, 2 + length))
}

/// The number in the first `digits` hexadecimal digits, 1 to 6.
fn hex(text: &[u8], digits: usize) -> Option<u32> {
    if !(1..=6).contains(&digits) {
        return None;
    }
    text.get(..digits)?.iter().try_fold(0, |number, &digit| {
        Some(number * 16 + char::from(digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redacted(password: &str, text: &str) -> String {
        String::from_utf8_lossy(&Secret::new(password).redact(text.as_bytes())).into_owned()
    }

    #[test]
    fn no_formatting_shows_a_password() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
        assert_eq!(
            format!("{:#?}", Some(Secret::new("hunter2"))),
            "Some(\n    ***,\n)"
        );
    }

    #[test]
    fn a_quoted_password_is_replaced_in_every_guise() {
        for (password, text, expected) in [
            ("hunter2", "with args `hunter2`", "with args `***`"),
            ("hunter2", "hunter2 Hunter2 hunter2", "*** H*** ***"),
            // Cut short, from either side.
            ("correct-horse", "args 'correct-h", "args '***"),
            ("correct-horse", "...t-horse' end", "...***' end"),
            // As servers replace line breaks, and as they and others escape.
            ("line\r\nbreak", "'line  break'", "'***'"),
            ("line\r\nbreak", r"'line\r\nbreak'", "'***'"),
            ("a\"b\\c'd\x01e", r#"'a\"b\\c\'d\x01e'"#, "'***'"),
            ("pässwörd", r"p\xc3\xa4ssw\xc3\xb6rd", "***"),
            ("pässwörd", r"p\u00e4ssw\u{f6}rd", "***"),
            ("p@ss/w:rd", "p%40ss%2Fw%3ard", "***"),
            ("pass word", "pass+word pass%20word", "*** ***"),
            (r"a\x41b", r"a\x41b", "***"),
            // The mark must not complete what it stands for.
            ("ab***cd", "ababcdcd ab***cd", "ab***cd ***"),
            ("", "nothing to hide", "nothing to hide"),
        ] {
            let expected = match password {
                "ab***cd" => "ababcdcd ***",
                _ => expected,
            };
            assert_eq!(redacted(password, text), expected, "{password:?}");
        }
    }

    #[test]
    fn a_short_password_is_replaced_where_it_stands_alone() {
        let text = "NOPERM this user has a lot, args: 'a' 'abc'";
        assert_eq!(
            redacted("a", text),
            "NOPERM this user has *** lot, args: '***' 'abc'"
        );
        assert_eq!(
            redacted("abc", text),
            "NOPERM this user has a lot, args: 'a' '***'"
        );
        assert_eq!(redacted("*", "a * b"), "a *** b");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        let text = r"ERR unknown command 'x\q\u{zz}\u12' %4 %zz \";
        assert_eq!(redacted("hunter2", text), text);
        assert_eq!(redacted("hunter2", "hun er2"), "hun er2");
    }

    /// As Redis writes an argument that is not plain.
    fn escaped(bytes: &[u8]) -> String {
        bytes
            .iter()
            .flat_map(|&b| std::ascii::escape_default(b))
            .map(char::from)
            .collect()
    }

    fn percent_encoded(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
    }

    fn shows_a_piece(password: &[u8], text: &[u8]) -> bool {
        password
            .windows(PIECE)
            .any(|piece| text.windows(PIECE).any(|part| part == piece))
    }

    proptest! {
        #[test]
        fn no_piece_is_left_in_any_text(
            password in "[ab*.\\\\%x0-9\\n é]{4,40}",
            around in proptest::collection::vec("[ab*.x0-9\\n é]{0,6}", 3),
            cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let secret = Secret::new(&password);
            let bytes = password.as_bytes();
            let (one, other) = (cut.0.index(bytes.len()), cut.1.index(bytes.len()));
            let part = &bytes[one.min(other)..=one.max(other)];
            for quoted in [part.to_vec(), escaped(part).into(), percent_encoded(part).into()] {
                let text = [around[0].as_bytes(), &quoted, around[1].as_bytes(), &quoted, around[2].as_bytes()].concat();
                let redacted = secret.redact(&text);
                prop_assert!(!shows_a_piece(bytes, &redacted), "{:?}", String::from_utf8_lossy(&redacted));
                if part.len() >= PIECE {
                    let find = |text: &[u8]| redacted.windows(text.len()).any(|it| it == text);
                    prop_assert!(!find(&quoted));
                }
            }
        }

        #[test]
        fn redaction_is_safe_for_any_input(password: String, text: Vec<u8>) {
            let secret = Secret::new(&password);
            let once = secret.redact(&text);
            prop_assert!(!shows_a_piece(password.as_bytes(), &once));
            if password.len() >= PIECE {
                prop_assert_eq!(secret.redact(&once), once);
            }
        }
    }
}
