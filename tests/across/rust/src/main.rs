//! A party of the tests across languages, in Rust: takes a lock and gives it back as standard input says.

use std::time::Duration;

use redlock::{Error, Factory, Lock, Options, Status, Wait};

fn main() {
    let urls = std::env::var("REDLOCK_TEST_URLS").expect("REDLOCK_TEST_URLS is set");
    let urls: Vec<&str> = urls.split(',').collect();
    let factory = Factory::with_options(&urls, &options()).expect("the settings are good");
    let mut lock = None;
    for line in std::io::stdin().lines() {
        let line = line.expect("lines can be read");
        match obey(&factory, &mut lock, &line) {
            Ok(answer) => println!("{answer}"),
            Err(error) if error.status() == Status::Contended => println!("contended"),
            Err(error) => println!("error {error}"),
        }
    }
}

/// The settings are arguments: NAME=VALUE...
fn options() -> Options {
    let mut options = Options::new();
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').expect("NAME=VALUE");
        options.set(name, value).expect("an option");
    }
    options
}

/// Does what a line says: try RESOURCE TTL | wait RESOURCE TTL | release. Gives the answer.
fn obey(factory: &Factory, lock: &mut Option<Lock>, line: &str) -> Result<String, Error> {
    let words: Vec<&str> = line.split(' ').collect();
    let (resource, ttl, wait) = match words[..] {
        ["try", resource, ttl] => (resource, ttl, Wait::No),
        ["wait", resource, ttl] => (resource, ttl, Wait::Forever),
        ["release"] => {
            lock.take().expect("it holds a lock").release()?;
            return Ok("ok".to_owned());
        }
        _ => panic!("what is {line}"),
    };
    let ttl = Duration::from_millis(ttl.parse().expect("a TTL in ms"));
    let lock = lock.insert(factory.acquire(resource, ttl, wait)?);
    Ok(format!("ok {}", lock.fence()))
}
