//! What becomes of grants that nobody wants any more: they are released when they land, however late, on every node.

mod common;

use common::{PATIENCE, TTL, calls, eventually, occupy, vacate};
use redlock::{Factory, Status, Wait};
use testkit::{Cluster, Fault, Proxy, Server};

/// Whether the server has been asked for a lock, and has none now.
fn landed_and_gone(server: &Server) -> bool {
    calls(server, "set") > 0 && !server.holds("r")
}

fn hasty(cluster: &Cluster) -> Factory {
    let factory = Factory::with_options(&cluster.urls(), &common::hasty()).unwrap();
    common::all_connected(&factory);
    factory
}

/// A cluster whose first node is reached through a proxy.
fn with_proxy(count: usize) -> (Cluster, Proxy, Factory) {
    let cluster = Cluster::start(count);
    let proxy = Proxy::to(&cluster[0]);
    let mut urls = cluster.urls();
    urls[0] = proxy.url();
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    common::all_connected(&factory);
    (cluster, proxy, factory)
}

#[test]
fn a_grant_that_lands_after_the_attempt_failed_is_released() {
    let cluster = Cluster::start(5);
    let factory = hasty(&cluster);
    cluster[..3].iter().for_each(Server::stop);
    let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
    cluster[..3].iter().for_each(Server::cont);
    eventually("late grants on all to be gone", || {
        cluster.iter().all(landed_and_gone)
    });
}

#[test]
fn a_grant_that_lands_after_the_lock_was_released_is_released_too() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    cluster[0].stop();
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    lock.release().unwrap();
    cluster[0].cont();
    eventually("the late grant to be gone", || landed_and_gone(&cluster[0]));
}

/// The command lies in the buffer of a connection that the client has given up long ago when the server reads it.
#[test]
fn a_grant_on_a_connection_that_was_given_up_is_released() {
    let cluster = Cluster::start(3);
    let factory = hasty(&cluster);
    cluster[0].stop();
    let wait = Wait::For(PATIENCE);
    let held = factory.acquire("r", TTL, wait).unwrap();
    common::trouble(&factory, 0, "no answer to");
    let _ = held.release();
    cluster[0].cont();
    eventually("the late grant to be gone", || landed_and_gone(&cluster[0]));
    common::all_connected(&factory);
    assert!(!cluster[0].holds("r"));
}

/// More than may wait for a server at a time: the node gets them bit by bit, and is connected meanwhile.
#[test]
fn many_large_releases_that_a_node_missed_are_delivered() {
    let cluster = Cluster::start(3);
    let options = common::options_with(&[("connect_timeout_ms", "1000")]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    common::all_connected(&factory);
    let locks: Vec<_> = (0..150)
        .map(|number| {
            let names: Vec<_> = (0..128)
                .map(|index| format!("{number}:{index}:{:0>480}", 0))
                .collect();
            factory.acquire_many(&names, TTL, Wait::No).unwrap()
        })
        .collect();
    eventually("all locks to be everywhere", || {
        common::lock_count(&cluster[0]) == 150 * 128
    });
    cluster[0].stop();
    locks.into_iter().for_each(|lock| lock.release().unwrap());
    common::trouble(&factory, 0, "no answer to");
    cluster[0].cont();
    eventually("all releases to be delivered", || {
        common::lock_count(&cluster[0]) == 0
    });
    common::all_connected(&factory);
    let made = cluster[0].info("total_connections_received");
    common::works_again(&factory, "r");
    common::all_connected(&factory);
    // The test's own are counted too.
    let more = cluster[0].info("total_connections_received");
    let [made, more] = [made, more].map(|count| count.parse::<u64>().unwrap());
    assert!(
        more <= made + 1,
        "it is connected over and over: {made}, {more}"
    );
}

#[test]
fn a_release_never_overtakes_its_acquire() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    for round in 0..20 {
        let name = format!("r{round}");
        cluster[0].stop();
        for _ in 0..20 {
            let lock = factory.acquire(&name, TTL, Wait::No).unwrap();
            lock.release().unwrap();
        }
        cluster[0].cont();
        // The node sees all of this only now, one command after the other on one connection.
        let last = factory.acquire("last", TTL, Wait::Forever).unwrap();
        eventually("the node to have caught up", || cluster[0].holds("last"));
        assert_eq!(common::lock_count(&cluster[0]), 1);
        last.release().unwrap();
        eventually("the end of the round", || !cluster[0].holds("last"));
    }
}

#[test]
fn a_release_that_was_lost_with_its_connection_is_sent_again() {
    let (cluster, proxy, factory) = with_proxy(3);
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    eventually("all nodes to hold the lock", || {
        cluster.keys_holding("r") == 3
    });
    proxy.set(Fault::Hold);
    lock.release().unwrap();
    proxy.cut();
    assert!(cluster[0].holds("r"));
    proxy.set(Fault::Pass);
    eventually("the release to arrive", || cluster.keys_holding("r") == 0);
}

#[test]
fn a_release_for_a_node_that_is_away_is_sent_when_it_is_back() {
    let (cluster, proxy, factory) = with_proxy(3);
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    eventually("all nodes to hold the lock", || {
        cluster.keys_holding("r") == 3
    });
    proxy.set(Fault::Refuse);
    common::trouble(&factory, 0, "refused");
    lock.release().unwrap();
    assert!(cluster[0].holds("r"));
    proxy.set(Fault::Pass);
    eventually("the release to arrive", || cluster.keys_holding("r") == 0);
}

#[test]
fn a_connection_may_break_again_and_again_before_the_release_gets_through() {
    let (cluster, proxy, factory) = with_proxy(3);
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    eventually("all nodes to hold the lock", || {
        cluster.keys_holding("r") == 3
    });
    proxy.set(Fault::Hold);
    lock.release().unwrap();
    // Each of these cuts somewhere in the next connection's set-up, or in the answer to the release.
    for bytes in [10, 100, 1_000, 10_000, 20_000] {
        let accepted = proxy.accepted();
        proxy.set(Fault::CutOnceAfter(bytes));
        eventually("a new connection", || {
            proxy.cut();
            proxy.accepted() > accepted
        });
    }
    proxy.set(Fault::Pass);
    eventually("the release to arrive", || cluster.keys_holding("r") == 0);
}

#[test]
fn a_lock_that_is_dropped_is_given_back_everywhere() {
    let (cluster, proxy, factory) = with_proxy(3);
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    eventually("all nodes to hold the lock", || {
        cluster.keys_holding("r") == 3
    });
    proxy.set(Fault::Hold);
    drop(lock);
    proxy.cut();
    proxy.set(Fault::Pass);
    eventually("the release to arrive", || cluster.keys_holding("r") == 0);
}

/// One node grants every attempt, two never do: the one must be given back each time before it is asked again, or it
/// would refuse what is only an own leftover. Each attempt is one SET, and each grant that goes back one DEL: there is no
/// fence to be set, and no queue.
#[test]
fn a_retry_first_gives_back_what_the_attempt_before_it_got() {
    let cluster = Cluster::start(3);
    let plain = common::options_with(&[("fencing", "off"), ("fair", "off")]);
    let factory = Factory::with_options(&cluster.urls(), &plain).unwrap();
    common::all_connected(&factory);
    let before = calls(&cluster[0], "del");
    cluster[1..].iter().for_each(|server| occupy(server, "r"));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| factory.acquire("r", TTL, Wait::Forever));
        eventually("many attempts", || calls(&cluster[0], "set") > 20);
        cluster[1..].iter().for_each(|server| vacate(server, "r"));
        let _held = waiter.join().unwrap().unwrap();
        eventually("the node to have the lock", || cluster[0].holds("r"));
        let (granted, given_back) = (calls(&cluster[0], "set"), calls(&cluster[0], "del"));
        assert_eq!(given_back - before, granted - 1);
    });
}

/// The same when nodes have lost the script, so that the release must be sent twice.
#[test]
fn a_retry_meets_nothing_of_its_own_even_when_the_scripts_are_lost() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    cluster[1..].iter().for_each(|server| occupy(server, "r"));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| factory.acquire("r", TTL, Wait::Forever));
        for round in 1..10 {
            eventually("more attempts", || calls(&cluster[0], "set") > 5 * round);
            cluster[0].command(&["SCRIPT", "FLUSH"]).ok();
        }
        cluster[1..].iter().for_each(|server| vacate(server, "r"));
        let held = waiter.join().unwrap().unwrap();
        held.release().unwrap();
    });
    eventually("nothing to be left", || cluster.keys_holding("r") == 0);
}

/// A node has lost the scripts, and somebody else has brought back the one that releases. The acquire was not carried
/// out, the release behind it was; to send the acquire again now would take a lock that nobody ever releases.
#[test]
fn an_acquire_that_met_a_flushed_script_cache_is_not_sent_again_after_its_release() {
    let (cluster, proxy, factory) = with_proxy(3);
    // Without fences an acquire needs no script.
    let other = Factory::with_options(&[cluster[0].url()], &common::unfenced()).unwrap();
    common::all_connected(&other);
    for round in 0..3 {
        cluster[0].command(&["SCRIPT", "FLUSH"]).ok();
        proxy.set(Fault::Hold);
        let lock = factory.acquire("r", TTL, Wait::No).unwrap();
        match round {
            0 => drop(lock),
            _ => lock.release().unwrap(),
        }
        common::works_again(&other, "s");
        proxy.set(Fault::Pass);
        // The node has all scripts again when it takes part in a lock.
        eventually("the node to take part again", || {
            let lock = factory.acquire("t", TTL, Wait::No).unwrap();
            let takes_part = cluster[0].holds("t");
            lock.release().unwrap();
            takes_part
        });
        assert!(!cluster[0].holds("r"));
    }
}

#[test]
fn an_error_of_one_node_leaves_nothing_behind_on_the_others() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let memory = |bytes| {
        let set = |server: &Server| server.command(&["CONFIG", "SET", "maxmemory", bytes]);
        cluster[..2]
            .iter()
            .for_each(|server| drop(set(server).ok()));
    };
    memory("1");
    let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
    memory("0");
    eventually("nothing to be left", || {
        landed_and_gone(&cluster[2]) && cluster.keys_holding("r") == 0
    });
}
