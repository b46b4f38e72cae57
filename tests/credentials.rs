//! Passwords that are changed and tokens that run out, on real servers that refuse the old ones.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{PATIENCE, Scratch, TTL, eventually, options_with, trouble, works_again};
use redlock::{Completion, Event, EventKind, Factory, Options, Queue, Status, Wait};
use testkit::Server;

/// A server whose only user besides the administrator is `locks`.
fn server(password: &str) -> Server {
    let server = Server::builder().start();
    let rules = ["on", "~*", "&*", "+@all"];
    let user = [&["ACL", "SETUSER", "locks"], &rules[..]].concat();
    server.command(&user).ok();
    change_password(&server, password);
    server
}

/// The old password is not taken any more, and connections that were made with it are cut.
fn change_password(server: &Server, password: &str) {
    let rule = format!(">{password}");
    let change = ["ACL", "SETUSER", "locks", "resetpass", &rule];
    server.command(&change).ok();
    let kill = ["CLIENT", "KILL", "USER", "locks"];
    server.command(&kill);
}

fn url(server: &Server, login: &str) -> String {
    format!("redis://{login}@{}", server.address())
}

fn assert_hidden(factory: &Factory, secret: &str) {
    for health in factory.check().unwrap() {
        let text = format!("{health} {health:?} {factory:?}");
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn credentials_that_are_set_count_for_the_next_connection() {
    let server = server("first-secret");
    let factory = Factory::with_options(&[url(&server, "locks:first-secret")], &options_with(&[]));
    let factory = factory.unwrap();
    works_again(&factory, "r");
    change_password(&server, "second-secret");
    trouble(&factory, 0, "refused the URL's user or password");
    factory.set_credentials(None, "second-secret").unwrap();
    works_again(&factory, "r");
    // The default user has no password, so that any is right.
    change_password(&server, "third-secret");
    factory
        .set_credentials(Some("default"), "anything-at-all")
        .unwrap();
    works_again(&factory, "r");
    // The URL's are wrong again.
    factory.reset_credentials().unwrap();
    server.command(&["CLIENT", "KILL", "USER", "default"]);
    trouble(&factory, 0, "refused");
    for secret in ["first-secret", "second-secret", "third-secret", "anything"] {
        assert_hidden(&factory, secret);
    }
}

#[test]
fn a_connection_that_stands_is_not_ended_by_new_credentials() {
    let server = server("first-secret");
    let factory = Factory::with_options(&[url(&server, "locks:first-secret")], &options_with(&[]));
    let factory = factory.unwrap();
    works_again(&factory, "r");
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    factory.set_credentials(None, "wrong-secret").unwrap();
    lock.extend(TTL).unwrap();
    lock.release().unwrap();
}

#[test]
fn credentials_of_a_closed_factory_are_refused() {
    let factory = Factory::new(&["redis://127.0.0.1:1"]).unwrap();
    factory.close();
    let error = factory.set_credentials(None, "late-secret").unwrap_err();
    assert_eq!(error.status(), Status::Closed);
}

fn write(path: &Path, text: &str) {
    // As secrets are renewed in practice: never seen half written.
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, path).unwrap();
}

fn with_file(server: &Server, path: &Path) -> Factory {
    let file = [("password_file", path.to_str().unwrap())];
    Factory::with_options(&[url(server, "locks:not-this-one")], &options_with(&file)).unwrap()
}

#[test]
fn a_password_file_is_read_at_each_connect() {
    let scratch = Scratch::new();
    let path = scratch.path().join("password");
    let server = server("first secret");
    for end in ["", "\n", "\r\n"] {
        change_password(&server, "first secret");
        write(&path, &format!("first secret{end}"));
        let factory = with_file(&server, &path);
        works_again(&factory, "r");
        write(&path, &format!("second-secret{end}"));
        change_password(&server, "second-secret");
        works_again(&factory, "r");
        std::fs::remove_file(&path).unwrap();
        change_password(&server, "second-secret");
        trouble(&factory, 0, path.to_str().unwrap());
        write(&path, "second-secret");
        works_again(&factory, "r");
        // What the program gives comes first.
        factory.set_credentials(None, "third-secret").unwrap();
        change_password(&server, "third-secret");
        works_again(&factory, "r");
        assert_hidden(&factory, "secret");
    }
}

#[test]
fn a_password_file_that_cannot_be_used_is_named_when_the_factory_is_made() {
    let scratch = Scratch::new();
    let file = |name: &str, content: &[u8]| -> PathBuf {
        let path = scratch.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    for (path, reason) in [
        (scratch.path().join("missing"), "No such file"),
        (scratch.path().to_owned(), "no regular file"),
        ("/dev/zero".into(), "no regular file"),
        (file("empty", b"\n"), "empty"),
        (file("latin1", b"s\xe9cret"), "not UTF-8"),
        (file("long", &[b'x'; 70_000]), "64 KiB"),
    ] {
        let path = path.to_str().unwrap();
        let mut options = Options::new();
        options.set("password_file", path).unwrap();
        let error = Factory::with_options(&["redis://127.0.0.1:1"], &options).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        let message = error.message();
        assert!(message.contains(path), "{message}");
        assert!(message.contains(reason), "{message}");
        assert!(!message.contains("cret"), "{message}");
    }
}

/// A factory that asks for its credentials on a queue, under the number 7.
fn asking(urls: &[String]) -> (Factory, Queue) {
    let options = options_with(&[("ask_credentials", "on"), ("connect_timeout_ms", "60000")]);
    let factory = Factory::with_options(urls, &options).unwrap();
    let queue = Queue::new().unwrap();
    factory.ask_for_credentials(&queue, 7).unwrap();
    (factory, queue)
}

fn question(queue: &Queue) {
    let mut events = Vec::new();
    assert_eq!(queue.next(&mut events, 1, Some(PATIENCE)).unwrap(), 1);
    let Event { id, kind, result } = events.remove(0);
    assert_eq!((id, kind), (7, EventKind::Credentials));
    assert!(matches!(result, Ok(Completion::Asked)));
    assert!(queue.cancel(7).is_err());
}

fn is_silent(queue: &Queue) -> bool {
    let mut events = Vec::new();
    queue.next(&mut events, 1, Some(Duration::ZERO)).unwrap() == 0
}

#[test]
fn each_connection_asks_for_credentials() {
    let servers: Vec<_> = (0..3).map(|_| server("first-secret")).collect();
    let urls: Vec<_> = servers.iter().map(|server| url(server, "locks")).collect();
    let (factory, queue) = asking(&urls);
    question(&queue);
    factory
        .set_credentials(Some("locks"), "first-secret")
        .unwrap();
    common::all_connected(&factory);
    assert!(
        is_silent(&queue),
        "nodes that are connected at once ask once"
    );
    works_again(&factory, "r");
    // An answer counts for a minute here, as long as no server refuses it.
    change_password(&servers[0], "first-secret");
    works_again(&factory, "r");
    common::all_connected(&factory);
    assert!(is_silent(&queue));
    assert_hidden(&factory, "first-secret");
    change_password(&servers[1], "second-secret");
    question(&queue);
}

#[test]
fn an_old_answer_is_asked_for_again() {
    let server = server("first-secret");
    let asks = [("ask_credentials", "on"), ("connect_timeout_ms", "50")];
    let factory = Factory::with_options(&[url(&server, "locks")], &options_with(&asks)).unwrap();
    trouble(&factory, 0, "no credentials were given");
    let queue = Queue::new().unwrap();
    factory.ask_for_credentials(&queue, 7).unwrap();
    question(&queue);
    factory.set_credentials(None, "first-secret").unwrap();
    common::all_connected(&factory);
    // Tokens do not last; this one is refused until the program is asked for the next.
    change_password(&server, "second-secret");
    question(&queue);
    factory.set_credentials(None, "second-secret").unwrap();
    works_again(&factory, "r");
}

#[test]
fn the_reason_why_there_are_no_credentials_is_told() {
    let server = server("first-secret");
    let (factory, queue) = asking(&[url(&server, "locks")]);
    question(&queue);
    factory
        .refuse_credentials("the token service\nis down")
        .unwrap();
    trouble(&factory, 0, "has no credentials: the token service is down");
    eventually("the next question", || !is_silent(&queue));
    factory
        .set_credentials(Some("locks"), "first-secret")
        .unwrap();
    works_again(&factory, "r");
}
