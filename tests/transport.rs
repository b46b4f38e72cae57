//! Every way to a node: TLS with its certificates, users and passwords, databases, unix sockets, IPv6, names with several
//! addresses, both versions of the protocol, and the node that is used when none is named.

mod common;

use std::path::Path;
use std::sync::{Mutex, Once, PoisonError};

use common::{Scratch, TTL, calls, child, eventually, trouble, works_again};
use redlock::log::{self, Level};
use redlock::{Factory, Options, Status, Wait};
use testkit::{Certificates, ClientCertificates, Cluster, Flaw, Server};

fn connect(url: &str, changes: &[(&str, &str)]) -> Factory {
    Factory::with_options(&[url], &common::options_with(changes)).unwrap()
}

/// Takes a lock through this URL, sees it on the server, extends and returns it.
fn locks(server: &Server, url: &str, changes: &[(&str, &str)]) {
    let factory = connect(url, changes);
    let lock = factory
        .acquire("r", TTL, Wait::No)
        .unwrap_or_else(|error| panic!("{url}: {error:?}"));
    assert_eq!(server.command(&["GET", "r"]).text(), lock.token());
    lock.extend(TTL).unwrap();
    lock.release().unwrap();
    assert!(!server.holds("r"));
}

/// What the one node says to an attempt that fails: its status and message.
fn refusal(url: &str, changes: &[(&str, &str)]) -> (Status, String) {
    let factory = connect(url, changes);
    let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
    let node = &error.nodes()[0];
    (node.status, node.message.clone())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A TLS server, and the certificates that it and its clients have.
struct Secure {
    server: Server,
    certificates: Certificates,
    scratch: Scratch,
}

impl Secure {
    fn start(clients: ClientCertificates) -> Secure {
        let scratch = Scratch::new();
        let certificates = Certificates::issue(scratch.path().join("own"));
        Secure::asking(clients, certificates, scratch)
    }

    fn with(certificates: Certificates, scratch: Scratch) -> Secure {
        Secure::asking(ClientCertificates::Ignored, certificates, scratch)
    }

    fn asking(clients: ClientCertificates, certificates: Certificates, scratch: Scratch) -> Secure {
        let server = Server::builder().tls(&certificates, clients).start();
        Secure {
            server,
            certificates,
            scratch,
        }
    }

    fn ca(&self) -> (&str, &str) {
        ("tls_ca_file", path(&self.certificates.ca))
    }
}

#[test]
fn tls_with_an_own_authority() {
    if common::no_tls() {
        return;
    }
    let tls = Secure::start(ClientCertificates::Ignored);
    locks(&tls.server, &tls.server.url(), &[tls.ca()]);
    let by_name = format!("rediss://localhost:{}", tls.server.port());
    locks(&tls.server, &by_name, &[tls.ca()]);
}

#[test]
fn tls_with_a_client_certificate() {
    if common::no_tls() {
        return;
    }
    let tls = Secure::start(ClientCertificates::Required);
    let files = [
        tls.ca(),
        ("tls_cert_file", path(&tls.certificates.client_certificate)),
        ("tls_key_file", path(&tls.certificates.client_key)),
    ];
    locks(&tls.server, &tls.server.url(), &files);
    let (_, message) = refusal(&tls.server.url(), &[tls.ca()]);
    assert!(message.contains("client certificate"), "{message}");
}

#[test]
fn tls_from_a_server_of_another_authority_is_refused() {
    if common::no_tls() {
        return;
    }
    let tls = Secure::start(ClientCertificates::Ignored);
    let other = Certificates::issue(tls.scratch.path().join("other"));
    let files = [("tls_ca_file", path(&other.ca))];
    let (status, message) = refusal(&tls.server.url(), &files);
    assert_eq!(status, Status::Unreachable);
    assert!(message.contains("certificate is not accepted"), "{message}");
}

#[test]
fn tls_from_a_server_of_another_name_is_refused() {
    if common::no_tls() {
        return;
    }
    let scratch = Scratch::new();
    let certificates = Certificates::issue_for(scratch.path(), &["elsewhere.example.com"]);
    let server = Server::builder()
        .tls(&certificates, ClientCertificates::Ignored)
        .start();
    let files = [("tls_ca_file", path(&certificates.ca))];
    let (status, message) = refusal(&server.url(), &files);
    assert_eq!(status, Status::Unreachable);
    assert!(message.contains("certificate is not accepted"), "{message}");
}

#[test]
fn tls_with_the_name_that_the_certificate_bears() {
    if common::no_tls() {
        return;
    }
    let scratch = Scratch::new();
    let certificates = Certificates::issue_for(scratch.path(), &["elsewhere.example.com"]);
    let tls = Secure::with(certificates, scratch);
    let name = |name| ("tls_server_name", name);
    let (_, message) = refusal(&tls.server.url(), &[tls.ca()]);
    assert!(message.contains("tls_server_name"), "{message}");
    for right in ["elsewhere.example.com", "ELSEWHERE.example.com"] {
        locks(&tls.server, &tls.server.url(), &[tls.ca(), name(right)]);
    }
    let (_, message) = refusal(&tls.server.url(), &[tls.ca(), name("other.example.com")]);
    assert!(message.contains("elsewhere.example.com"), "{message}");
    let error = Options::new()
        .set("tls_server_name", "no name")
        .unwrap_err();
    assert!(error.message().contains("tls_server_name"), "{error}");
}

#[test]
fn tls_verify_says_what_is_checked() {
    if common::no_tls() {
        return;
    }
    let scratch = Scratch::new();
    let named = Certificates::issue_for(scratch.path().join("named"), &["elsewhere.example.com"]);
    let strangers = Certificates::issue(scratch.path().join("strangers"));
    let tls = Secure::with(named, scratch);
    let url = tls.server.url();
    let (right, wrong) = (tls.ca(), ("tls_ca_file", path(&strangers.ca)));
    let verify = |mode| ("tls_verify", mode);
    refusal(&url, &[right, verify("full")]);
    locks(&tls.server, &url, &[right, verify("ca")]);
    let (_, message) = refusal(&url, &[wrong, verify("ca")]);
    assert!(message.contains("certificate is not accepted"), "{message}");
    locks(&tls.server, &url, &[wrong, verify("none")]);
    locks(&tls.server, &url, &[verify("none")]);
    // TLS 1.2 has its signatures checked by another way.
    tls.server.restart_with(&["tls-protocols \"TLSv1.2\""]);
    locks(&tls.server, &url, &[right, verify("ca")]);
    locks(&tls.server, &url, &[verify("none")]);
}

/// In a process of its own, whose log holds this test's messages only.
#[test]
fn a_factory_that_verifies_nothing_says_so_once() {
    let test = "a_factory_that_verifies_nothing_says_so_once";
    let Some(url) = child::role() else {
        if common::no_tls() {
            return;
        }
        let tls = Secure::start(ClientCertificates::Ignored);
        return child::succeeds(child::command(test, &tls.server.url()));
    };
    let warnings = || {
        let log = log_so_far();
        let about = |(level, text): &&(Level, String)| {
            *level == Level::Warn && text.contains("tls_verify=none")
        };
        log.iter().filter(about).count()
    };
    log_so_far();
    let none = ("tls_verify", "none");
    // It does not matter to a plain URL.
    drop(Factory::with_options(
        &["redis://127.0.0.1:1"],
        &common::options_with(&[none]),
    ));
    let urls = [format!("{url}/0"), format!("{url}/1")];
    let factory = Factory::with_options(&urls, &common::options_with(&[none])).unwrap();
    let _ = factory.check();
    eventually("the first factory's warning", || warnings() == 1);
    let other = connect(&url, &[none]);
    other
        .acquire("r", TTL, Wait::No)
        .unwrap()
        .release()
        .unwrap();
    eventually("the second factory's warning", || warnings() == 2);
}

/// What this process has said, from the first call on.
fn log_so_far() -> Vec<(Level, String)> {
    static LOG: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());
    static LISTEN: Once = Once::new();
    let lock = || LOG.lock().unwrap_or_else(PoisonError::into_inner);
    LISTEN.call_once(|| {
        let take = move |level, text: &str| lock().push((level, text.to_owned()));
        log::set(Some(Box::new(take)), Level::Info);
    });
    lock().clone()
}

/// As `openssl req -x509` makes one.
#[test]
fn tls_with_a_certificate_that_is_its_own_authority() {
    if common::no_tls() {
        return;
    }
    let scratch = Scratch::new();
    let own = |name: &str, names: &[&str], expired| {
        Certificates::self_signed(scratch.path().join(name), names, expired)
    };
    let strangers = own("strangers", &["127.0.0.1"], false);
    let old = own("old", &["127.0.0.1"], true);
    let elsewhere = own("elsewhere", &["elsewhere.example.com"], false);
    let tls = Secure::with(own("server", &["127.0.0.1"], false), Scratch::new());
    let url = tls.server.url();
    locks(&tls.server, &url, &[tls.ca()]);
    locks(&tls.server, &url, &[tls.ca(), ("tls_verify", "ca")]);
    // What is not in the file is not accepted, though it may be of the same name.
    let (_, message) = refusal(&url, &[("tls_ca_file", path(&strangers.ca))]);
    assert!(message.contains("tls_ca_file"), "{message}");
    let tls = Secure::with(elsewhere, Scratch::new());
    let (_, message) = refusal(&tls.server.url(), &[tls.ca()]);
    assert!(message.contains("tls_server_name"), "{message}");
    let tls = Secure::with(old, Scratch::new());
    let (_, message) = refusal(&tls.server.url(), &[tls.ca()]);
    assert!(message.contains("expired"), "{message}");
}

/// A server's certificate may be given without the authority that signed it.
#[test]
fn tls_with_a_certificate_that_is_pinned_itself() {
    if common::no_tls() {
        return;
    }
    let tls = Secure::start(ClientCertificates::Ignored);
    let pinned = ("tls_ca_file", path(&tls.certificates.server_certificate));
    locks(&tls.server, &tls.server.url(), &[pinned]);
    // The client's is signed by the same authority, and no server's.
    let other = ("tls_ca_file", path(&tls.certificates.client_certificate));
    refusal(&tls.server.url(), &[other]);
}

#[test]
fn a_certificate_error_names_its_remedy() {
    if common::no_tls() {
        return;
    }
    for (flaw, remedy) in [
        (Flaw::Expired, "renew"),
        (Flaw::NotYetValid, "clock"),
        (Flaw::CommonNameOnly, "subjectAltName"),
        (Flaw::Version1, "X.509 version 1"),
    ] {
        let scratch = Scratch::new();
        let tls = Secure::with(Certificates::flawed(scratch.path(), flaw), scratch);
        let (status, message) = refusal(&tls.server.url(), &[tls.ca()]);
        assert_eq!(status, Status::Unreachable);
        assert!(message.contains("certificate is not accepted"), "{message}");
        assert!(message.contains(remedy), "{flaw:?}: {message}");
        let none = [tls.ca(), ("tls_verify", "none")];
        locks(&tls.server, &tls.server.url(), &none);
    }
    let tls = Secure::start(ClientCertificates::Ignored);
    let other = Certificates::issue(tls.scratch.path().join("other"));
    let (_, message) = refusal(&tls.server.url(), &[("tls_ca_file", path(&other.ca))]);
    assert!(message.contains("as tls_ca_file"), "{message}");
}

#[test]
fn renewed_certificates_count_for_the_next_connection() {
    if common::no_tls() {
        return;
    }
    let tls = Secure::start(ClientCertificates::Required);
    let files = [
        tls.ca(),
        ("tls_cert_file", path(&tls.certificates.client_certificate)),
        ("tls_key_file", path(&tls.certificates.client_key)),
    ];
    let factory = connect(&tls.server.url(), &files);
    works_again(&factory, "r");
    // A new authority, whose certificates take the places of the old ones.
    Certificates::issue(tls.scratch.path().join("own"));
    tls.server.restart();
    works_again(&factory, "r");
}

#[test]
fn a_tls_file_that_went_is_named_until_it_is_back() {
    if common::no_tls() {
        return;
    }
    let tls = Secure::start(ClientCertificates::Ignored);
    let factory = connect(&tls.server.url(), &[tls.ca()]);
    works_again(&factory, "r");
    let (ca, away) = (&tls.certificates.ca, tls.scratch.path().join("away.pem"));
    std::fs::copy(ca, &away).unwrap();
    // The server reads its own copy of it.
    let line = format!("tls-ca-cert-file {}", path(&away));
    std::fs::remove_file(ca).unwrap();
    tls.server.restart_with(&[&line]);
    trouble(&factory, 0, path(ca));
    std::fs::copy(&away, ca).unwrap();
    works_again(&factory, "r");
}

#[test]
fn plain_and_tls_ports_are_told_apart() {
    if common::no_tls() {
        return;
    }
    let tls = Secure::start(ClientCertificates::Ignored);
    // One waits for the end of a line, the other for a handshake.
    let hurry = ("connect_timeout_ms", "500");
    let plain = Server::builder().start();
    let without = format!("redis://{}", tls.server.address());
    let (_, message) = refusal(&without, &[hurry]);
    assert!(
        message.contains("rediss://") || message.contains("closed"),
        "{message}"
    );
    let with = format!("rediss://{}", plain.address());
    let (_, message) = refusal(&with, &[tls.ca(), hurry]);
    assert!(message.contains("TLS"), "{message}");
}

/// The system's roots are where `SSL_CERT_FILE` says, so that a process that has it set trusts our authority.
#[test]
fn tls_with_the_systems_roots() {
    if let Some(url) = child::role() {
        let lock = connect(&url, &[]).acquire("r", TTL, Wait::No).unwrap();
        return lock.release().unwrap();
    }
    if common::no_tls() {
        return;
    }
    let tls = Secure::start(ClientCertificates::Ignored);
    let url = tls.server.url();
    let (_, message) = refusal(&url, &[]);
    assert!(message.contains("certificate is not accepted"), "{message}");
    let mut trusting = child::command("tls_with_the_systems_roots", &url);
    trusting.env("SSL_CERT_FILE", &tls.certificates.ca);
    child::succeeds(trusting);
    eventually("the child's lock to have been here", || {
        calls(&tls.server, "set") > 0 && !tls.server.holds("r")
    });
}

#[test]
fn many_locks_at_once_over_tls() {
    if common::no_tls() {
        return;
    }
    let tls = Secure::start(ClientCertificates::Ignored);
    let factory = connect(&tls.server.url(), &[tls.ca()]);
    let begin = |id| factory.acquire_async(&format!("r{id}"), TTL, Wait::No);
    let under_way: Vec<_> = (0..2_000).map(begin).collect();
    let locks: Vec<_> = under_way
        .into_iter()
        .map(|lock| common::block_on(lock).unwrap())
        .collect();
    assert_eq!(common::lock_count(&tls.server), 2_000);
    drop(locks);
    eventually("all to be given back", || {
        common::lock_count(&tls.server) == 0
    });
}

#[test]
fn a_password_of_the_default_user() {
    let password = "p@ss/w:rd?#%";
    let server = Server::builder().password(password).start();
    locks(&server, &server.url(), &[]);
    locks(&server, &server.unix_url(), &[]);
    let wrong = format!("redis://:wr0ng-w0rd@{}", server.address());
    let (status, message) = refusal(&wrong, &[]);
    assert_eq!(status, Status::Server);
    assert!(message.contains("WRONGPASS"), "{message}");
    assert!(!message.contains("wr0ng"), "{message}");
}

/// The least that a user needs.
#[test]
fn a_user_with_few_permissions() {
    let rules = "alice on >secret ~app:* ~libredlock:* +hello +auth +client|setname +client|kill +info +ping +script|load \
                 +script|exists +set +get +mget +del +pexpire +pttl +time +exists +zadd +zmscore +evalsha +eval";
    // Redis 6.2 can't allow single subcommands of a command that is denied.
    let rules = match testkit::server_version().starts_with("6.") {
        true => rules
            .replace("+client|setname +client|kill", "+client")
            .replace("+script|load +script|exists", "+script"),
        false => rules.to_owned(),
    };
    let server = Server::builder().acl_user(&rules).start();
    let url = server.url_as("alice", "secret");
    let factory = connect(&url, &[]);
    let lock = factory.acquire("app:r", TTL, Wait::No).unwrap();
    lock.extend(TTL).unwrap();
    assert!(factory.is_locked("app:r").unwrap());
    lock.release().unwrap();
    let error = factory.acquire("other", TTL, Wait::No).unwrap_err();
    assert_eq!(error.nodes()[0].status, Status::Server);
    assert!(error.nodes()[0].message.contains("NOPERM"), "{error:?}");
    let (status, message) = refusal(&server.url_as("alice", "wr0ng-w0rd"), &[]);
    assert_eq!(status, Status::Server);
    assert!(
        message.contains("WRONGPASS") && !message.contains("wr0ng"),
        "{message}"
    );
}

/// The highest ballots are in a key of their own, which is easily forgotten where an application's keys are listed.
#[test]
fn a_user_who_may_not_use_the_highest_ballots_gets_no_fence() {
    let server = Server::builder()
        .acl_user("alice on >secret ~app:* ~libredlock:probe ~libredlock:waiting:* ~libredlock:queue:* &* +@all")
        .start();
    let url = server.url_as("alice", "secret");
    let error = connect(&url, &[])
        .acquire("app:r", TTL, Wait::No)
        .unwrap_err();
    let message = &error.nodes()[0].message;
    assert!(message.contains("NOPERM"), "{error:?}");
    assert!(message.contains("\"libredlock:ballots\""), "{error:?}");
    eventually("the lock to be given back", || !server.holds("app:r"));
    let unfenced = connect(&url, &[("fencing", "off")]);
    let lock = unfenced.acquire("app:r", TTL, Wait::No).unwrap();
    lock.release().unwrap();
    let prefixed = connect(&url, &[("key_prefix", "app:")]);
    let lock = prefixed.acquire("r", TTL, Wait::No).unwrap();
    lock.release().unwrap();
}

#[test]
fn a_database_by_its_number() {
    let server = Server::builder().start();
    let factory = connect(&format!("{}/3", server.url()), &[("fencing", "off")]);
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    assert!(server.info("db3").starts_with("keys=1,"));
    assert!(!server.holds("r"));
    lock.release().unwrap();
    let (status, message) = refusal(&format!("{}/99", server.url()), &[]);
    assert_eq!(status, Status::Server);
    assert!(message.contains("database 99"), "{message}");
    let unix = connect(
        &format!("{}?db=5", server.unix_url()),
        &[("fencing", "off")],
    );
    let lock = unix.acquire("r", TTL, Wait::No).unwrap();
    assert!(server.info("db5").starts_with("keys=1,"));
    lock.release().unwrap();
}

#[test]
fn a_unix_socket() {
    let server = Server::builder().start();
    locks(&server, &server.unix_url(), &[]);
    let (status, message) = refusal("unix:///no/such/socket", &[]);
    assert_eq!(status, Status::Unreachable);
    assert!(message.contains("No such file"), "{message}");
}

#[test]
fn an_ipv6_address() {
    let server = Server::builder().bind(&["::1"]).start();
    assert!(server.url().contains("[::1]"));
    locks(&server, &server.url(), &[]);
}

/// The test's process gets a file of host names of its own, in which one name has an address of each family.
#[test]
fn a_name_with_several_addresses_leads_to_the_one_that_answers() {
    if let Some(url) = child::role() {
        let lock = connect(&url, &[]).acquire("r", TTL, Wait::No).unwrap();
        return lock.release().unwrap();
    }
    let scratch = Scratch::new();
    let hosts = scratch.file("hosts", "::1 two.test\n127.0.0.1 two.test\n");
    let script = format!("mount --bind {} /etc/hosts && exec \"$@\"", path(&hosts));
    let namespaces = ["unshare", "--mount", "--map-root-user"];
    let wrapper = [&namespaces[..], &["sh", "-c", &script, "sh"]].concat();
    for address in ["::1", "127.0.0.1"] {
        let server = Server::builder().bind(&[address]).start();
        let url = format!("redis://two.test:{}", server.port());
        let test = "a_name_with_several_addresses_leads_to_the_one_that_answers";
        child::succeeds(child::command_within(&wrapper, test, &url));
        assert!(calls(&server, "set") > 0, "{address}");
    }
}

#[test]
fn a_name_that_nobody_knows() {
    let (status, message) = refusal("redis://no-such-host.invalid", &[]);
    assert_eq!(status, Status::Unreachable);
    assert!(
        message.contains("cannot resolve the host name"),
        "{message}"
    );
}

#[test]
fn both_versions_of_the_protocol() {
    let cluster = Cluster::start(2);
    let (two, three) = (&cluster[0], &cluster[1]);
    locks(two, &two.url(), &[("protocol", "resp2")]);
    locks(three, &three.url(), &[("protocol", "resp3")]);
    // RESP3 is what HELLO switches to; without it the connection stays at RESP2.
    assert_eq!((calls(two, "hello"), calls(three, "hello")), (0, 1));
    // A URL's own word comes first.
    let url = format!("{}?protocol=resp3", two.url());
    locks(two, &url, &[("protocol", "resp2")]);
    assert_eq!(calls(two, "hello"), 1);
}

#[test]
fn resp3_from_a_server_that_has_no_hello() {
    let server = Server::builder()
        .config("rename-command HELLO \"\"")
        .start();
    locks(&server, &server.url(), &[("protocol", "auto")]);
    let (status, message) = refusal(&server.url(), &[("protocol", "resp3")]);
    assert_eq!(status, Status::Server);
    assert!(message.contains("RESP3 was asked for"), "{message}");
}

/// In a network of its own, where port 6379 is free.
#[test]
fn no_url_at_all_means_the_local_server() {
    if child::role().is_some() {
        let server = Server::builder().config("port 6379").start();
        let factory = Factory::new::<&str>(&[]).unwrap();
        assert_eq!(format!("{factory:?}"), "{\"redis://127.0.0.1:6379/0\"}");
        let lock = factory
            .acquire("r", TTL, Wait::For(common::PATIENCE))
            .unwrap();
        assert_eq!(server.command(&["GET", "r"]).text(), lock.token());
        return lock.release().unwrap();
    }
    let wrapper = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/in-netns");
    let test = "no_url_at_all_means_the_local_server";
    child::succeeds(child::command_within(&[wrapper], test, "local"));
}

#[test]
fn files_for_tls_that_are_missing_are_named_when_the_factory_is_made() {
    let mut options = Options::new();
    options.set("tls_ca_file", "/no/such/ca.pem").unwrap();
    let error = Factory::with_options(&["rediss://localhost"], &options).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    assert!(error.message().contains("/no/such/ca.pem"), "{error}");
}
