//! Replies that are not the protocol, or that no server gives: each ends its connection, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hostile::{Client, Relay, relay, wire};
use testkit::Server;

use crate::common::{
    Bystander, HASTY, client, eventually, is_modest, occupied, session, set_up_length,
};

/// How many replies of the hot path are spoiled.
const HOT_PATH: usize = 6;

/// A reply that begins with an end of line, at each place of the dialogue.
pub fn an_empty_line_harms_its_connection_only() {
    spoiled_everywhere(&[b"\r\n"], 1);
}

pub fn garbage_harms_its_connection_only() {
    let pieces: [&[u8]; 23] = [
        b"\n",
        b"\r",
        b"\0",
        b"\xff\xfe",
        b"?\r\n",
        b"+\xff\xff\r\n",
        b":\r\n",
        b":18446744073709551616\r\n",
        b"$\r\n",
        b"$-9\r\n",
        b"$18446744073709551615\r\n",
        b"$9223372036854775807\r\n",
        b"*9223372036854775807\r\n",
        b"%9223372036854775807\r\n",
        b"|9223372036854775807\r\n",
        b">0\r\n",
        b">-1\r\n",
        b"=1\r\na\r\n",
        b"=3\r\ntxt\r\n",
        b"!-1\r\n",
        b"$?\r\n;4\r\nabcd\r\n;0\r\n",
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
    ];
    spoiled_everywhere(&pieces, 4);
}

/// Puts each of these before the replies of the dialogue, one in so many of the set-up. Another factory of the process must
/// not notice anything.
fn spoiled_everywhere(pieces: &[&'static [u8]], step: usize) {
    let (server, client) = (Server::builder().start(), client());
    let length = set_up_length(&server, HASTY);
    let bystander = Bystander::start(&client);
    let relay = Relay::honest(&server);
    for index in (0..length)
        .step_by(step)
        .chain(length - 1..length + HOT_PATH)
    {
        for piece in pieces {
            let piece = *piece;
            // Once: the connection that comes next is a good one.
            let spoilt = AtomicUsize::new(0);
            relay.behave(move |exchange, peer| {
                if exchange.index == index && spoilt.fetch_add(1, Ordering::SeqCst) == 0 {
                    peer.send(piece);
                }
                relay::pass(exchange, peer)
            });
            session(&client, HASTY, &relay.url());
            client.is_sound();
        }
    }
    bystander.ends_undisturbed(&client);
}

/// 99 levels in 396 bytes and more, instead of each reply.
pub fn deep_nesting_overflows_no_stack() {
    let (server, client) = (Server::builder().start(), client());
    let length = set_up_length(&server, HASTY);
    let relay = Relay::honest(&server);
    for index in 0..length + HOT_PATH {
        for level in ["*1\r\n", "%1\r\n", "~1\r\n", ">1\r\n", "|1\r\n"] {
            for depth in [99, 100_000] {
                let nested = format!("{}:1\r\n", level.repeat(depth));
                relay.behave(move |exchange, peer| match exchange.index == index {
                    true => {
                        peer.send(nested.as_bytes());
                        hostile::Flow::Continue
                    }
                    false => relay::pass(exchange, peer),
                });
                session(&client, HASTY, &relay.url());
                client.is_sound();
            }
        }
    }
    is_modest(&client);
}

/// What a set-up learns from replies that no server gives: the node must come to an end with each, whether it is accepted or
/// refused, and never stay "being contacted".
pub fn absurd_replies_to_the_set_up_leave_nothing_hanging() {
    let (server, client) = (Server::builder().start(), client());
    let bystander = Bystander::start(&client);
    let relay = Relay::honest(&server);
    for (name, reply) in absurd_replies(&server) {
        let seen = Arc::new(AtomicUsize::new(0));
        relay.behave({
            let (seen, reply) = (Arc::clone(&seen), reply.clone());
            move |exchange, peer| {
                if exchange.name() != name {
                    return relay::pass(exchange, peer);
                }
                seen.fetch_add(1, Ordering::SeqCst);
                peer.send(&reply);
                hostile::Flow::Continue
            }
        });
        let shown = String::from_utf8_lossy(&reply[..reply.len().min(60)]).into_owned();
        let before = relay.accepted();
        client.call(&format!("open f {HASTY} {}", relay.url()));
        eventually(&format!("{name} with {shown:?} to end"), || {
            // A new connection is made, or this one has been judged.
            relay.accepted() > before + 1 || !client.call("check f").contains("being contacted")
        });
        let answer = client.call("try f r 5000");
        assert!(
            !answer.contains("INTERNAL"),
            "{name} with {shown:?}: {answer}"
        );
        client.call("free f");
        client.is_sound();
        assert!(
            seen.load(Ordering::SeqCst) > 0,
            "{name} is a part of the set-up"
        );
    }
    bystander.ends_undisturbed(&client);
    is_modest(&client);
}

/// Requests of the set-up, and what comes instead of their replies.
fn absurd_replies(server: &Server) -> Vec<(&'static str, Vec<u8>)> {
    let info = server.command(&["INFO"]).text();
    let info_with = |field: &str, value: &[u8]| {
        let mut text = Vec::new();
        for line in info.lines() {
            match line
                .strip_prefix(field)
                .is_some_and(|rest| rest.starts_with(':'))
            {
                true => text.extend([field.as_bytes(), b":", value].concat()),
                false => text.extend_from_slice(line.as_bytes()),
            }
            text.extend_from_slice(b"\r\n");
        }
        wire::bulk_string(&text)
    };
    let mut replies = Vec::new();
    for number in [
        "18446744073709551615",
        "9223372036854775807",
        "-1",
        "99999999999999999999999",
        "x",
        "",
    ] {
        for micros in ["0", "18446744073709551615", "-5", "999999999"] {
            replies.push((
                "TIME",
                wire::array('*', &[number.as_bytes(), micros.as_bytes()]),
            ));
        }
        for field in ["uptime_in_seconds", "loading", "master_port", "aof_enabled"] {
            replies.push(("INFO", info_with(field, number.as_bytes())));
        }
        let hello = format!(
            "%2\r\n+proto\r\n:3\r\n+id\r\n${}\r\n{number}\r\n",
            number.len()
        );
        replies.push(("HELLO", hello.into_bytes()));
    }
    for field in [
        "redis_version",
        "run_id",
        "role",
        "redis_mode",
        "maxmemory_policy",
    ] {
        for value in [b"\xff\xfe\x00\x1b[31m".as_slice(), b"", &[b'9'; 300_000]] {
            replies.push(("INFO", info_with(field, value)));
        }
    }
    for hello in [
        "%0\r\n",
        "%1\r\n+proto\r\n:2\r\n",
        "%1\r\n+proto\r\n:-9223372036854775808\r\n",
        "%1\r\n*1\r\n:1\r\n:1\r\n",
        "*0\r\n",
        "_\r\n",
        "+OK\r\n",
        "%2\r\n+proto\r\n:3\r\n+id\r\n:9223372036854775807\r\n",
        "%2\r\n+proto\r\n:3\r\n+role\r\n$8\r\nsentinel\r\n",
    ] {
        replies.push(("HELLO", hello.as_bytes().to_vec()));
    }
    for time in [
        "*0\r\n",
        "*1\r\n$1\r\n5\r\n",
        "*3\r\n:1\r\n:2\r\n:3\r\n",
        ":5\r\n",
        "_\r\n",
    ] {
        replies.push(("TIME", time.as_bytes().to_vec()));
    }
    for digest in [
        b"0000000000000000000000000000000000000000".as_slice(),
        b"",
        b"\xff",
        &[b'a'; 5000],
    ] {
        replies.push(("SCRIPT LOAD", wire::bulk_string(digest)));
    }
    replies.push(("SCRIPT LOAD", b":1\r\n".to_vec()));
    for exists in [
        "*0\r\n",
        "*1\r\n:-1\r\n",
        "*2\r\n:1\r\n:1\r\n",
        ":1\r\n",
        "_\r\n",
    ] {
        replies.push(("SCRIPT EXISTS", exists.as_bytes().to_vec()));
    }
    replies
}

/// The scripts carry the run id, so one of a megabyte would be sent back nine times and stay in memory.
pub fn a_long_run_id_is_not_believed() {
    let (server, client) = (occupied(), client());
    let info = server.command(&["INFO"]).text();
    let long = format!("run_id:{}", "a".repeat(1_000_000));
    let line = info
        .lines()
        .find(|line| line.starts_with("run_id:"))
        .expect("INFO has it");
    let reply = wire::bulk_string(info.replace(line, &long).as_bytes());
    let most = Arc::new(AtomicUsize::new(0));
    let relay = Relay::to(&server, {
        let most = Arc::clone(&most);
        move |exchange, peer| {
            let length = exchange.words.iter().map(Vec::len).sum();
            most.fetch_max(length, Ordering::SeqCst);
            match exchange.name().as_str() {
                "INFO" => peer.send(&reply),
                _ => peer.send(exchange.reply),
            };
            hostile::Flow::Continue
        }
    });
    settles(&client, &relay);
    let most = most.load(Ordering::SeqCst);
    assert!(most < 100_000, "it sent a request of {most} bytes");
    is_modest(&client);
}

/// Opens a factory, and waits until the library has judged its node.
fn settles(client: &Client, relay: &Relay) {
    client.call(&format!("open f {HASTY} {}", relay.url()));
    eventually("the node to be judged", || {
        relay.accepted() > 1 || client.call("check f").starts_with("REDLOCK_OK")
    });
}
