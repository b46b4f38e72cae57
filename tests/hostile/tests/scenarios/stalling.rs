//! Time limits hold whatever a server does.
//!
//! Nothing here asserts how long something takes: what a server did meanwhile is counted, such as the bytes of a trickle, and the
//! limits are far above what is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hostile::{Exchange, Flow, Peer, Relay, relay, wire};
use testkit::Server;

use crate::common::{PATIENCE, client, eventually, set_up_length};

/// Options under which time limits are far below those of the scenarios.
const SHORT: &str = "connect_timeout_ms=200,node_timeout_ms=50";
/// The pause of a trickle between two bytes.
const PAUSE: Duration = Duration::from_millis(20);
/// How many bytes of a trickle a call may take at most: twenty times its limit at least.
const MOST_BYTES: usize = 250;
/// How much processor time the library may take for a set-up that fails, again and again until it is told to stop.
const MOST_PROCESSOR_TIME: Duration = Duration::from_secs(5);

/// Messages instead of a reply of the set-up, with and without pauses.
pub fn endless_messages_do_not_keep_a_set_up_alive() {
    let server = Server::builder().start();
    let length = set_up_length(&server, SHORT);
    for index in [0, length / 2, length - 1] {
        for pause in [Duration::ZERO, Duration::from_millis(2)] {
            let client = client();
            let relay = Relay::to(&server, move |exchange, peer| {
                messages(exchange, peer, index, pause)
            });
            client.call(&format!("open f {SHORT} {}", relay.url()));
            eventually("the set-up to be given up", || relay.ended_by_client() > 0);
            client.is_sound();
        }
    }
}

fn messages(exchange: &Exchange<'_>, peer: &mut Peer<'_>, index: usize, pause: Duration) -> Flow {
    if exchange.index != index {
        return relay::pass(exchange, peer);
    }
    let message = wire::message(b"c", b"1 standby 1");
    while peer.send(&message) {
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    Flow::Close
}

/// The factory is freed while its set-up gets messages: that ends, and takes no processor any more.
pub fn endless_messages_end_with_the_factory() {
    let (server, client) = (Server::builder().start(), client());
    let relay = Relay::to(&server, |exchange, peer| {
        messages(exchange, peer, 2, Duration::ZERO)
    });
    client.call(&format!("open f {SHORT} {}", relay.url()));
    eventually("a set-up to begin", || relay.open() > 0);
    client.call("free f");
    eventually("the last connection to end", || relay.open() == 0);
    let spent = client.processor_time();
    println!("{spent:?} of processor time");
    assert!(
        spent < MOST_PROCESSOR_TIME,
        "it took {spent:?} of processor time"
    );
    // It is at rest: no connection is made any more.
    let accepted = relay.accepted();
    let rests_until = Instant::now() + Duration::from_secs(2);
    eventually("two seconds to pass", || Instant::now() >= rests_until);
    assert_eq!(
        relay.accepted(),
        accepted,
        "connections for a factory that is freed"
    );
}

/// A byte every 20 ms, in place of the reply to a lock: a message that grows, or a reply that does.
pub fn a_trickle_does_not_renew_the_node_timeout() {
    let server = Server::builder().start();
    let length = set_up_length(&server, SHORT);
    let message = wire::message(b"c", &[b'x'; 5000]);
    let many = wire::message(b"c", b"").repeat(500);
    let long = wire::bulk_string(&[b'x'; 5000]);
    for trickle in [message, many, long] {
        let client = client();
        let sent = Arc::new(AtomicUsize::new(0));
        let relay = Relay::to(&server, {
            let sent = Arc::clone(&sent);
            move |exchange, peer| trickles(exchange, peer, length, (&trickle, &sent))
        });
        client.call(&format!("open f {SHORT} {}", relay.url()));
        eventually("the node to be connected", || {
            client.call("check f").starts_with("REDLOCK_OK")
        });
        let asked = client.ask("try f r 1000");
        eventually("the attempt to end", || {
            let sent = sent.load(Ordering::SeqCst);
            assert!(
                sent <= MOST_BYTES,
                "an attempt goes on after {sent} bytes, one every {PAUSE:?}"
            );
            client.has_answered(asked)
        });
        client.is_sound();
    }
}

/// The same in place of each reply of the set-up.
pub fn a_trickle_does_not_keep_a_set_up_alive() {
    let server = Server::builder().start();
    let length = set_up_length(&server, SHORT);
    for index in [0, length / 2, length - 1] {
        let client = client();
        let sent = Arc::new(AtomicUsize::new(0));
        let trickle = wire::bulk_string(&[b'x'; 5000]);
        let relay = Relay::to(&server, {
            let sent = Arc::clone(&sent);
            move |exchange, peer| match exchange.connection {
                0 => trickles(exchange, peer, index, (&trickle, &sent)),
                _ => relay::pass(exchange, peer),
            }
        });
        client.call(&format!("open f {SHORT} {}", relay.url()));
        eventually("the set-up to be given up", || {
            let sent = sent.load(Ordering::SeqCst);
            assert!(
                sent <= MOST_BYTES,
                "a set-up goes on after {sent} bytes, one every {PAUSE:?}"
            );
            relay.ended_by_client() > 0
        });
        client.is_sound();
    }
}

fn trickles(
    exchange: &Exchange<'_>,
    peer: &mut Peer<'_>,
    index: usize,
    (trickle, sent): (&[u8], &AtomicUsize),
) -> Flow {
    if exchange.index != index {
        return relay::pass(exchange, peer);
    }
    for byte in trickle {
        if !peer.send(&[*byte]) || peer.is_over() {
            break;
        }
        sent.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(PAUSE);
    }
    Flow::Close
}

/// A server that never has the scripts, though they are sent in whole.
pub fn scripts_that_stay_unknown_end_an_attempt() {
    /// The most requests that one attempt at a lock may send to one node.
    const MOST_REQUESTS: usize = 50;
    let server = Server::builder().start();
    for options in ["connect_timeout_ms=20000,node_timeout_ms=20000", SHORT] {
        let client = client();
        let relay = Relay::to(&server, unknown_scripts);
        client.call(&format!("open f {options} {}", relay.url()));
        eventually("the node to be judged", || {
            relay.accepted() > 1 || client.call("check f").starts_with("REDLOCK_OK")
        });
        let (requests, accepted) = (relay.requests(), relay.accepted());
        let asked = client.ask("try f r 60000");
        eventually("the attempt to end", || client.has_answered(asked));
        // Connections that are made meanwhile have set-ups of their own.
        let set_ups = 40 * (relay.accepted() - accepted);
        let requests = relay.requests() - requests - set_ups.min(relay.requests() - requests);
        assert!(
            requests <= MOST_REQUESTS,
            "{requests} requests for one attempt"
        );
        client.is_sound();
    }
}

fn unknown_scripts(exchange: &Exchange<'_>, peer: &mut Peer<'_>) -> Flow {
    let reply: &[u8] = match exchange.name().as_str() {
        "EVAL" | "EVALSHA" => b"-NOSCRIPT No matching script. Please use EVAL.\r\n",
        "SCRIPT EXISTS" => b"*1\r\n:0\r\n",
        _ => exchange.reply,
    };
    peer.send(reply);
    Flow::Continue
}

/// Each connection is closed 3 ms after its set-up. Bounds for the first five seconds.
pub fn a_server_that_hangs_up_is_left_alone_for_a_while() {
    const MOST_CONNECTIONS: usize = 30;
    const MOST_LINES: usize = 90;
    let (server, client) = (Server::builder().start(), client());
    let length = set_up_length(&server, "-");
    let relay = Relay::to(&server, move |exchange, peer| {
        peer.send(exchange.reply);
        if exchange.index + 1 < length {
            return Flow::Continue;
        }
        std::thread::sleep(Duration::from_millis(3));
        Flow::Close
    });
    let began = Instant::now();
    client.call(&format!("open f - {}", relay.url()));
    testkit::wait_until(PATIENCE, "five seconds to pass", || {
        began.elapsed() >= Duration::from_secs(5)
    });
    let (connections, lines) = (relay.accepted(), client.log().len());
    println!("{connections} connections and {lines} log lines in five seconds");
    assert!(connections > 1, "it is tried again");
    assert!(
        connections <= MOST_CONNECTIONS,
        "{connections} connections in five seconds"
    );
    assert!(lines <= MOST_LINES, "{lines} log lines in five seconds");
}
