//! The Redis wire format: commands into bytes, bytes into replies, without copying.
//!
//! One parser reads a connection for its whole life, from the answer to HELLO on, so that no byte is lost between two
//! readers. It is our own because a reply is read for every lock and node: it borrows from the bytes that arrived, makes no
//! value on the heap, and knows the limits that a lock's connection has. The tests hold it against the `redis` crate's.

/// A reply, borrowed from the bytes that arrived. RESP2 and RESP3 alike; what nobody here asks for (doubles, sets, ...) is
/// read over and comes out as `Other`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reply<'a> {
    /// `+OK`
    Status(&'a [u8]),
    /// `-ERR ...`, without the sign.
    Error(&'a [u8]),
    Integer(i64),
    Bulk(&'a [u8]),
    Nil,
    /// The elements, one after the other, see [`elements`].
    Array(&'a [u8]),
    /// Keys and values in turn, see [`elements`].
    Map(&'a [u8]),
    /// Another aggregate or a rare type, complete but not taken apart.
    Other,
    /// A message that answers no command (RESP3 push): its elements, see [`push_text`].
    Push(&'a [u8]),
}

/// Bytes that are not RESP: the connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The longest reply that is waited for, in bytes. INFO has some ten thousand, what a lock asks for below a hundred.
pub(crate) const MAX_REPLY: usize = 256 * 1024;
/// How deep aggregates may nest. No reply that is asked for here has more than two levels.
pub(crate) const MAX_DEPTH: usize = 8;

/// Appends the head of a command of that many words to `out`.
pub(crate) fn begin_command(out: &mut Vec<u8>, words: usize) {
    write_header(out, b'*', words as u64);
}

/// What a word has around it at most: its length, in up to 20 digits, and the ends of lines.
const MOST_AROUND: usize = 25;

/// Appends a word, given in parts, to `out`.
pub(crate) fn write_word(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    // Once for all that follows: most words are short, and there are many.
    out.reserve(length + MOST_AROUND);
    write_header(out, b'$', length as u64);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a number as a word to `out`.
pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    write_word(out, &[decimal(number, &mut Digits::new())]);
}

/// Appends a command to `out`.
pub(crate) fn write_command(out: &mut Vec<u8>, words: &[&[u8]]) {
    begin_command(out, words.len());
    for word in words {
        write_word(out, &[word]);
    }
}

fn write_header(out: &mut Vec<u8>, kind: u8, number: u64) {
    match number {
        0..10 => out.extend_from_slice(&[kind, b'0' + number as u8, b'\r', b'\n']),
        10..100 => {
            let (tens, ones) = ((number / 10) as u8, (number % 10) as u8);
            out.extend_from_slice(&[kind, b'0' + tens, b'0' + ones, b'\r', b'\n']);
        }
        _ => {
            out.push(kind);
            out.extend_from_slice(decimal(number, &mut Digits::new()));
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Room for a number in decimal digits.
pub(crate) type Digits = itoa::Buffer;

/// A number in decimal digits.
pub(crate) fn decimal(number: u64, digits: &mut Digits) -> &[u8] {
    digits.format(number).as_bytes()
}

/// The first reply in `bytes` and its length, or `None` when it is not all there yet.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Reply<'_>, usize)>, Malformed> {
    let parsed = parse_value(bytes, MAX_DEPTH)?;
    if parsed.is_none() && bytes.len() > MAX_REPLY {
        return Err(Malformed);
    }
    Ok(parsed)
}

/// The elements of an array, a map or a push, one after the other.
pub(crate) fn elements(mut bytes: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    std::iter::from_fn(move || match parse(bytes) {
        Ok(Some((reply, length))) => {
            bytes = &bytes[length..];
            Some(reply)
        }
        _ => None,
    })
}

/// The text of a message on a channel that was subscribed to, in the elements of a push.
pub(crate) fn push_text(push: &[u8]) -> Option<&[u8]> {
    let mut parts = elements(push);
    match [parts.next(), parts.next(), parts.next()] {
        [
            Some(Reply::Bulk(b"message")),
            Some(Reply::Bulk(_)),
            Some(Reply::Bulk(text)),
        ] => Some(text),
        _ => None,
    }
}

/// The latest time that a server may tell, in us since 1970: what a 64-bit float holds exactly, for ballots are scores. It
/// is the year 2255.
const LATEST: u64 = 1 << 53;

/// The time in us since 1970, from the elements of the reply to TIME: seconds, and microseconds of the second.
pub(crate) fn time(reply: &[u8]) -> Option<u64> {
    let mut parts = elements(reply);
    let (seconds, micros) = (number(parts.next()?)?, number(parts.next()?)?);
    let time = seconds.checked_mul(1_000_000)?.checked_add(micros)?;
    (time < LATEST).then_some(time)
}

/// The number in a bulk string.
fn number(reply: Reply<'_>) -> Option<u64> {
    match reply {
        Reply::Bulk(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

fn parse_value(bytes: &[u8], depth: usize) -> Result<Option<(Reply<'_>, usize)>, Malformed> {
    let Some(&kind) = bytes.first() else {
        return Ok(None);
    };
    if !b"+-:_#,($!=*~%|>".contains(&kind) {
        return Err(Malformed);
    }
    let Some(line_end) = find_line_end(bytes)? else {
        return Ok(None);
    };
    let line = &bytes[1..line_end];
    let body = line_end + 2;
    let reply = match kind {
        b'+' => Reply::Status(line),
        b'-' => Reply::Error(line),
        b':' => Reply::Integer(parse_integer(line)?),
        b'_' if line.is_empty() => Reply::Nil,
        b'#' if line == b"t" || line == b"f" => Reply::Other,
        b',' | b'(' if !line.is_empty() => Reply::Other,
        b'$' | b'!' | b'=' => return parse_bulk(bytes, kind, line, body),
        b'*' | b'~' | b'%' | b'|' | b'>' => return parse_aggregate(bytes, kind, line, body, depth),
        _ => return Err(Malformed),
    };
    Ok(Some((reply, body)))
}

/// Where the `\r\n` of the first line starts.
fn find_line_end(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    match bytes.iter().position(|&byte| byte == b'\r') {
        None => Ok(None),
        Some(at) => match bytes.get(at + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(at)),
            Some(_) => Err(Malformed),
        },
    }
}

fn parse_integer(digits: &[u8]) -> Result<i64, Malformed> {
    let text = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    text.parse().map_err(|_| Malformed)
}

/// A length, `None` for RESP2's -1.
fn parse_length(digits: &[u8]) -> Result<Option<usize>, Malformed> {
    match parse_integer(digits)? {
        -1 => Ok(None),
        length @ 0.. if length as usize <= MAX_REPLY => Ok(Some(length as usize)),
        _ => Err(Malformed),
    }
}

fn parse_bulk<'a>(
    bytes: &'a [u8],
    kind: u8,
    line: &[u8],
    body: usize,
) -> Result<Option<(Reply<'a>, usize)>, Malformed> {
    let Some(length) = parse_length(line)? else {
        return Ok(Some((Reply::Nil, body)));
    };
    let end = body + length;
    if bytes.len() < end + 2 {
        return Ok(None);
    }
    if &bytes[end..end + 2] != b"\r\n" {
        return Err(Malformed);
    }
    let content = &bytes[body..end];
    let reply = match kind {
        b'!' => Reply::Error(content),
        // A verbatim string begins with its three-letter format and a colon.
        b'=' => Reply::Bulk(content.get(4..).ok_or(Malformed)?),
        _ => Reply::Bulk(content),
    };
    Ok(Some((reply, end + 2)))
}

fn parse_aggregate<'a>(
    bytes: &'a [u8],
    kind: u8,
    line: &[u8],
    body: usize,
    depth: usize,
) -> Result<Option<(Reply<'a>, usize)>, Malformed> {
    if depth == 0 {
        return Err(Malformed);
    }
    let Some(count) = parse_length(line)? else {
        return Ok(Some((Reply::Nil, body)));
    };
    let values = match kind {
        b'%' | b'|' => 2 * count,
        _ => count,
    };
    let mut end = body;
    for _ in 0..values {
        match parse_value(&bytes[end..], depth - 1)? {
            None => return Ok(None),
            Some((_, length)) => end += length,
        }
    }
    match kind {
        b'*' => Ok(Some((Reply::Array(&bytes[body..end]), end))),
        b'>' => Ok(Some((Reply::Push(&bytes[body..end]), end))),
        b'%' => Ok(Some((Reply::Map(&bytes[body..end]), end))),
        // An attribute precedes the reply that it describes.
        b'|' => Ok(parse_value(&bytes[end..], depth - 1)?.map(|(reply, n)| (reply, end + n))),
        _ => Ok(Some((Reply::Other, end))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redis::Value;

    /// The `redis` crate's reading of the same bytes, reduced to what a `Reply` tells.
    fn reference(bytes: &[u8]) -> Option<Value> {
        redis::parse_redis_value(bytes).ok()
    }

    fn agrees(reply: Reply<'_>, value: &Value) -> bool {
        match (reply, value) {
            (Reply::Status(text), Value::Okay) => text == b"OK",
            (Reply::Status(text), Value::SimpleString(other)) => text == other.as_bytes(),
            (Reply::Error(_), Value::ServerError(_)) => true,
            (Reply::Integer(number), Value::Int(other)) => number == *other,
            (Reply::Bulk(text), Value::BulkString(other)) => text == other,
            (Reply::Bulk(text), Value::VerbatimString { text: other, .. }) => {
                text == other.as_bytes()
            }
            (Reply::Nil, Value::Nil) => true,
            (Reply::Push(_), Value::Push { .. }) => true,
            (Reply::Array(_), Value::Array(_)) => true,
            (Reply::Map(_), Value::Map(_)) => true,
            (
                Reply::Other,
                Value::Set(_) | Value::Boolean(_) | Value::Double(_) | Value::BigNumber(_),
            ) => true,
            _ => false,
        }
    }

    fn text() -> impl Strategy<Value = String> {
        "[ -~]{0,20}"
    }

    fn scalar() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            text().prop_map(|t| format!("+{t}\r\n").into_bytes()),
            text().prop_map(|t| format!("-ERR {t}\r\n").into_bytes()),
            any::<i64>().prop_map(|n| format!(":{n}\r\n").into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(|content| {
                let mut bytes = format!("${}\r\n", content.len()).into_bytes();
                bytes.extend(content);
                bytes.extend(b"\r\n");
                bytes
            }),
            text().prop_map(|t| format!("={}\r\ntxt:{t}\r\n", t.len() + 4).into_bytes()),
            Just(b"$-1\r\n".to_vec()),
            Just(b"_\r\n".to_vec()),
            Just(b"#t\r\n".to_vec()),
            Just(b",1.5\r\n".to_vec()),
        ]
    }

    fn aggregate(kind: char, items: Vec<Vec<u8>>) -> Vec<u8> {
        let count = match kind {
            '%' => items.len() / 2,
            _ => items.len(),
        };
        let used = match kind {
            '%' => 2 * count,
            _ => items.len(),
        };
        let mut bytes = format!("{kind}{count}\r\n").into_bytes();
        bytes.extend(items.into_iter().take(used).flatten());
        bytes
    }

    fn reply() -> impl Strategy<Value = Vec<u8>> {
        scalar().prop_recursive(3, 20, 5, |inner| {
            (
                prop_oneof![Just('*'), Just('%'), Just('~')],
                proptest::collection::vec(inner, 0..5),
            )
                .prop_map(|(kind, items)| aggregate(kind, items))
        })
    }

    proptest! {
        #[test]
        fn reads_what_the_redis_crate_reads(bytes in reply()) {
            let value = reference(&bytes).expect("the crate can read it");
            let (reply, length) = parse(&bytes).unwrap().expect("it is complete");
            prop_assert_eq!(length, bytes.len());
            prop_assert!(agrees(reply, &value), "{:?} is not {:?}", reply, value);
        }

        #[test]
        fn a_part_of_a_reply_is_waited_for(bytes in reply(), cut: prop::sample::Index) {
            let part = &bytes[..cut.index(bytes.len())];
            prop_assert_eq!(parse(part), Ok(None));
        }

        #[test]
        fn what_follows_a_reply_is_left_alone(bytes in reply(), tail: Vec<u8>) {
            let mut more = bytes.clone();
            more.extend(tail);
            prop_assert_eq!(parse(&more).unwrap().map(|(_, length)| length), Some(bytes.len()));
        }

        #[test]
        fn garbage_never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        /// Bytes that look like the protocol get further than any.
        #[test]
        fn garbage_of_the_protocol_s_own_characters_never_panics(
            text in "[-+:_#,($!=*~%|>0-9\r\nax]{0,40}",
        ) {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn elements_are_those_of_the_redis_crate(items in proptest::collection::vec(reply(), 0..5)) {
            let bytes = aggregate('*', items);
            let Ok(Some((Reply::Array(inside), _))) = parse(&bytes) else {
                panic!("not an array");
            };
            let Some(Value::Array(expected)) = reference(&bytes) else {
                panic!("not an array for the crate");
            };
            let found: Vec<_> = elements(inside).collect();
            prop_assert_eq!(found.len(), expected.len());
            for (reply, value) in found.iter().zip(&expected) {
                prop_assert!(agrees(*reply, value), "{:?} is not {:?}", reply, value);
            }
        }

        #[test]
        fn commands_are_packed_as_the_redis_crate_packs_them(
            arguments in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..6),
        ) {
            let mut command = redis::Cmd::new();
            for argument in &arguments {
                command.arg(&argument[..]);
            }
            let mut ours = Vec::new();
            let slices: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            write_command(&mut ours, &slices);
            prop_assert_eq!(ours, command.get_packed_command());
        }
    }

    #[test]
    fn a_messages_text_is_its_third_element() {
        let push = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n";
        let Ok(Some((Reply::Push(elements), _))) = parse(push) else {
            panic!("not a push");
        };
        assert_eq!(push_text(elements), Some(&b"hello"[..]));
        let other = b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
        let Ok(Some((Reply::Push(elements), _))) = parse(other) else {
            panic!("not a push");
        };
        assert_eq!(push_text(elements), None);
    }

    #[test]
    fn a_line_end_begins_no_reply() {
        for bytes in [
            &b"\r\n"[..],
            b"\r",
            b"\n",
            b"\r\n+OK\r\n",
            b"*1\r\n\r\n",
            b"x",
        ] {
            assert_eq!(parse(bytes), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn a_time_that_no_clock_shows_is_none() {
        let time_of = |seconds: &str| {
            let bytes = format!("${}\r\n{seconds}\r\n$1\r\n7\r\n", seconds.len());
            time(bytes.as_bytes())
        };
        assert_eq!(time_of("1700000000"), Some(1_700_000_000_000_007));
        for seconds in ["9007199255", "18446744073709551615", "-1", "x", ""] {
            assert_eq!(time_of(seconds), None, "{seconds}");
        }
        assert_eq!(time(b"$1\r\n7\r\n"), None);
    }

    #[test]
    fn endless_replies_and_deep_nesting_are_refused() {
        assert_eq!(parse(b"$99999999999\r\n"), Err(Malformed));
        assert_eq!(parse(b"*-7\r\n"), Err(Malformed));
        assert_eq!(parse(b"\r\n"), Err(Malformed));
        assert_eq!(parse(&b"*1\r\n".repeat(MAX_DEPTH + 1)), Err(Malformed));
        assert_eq!(parse(&vec![b'+'; MAX_REPLY + 1]), Err(Malformed));
    }
}
