//! The parser of replies, with any bytes.

use crate::protocol::node::resp::{self, Malformed, Reply};

/// Reads replies as long as there are any.
pub(super) fn run(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some((reply, length))) = resp::parse(rest) {
        assert!((1..=rest.len()).contains(&length), "{length} of {rest:?}");
        // What follows does not matter, and a part of it is waited for.
        assert_eq!(resp::parse(&rest[..length]), Ok(Some((reply, length))));
        for cut in [0, length / 2, length - 1] {
            assert_eq!(resp::parse(&rest[..cut]), Ok(None), "{cut} of {rest:?}");
        }
        if let Reply::Array(elements) | Reply::Push(elements) = reply {
            let _ = (resp::time(elements), resp::push_text(elements));
        }
        rest = &rest[length..];
    }
    // The verdict does not depend on how the bytes arrive.
    if resp::parse(rest) == Err(Malformed) {
        assert_eq!(resp::parse(rest), Err(Malformed));
        let longer = [rest, b"\r\n$1\r\nx\r\n"].concat();
        assert_eq!(resp::parse(&longer), Err(Malformed));
    }
}
