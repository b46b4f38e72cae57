//! Passwords and what servers quote of them, with real servers that refuse.

mod common;

use std::sync::Mutex;

use common::{TTL, eventually};
use redlock::{Error, Factory, Options, Wait, log};
use testkit::Server;

/// So many bytes of a password in a row must not be seen anywhere.
const PIECE: usize = 4;

static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn listen() {
    let sink = |_, line: &str| LOGGED.lock().unwrap().push(line.to_owned());
    log::set(Some(Box::new(sink)), log::Level::Debug);
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Panics if the text shows a piece of the password or more than one line.
fn assert_clean(text: &str, password: &str) {
    for piece in password.as_bytes().windows(PIECE) {
        let piece = String::from_utf8_lossy(piece);
        assert!(!text.contains(&*piece), "{piece:?} is in {text:?}");
    }
    assert!(!text.contains(char::is_control), "{text:?}");
}

fn assert_hidden(factory: &Factory, error: &Error, password: &str) {
    assert_clean(&format!("{error} {error:?} {factory:?}"), password);
    for node in error.nodes() {
        assert_clean(&node.message, password);
    }
    for health in factory.check().unwrap() {
        assert_clean(&format!("{health} {health:?}"), password);
    }
    assert_logged_clean(password);
}

fn assert_logged_clean(password: &str) {
    for line in LOGGED.lock().unwrap().iter() {
        assert_clean(line, password);
    }
}

fn factory(url: &str) -> Factory {
    let mut options = Options::new();
    options.set("connect_timeout_ms", "10000").unwrap();
    Factory::with_options(&[url], &options).unwrap()
}

/// A long one, of which Redis repeats only the beginning; one with line breaks, which it replaces; others with quotes and
/// what else is escaped.
fn passwords() -> Vec<String> {
    vec![
        (0..60).map(|n| format!("q{n}z")).collect(),
        "qq\r\nzz\nxx'yy\"vv\\ww".to_owned(),
        "ünïcödé-zzz\u{202e}qqq\u{7f}xxx".to_owned(),
    ]
}

#[test]
fn a_refused_password_is_not_shown_although_the_server_quotes_it() {
    listen();
    // Such a server does not know the command, and says with what words.
    let server = Server::builder()
        .config("rename-command AUTH \"\"")
        .config("rename-command HELLO \"\"")
        .start();
    for password in passwords() {
        for protocol in ["resp2", "resp3"] {
            let url = format!(
                "redis://:{}@{}?protocol={protocol}",
                encoded(&password),
                server.address()
            );
            let factory = factory(&url);
            let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
            let message = &error.nodes()[0].message;
            assert!(message.contains("unknown command"), "{message}");
            assert!(message.contains("***"), "{message}");
            assert_hidden(&factory, &error, &password);
        }
    }
    eventually("a refusal to be logged", || {
        !LOGGED.lock().unwrap().is_empty()
    });
}

#[test]
fn an_error_on_the_hot_path_does_not_show_the_password_that_it_quotes() {
    listen();
    for password in passwords() {
        let server = Server::builder().config("rename-command SET \"\"").start();
        let rule = format!(">{password}");
        server.command(&["ACL", "SETUSER", "ann", "on", &rule, "~*", "&*", "+@all"]);
        let url = format!("redis://ann:{}@{}", encoded(&password), server.address());
        let factory = factory(&url);
        // It quotes the lock's name, which here is the password. (The library's own words name the lock, of course.)
        let error = factory.acquire(&password, TTL, Wait::No).unwrap_err();
        let message = &error.nodes()[0].message;
        assert!(message.contains("the server said: ERR"), "{message}");
        assert!(message.contains("***"), "{message}");
        assert_clean(message, &password);
        assert_logged_clean(&password);
    }
}
