//! When an attempt is decided: by exactly a quorum, for any number of nodes, and as soon as the outcome is certain.

mod common;

use std::time::Duration;

use common::{TTL, calls, eventually, occupy, statuses, vacate};
use redlock::{Factory, Lock, Status, Wait};
use testkit::{Cluster, Fault, Proxy, Server};

/// Proxies in front of all the cluster's servers, and a factory that goes through them and never times out.
fn through_proxies(cluster: &Cluster) -> (Vec<Proxy>, Factory) {
    let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
    let factory = Factory::with_options(&urls, &common::patient()).unwrap();
    common::all_connected(&factory);
    (proxies, factory)
}

fn set_all(proxies: &[Proxy], fault: Fault) {
    for proxy in proxies {
        proxy.set(fault);
    }
}

fn acquire(factory: &Factory) -> redlock::Result<Lock> {
    factory.acquire("r", TTL, Wait::No)
}

#[test]
fn of_one_to_seven_nodes_a_quorum_must_grant() {
    for count in 1..=7 {
        let cluster = Cluster::start(count);
        let factory = common::factory(&cluster);
        let spare = count - (count / 2 + 1);
        for server in &cluster[..spare] {
            occupy(server, "r");
        }
        acquire(&factory).unwrap().release().unwrap();
        occupy(&cluster[spare], "r");
        let error = acquire(&factory).unwrap_err();
        assert_eq!(error.status(), Status::Contended, "{count}: {error:?}");
        assert_eq!(error.nodes().len(), count);
        eventually("what was granted to be given back", || {
            cluster.keys_holding("r") == spare + 1
        });
    }
}

#[test]
fn of_one_to_seven_nodes_a_quorum_must_be_alive() {
    for count in 1..=7 {
        let cluster = Cluster::start(count);
        let factory = common::factory(&cluster);
        let spare = count - (count / 2 + 1);
        for server in &cluster[..spare] {
            server.kill();
        }
        acquire(&factory).unwrap().release().unwrap();
        cluster[spare].kill();
        let error = acquire(&factory).unwrap_err();
        assert_eq!(error.status(), Status::NoQuorum, "{count}: {error:?}");
        let dead = &statuses(&error)[..=spare];
        assert!(dead.iter().all(|s| *s == Status::Unreachable), "{error:?}");
    }
}

#[test]
fn a_silent_minority_is_not_waited_for() {
    let cluster = Cluster::start(5);
    let (proxies, factory) = through_proxies(&cluster);
    set_all(&proxies[3..], Fault::Hold);
    let lock = acquire(&factory).unwrap();
    // Whatever the factory sent to these two is still on its way.
    assert_eq!(cluster.keys_holding("r"), 3);
    lock.extend(TTL).unwrap();
    assert!(factory.is_locked("r").unwrap());
    lock.release().unwrap();
    assert!(!factory.is_locked("r").unwrap());
    assert_eq!(calls(&cluster[3], "set") + calls(&cluster[4], "set"), 0);
    set_all(&proxies[3..], Fault::Pass);
    eventually("the late grants to be given back", || {
        let landed = |server: &Server| calls(server, "set") > 0 && !server.holds("r");
        cluster[3..].iter().all(landed)
    });
}

#[test]
fn late_grants_of_a_won_lock_stay_until_its_release() {
    let cluster = Cluster::start(5);
    let (proxies, factory) = through_proxies(&cluster);
    set_all(&proxies[3..], Fault::Hold);
    let lock = acquire(&factory).unwrap();
    set_all(&proxies[3..], Fault::Pass);
    eventually("all nodes to hold the lock", || {
        cluster.keys_holding("r") == 5
    });
    lock.release().unwrap();
    eventually("no node to hold the lock", || {
        cluster.keys_holding("r") == 0
    });
}

#[test]
fn a_lock_that_a_majority_refuses_is_refused_though_others_are_silent() {
    let cluster = Cluster::start(5);
    let (proxies, factory) = through_proxies(&cluster);
    cluster[..3].iter().for_each(|server| occupy(server, "r"));
    set_all(&proxies[3..], Fault::Hold);
    let error = acquire(&factory).unwrap_err();
    assert_eq!(error.status(), Status::Contended);
    use Status::{Contended, Unanswered};
    let expected = [Contended, Contended, Contended, Unanswered, Unanswered];
    assert_eq!(statuses(&error), expected);
    set_all(&proxies[3..], Fault::Pass);
    eventually("the late grants to be given back", || {
        let landed = |server: &Server| calls(server, "set") > 0 && !server.holds("r");
        cluster[3..].iter().all(landed)
    });
}

#[test]
fn without_a_living_majority_the_silent_ones_are_not_waited_for() {
    let cluster = Cluster::start(5);
    let (proxies, factory) = through_proxies(&cluster);
    set_all(&proxies[3..], Fault::Hold);
    set_all(&proxies[..3], Fault::Refuse);
    let error = acquire(&factory).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
    assert_eq!(statuses(&error)[..3], [Status::Unreachable; 3], "{error:?}");
    // The question whether a resource is locked, and a release, end as early.
    let error = factory.is_locked("r").unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
}

#[test]
fn a_black_holed_minority_does_not_keep_a_new_factory_from_locking() {
    let cluster = Cluster::start(5);
    let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
    set_all(&proxies[..2], Fault::BlackHole);
    // With such a connect timeout, the two are still being connected to when the lock is there.
    let factory = Factory::with_options(&urls, &common::patient()).unwrap();
    let lock = acquire(&factory).unwrap();
    assert_eq!(cluster.keys_holding("r"), 3);
    lock.release().unwrap();
}

#[test]
fn a_black_holed_majority_is_no_quorum_and_named() {
    let cluster = Cluster::start(3);
    let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
    set_all(&proxies[..2], Fault::BlackHole);
    let factory = Factory::with_options(&urls, &common::hasty()).unwrap();
    let error = acquire(&factory).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
    common::trouble(&factory, 0, "no answer");
    common::trouble(&factory, 1, "no answer");
    let error = acquire(&factory).unwrap_err();
    for (node, proxy) in error.nodes()[..2].iter().zip(&proxies) {
        assert!(node.address.starts_with(&proxy.url()), "{}", node.address);
        assert_eq!(node.status, Status::Timeout);
        assert!(node.message.contains("no answer"), "{}", node.message);
    }
    set_all(&proxies, Fault::Pass);
    common::works_again(&factory, "r");
}

#[test]
fn an_even_split_is_a_refusal_at_once_and_given_back() {
    let cluster = Cluster::start(4);
    let factory = common::factory(&cluster);
    cluster[..2].iter().for_each(|server| occupy(server, "r"));
    let error = acquire(&factory).unwrap_err();
    assert_eq!(error.status(), Status::Contended);
    eventually("what was granted to be given back", || {
        cluster.keys_holding("r") == 2
    });
    assert!(factory.is_locked("r").unwrap());
}

#[test]
fn a_waiter_gets_through_when_a_split_ends() {
    let cluster = Cluster::start(4);
    let factory = common::factory(&cluster);
    cluster[..2].iter().for_each(|server| occupy(server, "r"));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| factory.acquire("r", TTL, Wait::Forever));
        eventually("several attempts", || calls(&cluster[3], "set") > 3);
        cluster[..2].iter().for_each(|server| vacate(server, "r"));
        waiter.join().unwrap().unwrap().release().unwrap();
    });
}

#[test]
fn rivals_that_split_the_votes_all_get_their_turns() {
    for count in [2, 3, 4] {
        let cluster = Cluster::start(count);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                // Each with connections of its own, so that their commands arrive in any order.
                let factory = common::factory(&cluster);
                scope.spawn(move || {
                    for _ in 0..10 {
                        let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
                        lock.release().unwrap();
                    }
                });
            }
        });
    }
}

#[test]
fn a_wait_that_ends_in_vain_has_tried_at_its_end_too() {
    let cluster = Cluster::start(3);
    let factory = Factory::with_options(&cluster.urls(), &common::unfenced()).unwrap();
    common::all_connected(&factory);
    cluster.iter().for_each(|server| occupy(server, "r"));
    // Where it polls, some attempts are made by the script, which tells what holds the lock.
    let attempts = || calls(&cluster[0], "set") + calls(&cluster[0], "evalsha");
    let before = attempts();
    let wait = Wait::For(Duration::from_millis(100));
    let error = factory.acquire("r", TTL, wait).unwrap_err();
    assert_eq!(error.status(), Status::Contended);
    assert!(attempts() >= before + 2);
    // Nothing goes on behind the caller's back: what is asked next is the next thing that the nodes see.
    let before = calls(&cluster[0], "set");
    let error = acquire(&factory).unwrap_err();
    assert_eq!(error.status(), Status::Contended);
    eventually("that one attempt", || {
        calls(&cluster[0], "set") == before + 1
    });
}

#[test]
fn a_waiter_takes_over_when_a_dead_holders_lock_runs_out() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    cluster.command_all(&["SET", "r", "a dead owner", "PX", "300"]);
    let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
    lock.release().unwrap();
}

#[test]
fn a_waiter_outlasts_the_loss_of_the_quorum() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    cluster[0].kill();
    cluster[1].kill();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| factory.acquire("r", TTL, Wait::Forever));
        eventually("several attempts", || calls(&cluster[2], "set") > 2);
        cluster[0].restart();
        waiter.join().unwrap().unwrap().release().unwrap();
    });
}
