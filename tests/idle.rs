//! What the library costs a process that does nothing with it, or makes and drops a great many factories.

mod common;

use std::fs;

use common::child::{run_alone, urls};
use common::threads::comes_to_rest;
use common::{PATIENCE, TTL, child, eventually, occupy};
use redlock::{Factory, Wait};
use testkit::{Cluster, Server};

#[test]
fn an_idle_process_is_never_woken() {
    let Some(role) = child::role() else {
        return run_alone("an_idle_process_is_never_woken", &Cluster::start(3));
    };
    let factory = Factory::with_options(&urls(&role), &common::options()).unwrap();
    common::all_connected(&factory);
    comes_to_rest("rest after the connections are made");
    // Many in a row: the calls of a lonely thread are driven by itself, and the I/O thread stands by meanwhile.
    for _ in 0..500 {
        common::works_again(&factory, "r");
    }
    comes_to_rest("rest after many locks");
    let _held = factory.acquire("r", TTL, Wait::No).unwrap();
    comes_to_rest("rest while a lock is held");
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn factories_come_and_go_without_leaving_descriptors_or_threads() {
    let Some(role) = child::role() else {
        let test = "factories_come_and_go_without_leaving_descriptors_or_threads";
        return run_alone(test, &Cluster::start(3));
    };
    let urls = urls(&role);
    let once = |name: &str| {
        let factory = Factory::with_options(&urls, &common::options()).unwrap();
        let lock = factory.acquire(name, TTL, Wait::For(PATIENCE)).unwrap();
        lock.release().unwrap();
        factory
    };
    // What the process has anyway once it has used the library.
    let first = once("r");
    let (files, others) = (open_files(), threads());
    for round in 0..100 {
        drop(once(&format!("r{round}")));
        // These have hardly begun to connect.
        drop(Factory::with_options(&urls, &common::options()).unwrap());
    }
    eventually("the descriptors to be closed", || open_files() <= files);
    eventually("the threads to end", || threads() <= others);
    drop(first);
    eventually("the last ones to be closed", || open_files() < files);
}

#[test]
fn a_thousand_factories_work_at_once() {
    let Some(role) = child::role() else {
        return run_alone("a_thousand_factories_work_at_once", &Cluster::start(1));
    };
    let urls = urls(&role);
    let factories: Vec<Factory> = (0..1_000)
        .map(|_| Factory::with_options(&urls, &common::options()).unwrap())
        .collect();
    let begin = |(index, factory): (usize, &Factory)| {
        factory.acquire_async(&format!("r{index}"), TTL, Wait::For(PATIENCE))
    };
    let under_way: Vec<_> = factories.iter().enumerate().map(begin).collect();
    let locks: Vec<_> = under_way
        .into_iter()
        .map(|lock| common::block_on(lock).unwrap())
        .collect();
    for lock in &locks {
        lock.release().unwrap();
    }
    drop(locks);
    drop(factories);
    eventually("all threads that connect to end", || threads() < 10);
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

/// Waiters that never get their lock try again and again; none of the attempts may leave anything behind in memory, not
/// even for a node that hangs.
#[test]
fn endless_retries_do_not_grow_the_process() {
    const TEST: &str = "endless_retries_do_not_grow_the_process";
    let Some(role) = child::role() else {
        let cluster = Cluster::start(3);
        cluster.iter().for_each(|server| occupy(server, "r"));
        cluster[2].stop();
        return run_alone(TEST, &cluster);
    };
    let mut options = common::options_with(&[("node_timeout_ms", "100")]);
    options.set("retry_min_ms", "1").unwrap();
    options.set("retry_max_ms", "1").unwrap();
    let urls = urls(&role);
    let factory = Factory::with_options(&urls, &options).unwrap();
    let waiters: Vec<_> = (0..32)
        .map(|_| factory.acquire_async("r", TTL, Wait::Forever))
        .collect();
    let attempts = attempts_seen_by(&urls[0]);
    eventually("the first attempts", || attempts() > 10_000);
    let before = resident();
    eventually("many more attempts", || attempts() > 60_000);
    let grown = resident().saturating_sub(before);
    // A hundred bytes for each attempt would be five times as much.
    assert!(grown < 1024, "it grew by {grown} KiB");
    drop(waiters);
}

/// How many SETs a server has carried out, asked over a connection of the test's own.
fn attempts_seen_by(url: &str) -> impl Fn() -> u64 {
    use std::io::{Read, Write};
    let address = url.trim_start_matches("redis://").to_owned();
    move || {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.write_all(b"INFO commandstats\r\nQUIT\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_set:calls="));
        line.and_then(|line| line.split(',').next()?.parse().ok())
            .unwrap_or(0)
    }
}

/// A process that ends must not be held up by the library's threads, whatever they are doing.
#[test]
fn a_process_ends_while_nodes_are_tried_and_locks_waited_for() {
    let Some(role) = child::role() else {
        let server = Server::builder().start();
        occupy(&server, "r");
        let role = format!("{},redis://127.0.0.1:1,{}", server.url(), "redis://[::1]:1");
        let test = "a_process_ends_while_nodes_are_tried_and_locks_waited_for";
        return child::succeeds(child::command(test, &role));
    };
    let factory = Factory::with_options(&urls(&role), &common::options()).unwrap();
    let waiter = factory.acquire_async("r", TTL, Wait::Forever);
    let error = factory.acquire("s", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), redlock::Status::NoQuorum);
    // Neither is dropped before the end.
    std::mem::forget(waiter);
    std::mem::forget(factory);
}
