//! What the fuzzers call: each target is a function of bytes that panics when the library does something that it must not.
//!
//! `fuzz/` has a program for each (cargo-fuzz); `stable` runs them with its own mutations as an ordinary test. This is no part of
//! the API: it exists in tests and with the feature `fuzzing` only.

// What a target is for is said in its file.
#![allow(missing_docs)]

mod abi;
mod connection;
mod options;
mod reply;
#[cfg(test)]
mod stable;
mod text;
mod url;

/// A target's name, and what it does with a fuzzer's bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, by the name of its program and of its folder under `fuzz/corpus`.
pub const TARGETS: [Target; 6] = [
    ("reply", reply::run),
    ("connection", connection::run),
    ("url", url::run),
    ("text", text::run),
    ("options", options::run),
    ("abi", abi::run),
];

/// Runs one target.
///
/// # Panics
/// When there is no such target, or when the library has a defect.
pub fn run(target: &str, data: &[u8]) {
    let (_, run) = TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .unwrap_or_else(|| panic!("no target {target}"));
    run(data);
}

/// Takes a fuzzer's bytes apart. When there are none left, it goes on with zeros.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    /// True for one in `count` values of the next byte.
    fn one_in(&mut self, count: u8) -> bool {
        self.byte().is_multiple_of(count)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Up to `count` bytes.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Up to the next zero byte, which is dropped.
    fn word(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| byte == 0);
        let word = self.take(end.unwrap_or(self.0.len()));
        self.take(1);
        word
    }

    /// One of these.
    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}

/// Panics unless the text can be a message: one line, bounded, nothing in it that a terminal would obey.
fn assert_presentable(text: &str) {
    assert!(text.len() < 8192, "{} bytes: {text:?}", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}
