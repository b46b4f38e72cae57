//! Several resources as one lock: all or none of them on every node, in one round trip, and never a deadlock.

mod common;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use common::{Scratch, calls, child, eventually, lock_count, nodes_call, occupy, queue_of, vacate};
use redlock::{Completion, Error, Factory, MAX_RESOURCES, Queue, Status, Wait};
use testkit::{Cluster, Reply, Server};

const TTL: Duration = Duration::from_secs(100);

fn three() -> (Cluster, Factory) {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    (cluster, factory)
}

fn random(below: usize) -> usize {
    // Each RandomState has keys of its own, which makes it the standard library's source of random numbers.
    let number = RandomState::new().build_hasher().finish();
    usize::try_from(number % below as u64).unwrap()
}

/// Some of the names, in any order.
fn some_of(names: &[&str]) -> Vec<String> {
    let mut rest = names.to_vec();
    let count = 1 + random(names.len());
    let mut take = || rest.swap_remove(random(rest.len())).to_owned();
    (0..count).map(|_| take()).collect()
}

#[test]
fn all_are_locked_on_every_node_with_one_token_and_freed_together() {
    let (cluster, factory) = three();
    let names = ["a", "b", "c"];
    let lock = factory.acquire_many(&names, TTL, Wait::No).unwrap();
    assert_eq!(lock.resource(), "a");
    assert_eq!(lock.resources().collect::<Vec<_>>(), names);
    for name in names {
        eventually("all nodes to hold it", || cluster.keys_holding(name) == 3);
        for server in cluster.iter() {
            assert_eq!(server.command(&["GET", name]).text(), lock.token());
        }
        let refused = factory.acquire(name, TTL, Wait::No).unwrap_err();
        assert_eq!(refused.status(), Status::Contended);
    }
    lock.extend(TTL * 6 / 5).unwrap();
    lock.release().unwrap();
    eventually("all to be freed", || common::no_locks(&cluster));
}

/// None stays on any node: not the free ones of a set of which one is held, whichever node refused.
fn is_refused_whole(cluster: &Cluster, factory: &Factory) -> Error {
    let error = factory
        .acquire_many(&["a", "b", "c"], TTL, Wait::No)
        .unwrap_err();
    eventually("nothing to be left of it", || {
        cluster.keys_holding("a") + cluster.keys_holding("c") == 0
    });
    error
}

#[test]
fn when_one_is_held_none_is_taken() {
    let (cluster, factory) = three();
    let held = factory.acquire("b", TTL, Wait::No).unwrap();
    eventually("all nodes to hold it", || cluster.keys_holding("b") == 3);
    let writes: Vec<_> = cluster.iter().map(|server| calls(server, "set")).collect();
    let error = is_refused_whole(&cluster, &factory);
    assert_eq!(error.status(), Status::Contended, "{error:?}");
    // On no node was any of them taken, not even for a moment.
    let after: Vec<_> = cluster.iter().map(|server| calls(server, "set")).collect();
    assert_eq!(writes, after);
    held.release().unwrap();
}

#[test]
fn those_of_other_libraries_are_respected() {
    let (cluster, factory) = three();
    // A plain key that runs out, one that does not, and a hash such as Redisson's.
    let ways: [&[&str]; 3] = [
        &["SET", "b", "other", "NX", "PX", "1000000"],
        &["SET", "b", "other", "NX"],
        &["HSET", "b", "other:1", "1"],
    ];
    for way in ways {
        for server in &cluster[..2] {
            server.command(way).ok();
        }
        let error = is_refused_whole(&cluster, &factory);
        assert_eq!(error.status(), Status::Contended, "{error:?}");
        for server in cluster.iter() {
            vacate(server, "b");
        }
        let names = ["a", "b", "c"];
        let lock = factory.acquire_many(&names, TTL, Wait::No).unwrap();
        // To them ours are plain keys, too.
        eventually("all nodes to hold it", || cluster.keys_holding("b") == 3);
        let refused = cluster[0].command(&["SET", "b", "other", "NX", "PX", "1000"]);
        assert_eq!(refused, Reply::Nil);
        lock.release().unwrap();
        eventually("all to be freed", || common::no_locks(&cluster));
    }
}

#[test]
fn a_minority_that_holds_one_does_not_matter() {
    let (cluster, factory) = three();
    occupy(&cluster[0], "b");
    let lock = factory.acquire_many(&["a", "b"], TTL, Wait::No).unwrap();
    eventually("the others to hold both", || {
        cluster[1..].iter().all(|server| lock_count(server) == 2)
    });
    assert!(!cluster[0].holds("a"));
    lock.release().unwrap();
    eventually("both to be freed", || {
        cluster.keys_holding("a") == 0 && cluster.keys_holding("b") == 1
    });
}

#[test]
fn a_lock_that_lost_one_of_them_is_lost() {
    let (cluster, factory) = three();
    let lock = factory.acquire_many(&["a", "b"], TTL, Wait::No).unwrap();
    eventually("all nodes to hold both", || cluster.keys_holding("b") == 3);
    vacate(&cluster[0], "a");
    vacate(&cluster[1], "b");
    assert_eq!(lock.extend(TTL).unwrap_err().status(), Status::Expired);
    assert_eq!(lock.release().unwrap_err().status(), Status::Expired);
    eventually("the rest to be freed", || common::no_locks(&cluster));
}

/// For each resource the fence is larger than that of every lock on it before, of one or of several.
#[test]
fn one_fence_rises_for_each_resource() {
    let cluster = Cluster::start(3);
    let clients = [common::factory(&cluster), common::factory(&cluster)];
    let names = ["a", "b", "c", "d"];
    let mut highest: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..300 {
        let resources = some_of(&names);
        let lock = clients[round % 2]
            .acquire_many(&resources, TTL, Wait::Forever)
            .unwrap();
        for resource in resources {
            let last = highest.insert(resource, lock.fence()).unwrap_or(0);
            assert!(lock.fence() > last, "{} after {last}", lock.fence());
        }
        lock.release().unwrap();
    }
}

#[test]
fn an_attempt_is_one_question_to_each_node() {
    let (cluster, factory) = three();
    let names: Vec<_> = (0..MAX_RESOURCES).map(|it| format!("r:{it}")).collect();
    // The set-up of a connection has asked some as well.
    let asked = || cluster.iter().map(|server| calls(server, "evalsha"));
    let before: Vec<_> = asked().collect();
    for _ in 0..20 {
        let lock = factory.acquire_many(&names, TTL, Wait::No).unwrap();
        lock.release().unwrap();
    }
    // The acquires and the releases. The third node may not have been asked for the last lock yet.
    eventually("all to be asked", || {
        asked().zip(&before).all(|(now, before)| now - before >= 40)
    });
    eventually("all to be freed", || common::no_locks(&cluster));
    for (now, before) in asked().zip(before) {
        assert_eq!(now - before, 40);
    }
}

#[test]
fn without_fences_they_are_plain_keys() {
    let cluster = Cluster::start(3);
    let factory = Factory::with_options(&cluster.urls(), &common::unfenced()).unwrap();
    common::all_connected(&factory);
    let lock = factory.acquire_many(&["a", "b"], TTL, Wait::No).unwrap();
    assert_eq!(lock.fence(), 0);
    eventually("all nodes to hold both", || {
        let holds_two = |server: &testkit::Server| server.command(&["DBSIZE"]).integer() == 2;
        cluster.iter().all(holds_two)
    });
    assert!(factory.acquire_many(&["c", "b"], TTL, Wait::No).is_err());
    lock.release().unwrap();
    eventually("both to be freed", || common::no_locks(&cluster));
}

#[test]
fn scripts_that_were_flushed_are_sent_again() {
    let (cluster, factory) = three();
    let names = ["a", "b"];
    for _ in 0..20 {
        cluster.command_all(&["SCRIPT", "FLUSH"]);
        let lock = factory.acquire_many(&names, TTL, Wait::No).unwrap();
        cluster.command_all(&["SCRIPT", "FLUSH"]);
        lock.extend(TTL).unwrap();
        cluster.command_all(&["SCRIPT", "FLUSH"]);
        lock.release().unwrap();
    }
    eventually("all to be freed", || common::no_locks(&cluster));
}

#[test]
fn a_set_that_no_lock_can_be_had_on_is_named() {
    let (_cluster, factory) = three();
    let too_many: Vec<_> = (0..=MAX_RESOURCES).map(|it| it.to_string()).collect();
    let long = "x".repeat(redlock::MAX_RESOURCE_LENGTH + 1);
    let cases: [(&[&str], &str); 4] = [
        (&[], "0 resources"),
        (&["a", "b", "a"], "given twice"),
        (&["a", ""], "empty"),
        (&["a", &long], "513 bytes"),
    ];
    let refusal = |names: &[&str]| factory.acquire_many(names, TTL, Wait::No).unwrap_err();
    for (names, words) in cases {
        let error = refusal(names);
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains(words), "{error:?}");
    }
    let error = factory.acquire_many(&too_many, TTL, Wait::No).unwrap_err();
    assert!(error.message().contains("129 resources"), "{error:?}");
}

#[test]
fn as_futures_and_through_a_queue_they_are_the_same() {
    let (cluster, factory) = three();
    let names = ["a", "b"];
    let lock = common::block_on(factory.acquire_many_async(&names, TTL, Wait::No)).unwrap();
    let queue = Queue::new().unwrap();
    factory
        .submit_acquire_many(&["b", "c"], TTL, Wait::Forever, &queue, 1)
        .unwrap();
    // Dropped before it could be had.
    drop(factory.acquire_many_async(&["c", "a"], TTL, Wait::Forever));
    lock.release().unwrap();
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(common::PATIENCE)).unwrap();
    let Ok(Completion::Acquired(lock)) = events.pop().unwrap().result else {
        panic!("the queue's lock was not taken");
    };
    assert_eq!(lock.resources().collect::<Vec<_>>(), ["b", "c"]);
    drop(lock);
    eventually("all to be freed", || common::no_locks(&cluster));
}

/// A client that waits for each of the names, on every node.
fn wait_for_each(cluster: &Cluster, factory: &Factory, queue: &Queue, names: &[&str]) {
    for (id, name) in (0..).zip(names) {
        factory
            .submit_acquire(name, TTL, Wait::Forever, queue, id)
            .unwrap();
        eventually("it waits on every node", || {
            let waits = |server: &Server| server.command(&["ZCARD", &queue_of(name)]).integer();
            cluster.iter().all(|server| waits(server) == 1)
        });
    }
}

fn connected_fair(cluster: &Cluster) -> Factory {
    // A call that is answered late is still good.
    let options = common::options_with(&[("fair", "on"), ("fair_grace_ms", "60000")]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    common::all_connected(&factory);
    factory
}

#[test]
fn releasing_them_calls_the_waiters_of_each() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let (holder, factory) = (connected_fair(&cluster), connected_fair(&cluster));
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let held = holder.acquire_many(&names, TTL, Wait::No).unwrap();
    eventually("all nodes to hold them", || cluster.keys_holding("h") == 3);
    let queue = Queue::new().unwrap();
    wait_for_each(&cluster, &factory, &queue, &names);
    held.release().unwrap();
    let mut locks = Vec::new();
    while locks.len() < names.len() {
        let mut events = Vec::new();
        let next = queue.next(&mut events, 8, Some(common::PATIENCE));
        assert!(next.unwrap() > 0, "nobody is served");
        locks.extend(events.into_iter().map(|event| event.result.unwrap()));
    }
    // That is not because they looked for themselves: who does and finds the lock free calls nobody.
    for server in cluster.iter() {
        eventually("the node to have called all", || {
            calls(server, "publish") >= names.len() as u64
        });
    }
}

/// An attempt that some nodes refuse gives back what it took on the others, and calls who waits there.
#[test]
fn an_attempt_that_fails_calls_the_waiters_of_what_it_took() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let (holder, factory) = (connected_fair(&cluster), connected_fair(&cluster));
    let _held = holder.acquire("a", TTL, Wait::No).unwrap();
    eventually("all nodes to hold it", || cluster.keys_holding("a") == 3);
    let queue = Queue::new().unwrap();
    wait_for_each(&cluster, &factory, &queue, &["a"]);
    vacate(&cluster[2], "a");
    eventually("the waiter to be called", || {
        holder.acquire_many(&["b", "a"], TTL, Wait::No).unwrap_err();
        calls(&cluster[2], "publish") > 0
    });
    queue.cancel(0).unwrap();
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const PROCESSES: usize = 3;
const THREADS: usize = 3;
const ROUNDS: usize = 40;

/// In a worker's process: locks some of the names, in any order, and increments the counter of each without atomicity.
/// Tells how often it incremented which.
fn increment(role: &str) {
    let words: Vec<&str> = role.split(' ').collect();
    let factory = Factory::with_options(&words[1..], &common::options()).unwrap();
    let work = || {
        for _ in 0..ROUNDS {
            let names = some_of(&NAMES);
            let lock = factory.acquire_many(&names, TTL, Wait::For(common::PATIENCE));
            let lock = lock.unwrap_or_else(|error| panic!("a deadlock? {error:?}"));
            for name in &names {
                let counter = Path::new(words[0]).join(name);
                let before = read(&counter);
                // Whoever else were in here would now read the same.
                std::thread::yield_now();
                std::fs::write(&counter, (before + 1).to_string()).unwrap();
                println!("\nincremented {name}");
            }
            assert!(!lock.validity().is_zero(), "nothing is proven");
            lock.release().unwrap();
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|it| it.join().unwrap());
    });
}

fn read(counter: &Path) -> u64 {
    std::fs::read_to_string(counter).unwrap().parse().unwrap()
}

/// Waits for a worker's end, and counts its increments.
fn finish(mut worker: Child, increments: &mut BTreeMap<String, u64>) {
    let output = BufReader::new(worker.stdout.take().unwrap());
    for line in output.lines().map_while(Result::ok) {
        if let Some(name) = line.strip_prefix("incremented ") {
            *increments.entry(name.to_owned()).or_default() += 1;
        }
    }
    assert!(worker.wait().unwrap().success(), "a worker failed");
}

#[test]
fn sets_that_overlap_in_any_order_exclude_each_other_and_never_deadlock() {
    const TEST: &str = "sets_that_overlap_in_any_order_exclude_each_other_and_never_deadlock";
    if let Some(role) = child::role() {
        return increment(&role);
    }
    let cluster = Cluster::start(3);
    let scratch = Scratch::new();
    for name in NAMES {
        scratch.file(name, "0");
    }
    let role = format!("{} {}", scratch.path().display(), cluster.urls().join(" "));
    let start = |_| {
        let mut command = child::command(TEST, &role);
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let workers: Vec<_> = (0..PROCESSES).map(start).collect();
    let mut increments = BTreeMap::new();
    for worker in workers {
        finish(worker, &mut increments);
    }
    let counted = |name: &&str| (name.to_string(), read(&scratch.path().join(name)));
    assert_eq!(
        NAMES.iter().map(counted).collect::<BTreeMap<_, _>>(),
        increments
    );
}
