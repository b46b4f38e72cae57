//! The library's own keys: they stand below the key prefix, and no resource's key is one of them.

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{TTL, calls, child, eventually, options_with, queue_of};
use redlock::{Error, Factory, Options, Status, Wait};
use testkit::{Cluster, Reply, Server};

/// Takes and gives back `held` while somebody waits for it.
fn hand_over(cluster: &Cluster, factory: &Factory, held: &str) {
    let lock = factory.acquire(held, TTL, Wait::No).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| factory.acquire(held, TTL, Wait::Forever).unwrap());
        if common::nodes_call() {
            eventually("it waits", || {
                let waits = |server: &Server| server.command(&["ZCARD", &queue_of(held)]).integer();
                cluster.iter().all(|server| waits(server) == 1)
            });
        }
        lock.release().unwrap();
        waiter.join().unwrap().release().unwrap();
    });
}

/// Names that were the library's own keys before it had a place reserved for them.
#[test]
fn no_name_of_a_resource_is_touched_by_another_lock() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let names = [
        "{a}:redlock:waiting",
        "{a}:redlock:queue",
        "{}:redlock:ballots",
        "waiting:a",
        "queue:a",
        "ballots",
    ];
    let locks = names.map(|name| factory.acquire(name, TTL, Wait::No).unwrap());
    eventually("all nodes to hold them", || {
        names.iter().all(|name| cluster.keys_holding(name) == 3)
    });
    hand_over(&cluster, &factory, "a");
    for lock in locks {
        lock.extend(TTL).unwrap();
        lock.release().unwrap();
    }
}

fn is_refused<T: std::fmt::Debug>(result: redlock::Result<T>) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument, "{error:?}");
    assert!(error.message().contains("libredlock:"), "{error:?}");
    error
}

/// Also the keys of other services, which have other prefixes.
#[test]
fn a_name_that_would_be_one_of_the_library_s_own_keys_is_refused() {
    let server = Server::builder().start();
    let cases = [
        ("", "libredlock:ballots"),
        ("", "libredlock:anything"),
        ("", "app:libredlock:waiting:r"),
        ("app:", "libredlock:queue:r"),
        ("lib", "redlock:ballots"),
    ];
    for (prefix, name) in cases {
        let options = options_with(&[("key_prefix", prefix)]);
        let factory = Factory::with_options(&[server.url()], &options).unwrap();
        is_refused(factory.acquire(name, TTL, Wait::No));
        is_refused(factory.acquire_many(&["fine", name], TTL, Wait::No));
        is_refused(factory.is_locked(name));
        let lock = factory.acquire("libredlock", TTL, Wait::No).unwrap();
        lock.release().unwrap();
    }
    is_refused(Options::new().set("key_prefix", "app:libredlock:"));
}

/// What docs/DESIGN.md says that a service needs which sets `key_prefix=app:`.
const USER: &str = "service on >secret ~app:* resetchannels &libredlock:* -@all +hello +auth +ping +info +time +exists \
                    +client|setname +client|id +client|kill +subscribe +publish +script|load +script|exists +evalsha \
                    +eval +get +mget +set +del +pttl +pexpire +zadd +zmscore +zrange +zrem";

/// A user with these permissions, as this server's version can express them.
fn start_with_user(cluster: usize) -> Cluster {
    let rules = match testkit::server_version().starts_with("6.") {
        true => USER
            .replace("+client|setname +client|id +client|kill", "+client")
            .replace("+script|load +script|exists", "+script"),
        false => USER.to_owned(),
    };
    Cluster::start_with(cluster, |server| server.acl_user(&rules))
}

fn service(urls: &[String]) -> Factory {
    let options = options_with(&[("key_prefix", "app:"), ("fair", "on")]);
    let factory = Factory::with_options(urls, &options).unwrap();
    common::all_connected(&factory);
    factory
}

/// In a process of its own: holds the lock until it is told to give it back, and says when it has it.
fn hold_until_told(urls: &[String]) {
    let factory = service(urls);
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    println!("\nheld");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    lock.release().unwrap();
}

#[test]
fn a_service_needs_the_keys_below_its_prefix_only() {
    const TEST: &str = "a_service_needs_the_keys_below_its_prefix_only";
    if let Some(role) = child::role() {
        return hold_until_told(&child::urls(&role));
    }
    let cluster = start_with_user(3);
    let urls: Vec<_> = cluster
        .iter()
        .map(|server| server.url_as("service", "secret"))
        .collect();
    let factory = service(&urls);
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    assert!(factory.is_locked("r").unwrap());
    lock.extend(TTL).unwrap();
    lock.release().unwrap();
    let names = ["a", "b", "c"];
    let lock = factory.acquire_many(&names, TTL, Wait::No).unwrap();
    factory.acquire_many(&names, TTL, Wait::No).unwrap_err();
    lock.extend(TTL).unwrap();
    lock.release().unwrap();
    waits_for_another_process(TEST, &cluster, &factory, &urls);
    for server in cluster.iter() {
        // What a server persists, and whose fences it keeps, is asked of those only who may tell.
        let log = server.command(&["ACL", "LOG"]);
        for entry in log.elements() {
            let is_text = |it: &&Reply| matches!(it, Reply::Bulk(_));
            let words = entry.elements().iter().filter(is_text).map(Reply::text);
            let words: Vec<_> = words.collect();
            let optional =
                |word: &String| ["config|get", "config", "scan"].contains(&word.as_str());
            assert!(words.iter().any(optional), "{words:?}");
        }
        let keys = server.command(&["KEYS", "*"]);
        let below = |key: &Reply| key.text().starts_with("app:");
        assert!(keys.elements().iter().all(below), "{keys:?}");
    }
}

/// Another process has the lock, and calls this one when it gives it back.
fn waits_for_another_process(test: &str, cluster: &Cluster, factory: &Factory, urls: &[String]) {
    eventually("the lock to be free", || !factory.is_locked("r").unwrap());
    let mut other = child::command(test, &urls.join(","))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the other to hold it", || {
        cluster.keys_holding("app:r") == 3
    });
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| factory.acquire("r", TTL, Wait::Forever).unwrap());
        if common::nodes_call() {
            eventually("it waits", || {
                let queue = "app:libredlock:queue:r";
                let waits = |server: &Server| server.command(&["ZCARD", queue]).integer() == 1;
                cluster.iter().all(waits)
            });
        }
        drop(other.stdin.take());
        waiter.join().unwrap().release().unwrap();
    });
    assert!(other.wait().unwrap().success());
    if common::nodes_call() {
        let called = cluster.iter().filter(|server| calls(server, "publish") > 0);
        assert!(called.count() > 0, "nobody was called");
    }
    // One that gives up leaves the queue.
    let held = factory
        .acquire("r", TTL, Wait::For(Duration::from_secs(60)))
        .unwrap();
    let wait = Wait::For(Duration::from_millis(50));
    factory.acquire("r", TTL, wait).unwrap_err();
    held.release().unwrap();
}
