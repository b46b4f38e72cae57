//! Recorded dialogues of the library with a real server.
//!
//! A dialogue is a text file: a line `> NAME` for each request, with a script's digest behind `EVALSHA`, and a line `< BYTES` for the
//! reply, with escapes as in a Rust byte string.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::wire;

/// A recorded dialogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialogue {
    /// The requests' keys and the replies, in their order.
    pub exchanges: Vec<(String, Vec<u8>)>,
}

/// Where the recorded dialogues are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogues")
}

/// By what a request is found in a dialogue: its name, and the script that it calls.
pub fn key(words: &[Vec<u8>]) -> String {
    let name = wire::name(words);
    match (name.as_str(), words.get(1)) {
        ("EVALSHA", Some(digest)) => format!("{name} {}", String::from_utf8_lossy(digest)),
        _ => name,
    }
}

impl Dialogue {
    /// Reads a recorded dialogue.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn read(name: &str) -> Dialogue {
        let path = folder().join(format!("{name}.txt"));
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Dialogue::parse(&text)
    }

    fn parse(text: &str) -> Dialogue {
        let mut dialogue = Dialogue::default();
        for line in text.lines() {
            match line.split_at(2) {
                ("> ", key) => dialogue.exchanges.push((key.to_owned(), Vec::new())),
                ("< ", reply) => {
                    let last = dialogue
                        .exchanges
                        .last_mut()
                        .expect("a request comes first");
                    last.1 = unescaped(reply);
                }
                _ => panic!("what is the line {line:?}"),
            }
        }
        dialogue
    }

    /// Writes it to where [`read`](Self::read) finds it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str) {
        let path = folder().join(format!("{name}.txt"));
        std::fs::write(path, self.text()).expect("a dialogue can be written");
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (key, reply) in &self.exchanges {
            writeln!(text, "> {key}\n< {}", reply.escape_ascii()).expect("strings grow");
        }
        text
    }
}

/// A dialogue that is being recorded.
#[derive(Clone, Default)]
pub struct Recording(Arc<Mutex<Dialogue>>);

impl Recording {
    /// Adds an exchange.
    pub fn add(&self, words: &[Vec<u8>], reply: &[u8]) {
        let mut dialogue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dialogue.exchanges.push((key(words), reply.to_vec()));
    }

    /// What has been recorded so far.
    pub fn dialogue(&self) -> Dialogue {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The bytes of a text that `escape_ascii` made.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&kind, tail) = rest.split_first().expect("an escape has a kind");
        rest = tail;
        bytes.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).expect("two digits");
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).expect("hexadecimal digits")
            }
            other => other,
        });
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialogue_is_read_back() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let exchanges = vec![
            ("SET".to_owned(), every_byte),
            ("EVALSHA ab".to_owned(), b"\r\n".to_vec()),
        ];
        let dialogue = Dialogue { exchanges };
        assert_eq!(Dialogue::parse(&dialogue.text()), dialogue);
    }
}
