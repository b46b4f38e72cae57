//! What servers say, as messages may repeat it: one line, of bounded length, without the password.

use std::fmt;
use std::ops::Deref;

use super::secret::Secret;

/// The most of a server's text that is looked at, in bytes.
const LONGEST_READ: usize = 4096;

/// The most of a server's text that is repeated, in characters.
pub(crate) const LONGEST_TEXT: usize = 300;

/// The longest part of a user's own text, such as a URL or a path, that a message repeats, in characters.
const LONGEST_QUOTE: usize = 300;

/// The longest version that is one at sight, in bytes.
const LONGEST_VERSION: usize = 20;

/// The longest run id that is believed; Redis has 40 digits.
const LONGEST_RUN_ID: usize = 128;

/// Text of a server that may be shown. Messages are made of this and of the library's own words, never of a server's bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerText(Box<str>);

impl ServerText {
    /// The text in one line of at most [`LONGEST_TEXT`] characters, all of them visible, without the password or pieces of
    /// it. `password` is that of the connection over which the text came.
    pub(crate) fn new(text: &[u8], password: Option<&Secret>) -> ServerText {
        let redact = |text: &[u8]| match password {
            Some(password) => password.redact(text),
            None => text.to_vec(),
        };
        let text = redact(&text[..text.len().min(LONGEST_READ)]);
        let line = one_line(&String::from_utf8_lossy(&text), LONGEST_TEXT);
        // What was replaced or cut may have left something that reads as a piece.
        let line = redact(line.as_bytes());
        ServerText(String::from_utf8_lossy(&line).into())
    }

    /// The same for a text that is most likely one of the words that all servers have: those are no quotations, and what they
    /// mean must not depend on the password.
    pub(crate) fn one_of(
        known: &[&'static str],
        text: &[u8],
        password: Option<&Secret>,
    ) -> ServerText {
        match known.iter().find(|word| word.as_bytes() == text) {
            Some(word) => ServerText((*word).into()),
            None => ServerText::new(text, password),
        }
    }

    /// The same for a text that is most likely a version: digits and dots are no quotation either.
    pub(crate) fn version(text: &[u8], password: Option<&Secret>) -> ServerText {
        let is_version = text.len() <= LONGEST_VERSION
            && text.contains(&b'.')
            && text
                .iter()
                .all(|byte| byte.is_ascii_digit() || *byte == b'.');
        ServerText::new(text, password.filter(|_| !is_version))
    }

    /// The same with the library's own remark behind it.
    pub(crate) fn followed_by(&self, remark: &str) -> ServerText {
        ServerText(format!("{self}{}", one_line(remark, LONGEST_TEXT)).into())
    }
}

impl Deref for ServerText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Names a boot of a server: another after every restart. It becomes part of scripts, so it is letters, digits and hyphens only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunId(Box<str>);

impl RunId {
    /// The id in a server's text; `None` if it is none.
    pub(crate) fn new(text: &[u8]) -> Option<RunId> {
        let is_id = (1..=LONGEST_RUN_ID).contains(&text.len())
            && text
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        let text = std::str::from_utf8(text).ok()?;
        is_id.then(|| RunId(text.into()))
    }
}

impl Deref for RunId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The user's own text in quotes: in one line, escaped and cut where it is too long for a message.
pub(crate) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(LONGEST_QUOTE).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("'{}{dots}'", short.escape_debug())
}

/// The text with a space for each character that is not visible in a line, and cut after so many characters.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let mut characters = text.chars();
    let mut line: String = characters
        .by_ref()
        .take(longest)
        .map(|character| match is_invisible(character) {
            true => ' ',
            false => character,
        })
        .collect();
    if characters.next().is_some() {
        line.push_str("...");
    }
    line
}

/// Whether the character would end the line, move the cursor, change the direction of writing, or not be seen at all.
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}'
            | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1345f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &[u8], password: &str) -> String {
        ServerText::new(text, Some(&Secret::new(password))).to_string()
    }

    #[test]
    fn a_servers_text_is_one_visible_line() {
        let text =
            "ERR a\r\nb\tc\x1b[31m\u{202e}d\u{2066}e\u{2028}f\u{200b}g\u{feff}h\u{e0041}i\u{85}j";
        assert_eq!(shown(text.as_bytes(), ""), "ERR a  b c [31m d e f g h i j");
        assert_eq!(shown(b"\xff\xfe", ""), "\u{fffd}\u{fffd}");
        assert_eq!(
            shown("Fehler: größer als 5 – 很好".as_bytes(), ""),
            "Fehler: größer als 5 – 很好"
        );
    }

    #[test]
    fn a_servers_text_is_of_bounded_length() {
        let long = shown(&vec![b'x'; 1 << 20], "");
        assert_eq!(long, format!("{}...", "x".repeat(LONGEST_TEXT)));
        let marks = shown("a ".repeat(1 << 20).as_bytes(), "a");
        assert!(marks.len() < 4 * LONGEST_TEXT, "{}", marks.len());
    }

    #[test]
    fn a_password_is_found_before_the_text_is_cut_or_cleaned() {
        let password = "s3cr3t-".repeat(40);
        let text = format!("{}'{}", "x".repeat(290), &password[..128]);
        assert!(!shown(text.as_bytes(), &password).contains("s3cr"));
        assert_eq!(
            shown("'p\u{202e}q\nrs'".as_bytes(), "p\u{202e}q\nrs"),
            "'***'"
        );
        // The dots that say "cut" would complete it.
        let text = format!("{}ab", "x".repeat(LONGEST_TEXT - 2));
        assert!(!shown(format!("{text}yyy").as_bytes(), "ab..").contains("ab.."));
    }

    #[test]
    fn a_user_s_text_is_quoted_in_one_line() {
        assert_eq!(quoted("a\n'\u{202e}"), r"'a\n\'\u{202e}'");
        assert_eq!(
            quoted(&"x".repeat(301)),
            format!("'{}...'", "x".repeat(300))
        );
    }

    #[test]
    fn a_known_word_is_known_whatever_the_password() {
        let secret = Secret::new("slave");
        let role =
            |text: &str| ServerText::one_of(&["master", "slave"], text.as_bytes(), Some(&secret));
        assert_eq!(&*role("slave"), "slave");
        assert_eq!(&*role("no slave"), "no ***");
        let secret = Secret::new("7.0.15");
        let version = |text: &str| ServerText::version(text.as_bytes(), Some(&secret));
        assert_eq!(&*version("7.0.15"), "7.0.15");
        assert_eq!(&*version("of 7.0.15"), "of ***");
    }

    #[test]
    fn a_remark_follows_a_servers_text() {
        let text = ServerText::new(b"NOPERM no", None).followed_by(" (key \"a\nb\")");
        assert_eq!(&*text, "NOPERM no (key \"a b\")");
    }

    #[test]
    fn a_run_id_cannot_become_a_part_of_a_script() {
        let id = "8c0e5d7a2b3c4d5e6f708192a3b4c5d6e7f80910";
        assert_eq!(RunId::new(id.as_bytes()).as_deref(), Some(id));
        for bad in [
            "",
            "a\rredis.call('FLUSHALL')",
            "a b",
            "é",
            &"a".repeat(129),
        ] {
            assert_eq!(RunId::new(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_is_a_short_visible_line(text: Vec<u8>, password: String) {
            let shown = shown(&text, &password);
            prop_assert!(shown.chars().count() <= 4 * LONGEST_TEXT);
            prop_assert!(!shown.chars().any(is_invisible), "{:?}", shown);
        }
    }
}
