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

/// How long the locks of the tests with held-back bytes last. A connection that does not answer is given up after 3 s.
const LONG: Duration = Duration::from_secs(24);
const BRIEF: Duration = Duration::from_secs(4);

/// Three nodes behind proxies, and a user of theirs who may not end its own connections (CLIENT KILL): what such a user
/// left in a connection that it gave up arrives, however late.
struct Late {
    cluster: Cluster,
    proxies: Vec<Proxy>,
    urls: Vec<String>,
}

impl Late {
    fn start() -> Late {
        let cluster = Cluster::start_with(3, |server| {
            server.acl_user("app on >secret ~* &* +@all -client")
        });
        let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
        let urls = proxies
            .iter()
            .map(|proxy| format!("redis://app:secret@{}", proxy.address()))
            .collect();
        Late {
            cluster,
            proxies,
            urls,
        }
    }

    fn factory(&self) -> Factory {
        let options = common::options_with(&[("node_timeout_ms", "500")]);
        let factory = Factory::with_options(&self.urls, &options).unwrap();
        common::all_connected(&factory);
        factory
    }

    /// Has the lock extended to `BRIEF` by commands that stay in connections which are given up, and waits for new ones.
    fn strand_a_brief_extension(&self, factory: &Factory, lock: &Lock) {
        set_all(&self.proxies, Fault::HoldOpen);
        let error = lock.extend(BRIEF).unwrap_err();
        assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
        assert!(self.proxies.iter().all(|proxy| proxy.held() > 0));
        common::all_connected(factory);
    }

    /// Delivers what was stranded, and waits until the servers have carried it out. Before that, the extension that a quorum
    /// has made certain reaches the third server too.
    fn deliver(&self, lock: &Lock) {
        eventually("all servers to have extended it", || {
            self.cluster
                .iter()
                .all(|server| time_left(server) > lock.validity())
        });
        let before: Vec<u64> = self.cluster.iter().map(extend_calls).collect();
        set_all(&self.proxies, Fault::Pass);
        for (server, before) in self.cluster.iter().zip(before) {
            eventually("what was held back to arrive", || {
                extend_calls(server) > before
            });
        }
    }

    /// The lock lasts as its owner believes, and nobody else gets it.
    fn is_held(&self, lock: &Lock) {
        for server in self.cluster.iter() {
            assert!(time_left(server) > lock.validity(), "{:?}", lock);
            assert!(time_left(server) > LONG / 2);
        }
        let other = self.factory();
        let wait = Wait::For(BRIEF + Duration::from_secs(2));
        let error = other.acquire("r", TTL, wait).unwrap_err();
        assert_eq!(error.status(), Status::Contended, "{error:?}");
        assert!(!lock.validity().is_zero());
    }
}

/// How often the server has run a script, by digest.
fn extend_calls(server: &Server) -> u64 {
    common::calls(server, "evalsha")
}

#[test]
fn a_shorter_extension_that_arrives_late_shortens_nothing() {
    let late = Late::start();
    let factory = late.factory();
    let lock = factory.acquire("r", LONG, Wait::No).unwrap();
    late.strand_a_brief_extension(&factory, &lock);
    lock.extend(LONG).unwrap();
    assert!(lock.validity() > LONG * 3 / 4, "{lock:?}");
    late.deliver(&lock);
    late.is_held(&lock);
}

/// The same where keeping the lock alive is what extends it after the failure.
#[test]
fn a_lock_that_is_kept_alive_survives_a_shorter_extension_that_arrives_late() {
    let late = Late::start();
    let factory = late.factory();
    let lock = factory.acquire("r", LONG, Wait::No).unwrap();
    lock.keep_alive_silently().unwrap();
    late.strand_a_brief_extension(&factory, &lock);
    let before = lock.validity();
    eventually("it to be kept alive", || lock.validity() > before);
    late.deliver(&lock);
    late.is_held(&lock);
}

#[test]
fn an_extension_to_a_shorter_ttl_changes_neither_nodes_nor_validity() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    for names in [&["r"][..], &["r", "s"]] {
        let lock = factory.acquire_many(names, TTL, Wait::Forever).unwrap();
        eventually("all nodes to hold the lock", || {
            cluster.keys_holding("r") == 3
        });
        lock.extend(SHORT).unwrap();
        assert!(lock.validity() > TTL / 2, "{lock:?}");
        let left: Vec<_> = cluster.iter().map(time_left).collect();
        assert!(left.iter().all(|left| *left > TTL / 2), "{left:?}");
        lock.release().unwrap();
        eventually("no node to hold it", || cluster.keys_holding("r") == 0);
    }
}

#[test]
fn an_extension_to_a_shorter_ttl_that_fails_leaves_the_validity() {
    let cluster = Cluster::start(3);
    let (proxies, factory) = through_proxies(&cluster);
    let lock = lock(&cluster, &factory);
    set_all(&proxies[..2], Fault::Hold);
    let error = lock.extend(SHORT).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
    assert!(lock.validity() > TTL / 2, "{lock:?}");
    set_all(&proxies, Fault::Pass);
    eventually("the late ones to arrive", || {
        cluster.iter().all(|server| extend_calls(server) > 0)
    });
    assert!(cluster.iter().all(|server| time_left(server) > TTL / 2));
}

/// A key of ours that somebody made to stay for ever gets a time to live again.
#[test]
fn an_extension_sets_a_time_to_live_where_there_is_none() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let lock = lock(&cluster, &factory);
    cluster.command_all(&["PERSIST", "r"]);
    lock.extend(SHORT).unwrap();
    eventually("all nodes to have been told", || {
        cluster
            .iter()
            .all(|server| (Duration::from_millis(1)..=SHORT).contains(&time_left(server)))
    });
}

/// In whichever order their answers come, the lock is held for as long as the longer one says.
#[test]
fn of_two_extensions_under_way_the_longer_one_counts() {
    for (first, second) in [(TTL, SHORT), (SHORT, TTL)] {
        let cluster = Cluster::start(3);
        let (proxies, factory) = through_proxies_with(&cluster, common::NEVER);
        let lock = factory.acquire("r", SHORT * 2, Wait::No).unwrap();
        set_all(&proxies, Fault::Hold);
        let held = || proxies.iter().map(Proxy::held).collect::<Vec<_>>();
        let mut one = lock.extend_async(first);
        eventually("all proxies to hold the first", || !held().contains(&0));
        let before = held();
        let mut other = lock.extend_async(second);
        eventually("all proxies to hold the second", || {
            held().iter().zip(&before).all(|(now, before)| now > before)
        });
        assert!(common::is_pending(&mut one) && common::is_pending(&mut other));
        set_all(&proxies, Fault::Pass);
        common::block_on(one).unwrap();
        common::block_on(other).unwrap();
        assert!(lock.validity() > TTL * 3 / 4, "{lock:?}");
        let mut left: Vec<_> = cluster.iter().map(time_left).collect();
        left.sort();
        assert!(lock.validity() <= left[1], "{left:?}");
    }
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
