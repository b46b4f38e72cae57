//! A server starts, is broken in each way, comes back, and leaves nothing behind.

use std::path::Path;
use std::time::Duration;

use testkit::{Cluster, Reply, Server, ServerBinary};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn answers_commands_and_goes_away() {
    let server = Server::builder().start();
    let (dir, pid) = (server.dir().to_owned(), server.pid());
    assert_eq!(
        server.command(&["SET", "a", "b"]),
        Reply::Status("OK".into())
    );
    assert_eq!(server.command(&["GET", "a"]).text(), "b");
    assert!(server.command(&["INCR", "a"]).is_error());
    assert_eq!(
        server
            .command(&["EVAL", "return {1, false}", "0"])
            .elements(),
        [Reply::Integer(1), Reply::Nil]
    );
    assert_eq!(server.info("redis_version"), testkit::server_version());
    assert!(std::net::TcpStream::connect(server.address()).is_ok());
    drop(server);
    assert!(!dir.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn stops_goes_on_and_dies_stopped() {
    let server = Server::builder().start();
    server.stop();
    assert!(!server.is_answering());
    server.cont();
    assert!(server.is_answering());
    assert_eq!(server.command(&["PING"]).text(), "PONG");
    server.stop();
    server.kill();
    assert!(!server.is_answering());
    assert!(std::net::TcpStream::connect(server.address()).is_err());
}

#[test]
fn restarts_on_its_port_with_what_it_persisted() {
    for (persistent, expected) in [(true, true), (false, false)] {
        let builder = Server::builder();
        let server = if persistent {
            builder.persistent().start()
        } else {
            builder.start()
        };
        let (url, run_id) = (server.url(), server.info("run_id"));
        server.command(&["SET", "a", "b"]).ok();
        server.restart();
        assert_eq!(server.holds("a"), expected, "persistent: {persistent}");
        assert_eq!(server.url(), url);
        assert_ne!(server.info("run_id"), run_id);
        server.restart_empty();
        assert!(!server.holds("a"));
    }
}

#[test]
fn passwords_and_users_do_not_shut_the_testkit_out() {
    let server = Server::builder()
        .password("p@ss \"word\"")
        .acl_user("alice on >secret ~app:* +get")
        .start();
    assert_eq!(
        server.url(),
        format!("redis://:p%40ss%20%22word%22@127.0.0.1:{}", server.port())
    );
    assert_eq!(
        server.url_as("alice", "secret"),
        format!("redis://alice:secret@127.0.0.1:{}", server.port())
    );
    assert_eq!(
        server.command(&["AUTH", "p@ss \"word\""]),
        Reply::Status("OK".into())
    );
    assert_eq!(
        server.command(&["AUTH", "alice", "secret"]),
        Reply::Status("OK".into())
    );
    assert!(server.command(&["AUTH", "alice", "wrong"]).is_error());
    assert!(
        server
            .command(&["ACL", "WHOAMI"])
            .text()
            .contains("testkit")
    );
}

#[test]
fn listens_on_ipv6_too() {
    let server = Server::builder().bind(&["::1", "127.0.0.1"]).start();
    assert_eq!(server.url(), format!("redis://[::1]:{}", server.port()));
    assert!(std::net::TcpStream::connect(server.address()).is_ok());
    assert!(std::net::TcpStream::connect(("127.0.0.1", server.port())).is_ok());
}

#[test]
fn answers_loading() {
    let server = Server::builder().start();
    server.restart_loading();
    assert!(error_of(&server, &["SET", "a", "b"]).starts_with("LOADING"));
    server.finish_loading();
    assert_eq!(server.command(&["DBSIZE"]).integer(), 0);
    server.restart();
}

#[test]
fn answers_loading_with_its_own_data() {
    let persistent = Server::builder().persistent().start();
    persistent.command(&["SET", "a", "b"]).ok();
    persistent.restart_loading();
    assert!(error_of(&persistent, &["SET", "a", "b"]).starts_with("LOADING"));
    persistent.finish_loading();
    assert!(persistent.holds("a"));
}

#[test]
fn answers_misconf_oom_and_readonly() {
    let server = Server::builder().start();
    server.break_snapshots();
    assert!(error_of(&server, &["SET", "a", "b"]).starts_with("MISCONF"));
    server.mend_snapshots();
    server.command(&["SET", "a", "b"]).ok();

    let full = Server::builder().max_memory(1, "noeviction").start();
    assert!(error_of(&full, &["SET", "a", "b"]).starts_with("OOM"));

    let replica = Server::builder().replica_of(&server).start();
    testkit::wait_until(PATIENCE, "the replica to have its master's data", || {
        replica.holds("a")
    });
    assert!(error_of(&replica, &["SET", "a", "c"]).starts_with("READONLY"));
}

fn error_of(server: &Server, words: &[&str]) -> String {
    match server.command(words) {
        Reply::Error(message) => message,
        other => panic!("{words:?} was to fail, the server answered {other:?}"),
    }
}

#[test]
#[should_panic(expected = "maxclients many")]
fn says_why_a_server_does_not_start() {
    Server::builder().config("maxclients many").start();
}

#[test]
fn a_cluster_counts_who_holds_a_key() {
    let cluster = Cluster::start(3);
    assert_eq!(cluster.urls().len(), 3);
    cluster.command_all(&["SET", "a", "b"]);
    assert_eq!(cluster.keys_holding("a"), 3);
    cluster[0].stop();
    cluster[1].kill();
    assert_eq!(cluster.keys_holding("a"), 1);
}

#[test]
fn tells_what_the_binary_is() {
    let binary = ServerBinary::chosen();
    assert!(binary.major() >= 6);
    assert!(binary.version().starts_with(&binary.major().to_string()));
}
