//! Fences on real masters: each acquire's is larger than that of every one before it, whichever nodes took part.

use std::time::Duration;

use redlock::{Factory, Options, Wait};
use testkit::{Cluster, Server};

const TTL: Duration = Duration::from_secs(20);

fn options(settings: &[(&str, &str)]) -> Options {
    let mut options = Options::new();
    for (name, value) in settings {
        options.set(name, value).unwrap();
    }
    options
}

fn take_fence(factory: &Factory) -> u64 {
    let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
    let fence = lock.fence();
    lock.release().unwrap();
    fence
}

#[test]
fn fences_rise_from_acquire_to_acquire() {
    let cluster = Cluster::start(5);
    let factory = Factory::new(&cluster.urls()).unwrap();
    let mut last = 0;
    for _ in 0..500 {
        let fence = take_fence(&factory);
        assert!(fence > last, "{fence} after {last}");
        last = fence;
    }
}

/// Two of three nodes at a time, in the order in which the maximum of counters gives 1, 2, 3, 4, 3.
#[test]
fn fences_rise_over_rotating_quorums_and_factories() {
    let cluster = Cluster::start(3);
    let urls = cluster.urls();
    let pairs = [[0, 1], [0, 1], [1, 2], [1, 2], [0, 2]];
    let mut last = 0;
    for round in 0..60 {
        let [one, other] = pairs[round % pairs.len()];
        let left_out = 3 - one - other;
        let mut reachable = urls.clone();
        // Nothing listens on port 1: this client can't reach the third node.
        reachable[left_out] = "redis://127.0.0.1:1".to_owned();
        let factory = Factory::new(&reachable).unwrap();
        let fence = take_fence(&factory);
        assert!(fence > last, "round {round}: {fence} after {last}");
        last = fence;
    }
}

#[test]
fn clients_whose_clocks_are_an_hour_apart_share_one_order() {
    let cluster = Cluster::start(3);
    let client = |offset: &str| {
        let options = options(&[("ballot_clock_offset_ms", offset)]);
        Factory::with_options(&cluster.urls(), &options).unwrap()
    };
    let clients = [client("0"), client("3600000"), client("-3600000")];
    let mut last = 0;
    for round in 0..90 {
        let fence = take_fence(&clients[round * 7 % 3]);
        assert!(fence > last, "round {round}: {fence} after {last}");
        last = fence;
    }
}

#[test]
fn without_fencing_a_lock_is_a_plain_key_and_has_no_fence() {
    let server = Server::builder().start();
    let factory = Factory::with_options(&[server.url()], &options(&[("fencing", "off")])).unwrap();
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    assert_eq!(lock.fence(), 0);
    assert_eq!(server.command(&["DBSIZE"]).integer(), 1);
}

#[test]
fn several_resources_are_locked_together_or_not_at_all() {
    let cluster = Cluster::start(3);
    let factory = Factory::new(&cluster.urls()).unwrap();
    let both = factory.acquire_many(&["a", "b"], TTL, Wait::No).unwrap();
    assert_eq!(both.resources().collect::<Vec<_>>(), ["a", "b"]);
    assert!(factory.acquire("b", TTL, Wait::No).is_err());
    assert!(factory.acquire_many(&["c", "a"], TTL, Wait::No).is_err());
    assert!(!factory.is_locked("c").unwrap());
    both.release().unwrap();
    let again = factory.acquire_many(&["b", "a"], TTL, Wait::No).unwrap();
    assert!(again.fence() > both.fence());
}
