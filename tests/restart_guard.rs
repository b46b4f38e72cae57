//! Which nodes may vote: one that restarted without its data may not, until all that it forgot has run out; nor one that
//! is no master, or the same server twice.

mod common;
mod stepped_clock;
mod switch;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{calls, eventually, lock_count, occupy, options_with, vacate};
use redlock::log::Level;
use redlock::{Factory, Lock, NodeHealth, Status, Wait};
use stepped_clock::{SteppedClock, uptime};
use switch::Switch;
use testkit::{Cluster, Proxy, Server};

/// Far more than a test takes, and allowed by the options below.
const TTL: Duration = Duration::from_secs(60);
const MAX_TTL: (&str, &str) = ("max_ttl_ms", "60000");
/// The shortest time for which a node is kept out is that of 5 s and the second that uptimes are coarse by.
const SHORT: Duration = Duration::from_secs(5);
const SHORT_MAX_TTL: (&str, &str) = ("max_ttl_ms", "5000");

fn client_with<S: AsRef<str>>(urls: &[S], guard: &str, max_ttl: (&str, &str)) -> Factory {
    let options = options_with(&[("restart_guard", guard), max_ttl]);
    Factory::with_options(urls, &options).unwrap()
}

fn client<S: AsRef<str>>(urls: &[S], guard: &str) -> Factory {
    client_with(urls, guard, MAX_TTL)
}

/// Waits until the node is connected, whether it may vote or not.
fn connected(factory: &Factory, index: usize) -> NodeHealth {
    let mut found = None;
    eventually("a node to be connected", || {
        let node = factory.check().unwrap().swap_remove(index);
        found = node.version.is_some().then_some(node);
        found.is_some()
    });
    found.unwrap()
}

fn all_connected(factory: &Factory) {
    for index in 0..factory.check().unwrap().len() {
        connected(factory, index);
    }
}

/// How many scripts the server has: one more when a witness is left.
fn scripts(server: &Server) -> u64 {
    server.info("number_of_cached_scripts").parse().unwrap()
}

/// A set of nodes that has been up for a while, by an operator's word: each may vote, for newcomers too.
fn seasoned(count: usize) -> Cluster {
    seasoned_with(Cluster::start(count), MAX_TTL)
}

fn seasoned_with(cluster: Cluster, max_ttl: (&str, &str)) -> Cluster {
    let operator = client_with(&cluster.urls(), "strict", max_ttl);
    all_connected(&operator);
    let before: Vec<_> = cluster.iter().map(scripts).collect();
    assert_eq!(operator.trust_nodes().unwrap(), cluster.len());
    eventually("the word to be left on every node", || {
        let left = |(server, before): (&Server, &u64)| scripts(server) > *before;
        cluster.iter().zip(&before).all(left)
    });
    cluster
}

/// Takes a lock on nodes 0 and 1 alone: another owner is on node 2 for a moment.
fn hold_on_two(cluster: &Cluster, factory: &Factory) -> Lock {
    occupy(&cluster[2], "r");
    let lock = factory.acquire("r", TTL, Wait::For(TTL)).unwrap();
    vacate(&cluster[2], "r");
    assert!(cluster[0].holds("r") && cluster[1].holds("r"));
    lock
}

/// Node 0, which restarted without its data, does not vote for this client; so there is no second holder of `held`.
fn is_kept_out(factory: &Factory, held: &Lock) {
    // As long as no other node is known, the set may be one that was just started.
    all_connected(factory);
    let node = connected(factory, 0);
    assert_eq!(node.report.status, Status::NotAdmitted, "{node}");
    assert!(node.report.message.contains("has restarted"), "{node}");
    assert!(node.votes_in.is_some_and(|wait| wait <= TTL + 2 * SHORT));
    for _ in 0..20 {
        let refused = factory.acquire("r", TTL, Wait::No).unwrap_err();
        assert_eq!(
            refused.nodes()[0].status,
            Status::NotAdmitted,
            "{refused:?}"
        );
        assert!(refused.nodes()[0].message.contains("max_ttl_ms"));
    }
    assert!(!held.validity().is_zero());
}

#[test]
fn without_the_guard_a_restarted_master_lets_a_second_holder_in() {
    let cluster = Cluster::start(3);
    let (one, other) = (
        client(&cluster.urls(), "off"),
        client(&cluster.urls(), "off"),
    );
    all_connected(&one);
    let held = hold_on_two(&cluster, &one);
    assert!(other.acquire("r", TTL, Wait::No).is_err());
    cluster[0].restart_empty();
    let second = other.acquire("r", TTL, Wait::For(TTL)).unwrap();
    // Two holders at the same time: what the guard is for.
    assert!(!held.validity().is_zero() && !second.validity().is_zero());
    assert_ne!(held.token(), second.token());
}

#[test]
fn with_the_guard_a_restarted_master_lets_nobody_in() {
    for guard in ["auto", "strict"] {
        let cluster = seasoned(3);
        let (holder, other) = (
            client(&cluster.urls(), guard),
            client(&cluster.urls(), guard),
        );
        all_connected(&holder);
        all_connected(&other);
        let held = hold_on_two(&cluster, &holder);
        cluster[0].restart_empty();
        is_kept_out(&other, &held);
        is_kept_out(&client(&cluster.urls(), guard), &held);
        // One of its two nodes has forgotten it.
        assert!(held.release().is_err());
        other.acquire("r", TTL, Wait::For(TTL)).unwrap();
    }
}

#[test]
fn a_restart_in_view_is_seen_also_where_all_nodes_are_new() {
    let cluster = Cluster::start(3);
    let (holder, other) = (
        client(&cluster.urls(), "auto"),
        client(&cluster.urls(), "auto"),
    );
    all_connected(&other);
    let held = hold_on_two(&cluster, &holder);
    cluster[0].restart_empty();
    is_kept_out(&other, &held);
    is_kept_out(&holder, &held);
}

/// Kept out as a node of a set that has been up, although this client has never seen the node before.
#[test]
fn a_node_that_comes_new_among_old_ones_is_not_taken_for_a_fresh_set() {
    let cluster = Cluster::start(3);
    let proxy = Proxy::to(&cluster[0]);
    proxy.set(testkit::Fault::Refuse);
    let urls = [proxy.url(), cluster[1].url(), cluster[2].url()];
    let other = client(&urls, "auto");
    connected(&other, 1);
    connected(&other, 2);
    assert_eq!(other.trust_nodes().unwrap(), 2);
    let held = hold_on_two(&cluster, &client(&cluster.urls(), "off"));
    cluster[0].restart_empty();
    proxy.set(testkit::Fault::Pass);
    is_kept_out(&other, &held);
}

#[test]
fn the_majority_goes_on_while_a_restarted_master_waits() {
    let cluster = seasoned(3);
    let factory = client(&cluster.urls(), "auto");
    all_connected(&factory);
    cluster[0].restart_empty();
    connected(&factory, 0);
    let questions = || ["set", "evalsha"].map(|command| calls(&cluster[0], command));
    let before = questions();
    for _ in 0..200 {
        let lock = factory.acquire("r", TTL, Wait::No).unwrap();
        lock.extend(TTL).unwrap();
        lock.release().unwrap();
    }
    assert_eq!(lock_count(&cluster[0]), 0);
    // No more than the probe when the connection was made.
    assert_eq!(questions(), before);
}

/// The same for a client that saw the restart and for one that comes later; a new connection in between changes nothing.
#[test]
fn a_restarted_master_votes_when_the_longest_ttl_has_passed() {
    std::thread::scope(|scope| {
        for knew_it in [true, false] {
            scope.spawn(move || votes_after_the_longest_ttl(knew_it));
        }
    });
}

fn votes_after_the_longest_ttl(knew_it: bool) {
    let cluster = seasoned_with(Cluster::start(3), SHORT_MAX_TTL);
    let connect = || client_with(&cluster.urls(), "strict", SHORT_MAX_TTL);
    let earlier = connect();
    all_connected(&earlier);
    cluster[0].restart_empty();
    let factory = if knew_it { earlier } else { connect() };
    connected(&factory, 0);
    eventually("a part of the time to pass", || uptime(&cluster[0]) >= 3);
    cluster[0]
        .command(&["CLIENT", "KILL", "USER", "default"])
        .ok();
    common::all_connected(&factory);
    assert!(uptime(&cluster[0]) >= 5, "it votes too early");
    cluster[1].kill();
    let _lock = factory.acquire("r", SHORT, Wait::For(TTL)).unwrap();
    assert!(cluster[0].holds("r") && cluster[2].holds("r"));
}

#[test]
fn auto_lets_a_set_vote_that_was_just_started() {
    for count in [1, 3] {
        let cluster = Cluster::start(count);
        let factory = client(&cluster.urls(), "auto");
        factory.acquire("r", TTL, Wait::No).unwrap();
        common::all_connected(&factory);
    }
}

#[test]
fn strict_waits_for_an_operator_to_vouch_for_a_fresh_set() {
    let cluster = Cluster::start(3);
    let factory = client(&cluster.urls(), "strict");
    all_connected(&factory);
    let refused = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(refused.status(), Status::NoQuorum);
    let admitted = |node: &redlock::NodeReport| node.status != Status::NotAdmitted;
    assert!(!refused.nodes().iter().any(admitted), "{refused:?}");
    assert_eq!(factory.trust_nodes().unwrap(), 3);
    factory
        .acquire("r", TTL, Wait::No)
        .unwrap()
        .release()
        .unwrap();
    // Newcomers find the witness; but none of another longest TTL, and none on a later start.
    common::all_connected(&client(&cluster.urls(), "strict"));
    let longer = client_with(&cluster.urls(), "strict", ("max_ttl_ms", "120000"));
    assert_eq!(connected(&longer, 0).report.status, Status::NotAdmitted);
    cluster[1].restart_empty();
    let newcomer = client(&cluster.urls(), "strict");
    assert_eq!(connected(&newcomer, 1).report.status, Status::NotAdmitted);
    assert_eq!(connected(&newcomer, 2).report.status, Status::Ok);
}

#[test]
fn there_is_nobody_to_vouch_for_while_no_node_is_connected() {
    let factory = client(&["redis://127.0.0.1:1"], "strict");
    assert_eq!(
        factory.trust_nodes().unwrap_err().status(),
        Status::NoQuorum
    );
}

/// A part of the nodes alone would leave the others out: newcomers would take them for restarted ones.
#[test]
fn a_new_factory_contacts_all_nodes_before_it_vouches_for_them() {
    let cluster = Cluster::start(5);
    for _ in 0..10 {
        let factory = client(&cluster.urls(), "strict");
        assert_eq!(factory.trust_nodes().unwrap(), 5);
    }
}

#[test]
fn vouching_ends_when_the_factory_is_closed() {
    let cluster = Cluster::start(3);
    cluster[2].stop();
    let options = options_with(&[
        ("restart_guard", "strict"),
        ("connect_timeout_ms", "120000"),
    ]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    let other = factory.clone();
    let vouching = std::thread::spawn(move || other.trust_nodes());
    connected(&factory, 0);
    connected(&factory, 1);
    factory.close();
    assert_eq!(
        vouching.join().unwrap().unwrap_err().status(),
        Status::Closed
    );
    cluster[2].cont();
}

/// The clock of the server is set back, so that nothing but the witness can speak for its age.
#[test]
fn a_client_that_was_there_long_enough_leaves_a_witness() {
    let Some(clock) = SteppedClock::new() else {
        return;
    };
    let server = clock.of(Server::builder()).start();
    let resident = client_with(&[server.url()], "auto", SHORT_MAX_TTL);
    connected(&resident, 0);
    let before = scripts(&server);
    clock.set(&server, -3600);
    let newcomer = || connected(&client_with(&[server.url()], "strict", SHORT_MAX_TTL), 0);
    assert_eq!(newcomer().report.status, Status::NotAdmitted);
    eventually("the witness to be left", || scripts(&server) > before);
    let node = newcomer();
    assert_eq!(node.report.status, Status::Ok, "{node}");
    assert_eq!(node.uptime, Some(Duration::ZERO));
}

/// The server says that it has been up for an hour. The client, which knew it before, counts by itself.
#[test]
fn a_restart_in_view_is_timed_by_the_clients_own_clock() {
    let Some(clock) = SteppedClock::new() else {
        return;
    };
    let server = clock.of(Server::builder()).start();
    let proxy = Proxy::to(&server);
    for guard in ["auto", "strict"] {
        clock.set(&server, 3600);
        proxy.set(testkit::Fault::Pass);
        let factory = client(&[proxy.url()], guard);
        factory.acquire("r", TTL, Wait::For(TTL)).unwrap();
        proxy.set(testkit::Fault::Refuse);
        clock.show(0);
        server.restart_empty();
        clock.set(&server, 3600);
        proxy.set(testkit::Fault::Pass);
        let node = connected(&factory, 0);
        assert!(
            node.uptime
                .is_some_and(|uptime| uptime > Duration::from_secs(3000))
        );
        assert_eq!(node.report.status, Status::NotAdmitted, "{node}");
        assert!(factory.acquire("r", TTL, Wait::No).is_err());
    }
}

/// A clock that was ahead at the start, and has been set right since, makes the uptime negative.
#[test]
fn a_negative_uptime_is_that_of_a_young_server() {
    let Some(clock) = SteppedClock::new() else {
        return;
    };
    let young = clock.of(Server::builder()).start();
    let cluster = seasoned(2);
    clock.set(&young, -3600);
    // The server reads its clock only now and then.
    eventually("its uptime is negative", || uptime(&young) < 0);
    let urls = [young.url(), cluster[0].url(), cluster[1].url()];
    let factory = client(&urls, "auto");
    // As long as no other node is known, the set may be one that was just started.
    all_connected(&factory);
    let node = connected(&factory, 0);
    assert_eq!(node.report.status, Status::NotAdmitted, "{node}");
}

const PERSISTENT: &[&str] = &["appendonly yes", "appendfsync always"];

/// A client that takes the operator's word for it that every node persists every write, also across restarts.
fn client_of_persistent<S: AsRef<str>>(urls: &[S]) -> Factory {
    let persistent = ("nodes_persist", "on");
    let options = options_with(&[("restart_guard", "strict"), MAX_TTL, persistent]);
    Factory::with_options(urls, &options).unwrap()
}

/// That a boot persists every write says nothing of the boot before, which granted the lock and persisted nothing.
#[test]
fn a_master_that_persists_only_since_its_restart_lets_nobody_in() {
    for guard in ["auto", "strict"] {
        let cluster = seasoned(3);
        let (holder, other) = (
            client(&cluster.urls(), guard),
            client(&cluster.urls(), guard),
        );
        all_connected(&holder);
        all_connected(&other);
        let held = hold_on_two(&cluster, &holder);
        cluster[0].restart_with(PERSISTENT);
        is_kept_out(&other, &held);
        is_kept_out(&client(&cluster.urls(), guard), &held);
    }
}

/// So does an operator turn persistence on, one node after the other.
#[test]
fn a_rolling_restart_that_turns_persistence_on_lets_nobody_in() {
    for guard in ["auto", "strict"] {
        let cluster = seasoned(3);
        let other = client(&cluster.urls(), guard);
        all_connected(&other);
        let held = hold_on_two(&cluster, &client(&cluster.urls(), guard));
        for server in cluster.iter() {
            server.restart_with(PERSISTENT);
            is_kept_out(&other, &held);
        }
        // To a newcomer the set may be one that was just started: `strict` is for that.
        is_kept_out(&client(&cluster.urls(), "strict"), &held);
    }
}

#[test]
fn the_operator_s_word_does_not_stand_against_what_a_master_tells_of_itself() {
    let cluster = Cluster::start(2);
    cluster[1]
        .command(&["CONFIG", "SET", "appendonly", "yes"])
        .ok();
    let factory = client_of_persistent(&cluster.urls());
    for (index, persistence) in [
        (0, "no append-only file"),
        (1, "persists, but may lose the last writes"),
    ] {
        let node = connected(&factory, index);
        assert_eq!(node.report.status, Status::NotAdmitted, "{node}");
        assert_eq!(node.persistence, Some(persistence));
    }
}

#[test]
fn a_master_that_persists_every_write_votes_at_once_after_its_death() {
    let cluster = Cluster::start_with(3, |server| server.persistent());
    let factory = client_of_persistent(&cluster.urls());
    let held = factory.acquire("r", TTL, Wait::For(TTL)).unwrap();
    for server in cluster.iter() {
        server.restart();
    }
    let newcomer = client_of_persistent(&cluster.urls());
    common::all_connected(&newcomer);
    let refused = newcomer.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(refused.status(), Status::Contended, "{refused:?}");
    common::all_connected(&factory);
    held.release().unwrap();
    newcomer.acquire("r", TTL, Wait::For(TTL)).unwrap();
}

/// An append-only file that is written now and then forgets the last second.
#[test]
fn a_master_that_persists_now_and_then_waits() {
    let server = Server::builder()
        .config("appendonly yes")
        .config("appendfsync everysec")
        .start();
    let node = connected(&client(&[server.url()], "strict"), 0);
    assert_eq!(node.report.status, Status::NotAdmitted);
    assert_eq!(
        node.persistence,
        Some("persists, but may lose the last writes")
    );
}

/// Waits until node 0 is refused for this reason, and shows that it has no vote.
fn is_refused(urls: &[String], guard: &str, reason: &str) {
    let factory = client(urls, guard);
    common::trouble(&factory, 0, reason);
    let node = &factory.check().unwrap()[0].report;
    assert_eq!(node.status, Status::NotAdmitted, "{node:?}");
    let refused = factory.acquire("refused", TTL, Wait::No).unwrap_err();
    assert_eq!(refused.status(), Status::NoQuorum, "{refused:?}");
}

#[test]
fn a_replica_is_refused() {
    let master = Server::builder().start();
    let replica = Server::builder().replica_of(&master).start();
    is_refused(&[replica.url()], "off", "is a replica");
    assert_eq!(lock_count(&master), 0);
}

#[test]
fn a_server_that_is_loading_is_refused_until_it_has() {
    let server = Server::builder().start();
    server.restart_loading();
    let factory = client(&[server.url()], "off");
    common::trouble(&factory, 0, "loading");
    assert_eq!(
        factory.check().unwrap()[0].report.status,
        Status::NotAdmitted
    );
    server.finish_loading();
    factory.acquire("r", TTL, Wait::For(TTL)).unwrap();
}

#[test]
fn the_same_server_under_two_addresses_votes_once() {
    let server = Server::builder().start();
    let other = Server::builder().start();
    let localhost = format!("redis://localhost:{}", server.port());
    // One who may not ask for the server's run id.
    server
        .command(&[
            "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-info",
        ])
        .ok();
    let as_app = |host: &str| format!("redis://app:secret@{host}:{}", server.port());
    for (one, twin) in [
        (server.url(), server.unix_url()),
        (server.url(), localhost),
        (as_app("127.0.0.1"), as_app("localhost")),
    ] {
        let factory = client(&[one, twin, other.url()], "off");
        eventually("one of the two to be refused", || {
            let nodes = factory.check().unwrap();
            let refused = |node: &&NodeHealth| {
                node.report.status == Status::NotAdmitted
                    && node.report.message.contains("is the same server as")
                    && node.report.message.contains("would vote twice")
            };
            nodes[..2].iter().filter(refused).count() == 1
        });
        factory
            .acquire("r", TTL, Wait::For(TTL))
            .unwrap()
            .release()
            .unwrap();
        // Alone it is one of three.
        other.stop();
        assert!(factory.acquire("r", TTL, Wait::No).is_err());
        other.cont();
    }
}

/// What the library has said since the last look, with the address of this server in it.
fn said_about(server: &Server, level: Level, words: &str) -> bool {
    let address = server.address();
    log().iter().any(|(its_level, message)| {
        *its_level == level && message.contains(&address) && message.contains(words)
    })
}

/// The log of this process: all its tests'.
fn log() -> MutexGuard<'static, Vec<(Level, String)>> {
    static LOG: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());
    static LISTEN: std::sync::Once = std::sync::Once::new();
    LISTEN.call_once(|| {
        let take = |level, message: &str| {
            let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
            log.push((level, message.to_owned()));
        };
        redlock::log::set(Some(Box::new(take)), Level::Info);
    });
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_policy_that_can_drop_locks_is_reported() {
    drop(log());
    let careless = Server::builder()
        .max_memory(100_000_000, "allkeys-lru")
        .start();
    let careful = Server::builder().start();
    let factory = client(&[careless.url(), careful.url()], "auto");
    all_connected(&factory);
    let nodes = factory.check().unwrap();
    assert_eq!(nodes[0].eviction_policy.as_deref(), Some("allkeys-lru"));
    assert!(
        nodes[0].to_string().contains("can lose locks"),
        "{}",
        nodes[0]
    );
    assert_eq!(nodes[1].eviction_policy.as_deref(), Some("noeviction"));
    assert!(!nodes[1].to_string().contains("can lose locks"));
    eventually("the policy to be logged", || {
        said_about(&careless, Level::Warn, "allkeys-lru can drop locks")
    });
    assert!(!said_about(&careful, Level::Warn, "can drop locks"));
}

#[test]
fn a_user_who_may_not_ask_is_let_in_by_auto_and_refused_by_strict() {
    drop(log());
    let server = Server::builder()
        .acl_user("app on >secret ~* &* +@all -info")
        .start();
    let url = server.url_as("app", "secret");
    let factory = client(&[&url], "auto");
    factory.acquire("r", TTL, Wait::No).unwrap();
    let node = connected(&factory, 0);
    assert_eq!((node.uptime, node.eviction_policy), (None, None));
    for words in ["a restart can't be told", "NOPERM"] {
        eventually("the refusal to be logged", || {
            said_about(&server, Level::Warn, words)
        });
    }
    is_refused(&[url], "strict", "restart_guard=strict demands");
}

#[test]
fn check_shows_all_that_is_known_of_a_node() {
    let cluster = Cluster::start_with(1, |server| server.persistent());
    let plain = Server::builder().start();
    let urls = [
        cluster[0].url(),
        plain.url(),
        "redis://127.0.0.1:1".to_owned(),
    ];
    let factory = client_of_persistent(&urls);
    connected(&factory, 0);
    connected(&factory, 1);
    common::trouble(&factory, 2, "refused");
    let nodes = factory.check().unwrap();
    for (node, server) in nodes.iter().zip([&cluster[0], &plain]) {
        assert!(node.report.address.contains(&server.address()));
        let version = node.version.as_deref().unwrap();
        assert!(version.ends_with(testkit::server_version()), "{version}");
        assert_eq!(node.role.as_deref(), Some("master"));
        assert!(node.uptime.is_some() && node.round_trip.is_some());
        assert_eq!(node.eviction_policy.as_deref(), Some("noeviction"));
    }
    assert_eq!(nodes[0].report.status, Status::Ok);
    assert_eq!(nodes[0].votes_in, None);
    assert_eq!(nodes[0].persistence, Some("persists every write"));
    assert_eq!(nodes[1].report.status, Status::NotAdmitted);
    assert!(nodes[1].votes_in.is_some_and(|wait| !wait.is_zero()));
    assert_eq!(nodes[1].persistence, Some("no append-only file"));
    assert_eq!(nodes[2].report.status, Status::Unreachable);
    assert_eq!((&nodes[2].version, nodes[2].round_trip), (&None, None));
    for part in ["votes in", "master", "up ", "noeviction", "round trip"] {
        assert!(nodes[1].to_string().contains(part), "{part}: {}", nodes[1]);
    }
}

/// The client's connection stays open, and another server answers on it from now on.
#[test]
fn another_server_behind_an_open_connection_does_not_vote() {
    for guard in ["auto", "strict"] {
        let cluster = seasoned(3);
        let switch = Switch::to(&cluster[0]);
        let urls = [switch.url(), cluster[1].url(), cluster[2].url()];
        let other = client(&urls, guard);
        common::all_connected(&other);
        let held = hold_on_two(&cluster, &client(&cluster.urls(), guard));
        let replacement = Server::builder().start();
        let connections = switch.accepted();
        switch.swap(&replacement);
        // The very first question to it is answered by a server that does not know the scripts of this start.
        let refused = other.acquire("r", TTL, Wait::No).unwrap_err();
        let message = &refused.nodes()[0].message;
        assert!(message.contains("another server"), "{refused:?}");
        is_kept_out(&other, &held);
        assert!(switch.accepted() > connections);
        assert_eq!(lock_count(&replacement), 0);
    }
}

/// A node of whose scripts only that for releasing is left: the acquire would have to be asked again, and the lock has been
/// given back by then. (Of several resources, as one is taken by SET.)
#[test]
fn an_acquire_that_met_a_flushed_cache_is_not_overtaken_by_its_release() {
    let cluster = seasoned(3);
    let proxy = Proxy::to(&cluster[2]);
    let urls = [cluster[0].url(), cluster[1].url(), proxy.url()];
    let factory = client(&urls, "strict");
    common::all_connected(&factory);
    let boot = format!("-- boot {}\n", cluster[2].info("run_id"));
    let release = concat!(
        include_str!("../src/scripts/promote.lua"),
        include_str!("../src/scripts/release_many.lua")
    );
    let acquire = concat!(
        include_str!("../src/scripts/accept.lua"),
        include_str!("../src/scripts/acquire_many.lua")
    );
    let load = |server: &Server, script: &str| {
        let script = format!("{script}{boot}");
        server.command(&["SCRIPT", "LOAD", &script]).text()
    };
    let knows = |digest: &str| {
        let known = cluster[2].command(&["SCRIPT", "EXISTS", digest]);
        known.elements()[0].integer() == 1
    };
    let [release_digest, acquire_digest] = [release, acquire].map(|it| load(&cluster[0], it));
    assert!(knows(&release_digest) && knows(&acquire_digest));
    cluster[2].command(&["SCRIPT", "FLUSH"]).ok();
    load(&cluster[2], release);
    proxy.set(testkit::Fault::Delay {
        request: Duration::ZERO,
        answer: Duration::from_millis(300),
    });
    let lock = factory.acquire_many(&["r", "t"], TTL, Wait::No).unwrap();
    lock.release().unwrap();
    // Its script is there when the release comes: before the acquire is answered.
    eventually("the release", || calls(&cluster[2], "evalsha") >= 2);
    assert!(!knows(&acquire_digest));
    proxy.set(testkit::Fault::Pass);
    // Now it has been, and the node was told the script, not asked again.
    eventually("the script", || knows(&acquire_digest));
    // What is asked later reaches the node later.
    let _barrier = factory.acquire("s", TTL, Wait::No).unwrap();
    eventually("the barrier", || cluster[2].holds("s"));
    assert!(!cluster[2].holds("r"), "a lock is left behind");
}

#[test]
fn scripts_that_were_flushed_are_sent_again_and_nothing_is_lost() {
    let cluster = seasoned(3);
    let proxies: Vec<_> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<_> = proxies.iter().map(Proxy::url).collect();
    let factory = client(&urls, "strict");
    common::all_connected(&factory);
    let held = factory.acquire("held", TTL, Wait::No).unwrap();
    for _ in 0..50 {
        cluster.command_all(&["SCRIPT", "FLUSH"]);
        let lock = factory.acquire("r", TTL, Wait::No).unwrap();
        cluster.command_all(&["SCRIPT", "FLUSH"]);
        lock.extend(TTL).unwrap();
        cluster.command_all(&["SCRIPT", "FLUSH"]);
        lock.release().unwrap();
    }
    held.release().unwrap();
    let accepted: Vec<_> = proxies.iter().map(Proxy::accepted).collect();
    assert_eq!(accepted, [1, 1, 1], "a connection was made anew");
    eventually("the locks to be gone everywhere", || {
        cluster.keys_holding("held") + cluster.keys_holding("r") == 0
    });
}

/// Programs hold locks for ten minutes, some for days.
#[test]
fn a_ttl_above_the_longest_is_refused_by_strict_and_warned_of_otherwise() {
    drop(log());
    let server = Server::builder().start();
    let (long, longest) = (TTL * 10, Duration::from_secs(30 * 24 * 60 * 60));
    let too_long = longest + Duration::from_millis(1);
    let warnings = || {
        let log = log();
        let warned = |(level, text): &&(Level, String)| {
            *level == Level::Warn
                && text.contains("a TTL of 600000 ms")
                && text.contains("max_ttl_ms (60000 ms)")
        };
        log.iter().filter(warned).count()
    };
    for (before, guard) in ["auto", "off"].into_iter().enumerate() {
        let factory = client(&[server.url()], guard);
        for _ in 0..3 {
            let lock = factory.acquire("r", long, Wait::For(TTL)).unwrap();
            assert!(lock.validity() > TTL * 9, "{lock:?}");
            lock.extend(longest).unwrap();
            assert!(lock.validity() > longest / 10 * 9, "{lock:?}");
            let left = server.command(&["PTTL", "r"]).integer();
            assert!(Duration::from_millis(left as u64) >= lock.validity());
            let error = lock.extend(too_long).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            assert!(error.message().contains("30 days"), "{error}");
            lock.release().unwrap();
        }
        assert_eq!(warnings(), before + 1);
        let error = factory.acquire("r", too_long, Wait::No).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
    }
    let strict = client(&[server.url()], "strict");
    let error = strict.acquire("r", TTL + Duration::from_millis(1), Wait::No);
    let error = error.unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    assert!(error.message().contains("max_ttl_ms") && error.message().contains("strict"));
}
