//! Locks that are kept alive: extended for as long as they are wanted, never beyond, and a loss is told in time, once.

mod common;

use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use common::{calls, child, eventually, options_with, vacate};
use redlock::{Event, EventKind, Factory, Lock, Queue, Status, Wait};
use testkit::{Cluster, Server};

/// So short that a test can wait for several, and so long that a busy machine does not lose one.
const SHORT: Duration = Duration::from_millis(1_200);
/// So long that nothing is extended in time while a test runs, unless it is kept alive.
const LONG: Duration = Duration::from_secs(100);

fn three() -> (Cluster, Factory) {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    (cluster, factory)
}

/// How often the server has been asked to extend a lock that was there.
fn extensions(server: &Server) -> u64 {
    calls(server, "pexpire")
}

/// How often the server has been asked for anything that takes a script, by the library.
fn questions(server: &Server) -> u64 {
    calls(server, "evalsha")
}

/// Waits until the server has extended locks so many times more.
fn more_extensions(server: &Server, count: u64) {
    let target = extensions(server) + count;
    eventually("more extensions", || extensions(server) >= target);
}

/// A lock on a server of its own that is kept alive. While its owner waits for it to be extended several times, another
/// one of the same TTL would have been, too.
struct Control {
    server: Server,
    _lock: Lock,
}

impl Control {
    fn start(ttl: Duration) -> Control {
        let server = Server::builder().start();
        let factory = Factory::with_options(&[server.url()], &common::options()).unwrap();
        let lock = factory.acquire("control", ttl, Wait::Forever).unwrap();
        lock.keep_alive_silently().unwrap();
        // Its factory must live as long as it does.
        std::mem::forget(factory);
        Control {
            server,
            _lock: lock,
        }
    }

    /// Lets pass what takes another lock of this TTL two extensions, if it were extended.
    fn some_extensions(&self) {
        more_extensions(&self.server, 3);
    }
}

/// Frees keys of a kept lock until that is noticed. Once would do, if all of them went at once: but between the one and the
/// other the lock may be extended, and is rightly taken again where it is missing.
fn lose(keys: &[(&Server, &str)], mut is_noticed: impl FnMut() -> bool) {
    eventually("the loss to be told", || {
        keys.iter().for_each(|(server, key)| vacate(server, key));
        is_noticed()
    });
}

/// Frees the lock on two of three nodes until its loss is told, and gives the event.
fn lost_on_two(cluster: &Cluster, queue: &Queue) -> Event {
    let mut events = Vec::new();
    lose(&[(&cluster[0], "r"), (&cluster[1], "r")], || {
        queue.next(&mut events, 1, Some(Duration::ZERO)).unwrap() > 0
    });
    let event = events.pop().expect("a loss is told");
    assert_eq!(event.kind, EventKind::Lost);
    event
}

fn no_event(queue: &Queue) {
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty(), "{events:?}");
}

/// Keeps a lock alive and passes on, when it is lost, for how long it was still valid and why it is lost.
fn watched(lock: Lock) -> (Arc<Lock>, Receiver<(Duration, Status)>) {
    let lock = Arc::new(lock);
    let (sender, receiver) = channel();
    let weak: Weak<Lock> = Arc::downgrade(&lock);
    lock.keep_alive(move |error| {
        let left = weak
            .upgrade()
            .map_or(Duration::ZERO, |lock| lock.validity());
        let _ = sender.send((left, error.status()));
    })
    .unwrap();
    (lock, receiver)
}

#[test]
fn a_lock_is_kept_for_many_ttls() {
    let (cluster, factory) = three();
    let queue = Queue::new().unwrap();
    let lock = factory.acquire("r", SHORT, Wait::No).unwrap();
    lock.keep_alive_in(&queue, 1).unwrap();
    for server in cluster.iter() {
        eventually("twelve extensions, each of a third", || {
            extensions(server) >= 12
        });
    }
    assert!(!lock.validity().is_zero());
    for server in cluster.iter() {
        assert_eq!(server.command(&["GET", "r"]).text(), lock.token());
    }
    lock.release().unwrap();
    no_event(&queue);
}

#[test]
fn several_resources_are_kept_as_one() {
    let (cluster, factory) = three();
    let lock = factory.acquire_many(&["a", "b"], SHORT, Wait::No).unwrap();
    let (lock, losses) = watched(lock);
    // One for each resource.
    more_extensions(&cluster[0], 2 * 4);
    assert!(!lock.validity().is_zero());
    let mut told = None;
    lose(&[(&cluster[0], "b"), (&cluster[2], "a")], || {
        told = losses.try_recv().ok();
        told.is_some()
    });
    assert_eq!(told.unwrap().1, Status::Expired);
}

#[test]
fn the_loss_of_a_majority_is_told_before_the_validity_ends() {
    let (cluster, factory) = three();
    let ttl = Duration::from_secs(5);
    let (_lock, losses) = watched(factory.acquire("r", ttl, Wait::No).unwrap());
    more_extensions(&cluster[0], 1);
    cluster[1].kill();
    cluster[2].kill();
    let (left, status) = losses.recv_timeout(common::PATIENCE).unwrap();
    assert!(!left.is_zero(), "too late");
    assert_eq!(status, Status::NoQuorum);
    // Exactly once: the function is gone.
    assert!(losses.recv().is_err());
}

/// Nor does it matter how long nodes are given to answer.
#[test]
fn a_hung_majority_is_a_loss_however_patient_the_client_is() {
    let cluster = Cluster::start(3);
    let options = options_with(&[("node_timeout_ms", "30000")]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    common::all_connected(&factory);
    let ttl = Duration::from_secs(4);
    let (_lock, losses) = watched(factory.acquire("r", ttl, Wait::No).unwrap());
    cluster[1].stop();
    cluster[2].stop();
    let (left, status) = losses.recv_timeout(common::PATIENCE).unwrap();
    assert!(!left.is_zero(), "too late");
    assert_eq!(status, Status::NoQuorum);
    for server in &cluster[1..] {
        server.cont();
    }
}

#[test]
fn keys_that_are_gone_on_a_quorum_are_a_loss_and_stay_gone() {
    let (cluster, factory) = three();
    let control = Control::start(SHORT);
    let queue = Queue::new().unwrap();
    let lock = factory.acquire("r", SHORT, Wait::No).unwrap();
    lock.keep_alive_in(&queue, 7).unwrap();
    more_extensions(&cluster[2], 2);
    let event = lost_on_two(&cluster, &queue);
    assert_eq!(event.id, 7);
    assert_eq!(event.result.unwrap_err().status(), Status::Expired);
    assert!(lock.validity().is_zero());
    // What is left of it is not deleted: it runs out.
    eventually("the rest to be gone", || !cluster[2].holds("r"));
    assert_eq!(cluster[2].info("expired_keys"), "1");
    control.some_extensions();
    assert_eq!(cluster.keys_holding("r"), 0, "a key was made anew");
    no_event(&queue);
    assert_eq!(lock.release().unwrap_err().status(), Status::Expired);
}

/// One node has lost it, another can't be reached: that one may well hold it still, and make the quorum.
#[test]
fn what_may_still_be_held_is_not_given_up() {
    let cluster = Cluster::start_with(3, |server| server.persistent());
    let factory = common::factory(&cluster);
    let lock = factory.acquire("r", LONG, Wait::No).unwrap();
    eventually("all to hold it", || cluster.keys_holding("r") == 3);
    vacate(&cluster[0], "r");
    cluster[1].kill();
    assert_eq!(lock.extend(LONG).unwrap_err().status(), Status::NoQuorum);
    assert!(!lock.validity().is_zero());
    cluster[1].restart();
    common::all_connected(&factory);
    is_taken_by_extending(&lock, &cluster[0]);
}

#[test]
fn keeping_ends_with_the_release() {
    ends_with(|lock, _| lock.release().unwrap());
}

#[test]
fn keeping_ends_when_the_lock_is_dropped() {
    ends_with(|lock, _| drop(lock));
}

#[test]
fn keeping_ends_when_the_factory_is_closed() {
    ends_with(|lock, factory| {
        factory.close();
        // It is still held, until it runs out.
        std::mem::forget(lock);
    });
}

/// Ends a kept lock somehow: after that no node is asked for it, its keys go, and no loss is told.
fn ends_with(end: impl FnOnce(Lock, &Factory)) {
    let (cluster, factory) = three();
    let control = Control::start(SHORT);
    let queue = Queue::new().unwrap();
    let lock = factory.acquire("r", SHORT, Wait::No).unwrap();
    lock.keep_alive_in(&queue, 1).unwrap();
    more_extensions(&cluster[0], 2);
    end(lock, &factory);
    eventually("its keys to be gone", || cluster.keys_holding("r") == 0);
    let asked: Vec<_> = cluster.iter().map(questions).collect();
    control.some_extensions();
    let now: Vec<_> = cluster.iter().map(questions).collect();
    assert_eq!(asked, now, "nodes are still asked");
    no_event(&queue);
}

#[test]
fn keeping_ends_with_the_process() {
    const TEST: &str = "keeping_ends_with_the_process";
    if let Some(url) = child::role() {
        let factory = Factory::with_options(&[url], &common::options()).unwrap();
        let lock = factory.acquire("r", SHORT, Wait::Forever).unwrap();
        lock.keep_alive_silently().unwrap();
        let _ = std::io::stdin().read_line(&mut String::new());
        std::process::abort();
    }
    let server = Server::builder().start();
    let mut command = child::command(TEST, &server.url());
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut process = command.spawn().unwrap();
    more_extensions(&server, 4);
    process.kill().unwrap();
    process.wait().unwrap();
    eventually("its lock to run out", || !server.holds("r"));
}

/// Only the last call counts: the one before is forgotten, and its loss never told.
#[test]
fn a_further_call_replaces_the_one_before() {
    let (cluster, factory) = three();
    let queue = Queue::new().unwrap();
    let lock = factory.acquire("r", SHORT, Wait::No).unwrap();
    for id in 1..=3 {
        lock.keep_alive_in(&queue, id).unwrap();
    }
    more_extensions(&cluster[0], 4);
    assert_eq!(lost_on_two(&cluster, &queue).id, 3);
    let control = Control::start(SHORT);
    control.some_extensions();
    no_event(&queue);
}

/// Most of its time has passed when keeping begins: the first extension may not wait for a third of the TTL.
#[test]
fn a_lock_that_has_nearly_run_out_can_still_be_kept() {
    let (cluster, factory) = three();
    let ttl = Duration::from_secs(5);
    let lock = factory.acquire("r", ttl, Wait::No).unwrap();
    eventually("most of its time to pass", || {
        lock.validity() < Duration::from_millis(1_200)
    });
    let (lock, _losses) = watched(lock);
    more_extensions(&cluster[0], 2);
    assert!(!lock.validity().is_zero());
}

/// Its owner extends it for less than is left: nothing gets shorter by that, and keeping goes on with the new TTL.
#[test]
fn a_shorter_extension_by_its_owner_is_what_keeping_goes_on_with() {
    let (cluster, factory) = three();
    let ttl = Duration::from_secs(5);
    let (lock, _losses) = watched(factory.acquire("r", ttl, Wait::No).unwrap());
    lock.extend(SHORT).unwrap();
    assert!(lock.validity() > SHORT, "{lock:?}");
    more_extensions(&cluster[0], 5);
    assert!(!lock.validity().is_zero() && lock.validity() < SHORT);
}

/// How many threads this process has, and how many of them are the library's.
fn threads() -> (usize, usize) {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names: Vec<_> = tasks
        .map_while(Result::ok)
        .map_while(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .collect();
    let ours = names.iter().filter(|name| name.starts_with("redlock-"));
    (names.len(), ours.count())
}

#[test]
fn a_hundred_thousand_kept_locks_cost_no_thread_and_are_all_extended_in_time() {
    const TEST: &str = "a_hundred_thousand_kept_locks_cost_no_thread_and_are_all_extended_in_time";
    // In a process of its own, whose threads can be counted.
    if let Some(url) = child::role() {
        return keep_a_hundred_thousand(&url);
    }
    let server = Server::builder().start();
    child::succeeds(child::command(TEST, &server.url()));
    assert!(extensions(&server) >= 100_000);
}

fn keep_a_hundred_thousand(url: &str) {
    const COUNT: u64 = 100_000;
    let ttl = Duration::from_secs(20);
    let factory = Factory::with_options(&[url], &common::options()).unwrap();
    common::all_connected(&factory);
    let (queue, losses) = (Queue::new().unwrap(), Queue::new().unwrap());
    for id in 0..COUNT {
        let resource = format!("r:{id}");
        factory
            .submit_acquire(&resource, ttl, Wait::Forever, &queue, id)
            .unwrap();
    }
    let (all, ours) = threads();
    let (mut locks, mut events) = (Vec::new(), Vec::new());
    while locks.len() < COUNT as usize {
        queue
            .next(&mut events, 1_000, Some(common::PATIENCE))
            .unwrap();
        for event in events.drain(..) {
            let Ok(redlock::Completion::Acquired(lock)) = event.result else {
                panic!("{event:?}");
            };
            lock.keep_alive_in(&losses, event.id).unwrap();
            locks.push(lock);
        }
    }
    // Each has been extended that is valid at a time by which it would have run out.
    let end = Instant::now() + ttl;
    eventually("the TTL to pass", || Instant::now() > end);
    assert!(locks.iter().all(|lock| !lock.validity().is_zero()));
    no_event(&losses);
    assert_eq!(threads(), (all, ours));
    assert_eq!(ours, 1);
    std::mem::forget(locks);
    factory.close();
}

/// Extends the lock until it is on this node, which happens after one extension.
fn is_taken_by_extending(lock: &Lock, server: &Server) {
    lock.extend(LONG).unwrap();
    eventually("the lock to be taken on the node", || {
        server.holds("r") && server.command(&["GET", "r"]).text() == lock.token()
    });
    // And is given back there.
    lock.release().unwrap();
    eventually("the lock to be given back", || !server.holds("r"));
}

#[test]
fn an_extension_takes_the_lock_on_a_node_that_was_down() {
    let (cluster, factory) = three();
    cluster[2].kill();
    let lock = factory.acquire("r", LONG, Wait::Forever).unwrap();
    cluster[2].restart();
    common::all_connected(&factory);
    assert!(!cluster[2].holds("r"));
    is_taken_by_extending(&lock, &cluster[2]);
}

#[test]
fn an_extension_takes_the_lock_on_a_node_that_lost_it() {
    let (cluster, factory) = three();
    let lock = factory.acquire("r", LONG, Wait::No).unwrap();
    eventually("all to hold it", || cluster.keys_holding("r") == 3);
    vacate(&cluster[2], "r");
    is_taken_by_extending(&lock, &cluster[2]);
}

#[test]
fn an_extension_takes_several_resources_on_a_node_that_lost_one() {
    let (cluster, factory) = three();
    let lock = factory.acquire_many(&["r", "s"], LONG, Wait::No).unwrap();
    eventually("all to hold it", || cluster.keys_holding("s") == 3);
    vacate(&cluster[2], "r");
    is_taken_by_extending(&lock, &cluster[2]);
    eventually("both to be given back", || !cluster[2].holds("s"));
}

/// Another owner's key on a node that missed the lock stays another owner's.
#[test]
fn an_extension_takes_nothing_from_another_owner() {
    let (cluster, factory) = three();
    common::occupy(&cluster[2], "r");
    let lock = factory.acquire("r", LONG, Wait::No).unwrap();
    for _ in 0..10 {
        lock.extend(LONG).unwrap();
    }
    assert_eq!(cluster[2].command(&["GET", "r"]).text(), "another owner");
}

#[test]
fn a_lock_that_is_lost_is_taken_nowhere() {
    let (cluster, factory) = three();
    let lock = factory.acquire("r", LONG, Wait::No).unwrap();
    eventually("all to hold it", || cluster.keys_holding("r") == 3);
    vacate(&cluster[1], "r");
    vacate(&cluster[2], "r");
    assert_eq!(lock.extend(LONG).unwrap_err().status(), Status::Expired);
    // What is asked later reaches each node later.
    let _barrier = factory.acquire("barrier", LONG, Wait::No).unwrap();
    eventually("the barrier", || cluster.keys_holding("barrier") == 3);
    assert_eq!(cluster.keys_holding("r"), 1);
}

/// A node that the restart guard keeps out votes for nothing, also not for locks that are held.
#[test]
fn an_extension_takes_nothing_on_a_node_that_may_not_vote() {
    let cluster = Cluster::start(3);
    let options = options_with(&[("restart_guard", "auto")]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    common::all_connected(&factory);
    let lock = factory.acquire("r", LONG, Wait::No).unwrap();
    cluster[2].restart_empty();
    common::trouble(&factory, 2, "has restarted");
    for _ in 0..10 {
        lock.extend(LONG).unwrap();
    }
    assert_eq!(common::lock_count(&cluster[2]), 0);
}
