//! Locks that are detached: held until their TTL ends, though nobody has a handle of them.

mod common;

use std::time::Duration;

use common::{TTL, eventually};
use redlock::{Factory, Queue, Status, Wait};
use testkit::Cluster;

/// So short that a test can wait for its end.
const SHORT: Duration = Duration::from_millis(1_200);

fn three() -> (Cluster, Factory) {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    (cluster, factory)
}

/// How many of the servers hold the lock on a resource.
fn holders(cluster: &Cluster, resource: &str) -> usize {
    let holding = cluster.iter().filter(|server| server.holds(resource));
    holding.count()
}

/// Waits until what the factory had released before has been freed on all nodes. Each node does what it is told in order:
/// a release of `resource`, had there been one, has arrived as well then.
fn releases_have_arrived(cluster: &Cluster, factory: &Factory) {
    eventually("the marker to be taken and freed on all nodes", || {
        let marker = factory.acquire("marker", TTL, Wait::Forever).unwrap();
        let everywhere = holders(cluster, "marker") == cluster.len();
        drop(marker);
        eventually("the marker to be freed", || holders(cluster, "marker") == 0);
        everywhere
    });
}

#[test]
fn a_detached_lock_stays_held() {
    let (cluster, factory) = three();
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    let token = lock.token().to_owned();
    lock.detach();
    releases_have_arrived(&cluster, &factory);
    assert!(holders(&cluster, "r") >= 2);
    for server in cluster.iter().filter(|server| server.holds("r")) {
        assert_eq!(server.command(&["GET", "r"]).text(), token);
    }
    let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::Contended);
}

/// The counterpart: the marker would show a release.
#[test]
fn a_dropped_lock_is_released() {
    let (cluster, factory) = three();
    drop(factory.acquire("r", TTL, Wait::No).unwrap());
    releases_have_arrived(&cluster, &factory);
    assert_eq!(holders(&cluster, "r"), 0);
}

#[test]
fn it_stays_held_when_the_factory_ends() {
    let (cluster, factory) = three();
    factory.acquire("r", TTL, Wait::No).unwrap().detach();
    factory.close();
    drop(factory);
    assert!(holders(&cluster, "r") >= 2);
    let error = common::factory(&cluster)
        .acquire("r", TTL, Wait::No)
        .unwrap_err();
    assert_eq!(error.status(), Status::Contended);
}

#[test]
fn it_is_not_kept_alive_any_more_and_no_loss_is_reported() {
    let (cluster, factory) = three();
    let queue = Queue::new().unwrap();
    let lock = factory.acquire("r", SHORT, Wait::No).unwrap();
    lock.keep_alive_in(&queue, 1).unwrap();
    lock.detach();
    eventually("its TTL to end", || holders(&cluster, "r") == 0);
    assert!(factory.acquire("r", TTL, Wait::No).is_ok());
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn several_resources_stay_held_together() {
    let (cluster, factory) = three();
    let lock = factory.acquire_many(&["a", "b"], TTL, Wait::No).unwrap();
    lock.detach();
    releases_have_arrived(&cluster, &factory);
    for resource in ["a", "b"] {
        assert!(holders(&cluster, resource) >= 2, "{resource}");
    }
}
