//! Extensions: they never take a lost lock anew, never give a held one away, and never promise more than is proven.

mod common;

use std::time::Duration;

use common::{TTL, eventually, vacate};
use redlock::{Factory, Lock, Status, Wait};
use testkit::{Cluster, Fault, Proxy, Server};

const SHORT: Duration = Duration::from_secs(10);

/// A lock that all the nodes hold.
fn lock(cluster: &Cluster, factory: &Factory) -> Lock {
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    let all = cluster.len();
    eventually("all nodes to hold the lock", || {
        cluster.keys_holding("r") == all
    });
    lock
}

fn through_proxies(cluster: &Cluster) -> (Vec<Proxy>, Factory) {
    through_proxies_with(cluster, "1000")
}

fn through_proxies_with(cluster: &Cluster, node_timeout_ms: &str) -> (Vec<Proxy>, Factory) {
    let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
    let options = common::options_with(&[("node_timeout_ms", node_timeout_ms)]);
    let factory = Factory::with_options(&urls, &options).unwrap();
    common::all_connected(&factory);
    (proxies, factory)
}

fn set_all(proxies: &[Proxy], fault: Fault) {
    for proxy in proxies {
        proxy.set(fault);
    }
}

fn time_left(server: &Server) -> Duration {
    let left = server.command(&["PTTL", "r"]).integer();
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

#[test]
fn an_extension_never_takes_a_lost_lock_anew() {
    let cluster = Cluster::start(5);
    let factory = common::factory(&cluster);
    let lock = lock(&cluster, &factory);
    cluster[..3].iter().for_each(|server| vacate(server, "r"));
    let error = lock.extend(TTL).unwrap_err();
    assert_eq!(error.status(), Status::Expired, "{error:?}");
    assert!(lock.validity().is_zero());
    assert_eq!(cluster.keys_holding("r"), 2);
    // On a minority that lost it the key stays gone, too.
    vacate(&cluster[3], "r");
    vacate(&cluster[4], "r");
    assert_eq!(lock.extend(TTL).unwrap_err().status(), Status::Expired);
    assert_eq!(cluster.keys_holding("r"), 0);
}

#[test]
fn an_extension_that_a_quorum_granted_takes_the_lock_on_the_other_nodes_too() {
    let cluster = Cluster::start(5);
    let factory = common::factory(&cluster);
    let lock = lock(&cluster, &factory);
    cluster[..2].iter().for_each(|server| vacate(server, "r"));
    lock.extend(TTL).unwrap();
    eventually("all nodes to hold the lock again", || {
        cluster.keys_holding("r") == 5
    });
    lock.release().unwrap();
    eventually("no node to hold it", || cluster.keys_holding("r") == 0);
}

#[test]
fn an_extension_spares_a_lock_that_another_owner_took_since() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let lock = lock(&cluster, &factory);
    cluster.command_all(&["SET", "r", "another owner", "PX", "1000000"]);
    assert_eq!(lock.extend(TTL).unwrap_err().status(), Status::Expired);
    assert_eq!(lock.release().unwrap_err().status(), Status::Expired);
    for server in cluster.iter() {
        assert_eq!(server.command(&["GET", "r"]).text(), "another owner");
        assert!(time_left(server) > TTL);
    }
}

#[test]
fn a_refused_extension_deletes_nothing() {
    let cluster = Cluster::start(5);
    let factory = common::factory(&cluster);
    let lock = lock(&cluster, &factory);
    cluster[..3].iter().for_each(|server| vacate(server, "r"));
    assert_eq!(lock.extend(TTL).unwrap_err().status(), Status::Expired);
    // What follows goes behind anything that the failed extension might have sent.
    let barrier = factory.acquire("barrier", TTL, Wait::No).unwrap();
    eventually("the barrier on all", || {
        cluster.keys_holding("barrier") == 5
    });
    assert_eq!(cluster.keys_holding("r"), 2);
    barrier.release().unwrap();
}

#[test]
fn an_extension_without_quorum_leaves_the_lock_valid_and_held() {
    let cluster = Cluster::start(3);
    let (proxies, factory) = through_proxies(&cluster);
    let lock = lock(&cluster, &factory);
    set_all(&proxies[..2], Fault::Hold);
    let error = lock.extend(TTL).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
    assert!(lock.validity() > TTL / 2);
    set_all(&proxies, Fault::Pass);
    eventually("the lock to be extended after all", || {
        lock.extend(TTL).is_ok()
    });
    assert_eq!(cluster.keys_holding("r"), 3);
    lock.release().unwrap();
}

/// Some nodes may have taken the shorter time to live; so the lock is not proven held for longer any more.
#[test]
fn an_extension_to_a_shorter_ttl_that_fails_halfway_shortens_the_validity() {
    let cluster = Cluster::start(3);
    let (proxies, factory) = through_proxies(&cluster);
    let lock = lock(&cluster, &factory);
    set_all(&proxies[..2], Fault::Hold);
    let error = lock.extend(SHORT).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
    assert!(lock.validity() <= SHORT);
    set_all(&proxies, Fault::Pass);
    eventually("the late ones to take it", || {
        cluster.iter().all(|server| time_left(server) <= SHORT)
    });
}

#[test]
fn of_two_extensions_under_way_the_earlier_one_does_not_outbid_the_later() {
    let cluster = Cluster::start(3);
    let (proxies, factory) = through_proxies_with(&cluster, common::NEVER);
    let lock = lock(&cluster, &factory);
    set_all(&proxies, Fault::Hold);
    let held = || proxies.iter().map(Proxy::held).collect::<Vec<_>>();
    let mut long = lock.extend_async(TTL);
    eventually("all proxies to hold the first", || !held().contains(&0));
    let first = held();
    let mut short = lock.extend_async(SHORT);
    eventually("all proxies to hold the second", || {
        held().iter().zip(&first).all(|(now, first)| now > first)
    });
    assert!(common::is_pending(&mut long) && common::is_pending(&mut short));
    // The nodes carry out both, but only the answer to the first comes back: `:1\r\n`.
    set_all(&proxies, Fault::CutAfter(4));
    common::block_on(long).unwrap();
    let outcome = common::block_on(short);
    assert!(cluster.iter().any(|server| time_left(server) <= SHORT));
    assert!(lock.validity() <= SHORT, "{outcome:?}");
}

#[test]
fn extensions_from_many_threads_leave_the_validity_below_the_time_to_live() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let lock = lock(&cluster, &factory);
    std::thread::scope(|scope| {
        for ttl in [TTL, SHORT, TTL / 2, SHORT * 2] {
            let lock = &lock;
            scope.spawn(move || {
                for _ in 0..100 {
                    lock.extend(ttl).unwrap();
                }
            });
        }
    });
    let mut left: Vec<Duration> = cluster.iter().map(time_left).collect();
    left.sort();
    // What a quorum holds is what two of three hold at least. Both fall; the claim is looked at last.
    assert!(lock.validity() <= left[1], "{left:?}");
}

#[test]
fn an_extension_reaches_only_nodes_that_took_the_lock() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    common::occupy(&cluster[0], "r");
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    lock.extend(TTL).unwrap();
    lock.release().unwrap();
    assert_eq!(cluster[0].command(&["GET", "r"]).text(), "another owner");
    assert!(time_left(&cluster[0]) > TTL);
}
