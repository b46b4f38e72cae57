//! Whether a server granted a lock, from all that went over a connection.
//!
//! Replies belong to requests in their order, from the first byte of the connection to the last. A lock is granted when the
//! reply that belongs to its request says so, and nothing before it is out of place.

use crate::replay::Tape;
use crate::wire;

/// Whether the server granted a lock on one of these connections.
pub fn granted(tapes: &[Tape]) -> bool {
    tapes.iter().any(grants)
}

fn grants(tape: &Tape) -> bool {
    let replies = replies(tape);
    let mut ballot_is_due = false;
    for (request, reply) in tape.requests.iter().zip(&replies) {
        match (wire::name(request).as_str(), reply.as_slice()) {
            ("SET", b"+OK\r\n") if !is_fenced(tape) => return true,
            ("SET", b"+OK\r\n") => ballot_is_due = true,
            // As many were accepted as were asked about.
            ("ZADD", reply)
                if ballot_is_due && request.get(2).is_some_and(|word| word == b"GT") =>
            {
                let all = (request.len() - 4) / 2;
                if reply == format!(":{all}\r\n").as_bytes() {
                    return true;
                }
            }
            // A script's word for it, or that a release or an extension was done.
            ("EVALSHA" | "EVAL", reply) if number(reply) == Some(0) => return true,
            _ => {}
        }
    }
    false
}

fn number(reply: &[u8]) -> Option<i64> {
    let line = reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

/// Whether locks on this connection have fences: then each SET is followed by its ballot.
fn is_fenced(tape: &Tape) -> bool {
    tape.requests
        .iter()
        .any(|request| wire::name(request) == "ZADD")
}

/// The replies that belong to the requests, as far as nothing is out of place.
fn replies(tape: &Tape) -> Vec<Vec<u8>> {
    let mut replies: Vec<Vec<u8>> = Vec::new();
    let mut rest = tape.sent.as_slice();
    while let Ok(Some(length)) = wire::frame(rest) {
        let (frame, tail) = rest.split_at(length);
        let frame = without_attributes(frame);
        rest = tail;
        let request = tape.requests.get(replies.len());
        let subscribes = request.is_some_and(|words| wire::name(words) == "SUBSCRIBE");
        let is_push = frame[0] == b'>';
        let confirms = is_push && request.is_some_and(|words| confirms(frame, words));
        match (subscribes, is_push) {
            (true, true) if confirms => replies.push(frame.to_vec()),
            (_, true) => {}
            // Only a refusal is a reply to that.
            (true, false) if !b"-!".contains(&frame[0]) && !is_resp2(tape) => break,
            (_, false) => replies.push(frame.to_vec()),
        }
    }
    replies
}

/// The reply alone, of a frame that begins with attributes of it.
fn without_attributes(mut frame: &[u8]) -> &[u8] {
    while frame[0] == b'|' {
        // As a map it ends before the reply.
        let map = [b"%", &frame[1..]].concat();
        let Ok(Some(length)) = wire::frame(&map) else {
            break;
        };
        frame = &frame[length..];
    }
    frame
}

/// Whether a push says that the channel of this request is subscribed to.
fn confirms(push: &[u8], request: &[Vec<u8>]) -> bool {
    let words = wire::strings(push);
    words.first().is_some_and(|kind| kind == b"subscribe") && words.get(1) == request.get(1)
}

fn is_resp2(tape: &Tape) -> bool {
    !tape
        .requests
        .iter()
        .any(|request| wire::name(request) == "HELLO")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape(requests: &[&str], sent: &str) -> Tape {
        let words = |text: &&str| {
            text.split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect()
        };
        Tape {
            requests: requests.iter().map(words).collect(),
            sent: sent.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_grant_is_one_in_its_place_only() {
        let requests = ["HELLO 3", "SUBSCRIBE c", "PING", "SET r t NX PX 5"];
        let setup = "%1\r\n+a\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n+PONG\r\n";
        let grants = |sent: &str| granted(&[tape(&requests, &format!("{setup}{sent}"))]);
        assert!(grants("+OK\r\n"));
        assert!(grants(">1\r\n+OK\r\n+OK\r\n"));
        assert!(grants("|1\r\n+a\r\n:1\r\n|0\r\n+OK\r\n"));
        for sent in [
            "",
            "$-1\r\n+OK\r\n",
            "\r\n+OK\r\n",
            ">3\r\n+OK\r\n+OK\r\n",
            "-ERR\r\n+OK\r\n",
        ] {
            assert!(!grants(sent), "{sent:?}");
        }
    }

    #[test]
    fn a_fenced_lock_needs_its_ballot() {
        let requests = ["HELLO 3", "SET r t NX PX 5", "ZADD k GT CH 1 2"];
        let grants = |sent: &str| granted(&[tape(&requests, &format!("%0\r\n{sent}"))]);
        assert!(grants("+OK\r\n:1\r\n"));
        assert!(!grants("+OK\r\n:0\r\n"));
        assert!(!grants("$-1\r\n:1\r\n"));
    }
}
