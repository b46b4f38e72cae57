//! What a caller is told: taken, unreachable, run out and cancelled are told apart, with every node's own part.

mod common;

use std::time::Duration;

use common::{TTL, eventually, occupy, statuses};
use redlock::{Factory, Status, Wait};
use testkit::{Cluster, Fault, Proxy, Server};

#[test]
fn taken_and_unreachable_are_different_outcomes() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    cluster.iter().for_each(|server| occupy(server, "r"));
    let taken = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(taken.status(), Status::Contended);
    assert!(taken.message().contains("another owner"), "{taken}");
    cluster[..2].iter().for_each(Server::kill);
    let unreachable = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(unreachable.status(), Status::NoQuorum);
    let counts = "only 1 of 3 nodes could vote, 2 are needed";
    assert!(unreachable.message().contains(counts), "{unreachable}");
}

#[test]
fn an_error_tells_every_nodes_own_part_in_the_order_of_the_urls() {
    let cluster = Cluster::start(5);
    let factory = common::factory(&cluster);
    cluster[1].kill();
    cluster[2].command(&["CONFIG", "SET", "maxmemory", "1"]);
    cluster[3].command(&["REPLICAOF", "127.0.0.1", "1"]).ok();
    let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
    for (node, url) in error.nodes().iter().zip(cluster.urls()) {
        assert!(node.address.starts_with(&url), "{} {url}", node.address);
    }
    use Status::{NotAdmitted, Ok, Server, Unanswered, Unreachable};
    let told = statuses(&error);
    assert_eq!(told[1..4], [Unreachable, Server, NotAdmitted], "{error:?}");
    assert!([Ok, Unanswered].contains(&told[0]), "{error:?}");
    assert!([Ok, Unanswered].contains(&told[4]), "{error:?}");
    assert!(error.nodes()[2].message.contains("OOM"), "{error:?}");
    assert!(error.nodes()[3].message.to_lowercase().contains("replica"));
}

#[test]
fn no_error_shows_a_password() {
    let secret = "s3cr3t-w0rd";
    let cluster = Cluster::start_with(3, |server| server.password(secret));
    let mut urls = cluster.urls();
    urls[2] = urls[2].replace(secret, "wr0ng-w0rd");
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    factory
        .acquire("r", TTL, Wait::No)
        .unwrap()
        .release()
        .unwrap();
    cluster[0].kill();
    let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
    let health = factory.check().unwrap();
    for text in [
        format!("{error} {error:?} {:?}", error.nodes()),
        format!("{factory:?} {health:?}"),
    ] {
        assert!(!text.contains(secret) && !text.contains("wr0ng"), "{text}");
    }
    assert_eq!(error.nodes()[2].status, Status::Server, "{error:?}");
    assert!(error.nodes()[2].message.contains("WRONGPASS"), "{error:?}");
}

#[test]
fn the_validity_falls_to_zero_and_then_the_lock_is_called_expired() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let ttl = Duration::from_millis(400);
    let lock = factory.acquire("r", ttl, Wait::Forever).unwrap();
    let first = lock.validity();
    assert!(first <= ttl - ttl / 100 - Duration::from_millis(2));
    let mut last = first;
    eventually("the validity to reach zero", || {
        let now = lock.validity();
        assert!(now <= last, "it rose from {last:?} to {now:?}");
        last = now;
        now.is_zero()
    });
    assert_eq!(lock.extend(ttl).unwrap_err().status(), Status::Expired);
    eventually("the keys to run out", || cluster.keys_holding("r") == 0);
    let error = lock.release().unwrap_err();
    assert_eq!(error.status(), Status::Expired, "{error:?}");
    assert!(error.message().contains("not held any more"), "{error}");
    // Neither that nor this is a reason to fall over.
    assert_eq!(lock.release().unwrap_err().status(), Status::Released);
    common::works_again(&factory, "r");
}

#[test]
fn a_ttl_that_the_clocks_drift_eats_up_is_expired_however_long_one_waits() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    for (ttl_ms, wait) in [(1, Wait::No), (2, Wait::No), (2, Wait::Forever)] {
        let ttl = Duration::from_millis(ttl_ms);
        let error = factory.acquire("r", ttl, wait).unwrap_err();
        assert_eq!(error.status(), Status::Expired, "{error:?}");
        assert!(error.message().contains("use a longer one"), "{error}");
    }
    eventually("nothing to be left", || cluster.keys_holding("r") == 0);
}

#[test]
fn a_ttl_that_runs_out_before_the_answers_come_is_expired() {
    let cluster = Cluster::start(3);
    let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    common::all_connected(&factory);
    let answer = Duration::from_millis(80);
    let request = Duration::ZERO;
    for proxy in &proxies {
        proxy.set(Fault::Delay { request, answer });
    }
    let ttl = Duration::from_millis(50);
    let error = factory.acquire("r", ttl, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::Expired, "{error:?}");
    eventually("nothing to be left", || cluster.keys_holding("r") == 0);
}

#[test]
fn is_locked_is_answered_by_a_quorum() {
    let cluster = Cluster::start(5);
    let factory = common::factory(&cluster);
    assert!(!factory.is_locked("r").unwrap());
    cluster[..2].iter().for_each(|server| occupy(server, "r"));
    // The leftovers of a minority keep nobody from locking, whichever nodes answer first.
    for _ in 0..50 {
        assert!(!factory.is_locked("r").unwrap());
    }
    occupy(&cluster[2], "r");
    for _ in 0..50 {
        assert!(factory.is_locked("r").unwrap());
    }
}

#[test]
fn is_locked_counts_dead_nodes_as_what_they_are() {
    let cluster = Cluster::start(5);
    let factory = common::factory(&cluster);
    cluster[..2].iter().for_each(Server::kill);
    assert!(!factory.is_locked("r").unwrap());
    // Now nobody could lock it: three nodes of five would have to agree, and two are left.
    occupy(&cluster[2], "r");
    assert!(factory.is_locked("r").unwrap());
    cluster[2].kill();
    let error = factory.is_locked("r").unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
}

#[test]
fn a_lock_of_another_library_is_seen_and_its_type_does_not_matter() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    cluster.command_all(&["HSET", "r", "holder:1", "1"]);
    let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::Contended, "{error:?}");
    assert!(factory.is_locked("r").unwrap());
    assert_eq!(cluster.keys_holding("r"), 3);
}

#[test]
fn a_closed_factory_ends_its_waiters_and_keeps_its_locks() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    let mut waiter = factory.acquire_async("r", TTL, Wait::Forever);
    assert!(common::is_pending(&mut waiter));
    factory.close();
    let error = common::block_on(waiter).unwrap_err();
    assert_eq!(error.status(), Status::Closed, "{error:?}");
    let error = factory.acquire("s", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::Closed);
    held.extend(TTL).unwrap();
    held.release().unwrap();
    eventually("nothing to be left", || cluster.keys_holding("r") == 0);
}
