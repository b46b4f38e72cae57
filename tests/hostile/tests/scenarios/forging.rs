//! Another owner holds the lock all the time: whatever comes, no attempt may be granted.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hostile::{Exchange, Flow, Peer, Relay, relay, wire};
use testkit::Server;

use crate::common::{HASTY, HASTY_UNFENCED, client, eventually, occupied, session, set_up_length};

/// How many factories ask for the lock while lines are published, and how many at once.
const FACTORIES: usize = 400;
const AT_ONCE: usize = 4;

pub fn published_lines_are_no_grants_without_fences() {
    published_lines("fencing=off");
}

pub fn published_lines_are_no_grants_with_default_options() {
    published_lines("-");
}

/// On a real server: whoever may PUBLISH floats lines on the process's channel, while connections are made, and cut again.
fn published_lines(options: &str) {
    let (server, client) = (occupied(), client());
    // It keeps the channel there.
    client.call(&format!("open f {options} {}", server.url()));
    eventually("the process to subscribe", || !channels(&server).is_empty());
    let (over, grants, done) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| publish_lines(&server, &over));
        scope.spawn(|| cut_again_and_again(&server, &over));
        let ask = || {
            // A panic here would keep the others from ending.
            while done.fetch_add(1, Ordering::SeqCst) < FACTORIES && !client.has_died() {
                let asked = client.ask(&format!("session {options} r {}", server.url()));
                match client.answer(asked) {
                    hostile::Answer::Text(text) if text.contains("refused") => {}
                    hostile::Answer::Text(_) => drop(grants.fetch_add(1, Ordering::SeqCst)),
                    _ => break,
                }
            }
        };
        let asking: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(ask)).collect();
        for thread in asking {
            thread.join().expect("it does not panic");
        }
        over.store(true, Ordering::SeqCst);
    });
    let (grants, panics) = (grants.load(Ordering::SeqCst), client.panics().len());
    assert_eq!(
        grants, 0,
        "grants of a lock that another holds, and {panics} panics"
    );
    client.is_sound();
}

fn channels(server: &Server) -> Vec<String> {
    let names = server.command(&["PUBSUB", "CHANNELS", "*redlock:*"]);
    names.elements().iter().map(|name| name.text()).collect()
}

fn publish_lines(server: &Server, over: &AtomicBool) {
    let mut publisher = TcpStream::connect(server.address()).expect("the server listens");
    let mut drain = publisher.try_clone().expect("a socket can be shared");
    // The replies are of no consequence; nor is the end, which a cut may bring.
    std::thread::spawn(move || std::io::copy(&mut drain, &mut std::io::sink()));
    let payloads = [
        ":0\r\n",
        "+OK\r\n",
        ":1\r\n",
        "*1\r\n:1\r\n",
        ":0\r\n+OK\r\n:1\r\n",
    ];
    let mut round = 0_usize;
    while !over.load(Ordering::SeqCst) {
        for channel in channels(server) {
            let text = payloads[round % payloads.len()].repeat(1 + round * 37 % 4000);
            let publish = wire::array('*', &[b"PUBLISH", channel.as_bytes(), text.as_bytes()]);
            if std::io::Write::write_all(&mut publisher, &publish).is_err() {
                publisher = TcpStream::connect(server.address()).expect("the server listens");
            }
            round += 1;
        }
    }
}

/// Cuts all connections that are subscribed to something, now and then.
fn cut_again_and_again(server: &Server, over: &AtomicBool) {
    let mut round = 0;
    while !over.load(Ordering::SeqCst) {
        server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).ok();
        // As many looks at it are the pause.
        while !over.load(Ordering::SeqCst) && round % 8 != 7 {
            channels(server);
            round += 1;
        }
        round += 1;
    }
}

/// A message that is all replies, and is cut at every place: its first part comes with a reply of the set-up, the rest with the
/// next reply. Nothing is wrong with that stream, so the attempt ends as it does without it.
pub fn a_message_cut_anywhere_around_the_set_up_is_no_grant() {
    let server = occupied();
    let message = wire::message(b"c", b":0\r\n+OK\r\n:1\r\n+OK\r\n");
    for options in ["fencing=off", "-"] {
        let length = set_up_length(&server, options);
        let client = client();
        let (at, cut) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let relay = Relay::to(&server, {
            let (at, cut, message) = (Arc::clone(&at), Arc::clone(&cut), message.clone());
            move |exchange, peer| cut_message(exchange, peer, &message, (&at, &cut))
        });
        let mut wrong = Vec::new();
        // The last replies of the set-up, and the first of the hot path.
        for reply in length - 3..=length {
            at.store(reply, Ordering::SeqCst);
            for place in 0..=message.len() {
                cut.store(place, Ordering::SeqCst);
                let (status, granted) = session(&client, options, &relay.url());
                if granted || status != "REDLOCK_ERR_CONTENDED" {
                    wrong.push((reply, place, status, granted));
                }
            }
        }
        let grants = wrong.iter().filter(|outcome| outcome.3).count();
        let panics = client.panics().len();
        assert!(
            wrong.is_empty(),
            "{options}: {} attempts ended otherwise than they should, {grants} with a grant, {panics} panics; \
             the first (reply of {length}, cut at, status, granted): {:?}",
            wrong.len(),
            wrong[0]
        );
        client.is_sound();
    }
}

fn cut_message(
    exchange: &Exchange<'_>,
    peer: &mut Peer<'_>,
    message: &[u8],
    (at, cut): (&AtomicUsize, &AtomicUsize),
) -> Flow {
    let (at, (first, rest)) = (
        at.load(Ordering::SeqCst),
        message.split_at(cut.load(Ordering::SeqCst)),
    );
    if exchange.index == at {
        peer.send(&[exchange.reply, first].concat());
    } else if exchange.index == at + 1 {
        peer.send(&[rest, exchange.reply].concat());
    } else {
        peer.send(exchange.reply);
    }
    Flow::Continue
}

pub fn replies_too_many_are_no_grant_without_fences() {
    replies_too_many(HASTY_UNFENCED, 2);
}

pub fn replies_too_many_are_no_grant_with_default_options() {
    replies_too_many(HASTY, 5);
}

/// A reply that nothing asked for, before or behind each one of the dialogue.
fn replies_too_many(options: &'static str, of_hot_path: usize) {
    let (server, client) = (occupied(), client());
    let length = set_up_length(&server, options);
    let extras = [
        "+OK\r\n",
        ":0\r\n",
        ":1\r\n",
        "*1\r\n:1\r\n",
        "$-1\r\n",
        "+PONG\r\n",
    ];
    let relay = Relay::honest(&server);
    let mut wrong = Vec::new();
    for index in 0..length + of_hot_path {
        for extra in extras {
            for before in [true, false] {
                // Where an answer about a lock is due, these are the server's words for a grant, by SET and by the script, and
                // they may well be: a later connection asks for the lock behind a release.
                let is_a_grant = ["+OK\r\n", ":0\r\n", ":1\r\n"].contains(&extra);
                if index >= length && is_a_grant {
                    continue;
                }
                relay.behave(move |exchange, peer| match exchange.index == index {
                    true if before => send(peer, &[extra.as_bytes(), exchange.reply]),
                    true => send(peer, &[exchange.reply, extra.as_bytes()]),
                    false => relay::pass(exchange, peer),
                });
                let (status, granted) = session(&client, options, &relay.url());
                let place = if before { "before" } else { "behind" };
                if granted {
                    wrong.push(format!("{status} with {extra:?} {place} reply {index}"));
                }
                client.is_sound();
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{options}: {} grants of a held lock (a set-up has {length} replies): {wrong:?}",
        wrong.len()
    );
}

fn send(peer: &mut Peer<'_>, parts: &[&[u8]]) -> Flow {
    peer.send(&parts.concat());
    Flow::Continue
}

/// Replies that are good ones, but not of these requests.
const MISPLACED: [(&str, &[&str]); 9] = [
    ("HELLO", &["+OK\r\n", ":1\r\n", "$2\r\nhi\r\n"]),
    ("PING", &["+OK\r\n", ":1\r\n", "$-1\r\n"]),
    ("SCRIPT LOAD", &["+OK\r\n", ":1\r\n", "*1\r\n:1\r\n"]),
    (
        "SET",
        &[":1\r\n", "$2\r\nhi\r\n", "*1\r\n:1\r\n", "+PONG\r\n"],
    ),
    ("ZADD", &["+OK\r\n", "$-1\r\n", "*1\r\n:1\r\n"]),
    ("SCRIPT EXISTS", &["+OK\r\n", ":1\r\n", "$-1\r\n"]),
    ("TIME", &["+OK\r\n", ":1\r\n", "*1\r\n:1\r\n"]),
    ("EVALSHA", &["+OK\r\n", "*1\r\n:1\r\n", "+PONG\r\n"]),
    ("EXISTS", &["+OK\r\n", "$-1\r\n", "*1\r\n:1\r\n"]),
];

/// A reply that cannot be the request's shows that the stream is shifted: the connection is no good any more.
pub fn a_reply_to_something_else_ends_the_connection() {
    let (server, client) = (Server::builder().start(), client());
    let mut kept = Vec::new();
    for (name, replies) in MISPLACED {
        for reply in replies {
            let relay = Relay::to(&server, move |exchange, peer| {
                match exchange.name() == name && exchange.connection == 0 {
                    true => send(peer, &[reply.as_bytes()]),
                    false => relay::pass(exchange, peer),
                }
            });
            client.call(&format!("open f {HASTY} {}", relay.url()));
            // Another resource for each, as some are not given back.
            let resource = format!("{name}-{}", &reply[..2]).replace(' ', "-");
            let acquire = format!("acquire f {resource} 60000 5000");
            if client.call(&acquire).starts_with("granted") {
                client.call(&format!("release {resource}"));
            }
            client.call(&format!("locked f {resource}"));
            let ended = (0..200).any(|_| {
                client.call("check f");
                std::thread::yield_now();
                relay.accepted() > 1
            });
            if !ended {
                kept.push(format!("{reply:?} to {name}"));
            }
            client.call("free f");
        }
    }
    assert!(
        kept.is_empty(),
        "{} connections were kept: {kept:?}",
        kept.len()
    );
    client.is_sound();
}
