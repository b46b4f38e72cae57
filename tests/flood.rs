//! Somebody who may publish on the process's channel says what it likes there: that costs a bounded number of questions
//! and a bounded amount of memory.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::{TTL, calls, eventually, nodes_call, options_with, queue_of};
use redlock::{Factory, Queue, Wait};
use testkit::{Cluster, Server};

/// Far more than what may be answered of them.
const MESSAGES: usize = 300_000;
const QUESTIONS: u64 = MESSAGES as u64 / 50;
/// In KiB.
const MEMORY: u64 = 64 * 1024;

/// Publishes so many messages as fast as the server takes them; `message` makes each from its number.
fn publish(server: &Server, channel: &str, message: impl Fn(usize) -> String) {
    let stream = TcpStream::connect((server.host(), server.port())).unwrap();
    std::thread::scope(|scope| {
        let mut replies = &stream;
        scope.spawn(move || {
            let (mut buffer, mut lines) = ([0; 65536], 0);
            while lines < MESSAGES {
                let count = replies.read(&mut buffer).unwrap();
                assert!(count > 0, "the server hung up");
                lines += buffer[..count].iter().filter(|it| **it == b'\n').count();
            }
        });
        let mut commands = &stream;
        let mut batch = String::new();
        for number in 0..MESSAGES {
            let text = message(number);
            batch += &format!("PUBLISH {channel} \"{text}\"\r\n");
            if batch.len() > 60_000 || number + 1 == MESSAGES {
                commands.write_all(batch.as_bytes()).unwrap();
                batch.clear();
            }
        }
    });
}

/// The most memory that this process has had so far, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let words = line.expect("Linux tells").split_whitespace();
    words.rev().nth(1).unwrap().parse().unwrap()
}

fn questions(server: &Server) -> u64 {
    ["eval", "evalsha", "set"]
        .iter()
        .map(|it| calls(server, it))
        .sum()
}

fn members(server: &Server) -> Vec<String> {
    let members = server.command(&["ZRANGE", &queue_of("r"), "0", "-1"]);
    members.elements().iter().map(|it| it.text()).collect()
}

#[test]
fn messages_that_nobody_owes_cost_little() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    // So that a turn does not pass on a busy machine.
    let options = options_with(&[("fair", "on"), ("fair_grace_ms", "60000")]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    common::all_connected(&factory);
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    factory
        .submit_acquire("r", TTL, Wait::Forever, &queue, 1)
        .unwrap();
    let server = &cluster[0];
    eventually("it waits", || {
        cluster.iter().all(|server| members(server).len() == 1)
    });
    let waiter = members(server).pop().unwrap();
    let (channel, number) = waiter.rsplit_once('|').unwrap();
    let number: u64 = number.parse().unwrap();
    let messages: [(&str, &dyn Fn(usize) -> String); 8] = [
        ("waiters that never were", &|it| {
            format!("{} wake r", it + 1_000)
        }),
        ("the same one again and again", &|_| {
            "77777 wake r".to_owned()
        }),
        ("other locks", &|it| format!("{number} wake r{it}")),
        ("the waiter that waits", &|_| format!("{number} wake r")),
        ("looks at once", &|_| format!("{number} standby 0")),
        ("looks at some time", &|it| format!("{number} standby {it}")),
        ("looks after ages", &|it| {
            format!("{number} standby {}", u64::MAX - it as u64)
        }),
        ("nonsense", &|it| match it % 4 {
            0 => format!("{number} standby never"),
            1 => format!("{} standby 1", u64::MAX),
            2 => "wake".to_owned(),
            _ => format!("-1 wake {}", "x".repeat(100)),
        }),
    ];
    for (what, message) in messages {
        let (memory, before) = (peak_memory(), cluster.iter().map(questions));
        let before: u64 = before.sum();
        publish(server, channel, message);
        // All of them have been read, for the answer comes behind them.
        assert!(factory.is_locked("r").unwrap());
        let asked = cluster.iter().map(questions).sum::<u64>() - before;
        assert!(asked < QUESTIONS, "{what}: {asked} questions");
        let grown = peak_memory() - memory;
        assert!(grown < MEMORY, "{what}: {grown} KiB");
    }
    // The waiter is served as if nothing had been.
    held.release().unwrap();
    let mut events = Vec::new();
    let served = queue.next(&mut events, 1, Some(Duration::from_secs(60)));
    assert_eq!(served.unwrap(), 1);
    assert!(events[0].result.is_ok());
}
