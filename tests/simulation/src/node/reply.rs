//! What a node answers, and how it is put on the wire.

use super::version::Version;

/// A reply, before it is known in which protocol it leaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A short word such as `OK`.
    Status(Vec<u8>),
    /// An error, its code first, without the leading `-`.
    Error(Vec<u8>),
    /// A number.
    Integer(i64),
    /// A string.
    Bulk(Vec<u8>),
    /// Nothing: no such key.
    Nil,
    /// A list.
    Array(Vec<Reply>),
    /// Keys and values in turn: a list of them in RESP2.
    Map(Vec<Reply>),
    /// Members of a sorted set with their scores: pairs in RESP3, a flat list in RESP2.
    Scored(Vec<(Vec<u8>, f64)>),
    /// A score: a string in RESP2.
    Double(f64),
    /// What answers no command: a list in RESP2.
    Push(Vec<Reply>),
}

impl Reply {
    /// The status `OK`.
    pub fn ok() -> Reply {
        Reply::Status(b"OK".to_vec())
    }

    /// An error with this text.
    pub fn error(text: impl Into<Vec<u8>>) -> Reply {
        Reply::Error(text.into())
    }

    /// A string.
    pub fn bulk(text: impl AsRef<[u8]>) -> Reply {
        Reply::Bulk(text.as_ref().to_vec())
    }

    /// Appends the reply to `out`, as a connection wants it that speaks RESP3 or not.
    pub fn write(&self, out: &mut Vec<u8>, resp3: bool, version: Version) {
        match self {
            Reply::Status(text) => line(out, b'+', text),
            Reply::Error(text) => line(out, b'-', text),
            Reply::Integer(number) => head(out, b':', *number),
            Reply::Bulk(text) => bulk(out, text),
            Reply::Nil if resp3 => out.extend_from_slice(b"_\r\n"),
            Reply::Nil => out.extend_from_slice(b"$-1\r\n"),
            Reply::Array(elements) => list(out, b'*', elements, (resp3, version)),
            Reply::Map(parts) if resp3 => {
                head(out, b'%', parts.len() as i64 / 2);
                for part in parts {
                    part.write(out, resp3, version);
                }
            }
            Reply::Map(parts) => list(out, b'*', parts, (resp3, version)),
            Reply::Push(parts) if resp3 => list(out, b'>', parts, (resp3, version)),
            Reply::Push(parts) => list(out, b'*', parts, (resp3, version)),
            Reply::Double(score) if resp3 => line(out, b',', version.score(*score).as_bytes()),
            Reply::Double(score) => bulk(out, version.score(*score).as_bytes()),
            Reply::Scored(members) => scored(out, members, (resp3, version)),
        }
    }
}

fn list(out: &mut Vec<u8>, kind: u8, elements: &[Reply], (resp3, version): (bool, Version)) {
    head(out, kind, elements.len() as i64);
    for element in elements {
        element.write(out, resp3, version);
    }
}

fn scored(out: &mut Vec<u8>, members: &[(Vec<u8>, f64)], (resp3, version): (bool, Version)) {
    let each = if resp3 { 1 } else { 2 };
    head(out, b'*', each * members.len() as i64);
    for (member, score) in members {
        if resp3 {
            head(out, b'*', 2);
        }
        bulk(out, member);
        Reply::Double(*score).write(out, resp3, version);
    }
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    // A line ends where it ends: Redis, too, makes spaces of what would break it.
    out.extend(text.iter().map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        other => *other,
    }));
    out.extend_from_slice(b"\r\n");
}

fn bulk(out: &mut Vec<u8>, text: &[u8]) {
    head(out, b'$', text.len() as i64);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn head(out: &mut Vec<u8>, kind: u8, number: i64) {
    out.push(kind);
    decimal(out, number);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal digits.
pub fn decimal(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut left = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}
