//! Replies in a stream of bytes.

/// The length of the first reply or push in `bytes`, if all of it is there.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let number = || {
        std::str::from_utf8(&bytes[1..end - 2])
            .unwrap()
            .parse::<i64>()
            .unwrap()
    };
    match bytes[0] {
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Some(end),
        b'$' | b'=' => match usize::try_from(number()) {
            Ok(count) => Some(end + count + 2).filter(|length| bytes.len() >= *length),
            Err(_) => Some(end),
        },
        kind @ (b'*' | b'>' | b'~' | b'%') => {
            let mut at = end;
            let each = if kind == b'%' { 2 } else { 1 };
            for _ in 0..each * number().max(0) {
                at += length(&bytes[at..])?;
            }
            Some(at)
        }
        other => panic!("no reply begins with {:?}", char::from(other)),
    }
}

/// All replies in `bytes`, which end with one.
pub fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let length = length(bytes).expect("the last reply is whole");
        replies.push(bytes[..length].to_vec());
        bytes = &bytes[length..];
    }
    replies
}
