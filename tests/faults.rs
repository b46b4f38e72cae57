//! Every way in which a node can fail: a minority of such nodes changes nothing, a majority is named with the server's
//! own words, and all is well again when the nodes are.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{TTL, calls, eventually};
use redlock::{Error, Factory, Lock, Status, Wait};
use testkit::{Cluster, Fault, Proxy, Server};

fn acquire(factory: &Factory) -> redlock::Result<Lock> {
    factory.acquire("r", TTL, Wait::No)
}

/// Takes, extends and returns a lock although some nodes fail.
fn works_without_them(factory: &Factory) {
    let lock = acquire(factory).unwrap();
    lock.extend(TTL).unwrap();
    lock.release().unwrap();
}

/// The next attempt's failure, in which nodes 0 and 1 have this status and these words.
fn refused_by_two(factory: &Factory, status: Status, words: &str) -> Error {
    let error = acquire(factory).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
    for node in &error.nodes()[..2] {
        assert_eq!(node.status, status, "{error:?}");
        assert!(node.message.contains(words), "{words:?}: {error:?}");
    }
    error
}

/// Three connected nodes, of which `harm` makes first one and then a second one fail; the attempts after that are
/// told about them with `status` and `words`; and `heal` mends both.
fn a_node_that(
    harm: impl Fn(&Server),
    (status, words): (Status, &str),
    heal: impl Fn(&Server),
) -> (Cluster, Factory) {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    harm(&cluster[0]);
    works_without_them(&factory);
    harm(&cluster[1]);
    refused_by_two(&factory, status, words);
    cluster[..2].iter().for_each(heal);
    common::works_again(&factory, "r");
    (cluster, factory)
}

fn config(server: &Server, name: &str, value: &str) {
    server.command(&["CONFIG", "SET", name, value]).ok();
}

#[test]
fn a_node_whose_memory_is_full() {
    a_node_that(
        |server| config(server, "maxmemory", "1"),
        (Status::Server, "OOM"),
        |server| config(server, "maxmemory", "0"),
    );
}

#[test]
fn a_node_that_became_a_replica() {
    a_node_that(
        |server| drop(server.command(&["REPLICAOF", "127.0.0.1", "1"]).ok()),
        (Status::NotAdmitted, "replica"),
        |server| drop(server.command(&["REPLICAOF", "NO", "ONE"]).ok()),
    );
}

#[test]
fn a_node_that_cannot_write_its_snapshots() {
    a_node_that(
        Server::break_snapshots,
        (Status::Server, "MISCONF"),
        Server::mend_snapshots,
    );
}

#[test]
fn a_node_that_is_killed_and_restarted_empty() {
    a_node_that(
        Server::kill,
        (Status::Unreachable, ""),
        Server::restart_empty,
    );
}

#[test]
fn a_node_whose_user_may_not_set() {
    let cluster = Cluster::start_with(3, |server| {
        server.acl_user("alice on >secret ~* +@all -set")
    });
    let user = |server: &Server| server.url_as("alice", "secret");
    let mut urls: Vec<String> = cluster.urls();
    urls[0] = user(&cluster[0]);
    let factory = Factory::with_options(&urls, &common::unfenced()).unwrap();
    works_without_them(&factory);
    urls[1] = user(&cluster[1]);
    let factory = Factory::with_options(&urls, &common::unfenced()).unwrap();
    let error = refused_by_two(&factory, Status::Server, "NOPERM");
    assert!(!format!("{error:?}").contains("secret"));
    cluster.command_all(&["ACL", "SETUSER", "alice", "+set"]);
    common::works_again(&factory, "r");
}

#[test]
fn a_node_that_wants_a_password_and_gets_none() {
    let cluster = Cluster::start_with(3, |server| server.password("secret"));
    let plain = |server: &Server| format!("redis://{}", server.address());
    let mut urls = cluster.urls();
    urls[0] = plain(&cluster[0]);
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    works_without_them(&factory);
    urls[1] = plain(&cluster[1]);
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    refused_by_two(&factory, Status::Server, "NOAUTH");
    cluster.command_all(&["CONFIG", "SET", "requirepass", ""]);
    common::works_again(&factory, "r");
}

#[test]
fn a_node_that_holds_a_key_of_another_type_refuses() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    cluster[0].command(&["LPUSH", "r", "x"]).ok();
    works_without_them(&factory);
    cluster[1].command(&["HSET", "r", "field", "x"]).ok();
    let error = acquire(&factory).unwrap_err();
    assert_eq!(error.status(), Status::Contended, "{error:?}");
    // A lock whose keys became something else under its feet is lost, and what they became is left alone.
    let lock = factory.acquire("s", TTL, Wait::No).unwrap();
    cluster.command_all(&["DEL", "s"]);
    cluster.command_all(&["SADD", "s", "x"]);
    assert_eq!(lock.extend(TTL).unwrap_err().status(), Status::Expired);
    assert_eq!(lock.release().unwrap_err().status(), Status::Expired);
    assert_eq!(cluster.keys_holding("s"), 3);
}

#[test]
fn a_node_that_is_still_loading_its_data() {
    let cluster = Cluster::start_with(3, |server| server.persistent());
    let factory = common::factory(&cluster);
    cluster[0].restart_loading();
    common::trouble(&factory, 0, "loading");
    works_without_them(&factory);
    // Two at once could be done only while both load; so the majority is made of a dead one and this one.
    cluster[1].kill();
    common::trouble(&factory, 1, "refused");
    let error = acquire(&factory).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
    assert_eq!(error.nodes()[0].status, Status::NotAdmitted, "{error:?}");
    cluster[0].finish_loading();
    common::works_again(&factory, "r");
}

#[test]
fn a_node_that_is_restarted_with_its_data_still_holds_its_locks() {
    let cluster = Cluster::start_with(3, |server| server.persistent());
    let factory = common::factory(&cluster);
    let lock = acquire(&factory).unwrap();
    eventually("all nodes to hold the lock", || {
        cluster.keys_holding("r") == 3
    });
    cluster.iter().for_each(Server::restart);
    assert_eq!(cluster.keys_holding("r"), 3);
    let other = common::factory(&cluster);
    let error = other.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::Contended);
    eventually("the lock to be extended", || lock.extend(TTL).is_ok());
    common::all_connected(&factory);
    lock.release().unwrap();
    eventually("nothing to be left", || cluster.keys_holding("r") == 0);
}

#[test]
fn a_lock_that_a_majority_lost_in_restarts_is_told_to_be_lost() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let lock = acquire(&factory).unwrap();
    cluster[..2].iter().for_each(Server::restart_empty);
    eventually("the loss to be noticed", || {
        lock.extend(TTL)
            .is_err_and(|error| error.status() == Status::Expired)
    });
    assert!(lock.validity().is_zero());
}

#[test]
fn nodes_that_hang_are_given_up_and_taken_back() {
    let cluster = Cluster::start(3);
    let factory = Factory::with_options(&cluster.urls(), &common::hasty()).unwrap();
    common::all_connected(&factory);
    cluster[0].stop();
    common::works_again(&factory, "r");
    cluster[1].stop();
    let error = acquire(&factory).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
    assert_eq!(error.nodes()[1].status, Status::Timeout, "{error:?}");
    // Long enough that the connections are given up, too.
    common::trouble(&factory, 1, "no answer to");
    cluster[..2].iter().for_each(Server::cont);
    common::works_again(&factory, "r");
    common::all_connected(&factory);
}

#[test]
fn nodes_that_refuse_connections() {
    let cluster = Cluster::start(3);
    let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
    proxies[0].set(Fault::Refuse);
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    works_without_them(&factory);
    proxies[1].set(Fault::Refuse);
    common::trouble(&factory, 1, "refused");
    refused_by_two(&factory, Status::Unreachable, "refused");
    proxies.iter().for_each(|proxy| proxy.set(Fault::Pass));
    common::works_again(&factory, "r");
}

#[test]
fn nodes_that_become_black_holes() {
    let cluster = Cluster::start(3);
    let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
    let factory = Factory::with_options(&urls, &common::hasty()).unwrap();
    common::all_connected(&factory);
    proxies[0].set(Fault::BlackHole);
    common::works_again(&factory, "r");
    proxies[1].set(Fault::BlackHole);
    let error = acquire(&factory).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
    proxies.iter().for_each(|proxy| proxy.set(Fault::Pass));
    common::works_again(&factory, "r");
}

/// A listener whose queue is full swallows what is sent to it, as an address does that leads nowhere.
#[test]
fn an_address_that_leads_nowhere_from_the_start() {
    use std::os::fd::AsRawFd;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = listener.local_addr().unwrap();
    // SAFETY: a descriptor of ours; a second listen only changes the length of the queue.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&nowhere, Duration::from_millis(200)) {
        queue.push(stream);
        assert!(queue.len() < 100, "the queue is never full");
    }
    let cluster = Cluster::start(2);
    let mut urls = cluster.urls();
    urls.push(format!("redis://{nowhere}"));
    let factory = Factory::with_options(&urls, &common::patient()).unwrap();
    works_without_them(&factory);
    let options = common::options_with(&[("connect_timeout_ms", "100")]);
    let alone = Factory::with_options(&urls[2..], &options).unwrap();
    let error = acquire(&alone).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
    common::trouble(&alone, 0, "no answer");
}

#[test]
fn the_script_cache_may_be_flushed_at_any_time() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let flush = || cluster.command_all(&["SCRIPT", "FLUSH"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (factory, done) = (&factory, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let name = format!("r{}", thread % 2);
                    let lock = factory.acquire(&name, TTL, Wait::Forever).unwrap();
                    lock.extend(TTL).unwrap();
                    lock.release().unwrap();
                }
            });
        }
        for round in 1..=20 {
            flush();
            eventually("more locks", || calls(&cluster[0], "set") > 20 * round);
        }
        done.store(true, Ordering::Relaxed);
    });
    eventually("nothing to be left", || common::no_locks(&cluster));
}

#[test]
fn nodes_that_deny_scripts_grant_nothing_for_it_could_not_be_given_back() {
    let cluster = Cluster::start_with(3, |server| {
        server.acl_user("alice on >secret ~* +@all -@scripting")
    });
    let urls: Vec<String> = cluster
        .iter()
        .map(|server| server.url_as("alice", "secret"))
        .collect();
    for options in [common::options(), common::unfenced()] {
        let factory = Factory::with_options(&urls, &options).unwrap();
        (0..3).for_each(|node| common::trouble(&factory, node, "given back"));
        let error = acquire(&factory).unwrap_err();
        assert_eq!(error.status(), Status::NoQuorum);
        for node in error.nodes() {
            assert_eq!(node.status, Status::Server, "{error:?}");
            assert!(node.message.contains("given back"), "{error:?}");
        }
        assert_eq!(calls(&cluster[0], "set"), 0);
    }
}

#[test]
fn a_minority_that_denies_scripts_does_not_matter() {
    let cluster = Cluster::start_with(3, |server| {
        server.acl_user("alice on >secret ~* +@all -@scripting")
    });
    let mut urls = cluster.urls();
    urls[0] = cluster[0].url_as("alice", "secret");
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    works_without_them(&factory);
    eventually("the others to be free", || cluster.keys_holding("r") <= 1);
    works_without_them(&factory);
}

#[test]
fn connections_cut_in_the_middle_of_answers_lose_no_lock_and_leave_none() {
    let cluster = Cluster::start(3);
    let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    common::all_connected(&factory);
    // `+OK\r\n`, the answer to an acquire, and `:1\r\n`, the one to a release, cut at every place.
    for round in 0..60 {
        proxies.iter().for_each(|proxy| proxy.set(Fault::Pass));
        common::all_connected(&factory);
        proxies[round % 3].set(Fault::CutOnceAfter(1 + round % 9));
        let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
        assert!(cluster.keys_holding("r") >= 2);
        // Of two nodes that took it, one may be lost now; it is told when it is back.
        let _ = lock.release();
        eventually("nothing to be left", || cluster.keys_holding("r") == 0);
    }
}

#[test]
fn all_connections_cut_in_the_middle_of_an_answer_leave_nothing_behind() {
    let cluster = Cluster::start(3);
    let proxies: Vec<Proxy> = cluster.iter().map(Proxy::to).collect();
    let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    common::all_connected(&factory);
    for cut_after in 1..=5 {
        for proxy in &proxies {
            proxy.set(Fault::CutOnceAfter(cut_after));
        }
        let error = match acquire(&factory) {
            // A whole answer of five bytes may get through before the cut.
            Ok(lock) => lock.release().err(),
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
        }
        proxies.iter().for_each(|proxy| proxy.set(Fault::Pass));
        common::all_connected(&factory);
        eventually("nothing to be left", || cluster.keys_holding("r") == 0);
    }
}

/// Something between client and server that spoils what comes back, once it is told to.
struct Spoiler {
    address: SocketAddr,
    spoils: Arc<AtomicBool>,
}

impl Spoiler {
    fn before(server: &Server, garbage: &'static [u8]) -> Spoiler {
        let backend: SocketAddr = server.address().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let spoils = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&spoils);
        // These threads end with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(backend).unwrap();
                let flag = Arc::clone(&flag);
                let way_in = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pump(way_in, |bytes| bytes));
                let spoil = move |bytes| match flag.load(Ordering::SeqCst) {
                    true => garbage.to_vec(),
                    false => bytes,
                };
                std::thread::spawn(move || pump((server, client), spoil));
            }
        });
        Spoiler { address, spoils }
    }

    fn set(&self, spoils: bool) {
        self.spoils.store(spoils, Ordering::SeqCst);
    }

    fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

fn pump((mut from, mut to): (TcpStream, TcpStream), change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&change(buffer[..count].to_vec())).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn garbage_instead_of_answers() {
    for garbage in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\0\0\0\0\r\n",
        b"$99999999999\r\n",
        b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
        b"*3\r\n:1\r\n",
        b"+QUEUED\r\n",
        b"$-1\n",
    ] {
        let cluster = Cluster::start(3);
        let spoiler = |server| Spoiler::before(server, garbage);
        let spoilers: Vec<Spoiler> = cluster[..2].iter().map(spoiler).collect();
        let mut urls: Vec<String> = spoilers.iter().map(Spoiler::url).collect();
        urls.push(cluster[2].url());
        let options = common::options_with(&[("node_timeout_ms", "500")]);
        let factory = Factory::with_options(&urls, &options).unwrap();
        common::all_connected(&factory);
        spoilers[0].set(true);
        common::works_again(&factory, "r");
        spoilers[1].set(true);
        // It may begin like an answer; nobody could tell that one from a grant. Nothing else is taken for one.
        let shown = String::from_utf8_lossy(garbage);
        match acquire(&factory) {
            Err(error) => assert_eq!(error.status(), Status::NoQuorum, "{shown:?}: {error:?}"),
            Ok(_) => assert!(
                garbage.starts_with(b"+OK"),
                "{shown:?} was taken for a grant"
            ),
        }
        spoilers.iter().for_each(|spoiler| spoiler.set(false));
        common::works_again(&factory, "r");
    }
}

#[test]
fn an_address_that_is_no_redis_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut clients = Vec::new();
        for mut client in listener.incoming().flatten() {
            let _ = client.write_all(b"220 mail.example.com ESMTP ready\r\n");
            clients.push(client);
        }
    });
    let factory =
        Factory::with_options(&[format!("redis://{address}")], &common::options()).unwrap();
    let error = acquire(&factory).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
    common::trouble(&factory, 0, "is this a Redis server?");
}

#[test]
fn a_node_that_closes_idle_connections_is_reached_again() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    for _ in 0..10 {
        let kill = ["CLIENT", "KILL", "USER", testkit::library_user()];
        cluster.command_all(&kill);
        common::works_again(&factory, "r");
    }
}

/// A connection that the server has let in as its only client. It may refuse the first few, for the testkit's own
/// connection, which lasts for one command, counts until the server has read its end.
fn only_client(server: &Server) -> TcpStream {
    let mut client = None;
    eventually("the server lets one client in", || {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let mut answer = [0; 7];
        let admitted = stream
            .write_all(b"PING\r\n")
            .and_then(|()| stream.read_exact(&mut answer));
        client = Some(stream);
        admitted.is_ok() && &answer == b"+PONG\r\n"
    });
    client.unwrap()
}

#[test]
fn a_node_that_is_full_of_clients_says_so() {
    let cluster = Cluster::start(1);
    config(&cluster[0], "maxclients", "1");
    let stays = only_client(&cluster[0]);
    let factory = Factory::with_options(&cluster.urls(), &common::options()).unwrap();
    let error = acquire(&factory).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum);
    assert!(
        error.nodes()[0].message.contains("max number of clients"),
        "{error:?}"
    );
    drop(stays);
    common::works_again(&factory, "r");
}
