//! Networks that are slow, that slice what they carry, and that reset connections, as toxiproxy makes them.

mod common;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use common::{TTL, calls, child, eventually};
use redlock::{Factory, Options, Status, Wait};
use testkit::{Cluster, Server};

/// A running toxiproxy; it ends with this.
struct Toxiproxy {
    process: Child,
    client: PathBuf,
    api: String,
}

/// A listener of toxiproxy in front of a server.
struct Link<'a> {
    toxiproxy: &'a Toxiproxy,
    name: String,
    port: u16,
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The programs, built if need be; none where that is not possible and not demanded.
fn programs() -> Option<(PathBuf, PathBuf)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/fetch-toxiproxy");
    let output = Command::new(script).output().unwrap();
    assert!(output.status.success(), "{}", child::said(&output));
    let paths = String::from_utf8(output.stdout).unwrap();
    let mut paths = paths.lines().map(PathBuf::from);
    match (paths.next(), paths.next()) {
        (Some(server), Some(client)) => Some((server, client)),
        _ => {
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            None
        }
    }
}

impl Toxiproxy {
    fn start() -> Option<Toxiproxy> {
        let (server, client) = programs()?;
        let port = free_port();
        let process = Command::new(server)
            .args(["-host", "127.0.0.1", "-port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let toxiproxy = Toxiproxy {
            process,
            client,
            api: format!("http://127.0.0.1:{port}"),
        };
        eventually("toxiproxy to answer", || toxiproxy.try_call(&["list"]));
        Some(toxiproxy)
    }

    fn try_call(&self, words: &[&str]) -> bool {
        let mut client = Command::new(&self.client);
        client.args(["--host", &self.api]).args(words);
        client.output().unwrap().status.success()
    }

    fn call(&self, words: &[&str]) {
        assert!(self.try_call(words), "toxiproxy-cli {words:?} failed");
    }

    fn link<'a>(&'a self, server: &Server) -> Link<'a> {
        let (name, upstream) = (server.port().to_string(), server.address());
        let mut port = 0;
        eventually("a port to listen on", || {
            port = free_port();
            let listen = format!("127.0.0.1:{port}");
            self.try_call(&["create", "-l", &listen, "-u", &upstream, &name])
        });
        Link {
            toxiproxy: self,
            name,
            port,
        }
    }
}

impl Drop for Toxiproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Link<'_> {
    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Spoils one direction: `--upstream` or `--downstream`.
    fn add(&self, kind: &str, direction: &str, attributes: &[&str]) {
        let name = format!("{kind}{direction}");
        let mut words = vec!["toxic", "add", "-t", kind, "-n", &name, direction];
        for attribute in attributes {
            words.extend(["-a", attribute]);
        }
        words.push(&self.name);
        self.toxiproxy.call(&words);
    }

    fn remove(&self, kind: &str, direction: &str) {
        let name = format!("{kind}{direction}");
        self.toxiproxy
            .call(&["toxic", "remove", "-n", &name, &self.name]);
    }
}

fn factory(links: &[Link], options: &Options) -> Factory {
    let urls: Vec<String> = links.iter().map(Link::url).collect();
    Factory::with_options(&urls, options).unwrap()
}

const BOTH: [&str; 2] = ["--upstream", "--downstream"];

#[test]
fn what_arrives_in_slices_is_put_together_again() {
    let Some(toxiproxy) = Toxiproxy::start() else {
        return;
    };
    let cluster = Cluster::start(3);
    let links: Vec<Link> = cluster.iter().map(|it| toxiproxy.link(it)).collect();
    for link in &links {
        for direction in BOTH {
            let attributes = ["average_size=2", "size_variation=1", "delay=10"];
            link.add("slicer", direction, &attributes);
        }
    }
    let factory = factory(&links, &common::options());
    let begin = |id| factory.acquire_async(&format!("r{id}"), TTL, Wait::Forever);
    let under_way: Vec<_> = (0..100).map(begin).collect();
    for lock in under_way {
        let lock = common::block_on(lock).unwrap();
        lock.extend(TTL).unwrap();
        lock.release().unwrap();
    }
    eventually("nothing to be left", || common::no_locks(&cluster));
}

#[test]
fn locks_exclude_each_other_over_a_network_with_jitter() {
    let Some(toxiproxy) = Toxiproxy::start() else {
        return;
    };
    let cluster = Cluster::start(3);
    let links: Vec<Link> = cluster.iter().map(|it| toxiproxy.link(it)).collect();
    for link in &links {
        for direction in BOTH {
            link.add("latency", direction, &["latency=4", "jitter=4"]);
        }
    }
    let inside = std::sync::Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let factory = factory(&links, &common::options());
                for _ in 0..8 {
                    let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
                    let alone = inside.try_lock().expect("nobody else is in here");
                    std::thread::yield_now();
                    drop(alone);
                    lock.release().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_slow_minority_is_not_waited_for() {
    let Some(toxiproxy) = Toxiproxy::start() else {
        return;
    };
    let cluster = Cluster::start(5);
    let links: Vec<Link> = cluster.iter().map(|it| toxiproxy.link(it)).collect();
    let factory = factory(&links, &common::patient());
    common::all_connected(&factory);
    for link in &links[3..] {
        link.add("latency", "--upstream", &["latency=100000"]);
    }
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    assert_eq!(cluster.keys_holding("r"), 3);
    lock.release().unwrap();
    assert_eq!(calls(&cluster[3], "set") + calls(&cluster[4], "set"), 0);
}

#[test]
fn a_majority_that_resets_connections_is_no_quorum_until_it_stops() {
    let Some(toxiproxy) = Toxiproxy::start() else {
        return;
    };
    let cluster = Cluster::start(3);
    let links: Vec<Link> = cluster.iter().map(|it| toxiproxy.link(it)).collect();
    let factory = factory(&links, &common::options());
    common::all_connected(&factory);
    links[0].add("reset_peer", "--downstream", &["timeout=0"]);
    common::works_again(&factory, "r");
    links[1].add("reset_peer", "--downstream", &["timeout=0"]);
    let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
    for link in &links[..2] {
        link.remove("reset_peer", "--downstream");
    }
    common::works_again(&factory, "r");
    common::all_connected(&factory);
}
