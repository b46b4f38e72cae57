//! Replies, messages and silence without end: memory stays below a bound, and what exceeds a limit ends its connection.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use hostile::{Client, Exchange, Flow, Peer, Relay, relay, wire};
use testkit::Server;

use crate::common::{
    Bystander, FLOOD, HASTY, MOST_MEMORY_KIB, PATIENCE, client, eventually, is_modest, occupied,
    set_up_length,
};

/// Replies that begin and never end: what begins them, and what goes on for ever.
const ENDLESS: [(&str, &str); 12] = [
    ("+", "x"),
    ("-ERR ", "x"),
    (":", "1"),
    ("$2147483647\r\n", "x"),
    ("$67108864\r\n", "x"),
    ("*2147483647\r\n", ":1\r\n"),
    ("*1000000\r\n", "$4\r\nabcd\r\n"),
    ("%1000000\r\n", "+a\r\n"),
    ("~1000000\r\n", "*1\r\n:1\r\n"),
    (">1000000000\r\n", ":1\r\n"),
    ("=2147483647\r\ntxt:", "x"),
    ("", "|1\r\n+a\r\n+b\r\n"),
];

pub fn endless_replies_to_the_set_up_are_cut_off() {
    let server = Server::builder().start();
    let length = set_up_length(&server, HASTY);
    // The first reply, one in the middle and the last.
    for index in [0, length / 2, length - 1] {
        for (head, chunk) in ENDLESS {
            endless_reply(&server, index, head, chunk);
        }
    }
}

pub fn endless_replies_to_a_lock_are_cut_off() {
    let server = Server::builder().start();
    let length = set_up_length(&server, HASTY);
    for (head, chunk) in ENDLESS {
        endless_reply(&server, length, head, chunk);
    }
}

/// An endless reply at this place of the dialogue: the client must end the connection, and keep little of it.
fn endless_reply(server: &Server, index: usize, head: &'static str, chunk: &'static str) {
    let client = client();
    let (tell, ended) = mpsc::channel();
    let relay = Relay::to(server, {
        move |exchange, peer| {
            if exchange.index != index || exchange.connection > 0 {
                return relay::pass(exchange, peer);
            }
            peer.send(head.as_bytes());
            tell.send(peer.flood(chunk.as_bytes(), FLOOD).is_some())
                .unwrap();
            Flow::Close
        }
    });
    // Not the deadline but the limit is to end it.
    let options = "connect_timeout_ms=20000,node_timeout_ms=20000";
    client.call(&format!("open f {options} {}", relay.url()));
    let asked = client.ask("try f r 60000");
    eventually("the connection to end", || relay.accepted() > 1);
    client.answer(asked);
    // The relay notices later than the client.
    assert!(
        ended.recv_timeout(PATIENCE).unwrap(),
        "{head:?} and {chunk:?} without end in place of reply {index} of a set-up: it read {FLOOD} bytes of it"
    );
    is_modest(&client);
}

/// Messages of all sizes at the place of a reply of the hot path, as many as a connection can carry. The library may read them
/// all, or end the connection; but it keeps none, and its other factories go on.
pub fn a_flood_of_messages_fills_no_memory() {
    let server = Server::builder().start();
    let length = set_up_length(&server, HASTY);
    for text in ["x".repeat(10), "x".repeat(60_000), "7 standby 5".to_owned()] {
        let client = client();
        let bystander = Bystander::start(&client);
        let message = wire::message(b"c", text.as_bytes());
        let flooded = Arc::new(AtomicUsize::new(0));
        let relay = flooding(&server, length, message, &flooded);
        client.call(&format!("open f {HASTY} {}", relay.url()));
        client.call("try f r 60000");
        eventually("the flood to end", || flooded.load(Ordering::SeqCst) > 0);
        bystander.ends_undisturbed(&client);
        is_modest(&client);
    }
}

/// A relay that floods its first connection in place of this reply, and counts up when it is done.
fn flooding(server: &Server, index: usize, chunk: Vec<u8>, flooded: &Arc<AtomicUsize>) -> Relay {
    let flooded = Arc::clone(flooded);
    Relay::to(server, move |exchange, peer| {
        if exchange.index != index || exchange.connection > 0 {
            return relay::pass(exchange, peer);
        }
        // All of it may be read, which takes time.
        peer.flood(&chunk, FLOOD / 4);
        flooded.fetch_add(1, Ordering::SeqCst);
        Flow::Close
    })
}

/// Replies that answer nothing.
pub fn a_flood_of_replies_is_cut_off() {
    let server = Server::builder().start();
    let length = set_up_length(&server, HASTY);
    for index in [0, length - 1, length] {
        for chunk in ["+OK\r\n", ":1\r\n", "$-1\r\n", "-ERR x\r\n"] {
            endless_reply(&server, index, "", chunk);
        }
    }
}

/// Calls of waiters that are not there: each could cost a script's whole text.
pub fn calls_of_unknown_waiters_cost_little() {
    /// So many calls are sent, as fast as they are taken.
    const CALLS: usize = 400_000;
    let (server, client) = (Server::builder().start(), client());
    let length = set_up_length(&server, HASTY);
    let bystander = Bystander::start(&client);
    let relay = Relay::to(&server, move |exchange, peer| {
        if exchange.index == length && exchange.connection == 0 {
            for number in 0..CALLS / 100 {
                let call = wire::message(b"c", format!("{number} wake r").as_bytes());
                if !peer.send(&call.repeat(100)) {
                    return Flow::Close;
                }
            }
        }
        relay::pass(exchange, peer)
    });
    client.call(&format!("open f {HASTY} {}", relay.url()));
    client.call("try f r 60000");
    eventually("all to be well again", || {
        client.call("try f s 60000").starts_with("granted")
    });
    bystander.ends_undisturbed(&client);
    cost_little(relay.requests(), CALLS);
    is_modest(&client);
}

/// The same by PUBLISH, on a real server. Whoever may publish may cause a bounded number of extra questions.
pub fn published_calls_cost_little_on_a_real_server() {
    let (server, client) = (Server::builder().start(), client());
    client.call(&format!("open f node_timeout_ms=20000 {}", server.url()));
    let channel = channel(&server);
    publish_calls(&server, |number| (channel.clone(), number.to_string()));
    eventually("the library to go on", || {
        client.call("try f s 60000").starts_with("granted")
    });
    cost_little(questions(&server), PUBLISHED);
    is_modest(&client);
}

/// The same for a waiter that is there, whose lock stays held.
pub fn published_calls_of_a_waiter_cost_little() {
    let (server, client) = (occupied(), client());
    client.call(&format!("open f node_timeout_ms=20000 {}", server.url()));
    let asked = client.ask("acquire f r 60000 30000");
    let mut waiter = None;
    eventually("the waiter to be in the queue", || {
        waiter = queued(&server);
        waiter.is_some()
    });
    let waiter = waiter.expect("it was waited for");
    let (channel, number) = waiter.rsplit_once('|').expect("a channel and a number");
    publish_calls(&server, |_| (channel.to_owned(), number.to_owned()));
    eventually("the library to go on", || {
        client.call("try f s 60000").starts_with("granted")
    });
    cost_little(questions(&server), PUBLISHED);
    assert!(!client.has_answered(asked), "the wait goes on");
    is_modest(&client);
}

/// How many calls are published.
const PUBLISHED: usize = 400_000;

/// The channel that the process subscribes to.
fn channel(server: &Server) -> String {
    let mut channel = None;
    eventually("the process to subscribe", || {
        let names = server.command(&["PUBSUB", "CHANNELS", "*redlock:*"]);
        channel = names.elements().first().map(|name| name.text());
        channel.is_some()
    });
    channel.expect("it was waited for")
}

/// A waiter that the server has in a queue: its channel and number.
fn queued(server: &Server) -> Option<String> {
    let keys = server.command(&["KEYS", "*"]);
    let names = keys.elements().iter().map(|key| key.text());
    names
        .filter(|key| server.command(&["TYPE", key]).text() == "zset")
        .find_map(|key| {
            let members = server.command(&["ZRANGE", &key, "0", "-1"]);
            let texts = members.elements().iter().map(|member| member.text());
            texts
                .into_iter()
                .find(|text| text.contains("redlock:") && text.contains('|'))
        })
}

/// Publishes calls for the lock `r`, as fast as the server takes them, and returns when it has taken all.
fn publish_calls(server: &Server, mut waiter: impl FnMut(usize) -> (String, String)) {
    let mut publisher = TcpStream::connect(server.address()).expect("the server listens");
    let mut drain = publisher.try_clone().expect("a socket can be shared");
    let draining = std::thread::spawn(move || {
        let _ = std::io::copy(&mut drain, &mut std::io::sink());
    });
    for round in 0..PUBLISHED / 100 {
        let (channel, number) = waiter(round);
        let text = format!("{number} wake r");
        let publish = wire::array('*', &[b"PUBLISH", channel.as_bytes(), text.as_bytes()]);
        publisher
            .write_all(&publish.repeat(100))
            .expect("the server reads");
    }
    publisher
        .shutdown(std::net::Shutdown::Write)
        .expect("it is open");
    draining.join().expect("the server has answered all");
}

/// How many questions about locks the server has answered.
fn questions(server: &Server) -> usize {
    let stats = server.command(&["INFO", "commandstats"]).text();
    let calls = |name: &str| -> usize {
        let prefix = format!("cmdstat_{name}:calls=");
        let mut counts = stats
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix)?.split(',').next());
        counts
            .next()
            .map_or(0, |count| count.parse().expect("a count"))
    };
    calls("eval") + calls("evalsha") + calls("set")
}

fn cost_little(requests: usize, calls: usize) {
    println!("{requests} requests for {calls} calls");
    assert!(
        requests <= calls / 100,
        "{requests} requests for {calls} calls of waiters that are not there"
    );
}

/// One of three nodes takes connections, answers the set-up, and reads nothing any more, while large locks are taken and given
/// back: what waits to be sent to it has a limit.
pub fn a_server_that_never_reads_fills_no_memory() {
    let (cluster, client) = (testkit::Cluster::start(3), client());
    // So long that the node counts as one that is about to answer.
    let options = "node_timeout_ms=20000,restart_guard=off";
    let length = set_up_length(&cluster[0], options);
    let relay = Relay::to(&cluster[0], move |exchange, peer| {
        match exchange.index < length {
            true => relay::pass(exchange, peer),
            false => Flow::Stall,
        }
    });
    let urls = [relay.url(), cluster[1].url(), cluster[2].url()].join(",");
    client.call(&format!("open f {options} {urls}"));
    eventually("the node to be connected", || {
        client.call("check f").starts_with("REDLOCK_OK")
    });
    println!("{}", client.call("burst f 1200"));
    // The requests that wait have 8 MiB, over and over, and the releases that it missed up to 16.
    is_modest(&client);
}

/// What a server says is cut to a line of bounded length, in errors and in the log.
pub fn long_errors_are_cut_short() {
    /// The most that an error or a log line may have, in bytes, with all that the library says itself.
    const LONGEST: usize = 4096;
    let server = Server::builder().start();
    let length = set_up_length(&server, HASTY);
    for index in 0..=length {
        for size in [10_000, 900_000, 8_000_000] {
            let client = client();
            let error = format!("-ERR {}\r\n", "x\u{1b}[1m".repeat(size / 5));
            let relay = Relay::to(&server, move |exchange, peer| {
                instead(exchange, peer, index, &error)
            });
            client.call(&format!("open f {HASTY} {}", relay.url()));
            let answer = client.call("try f r 60000");
            let told = match answer.starts_with("granted") {
                true => 0,
                false => length_told(&answer),
            };
            assert!(
                told <= LONGEST,
                "an error of {told} bytes, from reply {index} with {size}: {answer}"
            );
            assert!(
                !answer.contains("\\u{1b}"),
                "control characters in an error: {answer}"
            );
            is_quiet(&client, LONGEST);
            is_modest(&client);
        }
    }
}

/// The length of the error in an answer of the client's.
fn length_told(answer: &str) -> usize {
    let length = answer.split(' ').nth(2).and_then(|word| word.parse().ok());
    length.expect("a failure has the length of its text")
}

fn instead(exchange: &Exchange<'_>, peer: &mut Peer<'_>, index: usize, reply: &str) -> Flow {
    match exchange.index == index {
        true => peer.send(reply.as_bytes()),
        false => peer.send(exchange.reply),
    };
    Flow::Continue
}

fn is_quiet(client: &Client, longest: usize) {
    for line in client.log() {
        assert!(
            line.length <= longest,
            "a log line of {} bytes",
            line.length
        );
        assert!(
            !line.text.contains("\\u{1b}"),
            "control characters in the log: {}",
            line.text
        );
    }
    assert!(
        client.peak_kib() <= MOST_MEMORY_KIB,
        "{} KiB",
        client.peak_kib()
    );
}
