//! Networks as they are: slow links, connections that died unnoticed, masters that are gone or were demoted.
//!
//! The links are proxies that pass everything on later. Times are waited for, never asserted.

mod common;

use std::time::{Duration, Instant};

use redlock::{Factory, Options, Status, Wait};
use testkit::{Cluster, Fault, Proxy, Server};

use crate::common::{PATIENCE, TTL, eventually};

/// Links to all the cluster's servers, each with half of that round trip in both directions.
fn links(cluster: &Cluster, round_trip: Duration) -> Vec<Proxy> {
    let link = |server: &Server| {
        let proxy = Proxy::to(server);
        proxy.set(Fault::Delay {
            request: round_trip / 2,
            answer: round_trip / 2,
        });
        proxy
    };
    cluster.iter().map(link).collect()
}

/// What the server's clock shows, in us.
fn now_at(server: &Server) -> i64 {
    let time = server.command(&["TIME"]);
    let part = |index: usize| time.elements()[index].text().parse::<i64>().unwrap();
    part(0) * 1_000_000 + part(1)
}

/// A factory with the options that a user has who sets none.
fn with_defaults(proxies: &[Proxy]) -> Factory {
    let urls: Vec<_> = proxies.iter().map(Proxy::url).collect();
    Factory::with_options(&urls, &Options::new()).unwrap()
}

#[test]
fn the_default_options_suit_slow_links() {
    for round_trip in [60, 80, 200] {
        let cluster = Cluster::start(3);
        let proxies = links(&cluster, Duration::from_millis(round_trip));
        let factory = with_defaults(&proxies);
        let mut round = 0;
        // A machine that is so busy that answers are late by more than the link is slow fails one round or another.
        eventually("five rounds without a failure", || {
            round += 1;
            (0..5).all(|number| is_sound(&factory, &format!("r{round}-{number}")))
        });
    }
}

/// A lost segment is sent again by TCP after 200 ms. Where a quorum depends on it, that costs time, and not the lock.
#[test]
fn lost_segments_cost_time_and_not_the_lock() {
    let cluster = Cluster::start(5);
    let ms = Duration::from_millis;
    eventually("a try that waits for segments that are sent again", || {
        let proxies = links(&cluster, ms(10));
        let factory = with_defaults(&proxies);
        // The library knows by then that the nodes are near.
        let is_known = (0..5).all(|number| is_sound(&factory, &format!("r{number}")));
        for proxy in &proxies[..3] {
            proxy.set(Fault::Delay {
                request: ms(5),
                answer: ms(215),
            });
        }
        let lock = factory.acquire("r", Duration::from_secs(10), Wait::No);
        is_known && lock.is_ok()
    });
}

/// Whether a lock is taken by a single try, extended, seen and given back, each at the first attempt.
fn is_sound(factory: &Factory, resource: &str) -> bool {
    let Ok(lock) = factory.acquire(resource, TTL, Wait::No) else {
        return false;
    };
    lock.extend(TTL).is_ok()
        && factory.is_locked(resource).is_ok_and(|it| it)
        && lock.release().is_ok()
        && factory.is_locked(resource).is_ok_and(|it| !it)
}

#[test]
fn a_lock_is_handed_over_on_slow_links() {
    let cluster = Cluster::start(3);
    let proxies = links(&cluster, Duration::from_millis(80));
    let (one, other) = (with_defaults(&proxies), with_defaults(&proxies));
    let held = one.acquire("r", TTL, Wait::No).unwrap();
    let waiter = std::thread::spawn(move || other.acquire("r", TTL, Wait::For(PATIENCE)).unwrap());
    eventually("the waiter to queue", || {
        let clients = cluster[0].command(&["INFO", "commandstats"]).text();
        clients.contains("cmdstat_zadd")
    });
    held.release().unwrap();
    waiter.join().unwrap().release().unwrap();
}

/// Clients queue by the time of their arrival, as the nodes' clocks have it. A client's idea of those clocks must not be late
/// or early by the time that its connection takes.
#[test]
fn a_client_that_connected_slowly_does_not_get_in_front() {
    if !common::nodes_call() {
        return;
    }
    let cluster = Cluster::start(3);
    let proxies = links(&cluster, Duration::from_millis(160));
    let (near, far) = (common::factory(&cluster), with_defaults(&proxies));
    common::all_connected(&far);
    proxies.iter().for_each(|proxy| proxy.set(Fault::Pass));
    let queued = |count: i64| {
        let queue = common::queue_of("r");
        let waits = |server: &Server| server.command(&["ZCARD", &queue]).integer() == count;
        cluster.iter().all(waits)
    };
    let held = near.acquire("r", TTL, Wait::No).unwrap();
    let (tell, served) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let wait_as = |name: &'static str, factory: Factory| {
            let tell = tell.clone();
            move || {
                let lock = factory.acquire("r", TTL, Wait::For(PATIENCE)).unwrap();
                tell.send(name).unwrap();
                lock.release().unwrap();
            }
        };
        scope.spawn(wait_as("near", near.clone()));
        eventually("the near one to queue", || queued(1));
        // A busy machine delays the answers by which the far one learns the nodes' time, in one direction only.
        let began = now_at(&cluster[0]);
        eventually("the nodes' clocks to go on", || {
            now_at(&cluster[0]) > began + 150_000
        });
        scope.spawn(wait_as("far", far.clone()));
        eventually("the far one to queue", || queued(2));
        held.release().unwrap();
    });
    let order: Vec<_> = served.try_iter().collect();
    assert_eq!(order, ["near", "far"]);
}

#[test]
fn a_kept_lock_stays_on_a_slow_link() {
    let cluster = Cluster::start(3);
    let proxies = links(&cluster, Duration::from_millis(80));
    let factory = with_defaults(&proxies);
    let ttl = Duration::from_secs(2);
    let lock = factory.acquire("r", ttl, Wait::No).unwrap();
    let (told, losses) = std::sync::mpsc::channel();
    lock.keep_alive(move |error| told.send(error).unwrap())
        .unwrap();
    let began = Instant::now();
    eventually("three times its TTL to pass", || began.elapsed() > 3 * ttl);
    assert!(losses.try_recv().is_err());
    assert!(lock.validity() > Duration::ZERO);
    lock.release().unwrap();
}

#[test]
fn a_late_answer_is_told_with_what_is_usual() {
    let cluster = Cluster::start(3);
    let proxies = links(&cluster, Duration::from_millis(40));
    let factory = with_defaults(&proxies);
    factory
        .acquire("r", TTL, Wait::No)
        .unwrap()
        .release()
        .unwrap();
    proxies.iter().for_each(|proxy| proxy.set(Fault::Hold));
    let error = factory.acquire("s", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
    // Two nodes that are late decide it; the third may still have time then.
    let told = error.nodes().iter().filter(|node| {
        node.message.contains("node_timeout_ms") && node.message.contains("usually takes")
    });
    assert!(told.count() >= 2, "{error:?}");
}

#[test]
fn connections_that_died_unnoticed_are_replaced_within_a_try() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    for round in 0..20 {
        // As a process that was frozen finds them: cut, while nobody looked.
        let resource = format!("r{round}");
        let pid = std::process::id();
        cluster.iter().for_each(|server| {
            server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        });
        let lock = factory.acquire(&resource, TTL, Wait::No);
        lock.unwrap_or_else(|error| panic!("round {round} of {pid}: {error}"));
    }
}

#[test]
fn a_master_that_became_a_replica_is_dropped_and_its_successor_found() {
    let cluster = Cluster::start(3);
    let successor = Server::builder().start();
    let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<_> = proxies.iter().map(Proxy::url).collect();
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    common::all_connected(&factory);
    // Its address leads elsewhere from now on, but its connection stays.
    proxies[0].set_backend(&successor);
    let port = successor.port().to_string();
    cluster[0]
        .command(&["REPLICAOF", successor.host(), &port])
        .ok();
    eventually("a lock on the new master", || {
        let lock = factory.acquire("r", TTL, Wait::No).unwrap();
        let held = successor.holds("r");
        lock.release().unwrap();
        held
    });
}

#[test]
fn a_server_in_cluster_mode_is_refused_with_the_reason() {
    let server = Server::builder().config("cluster-enabled yes").start();
    let factory = Factory::with_options(&[server.url()], &common::options()).unwrap();
    common::trouble(&factory, 0, "cluster mode");
    let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.nodes()[0].status, Status::NotAdmitted);
}

/// A server that is demoted may hang up behind its refusal, so that both arrive in one read. The node comes back all the same.
#[test]
fn a_refusal_to_write_with_a_hang_up_behind_it_does_not_lose_the_node_for_good() {
    let refusal = "-READONLY You can't write against a read only replica.\r\n";
    let server = Server::builder().start();
    let proxy = Proxy::to(&server);
    let factory = Factory::with_options(&[proxy.url()], &common::unfenced()).unwrap();
    for _ in 0..3 {
        common::all_connected(&factory);
        // A connection that lasted is made anew at once.
        let began = Instant::now();
        eventually("the connection to last", || {
            began.elapsed() > Duration::from_millis(1_200)
        });
        server.command(&["REPLICAOF", "127.0.0.1", "1"]).ok();
        proxy.set(Fault::CutAfter(refusal.len()));
        factory.acquire("r", TTL, Wait::No).unwrap_err();
        server.command(&["REPLICAOF", "NO", "ONE"]).ok();
        proxy.set(Fault::Pass);
        eventually("the node to be back", || {
            let lock = factory.acquire("r", TTL, Wait::No);
            lock.is_ok_and(|lock| lock.release().is_ok())
        });
    }
}
