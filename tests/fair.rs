//! Contended locks: waiters are served in the order of their arrival, and called when it is their turn.

mod common;

use std::ops::Range;
use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::{BALLOTS, calls, child, nodes_call, queue_of};
use redlock::{Completion, Factory, Lock, Queue, Wait};
use testkit::{Cluster, Reply, Server};

const TTL: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that is called, and whose turn does not pass because it is slow.
fn fair(cluster: &Cluster) -> Factory {
    connected(cluster, "60000")
}

fn connected(cluster: &Cluster, grace_ms: &str) -> Factory {
    let options = common::options_with(&[("fair", "on"), ("fair_grace_ms", grace_ms)]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    common::all_connected(&factory);
    factory
}

fn waiters(cluster: &Cluster, resource: &str) -> usize {
    let queue = queue_of(resource);
    let on = |index: usize| cluster[index].command(&["ZCARD", &queue]).integer() as usize;
    (0..cluster.len()).map(on).min().unwrap_or(0)
}

#[test]
fn waiters_are_served_in_the_order_of_their_arrival() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(5);
    let factory = fair(&cluster);
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    line_up(&cluster, &factory, &queue, 20);
    held.release().unwrap();
    served_in_order(&queue, 0..20);
}

/// One after the other, so many operations come to wait for "r" on every node; an id is how many waited before.
fn line_up(cluster: &Cluster, factory: &Factory, queue: &Queue, count: u64) {
    let before = waiters(cluster, "r") as u64;
    for id in before..before + count {
        factory
            .submit_acquire("r", TTL, Wait::Forever, queue, id)
            .unwrap();
        testkit::wait_until(PATIENCE, "it waits on every node", || {
            waiters(cluster, "r") as u64 == id + 1
        });
    }
}

/// The next operation that gets the lock.
fn next_served(queue: &Queue) -> (u64, Lock) {
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(PATIENCE)).unwrap();
    let event = events.pop().expect("someone gets the lock");
    match event.result.unwrap() {
        Completion::Acquired(lock) => (event.id, lock),
        other => panic!("{other:?}"),
    }
}

fn served_in_order(queue: &Queue, ids: Range<u64>) {
    for expected in ids {
        let (id, lock) = next_served(queue);
        assert_eq!(id, expected);
        lock.release().unwrap();
    }
}

/// How many scripts clients have had this server run.
fn scripts_run(server: &Server) -> u64 {
    calls(server, "evalsha") + calls(server, "eval")
}

/// The release itself, and what the one waiter asks whose turn it is. All others sleep on.
#[test]
fn a_release_wakes_one_waiter_of_many() {
    if !nodes_call() {
        return;
    }
    // A lock that was handed on may be left to those who do not queue when it is given back, so each is a first one.
    for _ in 0..5 {
        one_release_wakes_one_waiter();
    }
}

fn one_release_wakes_one_waiter() {
    let cluster = Cluster::start(5);
    // The holder's factory is that of the first waiter, too: so on each node the waiter's question comes behind the release.
    let factories = [fair(&cluster), fair(&cluster)];
    let held = factories[0].acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    factories
        .iter()
        .for_each(|factory| line_up(&cluster, factory, &queue, 16));
    let counted = || -> Vec<_> {
        let publishes = |server| (scripts_run(server), calls(server, "publish"));
        cluster.iter().map(publishes).collect()
    };
    let (before, begun) = (counted(), Instant::now());
    held.release().unwrap();
    let _held = next_served(&queue).1;
    // Those that called after it was decided are taken too.
    testkit::wait_until(PATIENCE, "all nodes to be held", || {
        let owner = |server: &Server| match server.command(&["GET", "r"]) {
            Reply::Bulk(owner) if owner.len() == 40 => Some(owner),
            _ => None,
        };
        let first = owner(&cluster[0]);
        first.is_some() && cluster.iter().all(|server| owner(server) == first)
    });
    let after = counted();
    // Besides, a waiter of each factory may look once a second, which tells nobody anything.
    let looks = 2 * (begun.elapsed().as_secs() + 1);
    for ((scripts, publishes), (now, now_published)) in before.into_iter().zip(after) {
        assert!(now <= scripts + 1 + 3 + looks, "{} scripts", now - scripts);
        // To the first that it is its turn; to the second, twice, how long that may take.
        assert!(now_published <= publishes + 3);
    }
}

#[test]
fn the_lock_of_a_holder_that_died_goes_to_the_first() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(5);
    let factory = fair(&cluster);
    let queue = Queue::new().unwrap();
    // As a process leaves it that was killed. They line up before it has run out, also on a busy machine.
    cluster.command_all(&["SET", "r", &"0123456789".repeat(4), "PX", "8000"]);
    line_up(&cluster, &factory, &queue, 5);
    served_in_order(&queue, 0..5);
}

/// A process that waits for "r", and works with it for as long as it lives.
fn start_waiter(test: &str, cluster: &Cluster) -> Child {
    let role = cluster.urls().join(" ");
    let child = child::command(test, &role).spawn().unwrap();
    testkit::wait_until(PATIENCE, "it waits on every node", || {
        waiters(cluster, "r") == 1
    });
    child
}

fn wait_in_child(urls: &str) {
    let urls: Vec<_> = urls.split(' ').collect();
    let options = common::options_with(&[("fair", "on")]);
    let factory = Factory::with_options(&urls, &options).unwrap();
    let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
    lock.release().unwrap();
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: kill takes any number, and the child is not yet waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

/// Stops it, and returns when none of its threads runs any more: one that still did could take the lock.
fn stop(child: &Child) {
    signal(child, libc::SIGSTOP);
    let (pid, mut status) = (child.id() as i32, 0);
    // SAFETY: it is a child of this process, and `status` is a place to write to.
    let waited = unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) };
    assert!(waited == pid && libc::WIFSTOPPED(status), "{status}");
}

#[test]
fn a_waiter_that_died_is_passed_over() {
    if let Some(role) = child::role() {
        return wait_in_child(&role);
    }
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(5);
    let factory = fair(&cluster);
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let mut child = start_waiter("a_waiter_that_died_is_passed_over", &cluster);
    let queue = Queue::new().unwrap();
    line_up(&cluster, &factory, &queue, 3);
    child.kill().unwrap();
    child.wait().unwrap();
    held.release().unwrap();
    served_in_order(&queue, 1..4);
    assert_eq!(waiters(&cluster, "r"), 0);
}

#[test]
fn a_waiter_that_is_stopped_loses_its_turn_and_gets_another() {
    if let Some(role) = child::role() {
        return wait_in_child(&role);
    }
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(5);
    // What its turn takes is for the holder to say, and theirs for those who find that it has passed.
    let (holder, factory) = (connected(&cluster, "100"), fair(&cluster));
    let held = holder.acquire("r", TTL, Wait::No).unwrap();
    let test = "a_waiter_that_is_stopped_loses_its_turn_and_gets_another";
    let mut child = start_waiter(test, &cluster);
    let queue = Queue::new().unwrap();
    line_up(&cluster, &factory, &queue, 3);
    stop(&child);
    held.release().unwrap();
    let (first, lock) = next_served(&queue);
    assert_eq!(first, 1);
    signal(&child, libc::SIGCONT);
    lock.release().unwrap();
    // It goes on by itself; in which order is a question of how soon.
    for _ in 1..3 {
        next_served(&queue).1.release().unwrap();
    }
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_node_that_lost_the_queue_does_not_change_the_order() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(5);
    let factory = fair(&cluster);
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    line_up(&cluster, &factory, &queue, 10);
    cluster[1].restart_empty();
    cluster[3].stop();
    held.release().unwrap();
    served_in_order(&queue, 0..10);
    cluster[3].cont();
}

/// They are not called, and look for themselves.
#[test]
fn users_who_may_not_publish_or_listen_take_turns_too() {
    let users = [
        "mute on >secret ~* &* +@all -publish",
        "deaf on >secret ~* resetchannels +@all",
    ];
    for user in users {
        let cluster = Cluster::start_with(3, |server| server.acl_user(user));
        let (name, _) = user.split_once(' ').unwrap();
        let urls: Vec<_> = cluster
            .iter()
            .map(|server| server.url_as(name, "secret"))
            .collect();
        let options = common::options_with(&[("fair", "on")]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let factory = Factory::with_options(&urls, &options).unwrap();
                    for _ in 0..5 {
                        let lock = factory.acquire("r", TTL, Wait::For(PATIENCE)).unwrap();
                        lock.release().unwrap();
                    }
                });
            }
        });
    }
}

#[test]
fn a_holder_of_another_library_is_waited_for() {
    let cluster = Cluster::start(3);
    let factory = fair(&cluster);
    cluster
        .iter()
        .for_each(|server| common::occupy(server, "r"));
    let queue = Queue::new().unwrap();
    for id in 0..3 {
        factory
            .submit_acquire("r", TTL, Wait::Forever, &queue, id)
            .unwrap();
    }
    if nodes_call() {
        testkit::wait_until(PATIENCE, "they wait", || waiters(&cluster, "r") == 3);
    }
    common::vacate_all(&cluster, "r");
    for _ in 0..3 {
        next_served(&queue).1.release().unwrap();
    }
}

#[test]
fn a_process_that_waits_asks_each_node_once_a_second() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let factory = fair(&cluster);
    let holder = fair(&cluster);
    let held = holder.acquire("r", 5 * TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    line_up(&cluster, &factory, &queue, 64);
    let before: Vec<_> = cluster.iter().map(scripts_run).collect();
    let begun = Instant::now();
    testkit::wait_until(PATIENCE, "it has looked some times", || {
        scripts_run(&cluster[0]) >= before[0] + 4
    });
    let now: Vec<_> = cluster.iter().map(scripts_run).collect();
    let most = begun.elapsed().as_secs() + 2;
    for (now, before) in now.into_iter().zip(before) {
        let looks = now - before;
        assert!(looks <= most, "{looks} looks in {most} s");
    }
    held.release().unwrap();
    served_in_order(&queue, 0..64);
}

/// Eight threads with a factory each share a lock, and hold it so many times.
fn take_turns(times: usize, factory: impl Fn(usize) -> Factory + Sync) {
    let served = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (factory, served) = (&factory, &served);
            scope.spawn(move || {
                let factory = factory(thread);
                for _ in 0..times {
                    let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
                    served.lock().unwrap().push((thread, lock.fence()));
                    lock.release().unwrap();
                }
            });
        }
    });
    let served = served.into_inner().unwrap();
    assert_eq!(served.len(), 8 * times);
    assert!(served.windows(2).all(|pair| pair[0].1 < pair[1].1));
}

#[test]
fn threads_with_factories_of_their_own_take_turns() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(5);
    take_turns(50, |_| fair(&cluster));
}

/// Whoever does not queue barges in, and cannot keep those out who do.
#[test]
fn those_who_queue_and_those_who_do_not_share_a_lock() {
    let cluster = Cluster::start(5);
    take_turns(20, |thread| {
        let fair = ["on", "off"][thread % 2];
        let options = common::options_with(&[("fair", fair)]);
        Factory::with_options(&cluster.urls(), &options).unwrap()
    });
}

/// Nobody has a reason to look before, and of those who have none only one in a second does.
#[test]
fn the_queue_outlives_the_holders_time() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let factory = fair(&cluster);
    let outlives = || {
        let left = |server: &Server, key| server.command(&["PTTL", key]).integer();
        let outlives = |server: &Server| {
            let lock = left(server, "r");
            let records = ["libredlock:queue:r", "libredlock:waiting:r"];
            lock > 0 && records.iter().all(|key| left(server, key) > lock)
        };
        cluster.iter().all(outlives)
    };
    let held = factory.acquire("r", 5 * TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    line_up(&cluster, &factory, &queue, 2);
    assert!(outlives());
    for id in 2..4 {
        factory
            .submit_acquire("r", 5 * TTL, Wait::Forever, &queue, id)
            .unwrap();
    }
    testkit::wait_until(PATIENCE, "all wait", || waiters(&cluster, "r") == 4);
    held.release().unwrap();
    next_served(&queue).1.release().unwrap();
    next_served(&queue).1.release().unwrap();
    // The third holds it for long.
    let _held = next_served(&queue);
    testkit::wait_until(PATIENCE, "all nodes to be held", outlives);
}

#[test]
fn a_waiter_that_gives_up_leaves_the_queue() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let factory = fair(&cluster);
    let _held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    factory
        .submit_acquire("r", TTL, Wait::Forever, &queue, 1)
        .unwrap();
    testkit::wait_until(PATIENCE, "it waits", || waiters(&cluster, "r") == 1);
    queue.cancel(1).unwrap();
    testkit::wait_until(PATIENCE, "it has left", || {
        let queue = &queue_of("r");
        cluster
            .iter()
            .all(|node| node.command(&["ZCARD", queue]).integer() == 0)
    });
}

/// One that stayed would be called in vain, again and again.
#[test]
fn a_waiter_leaves_the_queue_also_when_scripts_were_flushed() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let factory = fair(&cluster);
    let _held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    for id in 0..20 {
        factory
            .submit_acquire("r", TTL, Wait::Forever, &queue, id)
            .unwrap();
    }
    let waiting = |node: &testkit::Server| {
        let queue = &queue_of("r");
        node.command(&["ZCARD", queue]).integer()
    };
    testkit::wait_until(PATIENCE, "all wait everywhere", || {
        cluster.iter().all(|node| waiting(node) == 20)
    });
    cluster.command_all(&["SCRIPT", "FLUSH"]);
    for id in 0..20 {
        queue.cancel(id).unwrap();
    }
    // Less than a minute, for that is when an idle queue is gone in any case.
    testkit::wait_until(Duration::from_secs(30), "all have left", || {
        cluster.iter().all(|node| waiting(node) == 0)
    });
}

#[test]
fn without_fairness_nobody_queues() {
    let cluster = Cluster::start(3);
    let options = common::options_with(&[("fair", "off")]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    factory
        .submit_acquire("r", TTL, Wait::Forever, &queue, 1)
        .unwrap();
    factory
        .acquire("r", TTL, Wait::For(Duration::from_millis(100)))
        .unwrap_err();
    assert_eq!(waiters(&cluster, "r"), 0);
    held.release().unwrap();
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(PATIENCE)).unwrap();
    assert!(events[0].result.is_ok());
}

/// The highest ballots of the locks on this node: the cells of their resources. A member that is none only makes Redis
/// keep an index.
fn cells(server: &Server) -> Vec<String> {
    let members = server.command(&["ZRANGE", BALLOTS, "0", "-1"]);
    let all = members.elements().iter().map(|member| member.text());
    all.filter(|cell| cell.parse::<u16>().is_ok()).collect()
}

#[test]
fn a_waiter_whose_fence_is_too_low_for_some_does_not_wait_for_a_node_that_hangs() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(5);
    // A wait for the node that hangs would not end in time.
    let options =
        common::options_with(&[("fair_grace_ms", "60000"), ("node_timeout_ms", "600000")]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    common::all_connected(&factory);
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    line_up(&cluster, &factory, &queue, 1);
    cluster[4].stop();
    // Somebody whose clock is ahead has taken a lock that shares the cell, on two nodes.
    let ahead = (held.fence() + 900_000).to_string();
    for server in [&cluster[0], &cluster[1]] {
        for cell in cells(server) {
            server.command(&["ZADD", BALLOTS, &ahead, &cell]);
        }
    }
    held.release().unwrap();
    served_in_order(&queue, 0..1);
    cluster[4].cont();
}

#[test]
fn a_waiter_that_some_refused_asks_them_again_when_they_call_and_another_node_hangs() {
    if !nodes_call() {
        return;
    }
    let cluster = Cluster::start(5);
    let urls = cluster.urls();
    // A wait for the node that hangs would not end in time.
    let options =
        common::options_with(&[("fair_grace_ms", "60000"), ("node_timeout_ms", "120000")]);
    let minority = Factory::with_options(&urls[..2], &options).unwrap();
    let factory = Factory::with_options(&urls, &options).unwrap();
    common::all_connected(&minority);
    common::all_connected(&factory);
    let remains = minority.acquire("r", TTL, Wait::No).unwrap();
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let queue = Queue::new().unwrap();
    line_up(&cluster, &factory, &queue, 1);
    cluster[4].stop();
    let before = [0, 1].map(|index| scripts_run(&cluster[index]));
    let holder = held.token().to_owned();
    drop(held);
    testkit::wait_until(PATIENCE, "two nodes have granted, two refused", || {
        let owner = |index: usize| match cluster[index].command(&["GET", "r"]) {
            Reply::Nil => holder.clone(),
            owner => owner.text(),
        };
        owner(2) == owner(3)
            && owner(2) != holder
            && !owner(2).starts_with("reserved:")
            && (0..2).all(|index| scripts_run(&cluster[index]) > before[index])
    });
    remains.release().unwrap();
    served_in_order(&queue, 0..1);
    cluster[4].cont();
}
