//! Proxies between the library and its masters that know only some commands: it works, or says which one is missing.
//!
//! The proxy is a small one of the test's: it reads one command after the other, and answers, hangs up or passes it on, as
//! Envoy, twemproxy and HAProxy do. Passed on, a command and its reply are whole.

mod common;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use common::{TTL, options_with, trouble, works_again};
use redlock::{Factory, Wait};
use testkit::Server;

/// What becomes of a command.
enum Verdict {
    Pass,
    Answer(String),
    HangUp,
}

use Verdict::{Answer, HangUp, Pass};

/// Which commands a proxy knows: by the command's name and its first argument, in upper case.
type Rule = fn(&str, &str) -> Verdict;

/// The address of a proxy in front of the server, which lasts as long as this process.
fn proxy(server: &Server, rule: Rule) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let backend = server.address();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, backend) = (client.unwrap(), backend.clone());
            // A connection that breaks ends its thread, and the test waits for what it wants to see.
            thread::spawn(move || relay(client, &backend, rule));
        }
    });
    address
}

fn relay(client: TcpStream, backend: &str, rule: Rule) -> io::Result<()> {
    let mut server = BufReader::new(TcpStream::connect(backend)?);
    let mut client = BufReader::new(client);
    loop {
        let mut command = Vec::new();
        copy_value(&mut client, &mut command)?;
        let words = words(&command);
        match rule(&words[0], words.get(1).map_or("", String::as_str)) {
            Pass => {
                server.get_mut().write_all(&command)?;
                let mut reply = Vec::new();
                copy_value(&mut server, &mut reply)?;
                client.get_mut().write_all(&reply)?;
            }
            Answer(reply) => client.get_mut().write_all(reply.as_bytes())?,
            HangUp => return Ok(()),
        }
    }
}

/// One value of RESP2, with all that is in it.
fn copy_value(from: &mut impl BufRead, to: &mut Vec<u8>) -> io::Result<()> {
    let start = to.len();
    if from.read_until(b'\n', to)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = String::from_utf8_lossy(&to[start..]).into_owned();
    let length = line[1..].trim().parse::<usize>();
    match (line.as_bytes()[0], length) {
        (b'$', Ok(length)) => {
            from.take(length as u64 + 2).read_to_end(to)?;
        }
        (b'*', Ok(length)) => {
            for _ in 0..length {
                copy_value(from, to)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// The first words of a command.
fn words(command: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(command);
    let lines = text.split("\r\n").skip(2).step_by(2).take(2);
    lines.map(str::to_uppercase).collect()
}

fn factory(address: &str, login: &str) -> Factory {
    let url = format!("redis://{login}{address}");
    Factory::with_options(&[url], &options_with(&[("protocol", "auto")])).unwrap()
}

const LOGIN: &str = "locks:secret-of-the-test@";

fn server_with_user() -> Server {
    let server = Server::builder().start();
    let rules = ["on", ">secret-of-the-test", "~*", "&*", "+@all"];
    server
        .command(&[&["ACL", "SETUSER", "locks"], &rules[..]].concat())
        .ok();
    // Whoever does not log in gets nothing.
    server
        .command(&["ACL", "SETUSER", "default", "on", ">administrator's"])
        .ok();
    server
}

/// In any wording: the connection speaks RESP2, and logs in by AUTH.
#[test]
fn hello_may_be_refused_in_any_words() {
    let rules: [Rule; 6] = [
        |name, _| refuse(name, "-unsupported command 'HELLO'"),
        |name, _| {
            refuse(
                name,
                "-ERR unknown command 'HELLO', with args beginning with: ",
            )
        },
        |name, _| refuse(name, "-NOAUTH Authentication required."),
        |name, _| refuse(name, "-ERR Proxy error: HELLO is disabled"),
        |name, _| {
            refuse(
                name,
                "-NOPROTO sorry, this protocol version is not supported",
            )
        },
        |name, _| refuse(name, "-invalid request"),
    ];
    let server = server_with_user();
    for rule in rules {
        works_again(&factory(&proxy(&server, rule), LOGIN), "r");
    }
}

fn refuse(name: &str, refusal: &str) -> Verdict {
    match name {
        "HELLO" => Answer(format!("{refusal}\r\n")),
        _ => Pass,
    }
}

/// As Envoy's Redis filter: nothing but what belongs to keys is passed on, and the rest refused.
#[test]
fn a_proxy_that_passes_on_commands_about_keys_only() {
    let server = server_with_user();
    let address = proxy(&server, |name, _| match name {
        "HELLO" | "CLIENT" | "INFO" | "TIME" | "CONFIG" | "SCRIPT" | "SUBSCRIBE" => {
            Answer(format!("-unsupported command '{name}'\r\n"))
        }
        _ => Pass,
    });
    let factory = factory(&address, LOGIN);
    works_again(&factory, "r");
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    lock.extend(TTL).unwrap();
    assert!(factory.is_locked("r").unwrap());
    assert!(factory.acquire("r", TTL, Wait::No).is_err());
    lock.release().unwrap();
    assert!(!factory.is_locked("r").unwrap());
}

/// As twemproxy, which hangs up on what it does not know: the command is named, whichever it is.
#[test]
fn a_proxy_that_hangs_up_is_told_of_with_the_command() {
    let rules: [(&str, Rule); 3] = [
        ("CLIENT SETNAME", |name, what| {
            hang_up(name == "CLIENT" && what == "SETNAME")
        }),
        ("INFO", |name, _| hang_up(name == "INFO")),
        ("SCRIPT EXISTS", |name, _| hang_up(name == "SCRIPT")),
    ];
    let server = server_with_user();
    let hello = factory(&proxy(&server, |name, _| hang_up(name == "HELLO")), LOGIN);
    trouble(&hello, 0, "instead of answering HELLO");
    trouble(&hello, 0, "protocol=resp2");
    for (command, rule) in rules {
        let address = proxy(&server, rule) + "?protocol=resp2";
        let factory = factory(&address, LOGIN);
        trouble(&factory, 0, &format!("instead of answering {command}"));
        trouble(&factory, 0, "proxy");
    }
}

fn hang_up(does: bool) -> Verdict {
    if does { HangUp } else { Pass }
}

/// As HAProxy in TCP mode whose servers are all down: it takes connections, and closes them.
#[test]
fn a_proxy_without_a_server_is_no_silent_loop() {
    let server = Server::builder().start();
    let factory = factory(&proxy(&server, |_, _| HangUp), "");
    trouble(
        &factory,
        0,
        "closed the connection instead of answering HELLO",
    );
    let error = factory.acquire("r", TTL, Wait::No).unwrap_err();
    assert!(
        error.nodes()[0]
            .message
            .contains("instead of answering HELLO"),
        "{error:?}"
    );
}
