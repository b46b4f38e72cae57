//! The wire format as the hostile servers need it: where a frame ends, and what a request says.
//!
//! It is written apart from the library's own parser, so that the two can be held against each other.

/// Bytes that are not the Redis protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// How deep aggregates may nest.
const MAX_DEPTH: usize = 64;

/// The length of the first whole frame in `bytes`; `None` if it is not all there.
pub fn frame(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    frame_within(bytes, MAX_DEPTH)
}

fn frame_within(bytes: &[u8], depth: usize) -> Result<Option<usize>, Malformed> {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if !b"+-:_#,($!=*~%|>".contains(&kind) {
        return Err(Malformed);
    }
    let Some(end) = rest.iter().position(|byte| *byte == b'\r') else {
        return Ok(None);
    };
    match rest.get(end + 1) {
        None => return Ok(None),
        Some(b'\n') => {}
        Some(_) => return Err(Malformed),
    }
    let (line, body) = (&rest[..end], end + 3);
    match kind {
        b'$' | b'!' | b'=' => bulk(bytes, line, body),
        b'*' | b'~' | b'%' | b'|' | b'>' => aggregate(bytes, kind, line, body, depth),
        b':' => number(line).map(|_| Some(body)),
        _ => Ok(Some(body)),
    }
}

fn bulk(bytes: &[u8], line: &[u8], body: usize) -> Result<Option<usize>, Malformed> {
    let Some(length) = length(line)? else {
        return Ok(Some(body));
    };
    match bytes.get(body + length..body + length + 2) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some(body + length + 2)),
        Some(_) => Err(Malformed),
    }
}

fn aggregate(
    bytes: &[u8],
    kind: u8,
    line: &[u8],
    body: usize,
    depth: usize,
) -> Result<Option<usize>, Malformed> {
    let Some(count) = length(line)? else {
        return Ok(Some(body));
    };
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let values = match kind {
        b'%' => 2 * count,
        // An attribute comes with the reply that it describes.
        b'|' => 2 * count + 1,
        _ => count,
    };
    let mut end = body;
    for _ in 0..values {
        match frame_within(&bytes[end..], depth)? {
            None => return Ok(None),
            Some(length) => end += length,
        }
    }
    Ok(Some(end))
}

/// A length, `None` for -1, which stands for nothing.
fn length(line: &[u8]) -> Result<Option<usize>, Malformed> {
    match number(line)? {
        -1 => Ok(None),
        length => Ok(Some(usize::try_from(length).map_err(|_| Malformed)?)),
    }
}

fn number(line: &[u8]) -> Result<i64, Malformed> {
    let text = std::str::from_utf8(line).map_err(|_| Malformed)?;
    text.parse().map_err(|_| Malformed)
}

/// The words of the first whole request in `bytes`, and its length.
///
/// # Panics
/// When a client sends what is no request.
pub fn request(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let length = frame(bytes).expect("clients send the Redis protocol")?;
    assert_eq!(bytes[0], b'*', "a request is an array");
    Some((strings(&bytes[..length]), length))
}

/// The strings in an array or push of strings and numbers.
pub fn strings(frame: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut at = line_end(frame, 0);
    while at < frame.len() {
        let body = line_end(frame, at);
        if frame[at] == b'$' && frame[at + 1] != b'-' {
            let length = number(&frame[at + 1..body - 2]).unwrap_or(0) as usize;
            words.push(frame.get(body..body + length).unwrap_or_default().to_vec());
            at = body + length + 2;
        } else {
            words.push(frame.get(at + 1..body - 2).unwrap_or_default().to_vec());
            at = body;
        }
    }
    words
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    let end = bytes[from..].iter().position(|byte| *byte == b'\n');
    from + end.expect("the frame is whole") + 1
}

/// An array of strings, which is what a request is.
pub fn array(kind: char, words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("{kind}{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(bulk_string(word));
    }
    bytes
}

/// A string.
pub fn bulk_string(text: &[u8]) -> Vec<u8> {
    let mut bytes = format!("${}\r\n", text.len()).into_bytes();
    bytes.extend_from_slice(text);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// A message that is published on a channel, as a RESP3 connection gets it.
pub fn message(channel: &[u8], text: &[u8]) -> Vec<u8> {
    array('>', &[b"message", channel, text])
}

/// A request's name, such as `SET` or `SCRIPT LOAD`.
pub fn name(words: &[Vec<u8>]) -> String {
    let word = |index: usize| {
        let bytes = words.get(index).map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(bytes).to_uppercase()
    };
    match word(0).as_str() {
        first @ ("CLIENT" | "SCRIPT" | "CONFIG") => format!("{first} {}", word(1)),
        first => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_end_where_they_end() {
        for whole in [
            b"+OK\r\n".as_slice(),
            b":-3\r\n",
            b"$3\r\na\r\n\r\n",
            b"$-1\r\n",
            b"*2\r\n:1\r\n>1\r\n_\r\n",
            b"%1\r\n+a\r\n+b\r\n",
            b"|1\r\n+a\r\n+b\r\n:1\r\n",
        ] {
            assert_eq!(frame(whole), Ok(Some(whole.len())));
            for cut in 0..whole.len() {
                assert_eq!(frame(&whole[..cut]), Ok(None));
            }
        }
        for garbage in [b"\r\n".as_slice(), b"x", b":a\r\n", b"$1\r\nabc", b"+a\rb"] {
            assert_eq!(frame(garbage), Err(Malformed));
        }
    }

    #[test]
    fn a_request_is_read_back() {
        let words: [&[u8]; 3] = [b"SCRIPT", b"LOAD", b"a\r\nb"];
        let bytes = array('*', &words);
        let (read, length) = request(&bytes).unwrap();
        assert_eq!(
            (length, name(&read)),
            (bytes.len(), "SCRIPT LOAD".to_owned())
        );
        assert_eq!(read, words);
    }
}
