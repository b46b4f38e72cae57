//! Connecting to real servers: every way in, every refusal, and what is learnt on the way.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Cmd, cmd};
use testkit::{Certificates, ClientCertificates, Fault, Proxy, Server};

use super::*;

use crate::clock;
use crate::driver::address::parse;
use crate::driver::tls::{TlsOptions, Verify};
use crate::protocol::node::command::{Scripts, Terms};
use crate::protocol::node::config::Protocol;
use crate::protocol::node::setup::{Progress, Ready, ServerInfo, Setup, Superseded};
use crate::protocol::node::text::RunId;

const LONG: Duration = Duration::from_secs(10);
/// For servers that never answer.
const SHORT: Duration = Duration::from_millis(200);
const SCRIPT: &str = "return 7";

fn terms() -> Terms {
    Terms {
        key_prefix: "".into(),
        max_ttl_ms: 120_000,
        fencing: true,
        ballot_retention_ms: 120_000,
        fair_grace_ms: 50,
        channel: "redlock:test".into(),
    }
}

fn address(url: &str, files: &TlsOptions) -> Address {
    parse(url, files, Protocol::Auto).unwrap()
}

/// A connection that is ready for locks.
#[derive(Debug)]
struct Reached {
    stream: Stream,
    server: ServerInfo,
    scripts: Scripts,
}

/// Connects and sets up as the driver and the machine do, but waits in between.
fn establish(
    address: &Address,
    timeout: Duration,
    terms: Terms,
    superseded: Option<&Superseded>,
) -> Result<Reached, SetupError> {
    let timeout = timeout.as_nanos() as Nanos;
    let there = Arc::new(address.clone());
    let mut dial = Dial::new(there, Arc::default(), timeout, clock::now());
    if let Some(name) = dial.name() {
        let found = name.to_socket_addrs().unwrap().collect();
        dial.resolved(found, clock::now());
    }
    set_up(address, connect(dial)?, timeout, terms, superseded)
}

fn finish(dial: Dial) -> Result<Reached, SetupError> {
    let (address, timeout) = (Arc::clone(&dial.address), dial.timeout);
    set_up(&address, connect(dial)?, timeout, terms(), None)
}

fn connect(mut dial: Dial) -> Result<Established, SetupError> {
    loop {
        if let Some(established) = dial.proceed(clock::now())? {
            return Ok(established);
        }
        let left = Duration::from_nanos(dial.due().saturating_sub(clock::now()));
        match &dial.stage {
            Stage::Connecting(stream, _) => stream.wait(true, left).unwrap(),
            Stage::Securing(stream) => stream.wait(false, left).unwrap(),
            _ => false,
        };
    }
}

fn set_up(
    address: &Address,
    established: Established,
    timeout: Nanos,
    terms: Terms,
    superseded: Option<&Superseded>,
) -> Result<Reached, SetupError> {
    let Established {
        mut stream,
        peer,
        login,
    } = established;
    let (config, superseded) = (Arc::clone(&address.node), superseded.cloned());
    let mut setup = Setup::new(config, login, terms, superseded, clock::now(), 7);
    let mut deadline = clock::now() + timeout;
    loop {
        let written = send(&mut stream, &mut setup);
        let failure = match stream.read(setup.room()) {
            Ok(0) => return Err(setup.closed(matches!(stream, Stream::Plain(_)))),
            Ok(count) => {
                match setup.received(count, clock::now())? {
                    Progress::Done(ready) => return Ok(reached(stream, peer, *ready)),
                    Progress::NextFlight => deadline = clock::now() + timeout,
                    Progress::Waiting => {}
                }
                continue;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => written.err(),
            Err(error) => Some(error),
        };
        if let Some(error) = failure {
            return Err(match tls::reason(&error) {
                Some(reason) => SetupError::new(Status::Unreachable, reason),
                None if is_hang_up(error.kind()) => {
                    setup.closed(matches!(stream, Stream::Plain(_)))
                }
                None => setup.broken(&error.to_string()),
            });
        }
        let left = deadline.saturating_sub(clock::now());
        if left == 0 {
            return Err(setup.overdue(timeout));
        }
        stream.wait(false, Duration::from_nanos(left)).unwrap();
    }
}

fn send(stream: &mut Stream, setup: &mut Setup) -> io::Result<()> {
    while !setup.unsent().is_empty() {
        match stream.write(setup.unsent()) {
            Ok(count) => setup.sent(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    match stream.flush() {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

fn reached(stream: Stream, peer: String, ready: Ready) -> Reached {
    let Ready {
        mut server,
        scripts,
        ..
    } = ready;
    server.peer = peer;
    Reached {
        stream,
        server,
        scripts,
    }
}

/// An attempt at these addresses.
fn dial_all(addresses: &[SocketAddr], timeout: Duration, url: &str) -> Dial {
    let there = Arc::new(address(url, &TlsOptions::default()));
    let timeout = timeout.as_nanos() as Nanos;
    let mut dial = Dial::new(there, Arc::default(), timeout, clock::now());
    dial.resolved(addresses.to_vec(), clock::now());
    dial
}

fn reach(url: &str) -> Result<Reached, SetupError> {
    establish(&address(url, &TlsOptions::default()), LONG, terms(), None)
}

fn refusal(url: &str) -> SetupError {
    reach(url).unwrap_err()
}

/// Sends a command over the established stream, and returns so many bytes of the answer.
fn ask(stream: &mut Stream, command: &Cmd, length: usize) -> Vec<u8> {
    let bytes = command.get_packed_command();
    let mut sent = 0;
    while sent < bytes.len() || stream.wants_write() {
        let result = match sent < bytes.len() {
            true => stream.write(&bytes[sent..]).map(|count| sent += count),
            false => stream.flush(),
        };
        go_on(stream, result, true);
    }
    let mut answer = Vec::new();
    let mut buffer = vec![0; 65536];
    while answer.len() < length {
        let result = stream.read(&mut buffer).map(|count| {
            assert_ne!(count, 0, "the stream ended");
            answer.extend_from_slice(&buffer[..count]);
        });
        go_on(stream, result, false);
    }
    let error = stream.read(&mut buffer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    answer
}

fn go_on(stream: &Stream, result: io::Result<()>, writable: bool) {
    if let Err(error) = result {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(stream.wait(writable, LONG).unwrap(), "no progress");
    }
}

fn ping(established: &mut Reached) {
    assert_eq!(ask(&mut established.stream, &cmd("PING"), 7), b"+PONG\r\n");
}

/// More than any buffer between here and there holds.
fn echo_much(established: &mut Reached) {
    let text = vec![b'x'; 20_000_000];
    let answer = ask(
        &mut established.stream,
        cmd("ECHO").arg(&text),
        text.len() + 13,
    );
    assert!(answer.starts_with(b"$20000000\r\nxx"));
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn families_take_turns_and_each_address_comes_once() {
    let found = addresses(&["[::1]:1", "[::2]:1", "[::1]:1", "1.1.1.1:1", "2.2.2.2:1"]);
    let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1"]);
    assert_eq!(alternate(found), expected);
    let found = addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]);
    assert_eq!(alternate(found.clone()), found);
    assert_eq!(alternate(Vec::new()), Vec::new());
}

#[test]
fn a_refused_address_is_followed_by_the_next() {
    let (closed, refusing) = listen();
    drop(closed);
    let server = Server::builder().start();
    let good: SocketAddr = server.address().parse().unwrap();
    let found = finish(dial_all(&[refusing, good], LONG, "redis://localhost")).unwrap();
    assert_eq!(found.server.peer, good.to_string());
    let other = addresses(&["127.0.0.2:1"])[0];
    let error = finish(dial_all(&[refusing, other], LONG, "redis://localhost")).unwrap_err();
    assert_eq!(error.kind, Status::Unreachable);
    for each in [refusing, other] {
        let each = format!("{each}: Connection refused");
        assert!(error.message.contains(&each), "{error:?}");
    }
}

/// A listener whose queue is full swallows what comes, as a black hole does.
#[test]
#[cfg(target_os = "linux")]
fn an_address_that_swallows_packets_leaves_time_for_the_next() {
    use std::os::fd::AsRawFd;
    let (full, hole) = listen();
    // SAFETY: a descriptor of ours; a second listen only changes the length of the queue.
    assert_eq!(unsafe { libc::listen(full.as_raw_fd(), 0) }, 0);
    let mut fill = Vec::new();
    loop {
        let stream = Stream::tcp(&hole).unwrap();
        stream.wait(true, Duration::from_millis(200)).unwrap();
        if !stream.is_connected().unwrap() {
            break;
        }
        fill.push(stream);
        assert!(fill.len() < 100, "the queue is never full");
    }
    let server = Server::builder().start();
    let good: SocketAddr = server.address().parse().unwrap();
    let dial = dial_all(&[hole, good], Duration::from_secs(2), "redis://localhost");
    assert_eq!(finish(dial).unwrap().server.peer, good.to_string());
}

#[test]
fn a_name_that_is_looked_up_for_too_long_is_given_up() {
    let there = Arc::new(address("redis://localhost", &TlsOptions::default()));
    let mut dial = Dial::new(there, Arc::default(), 10, 100);
    assert_eq!(dial.name(), Some(("localhost", 6379)));
    assert!(dial.proceed(109).unwrap().is_none());
    let error = dial.proceed(110).unwrap_err();
    assert_eq!(error.kind, Status::Timeout);
    assert!(error.message.contains("connect_timeout_ms"), "{error:?}");
}

/// How a TLS handshake ends with a server that reads something and then sends these bytes.
fn handshake_with(answer: &'static [u8]) -> SetupError {
    let (listener, address) = listen();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut hello = [0; 5];
        client.read_exact(&mut hello).unwrap();
        client.write_all(answer).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        // What is left unread would become a reset, which can overtake the answer.
        let _ = client.read_to_end(&mut Vec::new());
    });
    // It never gets as far as a certificate.
    let options = TlsOptions {
        verify: Verify::None,
        ..TlsOptions::default()
    };
    let there = self::address("rediss://localhost", &options);
    let timeout = LONG.as_nanos() as Nanos;
    let mut dial = Dial::new(Arc::new(there), Arc::default(), timeout, clock::now());
    dial.resolved(vec![address], clock::now());
    let error = finish(dial).unwrap_err();
    server.join().unwrap();
    error
}

#[test]
fn a_port_without_tls_is_called_one() {
    let error = handshake_with(b"-ERR unknown command\r\n");
    assert_eq!(error.kind, Status::Unreachable);
    assert!(error.message.contains("does not speak TLS"), "{error:?}");
    let error = handshake_with(b"");
    assert_eq!(error.kind, Status::Unreachable);
    assert!(error.message.contains("is this a TLS port"), "{error:?}");
}

#[test]
fn an_alert_of_tls_is_named() {
    let error = handshake_with(b"\x15\x03\x03\x00\x02\x02\x28");
    assert!(error.message.contains("HandshakeFailure"), "{error:?}");
    assert!(error.message.contains("client certificate"), "{error:?}");
}

#[test]
fn a_user_who_may_not_end_connections_is_known() {
    if testkit::server_version().starts_with("6.") {
        eprintln!("skipped: Redis 6.2 can't deny single subcommands");
        return;
    }
    let server = Server::builder()
        .acl_user("ann on >pw ~* +@all")
        .acl_user("eve on >pw ~* +@all -client|kill")
        .start();
    let refused = |user| {
        let found = reach(&server.url_as(user, "pw")).unwrap();
        found.server.kill_refused
    };
    assert_eq!(refused("ann"), None);
    assert!(refused("eve").unwrap().contains("NOPERM"));
}

#[test]
fn a_server_tells_who_it_is() {
    let server = Server::builder()
        .max_memory(50_000_000, "allkeys-lru")
        .start();
    let mut found = reach(&server.url()).unwrap();
    let info = &found.server;
    assert_eq!(info.run_id.as_deref(), Some(server.info("run_id").as_str()));
    assert_eq!(info.role.as_deref(), Some("master"));
    assert_eq!(info.maxmemory_policy.as_deref(), Some("allkeys-lru"));
    assert!(testkit::server_version().contains(&*info.version));
    assert!(info.uptime_s.is_some() && info.info_error.is_none());
    assert!(info.resp3 && !info.aof_enabled && !info.loading);
    assert_eq!(info.peer, server.address());
    let listed = server.command(&["CLIENT", "LIST"]).text();
    let ours = format!("id={} ", info.client_id.unwrap());
    let line = listed.lines().find(|line| line.starts_with(&ours)).unwrap();
    assert!(line.contains("name=libredlock"), "{line}");
    ping(&mut found);
    echo_much(&mut found);
}

#[test]
fn an_append_only_file_is_noticed() {
    let server = Server::builder().persistent().start();
    assert!(reach(&server.url()).unwrap().server.aof_enabled);
}

#[test]
fn scripts_are_loaded_and_bound_to_the_boot() {
    let server = Server::builder().start();
    let found = reach(&server.url()).unwrap();
    let digests = [
        &found.scripts.acquire.digest,
        &found.scripts.release.digest,
        &found.scripts.extend.digest,
    ];
    for digest in digests {
        let there = server.command(&["SCRIPT", "EXISTS", digest]);
        assert_eq!(there.elements()[0].integer(), 1);
    }
    server.restart();
    let again = reach(&server.url()).unwrap();
    assert_ne!(again.scripts.acquire.digest, found.scripts.acquire.digest);
}

#[test]
fn the_witness_of_a_boot_is_found_by_newcomers() {
    let server = Server::builder().start();
    let found = reach(&server.url()).unwrap();
    assert!(!found.server.witnessed);
    server.command(&["SCRIPT", "LOAD", &found.scripts.witness.text]);
    assert!(reach(&server.url()).unwrap().server.witnessed);
    server.restart();
    assert!(!reach(&server.url()).unwrap().server.witnessed);
}

#[test]
fn every_write_is_persisted_only_with_appendfsync_always() {
    let always = Server::builder()
        .persistent()
        .config("appendfsync always")
        .start();
    let everysec = Server::builder()
        .persistent()
        .config("appendfsync everysec")
        .start();
    let persists = |server: &Server| {
        let found = reach(&server.url()).unwrap();
        found.server.persists_every_write()
    };
    assert!(persists(&always));
    assert!(!persists(&everysec));
}

#[test]
fn the_database_is_selected() {
    let server = Server::builder().start();
    let mut found = reach(&format!("{}/3", server.url())).unwrap();
    ask(&mut found.stream, cmd("SET").arg("key").arg("value"), 5);
    assert!(server.info("db3").contains("keys=1"));
    let error = refusal(&format!("{}/99", server.url()));
    assert_eq!(error.kind, Status::Server);
    assert!(error.message.contains("database 99"), "{error:?}");
}

#[test]
fn resp2_is_spoken_when_asked_for_or_when_hello_is_unknown() {
    let server = Server::builder().password("pw").start();
    let mut found = reach(&format!("{}?protocol=resp2", server.url())).unwrap();
    assert!(!found.server.resp3);
    assert!(found.server.client_id.is_some());
    ping(&mut found);
    let old = Server::builder()
        .password("pw")
        .config("rename-command HELLO \"\"")
        .start();
    let mut found = reach(&old.url()).unwrap();
    assert!(!found.server.resp3);
    ping(&mut found);
    let error = refusal(&format!("{}?protocol=resp3", old.url()));
    assert_eq!(error.kind, Status::Server);
    assert!(error.message.contains("RESP3"), "{error:?}");
}

#[test]
fn unix_sockets_and_ipv6_lead_to_the_server() {
    let server = Server::builder().bind(&["::1"]).password("p&w").start();
    ping(&mut reach(&server.url()).unwrap());
    let mut found = reach(&server.unix_url()).unwrap();
    assert_eq!(found.server.peer, server.unix_socket().to_string_lossy());
    ping(&mut found);
    echo_much(&mut found);
}

#[test]
fn a_wrong_or_missing_password_is_the_servers_refusal() {
    let server = Server::builder().password("hunter2").start();
    for protocol in ["resp2", "resp3"] {
        let url = format!("redis://{}?protocol={protocol}", server.address());
        let error = refusal(&url);
        assert_eq!(error.kind, Status::Server);
        assert!(error.message.contains("asks for a password"), "{error:?}");
        let error = refusal(&url.replace("://", "://:wrongpw@"));
        assert_eq!(error.kind, Status::Server);
        assert!(error.message.contains("WRONGPASS"), "{error:?}");
        assert!(!error.message.contains("wrongpw"), "{error:?}");
    }
}

#[test]
fn users_come_in_with_what_they_may() {
    let server = Server::builder()
        .acl_user("ann on >pw ~* +@all")
        .acl_user("open on nopass ~* +@all -info")
        .acl_user("shy on >pw ~* +@all -hello")
        .acl_user("eve on >pw ~* +eval +evalsha +get +mget +pttl +pexpire +del")
        .start();
    ping(&mut reach(&server.url_as("ann", "pw")).unwrap());
    let found = reach(&format!("redis://open@{}", server.address())).unwrap();
    assert!(found.server.info_error.unwrap().contains("NOPERM"));
    assert_eq!(found.server.run_id, None);
    assert_eq!(found.server.role.as_deref(), Some("master"));
    ping(&mut reach(&server.url_as("shy", "pw")).unwrap());
    let mut found = reach(&server.url_as("eve", "pw")).unwrap();
    let answer = ask(&mut found.stream, cmd("EVAL").arg(SCRIPT).arg(0), 4);
    assert_eq!(answer, b":7\r\n");
    assert_eq!(refusal(&server.url_as("nobody", "pw")).kind, Status::Server);
}

#[test]
fn a_user_who_cannot_give_locks_back_is_refused_with_the_command() {
    for missing in ["evalsha", "get", "pttl", "pexpire", "del"] {
        let rules = format!("eve on >pw ~* &* +@all -{missing}");
        let server = Server::builder().acl_user(&rules).start();
        let error = refusal(&server.url_as("eve", "pw"));
        assert_eq!(error.kind, Status::Server);
        // Inside scripts, 6.2 does not name the command itself.
        let message = error.message.to_lowercase();
        assert!(message.contains(missing), "{missing}: {message}");
    }
    for missing in ["eval", "script", "info", "ping", "client", "subscribe"] {
        let rules = format!("eve on >pw ~* &* +@all -{missing}");
        let server = Server::builder().acl_user(&rules).start();
        reach(&server.url_as("eve", "pw")).unwrap();
    }
}

#[test]
fn commands_that_were_renamed_away_are_missed() {
    for missing in ["EVALSHA", "PEXPIRE"] {
        let line = format!("rename-command {missing} \"\"");
        let server = Server::builder().config(&line).start();
        let error = refusal(&server.url());
        assert!(error.message.contains(missing), "{error:?}");
    }
}

#[test]
fn a_user_who_may_not_use_the_library_s_own_keys_is_refused() {
    let server = Server::builder()
        .acl_user("eve on >pw ~app:* &* +@all")
        .start();
    let url = server.url_as("eve", "pw");
    assert!(refusal(&url).message.contains("permission"));
    let mut below_prefix = terms();
    below_prefix.key_prefix = "app:".into();
    let there = address(&url, &TlsOptions::default());
    establish(&there, LONG, below_prefix, None).unwrap();
}

#[test]
fn a_user_without_select_is_told_so() {
    let server = Server::builder()
        .acl_user("eve on >pw ~* +@all -select")
        .start();
    let error = refusal(&format!("{}/1", server.url_as("eve", "pw")));
    assert_eq!(error.kind, Status::Server);
    assert!(error.message.contains("permission"), "{error:?}");
}

#[test]
fn replicas_and_loading_servers_are_not_admitted() {
    let master = Server::builder().start();
    let replica = Server::builder().replica_of(&master).start();
    let error = refusal(&replica.url());
    assert_eq!(error.kind, Status::NotAdmitted);
    let origin = format!("replica of {}", master.address());
    assert!(error.message.contains(&origin), "{error:?}");
    let server = Server::builder().persistent().start();
    server.restart_loading();
    let error = refusal(&server.url());
    assert_eq!(error.kind, Status::NotAdmitted);
    assert!(error.message.contains("loading"), "{error:?}");
    server.finish_loading();
    assert!(reach(&server.url()).is_ok());
}

#[test]
fn a_full_server_says_so() {
    let server = Server::builder().start();
    server.command(&["CONFIG", "SET", "maxclients", "3"]);
    let mut held = Vec::new();
    let error = loop {
        match reach(&server.url()) {
            Ok(established) => held.push(established),
            Err(error) => break error,
        }
        assert!(held.len() <= 3, "more clients than allowed");
    };
    assert_eq!(error.kind, Status::Server);
    assert!(error.message.contains("max number of clients"), "{error:?}");
}

#[test]
fn dead_stopped_and_silent_servers_are_told_apart() {
    let server = Server::builder().start();
    let there = address(&server.url(), &TlsOptions::default());
    server.stop();
    let error = establish(&there, SHORT, terms(), None).unwrap_err();
    assert_eq!(error.kind, Status::Timeout);
    server.cont();
    let proxy = Proxy::to(&server);
    proxy.set(Fault::BlackHole);
    let behind = address(&proxy.url(), &TlsOptions::default());
    let error = establish(&behind, SHORT, terms(), None).unwrap_err();
    assert_eq!(error.kind, Status::Timeout);
    server.kill();
    let error = establish(&there, LONG, terms(), None).unwrap_err();
    assert_eq!(error.kind, Status::Unreachable);
    assert!(error.message.contains("refused"), "{error:?}");
}

#[test]
fn a_connection_cut_anywhere_in_the_set_up_is_an_error() {
    let server = Server::builder().start();
    let proxy = Proxy::to(&server);
    for length in [0, 1, 50, 200, 1000, 3000] {
        proxy.set(Fault::CutAfter(length));
        let error = refusal(&proxy.url());
        assert_eq!(error.kind, Status::Unreachable, "{length}: {error:?}");
    }
    proxy.set(Fault::Pass);
    assert!(reach(&proxy.url()).is_ok());
}

#[test]
fn the_old_connection_is_ended_unless_the_server_is_another() {
    let server = Server::builder().start();
    let there = address(&server.url(), &TlsOptions::default());
    let mut old = reach(&server.url()).unwrap();
    let mut superseded = Superseded {
        run_id: RunId::new(&[b'0'; 40]).unwrap(),
        client_id: old.server.client_id.unwrap(),
    };
    establish(&there, LONG, terms(), Some(&superseded)).unwrap();
    ping(&mut old);
    superseded.run_id = old.server.run_id.clone().unwrap();
    let mut new = establish(&there, LONG, terms(), Some(&superseded)).unwrap();
    assert!(old.stream.wait(false, LONG).unwrap());
    assert!(matches!(old.stream.read(&mut [0; 9]), Ok(0) | Err(_)));
    ping(&mut new);
}

/// Certificates in a directory of their own, which is removed again.
struct Vault {
    dir: PathBuf,
    certificates: Certificates,
}

impl Vault {
    fn new() -> Vault {
        Vault::for_names(&["127.0.0.1", "::1", "localhost"])
    }

    fn for_names(names: &[&str]) -> Vault {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("redlock-setup-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let certificates = Certificates::issue_for(&dir, names);
        Vault { dir, certificates }
    }

    fn ca_only(&self) -> TlsOptions {
        TlsOptions {
            ca: Some(self.certificates.ca.clone()),
            ..TlsOptions::default()
        }
    }

    fn with_client(&self) -> TlsOptions {
        TlsOptions {
            certificate: Some(self.certificates.client_certificate.clone()),
            key: Some(self.certificates.client_key.clone()),
            ..self.ca_only()
        }
    }

    fn server(&self, clients: ClientCertificates, line: &str) -> Server {
        let builder = Server::builder().tls(&self.certificates, clients);
        builder.config(line).start()
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn reach_with(url: &str, files: &TlsOptions) -> Result<Reached, SetupError> {
    establish(&address(url, files), LONG, terms(), None)
}

/// Some builds of the server have no TLS; then there is nothing to test.
fn no_tls() -> bool {
    if !testkit::supports_tls() {
        eprintln!("skipped: {} has no TLS", testkit::server_version());
    }
    !testkit::supports_tls()
}

#[test]
fn tls_with_an_own_authority() {
    if no_tls() {
        return;
    }
    let vault = Vault::new();
    let server = vault.server(ClientCertificates::Ignored, "databases 16");
    let by_name = format!("rediss://localhost:{}/2", server.port());
    for url in [&server.url(), &by_name] {
        let mut found = reach_with(url, &vault.ca_only()).unwrap();
        ping(&mut found);
        echo_much(&mut found);
    }
    let stranger = Vault::new();
    let error = reach_with(&server.url(), &stranger.ca_only()).unwrap_err();
    assert_eq!(error.kind, Status::Unreachable);
    assert!(error.message.contains("as tls_ca_file"), "{error:?}");
    let plain = refusal(&server.url().replace("rediss", "redis"));
    assert_eq!(plain.kind, Status::Unreachable);
    assert!(plain.message.contains("rediss://"), "{plain:?}");
}

#[test]
fn tls_with_a_client_certificate() {
    if no_tls() {
        return;
    }
    let vault = Vault::new();
    for protocols in ["TLSv1.2", "TLSv1.2 TLSv1.3"] {
        let line = format!("tls-protocols \"{protocols}\"");
        let server = vault.server(ClientCertificates::Required, &line);
        ping(&mut reach_with(&server.url(), &vault.with_client()).unwrap());
        let error = reach_with(&server.url(), &vault.ca_only()).unwrap_err();
        assert_eq!(error.kind, Status::Unreachable);
        assert!(error.message.contains("client certificate"), "{error:?}");
        let stranger = Vault::new();
        let mut files = stranger.with_client();
        files.ca = vault.ca_only().ca;
        let error = reach_with(&server.url(), &files).unwrap_err();
        assert_eq!(error.kind, Status::Unreachable);
        assert!(error.message.contains("refused TLS"), "{error:?}");
    }
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    if no_tls() {
        return;
    }
    let vault = Vault::for_names(&["elsewhere.example"]);
    let server = vault.server(ClientCertificates::Ignored, "databases 16");
    let error = reach_with(&server.url(), &vault.ca_only()).unwrap_err();
    assert_eq!(error.kind, Status::Unreachable);
    assert!(error.message.contains("not valid for name"), "{error:?}");
}

#[test]
fn a_key_of_another_certificate_is_refused_by_name() {
    let vault = Vault::new();
    let mut files = vault.with_client();
    files.key = Some(vault.certificates.server_key.clone());
    let error = parse("rediss://localhost", &files, Protocol::Auto).unwrap_err();
    assert!(error.message().contains("client.pem"), "{error}");
    assert!(
        error.message().contains("do not belong together"),
        "{error}"
    );
    files.key = Some(vault.certificates.client_certificate.clone());
    let error = parse("rediss://localhost", &files, Protocol::Auto).unwrap_err();
    assert!(error.message().contains("holds no private key"), "{error}");
}

/// A server that shows one certificate and has the key of another, which real servers refuse to do.
fn impostor(shown: &Certificates, own: &Certificates) -> (String, std::thread::JoinHandle<()>) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::sign::{CertifiedKey, SingleCertAndKey};

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_file(&shown.server_certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&own.server_key).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let both = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(both));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rediss://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        // The client is expected to hang up.
        while session.is_handshaking() && session.complete_io(&mut client).is_ok() {}
    });
    (url, server)
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let (signed, other) = (Vault::new(), Vault::new());
    let dir = other.dir.join("pinned");
    let pinned = Certificates::self_signed(dir, &["127.0.0.1"], false);
    for shown in [&signed.certificates, &pinned] {
        for verify in [Verify::Full, Verify::Ca] {
            let (url, server) = impostor(shown, &other.certificates);
            let options = TlsOptions {
                ca: Some(shown.ca.clone()),
                verify,
                ..TlsOptions::default()
            };
            let error = reach_with(&url, &options).unwrap_err();
            assert!(error.message.contains("BadSignature"), "{error:?}");
            server.join().unwrap();
        }
    }
}

#[test]
fn the_same_files_make_the_same_configuration() {
    let vault = Vault::new();
    let there = address("rediss://localhost", &vault.with_client());
    let tls = there.tls.unwrap();
    let first = tls.config().unwrap();
    assert!(Arc::ptr_eq(&first, &tls.config().unwrap()));
    Certificates::issue(&vault.dir);
    let second = tls.config().unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&second, &tls.config().unwrap()));
    std::fs::remove_file(&vault.certificates.client_key).unwrap();
    let error = tls.config().unwrap_err();
    assert!(error.message().contains("client.key"), "{error}");
}
