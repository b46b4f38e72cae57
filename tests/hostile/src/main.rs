//! The program that the scenarios watch: it does with the library what standard input says, and tells what came of it.
//!
//! Each line is a number and a request; each request runs on a thread of its own, and its answer is a line with the same
//! number. Log lines and panics are told as they come. It ends with its input.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use redlock::{Error, Factory, Lock, Options, Queue, Status, Wait};

/// The longest part of a text that is told; its whole length is told too.
const LONGEST_TOLD: usize = 400;

/// What the requests share.
#[derive(Default)]
struct Tables {
    factories: Mutex<HashMap<String, Factory>>,
    locks: Mutex<HashMap<String, Lock>>,
    /// Told to requests that go on until they are stopped.
    stopped: AtomicBool,
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(Tables::default)
}

fn main() {
    std::panic::set_hook(Box::new(|panic| {
        say(&format!("panic {}", told(&panic.to_string())))
    }));
    let sink = |level, message: &str| say(&format!("log {level:?} {}", told(message)));
    redlock::log::set(Some(Box::new(sink)), redlock::log::Level::Debug);
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let (number, request) = line.split_once(' ').expect("a number and a request");
        let (number, request) = (number.to_owned(), request.to_owned());
        std::thread::spawn(move || {
            let answer = obey(&request).unwrap_or_else(|error| failed(&error));
            say(&format!("answer {number} {answer}"));
        });
    }
    // No destructors: what the scenario left is not to be waited for.
    std::process::exit(0);
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    // The reader is gone when the test is.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A text on one line, of bounded length, behind its true length in bytes.
fn told(text: &str) -> String {
    let short: String = text.chars().take(LONGEST_TOLD).collect();
    format!("{} {:?}", text.len(), short)
}

fn failed(error: &Error) -> String {
    let node = error.nodes().first().map_or("-", |node| node.status.name());
    format!(
        "{} {node} {}",
        error.status().name(),
        told(&error.to_string())
    )
}

fn obey(request: &str) -> Result<String, Error> {
    let words: Vec<&str> = request.split(' ').collect();
    match words[..] {
        ["open", name, options, urls] => open(name, options, urls),
        ["try", name, resource, ttl] => attempt(name, resource, ttl),
        ["acquire", name, resource, ttl, wait] => acquire(name, resource, ttl, wait),
        ["work", name, resource] => work(name, resource),
        ["burst", name, count] => burst(name, count.parse().expect("a count")),
        ["stop"] => {
            tables().stopped.store(true, Ordering::SeqCst);
            Ok("stopped".to_owned())
        }
        ["check", name] => check(name),
        ["free", name] => {
            drop(tables().factories.lock().unwrap().remove(name));
            Ok("freed".to_owned())
        }
        ["release", resource] => release(resource),
        ["locked", name, resource] => Ok(factory(name).is_locked(resource)?.to_string()),
        ["session", options, resources, url] => Ok(session(options, resources, url)),
        _ => panic!("what is {request}"),
    }
}

fn options(text: &str) -> Options {
    let mut options = Options::new();
    for pair in text.split(',').filter(|pair| *pair != "-") {
        let (name, value) = pair.split_once('=').expect("NAME=VALUE");
        options.set(name, value).expect("an option");
    }
    options
}

fn open(name: &str, text: &str, urls: &str) -> Result<String, Error> {
    let urls: Vec<&str> = urls.split(',').collect();
    let factory = Factory::with_options(&urls, &options(text))?;
    tables()
        .factories
        .lock()
        .unwrap()
        .insert(name.to_owned(), factory);
    Ok("opened".to_owned())
}

fn factory(name: &str) -> Factory {
    tables().factories.lock().unwrap()[name].clone()
}

fn milliseconds(text: &str) -> Duration {
    Duration::from_millis(text.parse().expect("a time in ms"))
}

fn attempt(name: &str, resource: &str, ttl: &str) -> Result<String, Error> {
    let lock = factory(name).acquire(resource, milliseconds(ttl), Wait::No)?;
    Ok(granted(resource, lock))
}

fn acquire(name: &str, resource: &str, ttl: &str, wait: &str) -> Result<String, Error> {
    let wait = Wait::For(milliseconds(wait));
    let lock = factory(name).acquire(resource, milliseconds(ttl), wait)?;
    Ok(granted(resource, lock))
}

fn granted(resource: &str, lock: Lock) -> String {
    let answer = format!("granted {} {}", lock.fence(), lock.validity().as_millis());
    tables()
        .locks
        .lock()
        .unwrap()
        .insert(resource.to_owned(), lock);
    answer
}

fn release(resource: &str) -> Result<String, Error> {
    let lock = tables().locks.lock().unwrap().remove(resource);
    lock.expect("it was granted").release()?;
    Ok("released".to_owned())
}

fn is_stopped() -> bool {
    tables().stopped.load(Ordering::SeqCst)
}

/// Takes and releases a lock again and again until it is stopped; ends at the first failure.
fn work(name: &str, resource: &str) -> Result<String, Error> {
    let factory = factory(name);
    let mut done = 0_u64;
    while !is_stopped() {
        let wait = Wait::For(Duration::from_secs(20));
        factory
            .acquire(resource, Duration::from_secs(60), wait)?
            .release()?;
        done += 1;
    }
    Ok(format!("worked {done}"))
}

/// Takes and gives back so many large locks on different resources, many at once.
fn burst(name: &str, count: usize) -> Result<String, Error> {
    let factory = factory(name);
    let queue = Queue::new()?;
    let mut events = Vec::new();
    let (mut begun, mut ended, mut granted) = (0, 0, 0);
    while ended < count {
        while begun < count && begun - ended < 16 {
            let resources: Vec<String> = (0..128)
                .map(|i| format!("{begun}:{i}:{:0>480}", 0))
                .collect();
            factory.submit_acquire_many(
                &resources,
                Duration::from_secs(100),
                Wait::No,
                &queue,
                begun as u64,
            )?;
            begun += 1;
        }
        events.clear();
        queue.next(&mut events, 64, Some(Duration::from_secs(20)))?;
        ended += events.len();
        granted += events.iter().filter(|event| event.result.is_ok()).count();
    }
    Ok(format!("ended {ended} {granted}"))
}

/// What the library knows of the factory's first node.
fn check(name: &str) -> Result<String, Error> {
    let health = factory(name).check()?;
    let report = &health[0].report;
    Ok(format!(
        "{} {}",
        report.status.name(),
        told(&report.message)
    ))
}

/// A whole life: a factory is made, asks for a lock (on resources with a plus between them) in several ways and goes. Tells the first attempt's outcome, whether
/// any was granted, and the longest call in us.
fn session(text: &str, resources: &str, url: &str) -> String {
    let slowest = std::cell::Cell::new(Duration::ZERO);
    let timed = Timed(&slowest);
    let factory = match timed.call(|| Factory::with_options(&[url], &options(text))) {
        Ok(factory) => factory,
        Err(error) => return format!("{} refused 0", error.status().name()),
    };
    let ttl = Duration::from_secs(5);
    let resources: Vec<&str> = resources.split('+').collect();
    let first = timed.call(|| factory.acquire_many(&resources, ttl, Wait::No));
    let outcome = first.as_ref().map_or_else(Error::status, |_| Status::Ok);
    let mut granted = first.is_ok();
    match first {
        Ok(lock) => {
            let _ = timed.call(|| lock.extend(ttl));
            let _ = timed.call(|| lock.release());
        }
        Err(_) => {
            let wait = Wait::For(Duration::from_millis(15));
            granted |= timed
                .call(|| factory.acquire_many(&resources, ttl, wait))
                .is_ok();
        }
    }
    let _ = timed.call(|| factory.is_locked(resources[0]));
    let _ = timed.call(|| factory.check());
    timed.call(|| drop(factory));
    let granted = if granted { "granted" } else { "refused" };
    format!("{} {granted} {}", outcome.name(), slowest.get().as_micros())
}

/// Keeps the time of the longest call.
struct Timed<'a>(&'a std::cell::Cell<Duration>);

impl Timed<'_> {
    fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = call();
        self.0.set(self.0.get().max(begun.elapsed()));
        result
    }
}
