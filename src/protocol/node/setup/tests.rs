//! The set-up against bytes, without sockets: in order, cut anywhere, and from servers that lie.

use super::*;
use crate::protocol::node::config::Login;
use crate::protocol::node::secret::Secret;
use crate::time::MILLISECOND;

const RUN_ID: &str = "0123456789abcdef0123456789abcdef01234567";

/// A set-up without credentials.
fn begin() -> Setup {
    begin_as(Login::default())
}

fn begin_as(login: Login) -> Setup {
    let terms = Terms {
        key_prefix: "".into(),
        max_ttl_ms: 120_000,
        fencing: true,
        ballot_retention_ms: 120_000,
        fair_grace_ms: 50,
        channel: "redlock:test".into(),
    };
    let config = NodeConfig {
        display: "redis://127.0.0.1:6379/0".to_owned(),
        database: 0,
        protocol: Protocol::Auto,
    };
    Setup::new(Arc::new(config), login, terms, None, MILLISECOND, 7)
}

/// Passes bytes in, at most `chunk` at a time.
fn feed(setup: &mut Setup, bytes: &[u8], chunk: usize) -> Result<Progress, SetupError> {
    let mut progress = Progress::Waiting;
    for part in bytes.chunks(chunk) {
        setup.room()[..part.len()].copy_from_slice(part);
        progress = setup.received(part.len(), 3 * MILLISECOND)?;
    }
    Ok(progress)
}

fn send_all(setup: &mut Setup) -> String {
    let sent = String::from_utf8_lossy(setup.unsent()).into_owned();
    let count = setup.unsent().len();
    setup.sent(count);
    sent
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// What a server answers to the greeting, behind HELLO's own reply.
fn introduction() -> String {
    let info = format!("redis_version:7.0.15\r\nrun_id:{RUN_ID}\r\nrole:master\r\n");
    format!(
        "*2\r\n{}{}+OK\r\n{}:7\r\n+PONG\r\n",
        bulk("1700000000"),
        bulk("5"),
        bulk(&info)
    )
}

fn hello() -> String {
    format!(
        "%3\r\n{}{}{}:3\r\n{}:7\r\n",
        bulk("server"),
        bulk("redis"),
        bulk("proto"),
        bulk("id")
    )
}

fn subscribed() -> String {
    format!(">3\r\n{}{}:1\r\n", bulk("subscribe"), bulk("redlock:test"))
}

/// What a server answers to the second flight, behind the subscription.
fn loaded(setup: &Setup) -> String {
    let scripts = setup.dialogue.scripts.as_ref().unwrap();
    let digests = scripts.to_load().map(|script| bulk(&script.digest));
    let config = format!("*2\r\n{}{}", bulk("appendfsync"), bulk("everysec"));
    let probes = [Step::LearnProbe, Step::Probe].map(|step| bulk(&setup.dialogue.mark(step)));
    format!(
        "*1\r\n:1\r\n{config}{}:0\r\n{}",
        digests.concat(),
        probes.concat()
    )
}

fn finish(setup: &mut Setup, chunk: usize, tail: &str) -> Box<Ready> {
    send_all(setup);
    let progress = feed(setup, (hello() + &introduction()).as_bytes(), chunk);
    assert!(matches!(progress, Ok(Progress::NextFlight)), "{progress:?}");
    send_all(setup);
    let reply = subscribed() + &loaded(setup) + tail;
    match feed(setup, reply.as_bytes(), chunk) {
        Ok(Progress::Done(ready)) => ready,
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_flights_make_a_connection_wherever_the_bytes_are_cut() {
    for chunk in [1, 2, 3, 7, 100, 4096] {
        let mut setup = begin();
        let ready = finish(&mut setup, chunk, "");
        assert_eq!(ready.server.run_id.as_deref(), Some(RUN_ID));
        assert_eq!(&*ready.server.version, "7.0.15");
        assert_eq!(ready.server.appendfsync.as_deref(), Some("everysec"));
        assert!(ready.server.resp3 && ready.server.witnessed && ready.scripts.are_known);
        assert_eq!(&*ready.scripts.channel, "redlock:test");
    }
}

#[test]
fn the_server_s_time_is_that_of_half_the_round_trip() {
    let ready = finish(&mut begin(), 4096, "");
    assert_eq!(ready.server.time_us, Some(1_700_000_000_000_005));
    // Packed at 1 ms, answered at 3 ms.
    assert_eq!(ready.server.time_at, 2 * MILLISECOND);
    assert_eq!(ready.server.round_trip, Duration::from_millis(2));
}

#[test]
fn what_arrives_behind_the_last_answer_is_kept() {
    let call = format!(
        ">3\r\n{}{}{}",
        bulk("message"),
        bulk("redlock:test"),
        bulk("1 wake a")
    );
    let whole = call.len();
    for cut in 0..=whole {
        let mut setup = begin();
        let mut ready = finish(&mut setup, 100_000, &call[..cut]);
        let rest = &call.as_bytes()[cut..];
        ready.wire.room()[..rest.len()].copy_from_slice(rest);
        ready.wire.received(rest.len());
        assert!(matches!(ready.wire.next_reply(), Ok(Some(Reply::Push(_)))));
        assert_eq!(ready.wire.next_reply(), Ok(None));
    }
}

#[test]
fn a_reply_too_many_or_too_few_is_noticed_before_the_connection_is_used() {
    let mut setup = begin();
    send_all(&mut setup);
    feed(&mut setup, (hello() + &introduction()).as_bytes(), 4096).unwrap();
    let [first, last] =
        [Step::LearnProbe, Step::Probe].map(|step| bulk(&setup.dialogue.mark(step)));
    let whole = subscribed() + &loaded(&setup);
    let before = whole.strip_suffix(&(first.clone() + &last)).unwrap();
    let refusal = "-NOPERM no\r\n";
    // As long as it takes for the set-up to end, and no more.
    for end in [
        first.clone() + &first,
        bulk("") + &first,
        bulk("") + &bulk(""),
        last.clone(),
        first.clone() + &bulk(""),
        refusal.to_owned() + &first,
    ] {
        let mut setup = begin();
        send_all(&mut setup);
        feed(&mut setup, (hello() + &introduction()).as_bytes(), 4096).unwrap();
        let own = [Step::LearnProbe, Step::Probe].map(|step| bulk(&setup.dialogue.mark(step)));
        let end = end.replace(&first, &own[0]).replace(&last, &own[1]);
        let result = feed(&mut setup, (before.to_owned() + &end).as_bytes(), 4096);
        assert!(result.is_err(), "{end:?}: {result:?}");
    }
}

#[test]
fn a_push_between_the_answers_is_none() {
    let mut setup = begin();
    send_all(&mut setup);
    feed(&mut setup, (hello() + &introduction()).as_bytes(), 4096).unwrap();
    let forged = format!(
        ">3\r\n{}{}{}",
        bulk("message"),
        bulk("redlock:test"),
        bulk(":0\r\n+OK")
    );
    let reply = forged.clone() + &subscribed() + &forged + &loaded(&setup);
    let progress = feed(&mut setup, reply.as_bytes(), 4096);
    assert!(matches!(progress, Ok(Progress::Done(_))), "{progress:?}");
}

#[test]
fn refused_hello_is_followed_by_auth() {
    for refusal in [
        "-ERR unknown command 'HELLO'",
        "-unsupported command 'HELLO'",
        "-NOPERM no",
        "-NOAUTH Authentication required.",
    ] {
        let mut setup = begin_as(Login {
            user: Some("ann".to_owned()),
            password: Some(Secret::new("pw")),
        });
        assert!(send_all(&mut setup).contains("HELLO"));
        let denied = "-NOAUTH no\r\n".repeat(5);
        let reply = format!("{refusal}\r\n{denied}");
        let progress = feed(&mut setup, reply.as_bytes(), 4096);
        assert!(matches!(progress, Ok(Progress::NextFlight)), "{progress:?}");
        let sent = send_all(&mut setup);
        assert!(sent.contains("AUTH") && !sent.contains("HELLO"), "{sent}");
        let reply = format!("+OK\r\n{}", introduction());
        let progress = feed(&mut setup, reply.as_bytes(), 4096);
        assert!(matches!(progress, Ok(Progress::NextFlight)), "{progress:?}");
        assert!(!send_all(&mut setup).contains("SUBSCRIBE"));
    }
}

#[test]
fn whatever_comes_back_is_an_error_and_no_panic() {
    for bytes in [
        &b"\r\n"[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"$9223372036854775807\r\nx",
        b"$18446744073709551616\r\nx",
        b"*9223372036854775807\r\n:1\r\n",
        b"*1000000000\r\n:1\r\n",
        b"*4294967295\r\n:1\r\n",
        b"%9223372036854775807\r\n:1\r\n",
        b"%4611686018427387904\r\n:1\r\n",
        b"%-2\r\n:1\r\n",
        b"~9223372036854775807\r\n:1\r\n",
        b"|9223372036854775807\r\n:1\r\n",
        b">9223372036854775807\r\n:1\r\n",
        b">1\r\n:1\r\n",
        b"=9223372036854775807\r\ntxt:x\r\n",
        b"=1\r\nx\r\n",
        b":x\r\n",
        b":0\r\n",
        b"+OK\r\n",
        b"_\r\n",
        b"\0\0\0\0\r\n",
    ] {
        let result = feed(&mut begin(), bytes, 4096);
        let shown = String::from_utf8_lossy(bytes).into_owned();
        assert!(result.is_err(), "{shown:?}: {result:?}");
    }
    let deep = b"*1\r\n".repeat(99);
    assert!(feed(&mut begin(), &deep, 4096).is_err());
}

#[test]
fn absurd_times_run_ids_and_digests_are_refused() {
    for time in ["18446744073709551615", "9007199255000000", "-1", "x"] {
        let mut setup = begin();
        let reply = format!("{}*2\r\n{}{}", hello(), bulk(time), bulk("0"));
        let error = feed(&mut setup, reply.as_bytes(), 4096).unwrap_err();
        assert!(error.message.contains("TIME"), "{error:?}");
    }
    for run_id in ["a".repeat(129), "x\ny".to_owned(), "+-".to_owned()] {
        let mut setup = begin();
        let reply = hello() + &introduction().replace(RUN_ID, &run_id);
        // The length of INFO's text is another, too.
        let _ = feed(&mut setup, reply.as_bytes(), 4096);
        assert_ne!(setup.dialogue.server.run_id.as_deref(), Some(&*run_id));
    }
    let mut setup = begin();
    feed(&mut setup, (hello() + &introduction()).as_bytes(), 4096).unwrap();
    let digest = &setup.dialogue.scripts.as_ref().unwrap().release.digest;
    let forged = (subscribed() + &loaded(&setup)).replace(digest.as_str(), &"0".repeat(40));
    let error = feed(&mut setup, forged.as_bytes(), 4096).unwrap_err();
    assert!(error.message.contains("SCRIPT LOAD"), "{error:?}");
}

#[test]
fn servers_that_cannot_vote_are_refused_with_the_reason() {
    for (from, to, reason) in [
        ("version:7.0.15", "version:6.0.16", "fencing=off"),
        ("role:master", "role:active-replica", "replica"),
        ("role:master", "role:slave", "replica"),
        ("role:master", "redis_mode:cluster", "cluster mode"),
        ("role:master", "redis_mode:sentinel", "Sentinel"),
        ("role:master", "loading:1", "loading"),
    ] {
        let mut setup = begin();
        let info = "redis_version:7.0.15\r\nrole:master\r\n".replace(from, to);
        let reply = format!(
            "{}*2\r\n{}{}+OK\r\n{}",
            hello(),
            bulk("1700000000"),
            bulk("5"),
            bulk(&info)
        );
        let error = feed(&mut setup, reply.as_bytes(), 4096).unwrap_err();
        assert_eq!(error.kind, Status::NotAdmitted);
        assert!(error.message.contains(reason), "{error:?}");
    }
}

#[test]
fn a_server_that_sends_without_end_is_given_up() {
    let mut setup = begin();
    feed(&mut setup, hello().as_bytes(), 4096).unwrap();
    let push = format!(">1\r\n{}", bulk(&"x".repeat(1000)));
    let error = loop {
        if let Err(error) = feed(&mut setup, push.as_bytes(), 4096) {
            break error;
        }
        assert!(setup.received <= 2 * MAX_RECEIVED, "no end");
    };
    assert!(error.message.contains("1 MiB"), "{error:?}");
}

#[test]
fn a_server_that_hangs_up_has_said_why() {
    let mut setup = begin();
    let refusal = b"-ERR max number of clients reached\r\n";
    feed(&mut setup, refusal, 4096).unwrap();
    let error = setup.closed(true);
    assert_eq!(error.kind, Status::Server);
    assert_eq!(error.message, "ERR max number of clients reached");
    let error = begin().closed(true);
    assert_eq!(error.kind, Status::Unreachable);
    assert!(error.message.contains("instead of answering HELLO"));
    assert!(error.message.contains("rediss://"), "{error:?}");
}
