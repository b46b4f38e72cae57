//! What servers say, with any password: no piece of it may be shown.

use super::{Input, assert_presentable};
use crate::protocol::node::secret::{PIECE, Secret};
use crate::protocol::node::text::{RunId, ServerText};

/// A password, a zero byte, and what a server says.
pub(super) fn run(data: &[u8]) {
    let mut input = Input(data);
    let password = String::from_utf8_lossy(input.word()).into_owned();
    let text = input.0;
    let shown = ServerText::new(text, Some(&Secret::new(&password)));
    assert_presentable(&shown);
    assert_presentable(&format!("{shown:?}"));
    for piece in password.as_bytes().windows(PIECE) {
        let is_there = shown.as_bytes().windows(PIECE).any(|part| part == piece);
        assert!(!is_there, "{piece:?} is in {shown:?}");
    }
    if let Some(id) = RunId::new(text) {
        assert!(!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
