//! Commands in the bytes that arrive on a connection.

use std::ops::Range;

/// Bytes that are no command: the server says so and hangs up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError(pub &'static str);

/// The longest word that a server takes, as `proto-max-bulk-len` has it.
const MAX_WORD: usize = 512 * 1024 * 1024;

/// Finds the first command in `bytes`: where its words are is put into `words`. Returns its length; `None` if it is not all there
/// yet.
pub fn parse(bytes: &[u8], words: &mut Vec<Range<usize>>) -> Result<Option<usize>, ProtocolError> {
    words.clear();
    match bytes.first() {
        None => return Ok(None),
        Some(b'*') => {}
        Some(_) => return Ok(parse_inline(bytes, words)),
    }
    let Some((count, mut at)) = number(bytes, 1) else {
        return Ok(None);
    };
    let count = count.ok_or(ProtocolError(
        "ERR Protocol error: invalid multibulk length",
    ))?;
    for _ in 0..count.max(0) {
        match bytes.get(at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(_) => return Err(ProtocolError("ERR Protocol error: expected '$'")),
        }
        let Some((length, start)) = number(bytes, at + 1) else {
            return Ok(None);
        };
        let length = length
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| *length <= MAX_WORD)
            .ok_or(ProtocolError("ERR Protocol error: invalid bulk length"))?;
        if bytes.len() < start + length + 2 {
            return Ok(None);
        }
        words.push(start..start + length);
        at = start + length + 2;
    }
    Ok(Some(at))
}

/// A line of words, as people type them.
fn parse_inline(bytes: &[u8], words: &mut Vec<Range<usize>>) -> Option<usize> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let mut start = None;
    for (at, byte) in bytes[..=end].iter().enumerate() {
        match (byte.is_ascii_whitespace(), start) {
            (false, None) => start = Some(at),
            (true, Some(from)) => {
                words.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    Some(end + 1)
}

/// The number in a line from `at` on, and where the next line begins; `None` if the line does not end. The number is `None` if it
/// is none.
fn number(bytes: &[u8], at: usize) -> Option<(Option<i64>, usize)> {
    let end = at + bytes[at..].iter().position(|byte| *byte == b'\r')?;
    if bytes.len() < end + 2 {
        return None;
    }
    let text = std::str::from_utf8(&bytes[at..end]).ok();
    Some((text.and_then(|text| text.parse().ok()), end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
        let mut words = Vec::new();
        let length = parse(bytes, &mut words).unwrap()?;
        Some((
            words.into_iter().map(|word| bytes[word].to_vec()).collect(),
            length,
        ))
    }

    #[test]
    fn a_command_is_found_when_all_of_it_is_there() {
        let bytes = b"*2\r\n$3\r\nGET\r\n$2\r\nab\r\n*1\r\n";
        for end in 0..21 {
            assert_eq!(parsed(&bytes[..end]), None);
        }
        let words = vec![b"GET".to_vec(), b"ab".to_vec()];
        assert_eq!(parsed(bytes), Some((words, 21)));
    }

    #[test]
    fn a_typed_line_is_a_command() {
        assert_eq!(
            parsed(b"PING x\r\n"),
            Some((vec![b"PING".to_vec(), b"x".to_vec()], 8))
        );
    }

    #[test]
    fn what_is_no_command_is_an_error() {
        let mut words = Vec::new();
        assert!(parse(b"*1\r\n:1\r\n", &mut words).is_err());
        assert!(parse(b"*x\r\n", &mut words).is_err());
    }
}
