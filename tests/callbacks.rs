//! What the application handed in is called where it may take its time: it holds up no other call and no other lock.

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{PATIENCE, TTL, child, eventually};
use redlock::{Factory, Lock, Status, Wait, log};
use testkit::Cluster;

/// A TTL of a kept lock that is extended several times within a test.
const SHORT: Duration = Duration::from_millis(900);

/// Runs the test again in a process of its own, whose engine nobody else uses.
fn alone(test: &str) -> Option<(Cluster, Factory)> {
    if child::role().is_none() {
        child::succeeds(child::command(test, "alone"));
        return None;
    }
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    Some((cluster, factory))
}

fn kept(factory: &Factory, resource: &str) -> Arc<Lock> {
    Arc::new(factory.acquire(resource, SHORT, Wait::Forever).unwrap())
}

/// Something that a test lets go on, and waits for.
fn gate() -> (Sender<()>, Mutex<Receiver<()>>) {
    let (opens, opened) = channel();
    (opens, Mutex::new(opened))
}

fn wait_at(gate: &Mutex<Receiver<()>>) {
    let _ = gate.lock().unwrap().recv();
}

#[test]
fn a_notice_of_a_loss_may_make_blocking_calls() {
    const TEST: &str = "a_notice_of_a_loss_may_make_blocking_calls";
    let Some((cluster, factory)) = alone(TEST) else {
        return;
    };
    let lock = kept(&factory, "lost");
    let (told, tells) = channel();
    let (mine, others) = (Arc::clone(&lock), factory.clone());
    lock.keep_alive(move |error| {
        let released = mine.release().unwrap_err().status();
        let healthy = others.check().unwrap().len();
        let another = others.acquire("another", TTL, Wait::Forever).unwrap();
        another.extend(TTL).unwrap();
        another.release().unwrap();
        told.send((error.status(), released, healthy)).unwrap();
    })
    .unwrap();
    common::vacate_all(&cluster, "lost");
    let (lost, released, healthy) = tells.recv_timeout(PATIENCE).unwrap();
    assert_eq!(lost, Status::Expired);
    assert_eq!(released, Status::Expired);
    assert_eq!(healthy, 3);
}

#[test]
fn a_notice_that_blocks_holds_up_neither_calls_nor_locks_nor_other_notices() {
    const TEST: &str = "a_notice_that_blocks_holds_up_neither_calls_nor_locks_nor_other_notices";
    let Some((cluster, factory)) = alone(TEST) else {
        return;
    };
    let (blocked, blocks) = channel();
    let (go_on, gate) = gate();
    let first = kept(&factory, "first");
    first
        .keep_alive(move |_| {
            blocked.send(()).unwrap();
            wait_at(&gate);
        })
        .unwrap();
    let safe = kept(&factory, "safe");
    safe.keep_alive(|error| panic!("lost: {error}")).unwrap();
    common::vacate_all(&cluster, "first");
    blocks.recv_timeout(PATIENCE).unwrap();
    for _ in 0..50 {
        common::works_again(&factory, "call");
    }
    let second = kept(&factory, "second");
    let (told, tells) = channel();
    second
        .keep_alive(move |error| told.send(error.status()).unwrap())
        .unwrap();
    common::vacate_all(&cluster, "second");
    assert_eq!(tells.recv_timeout(PATIENCE).unwrap(), Status::Expired);
    // Longer than its TTL, without anybody else at work.
    let clock = factory.acquire("clock", SHORT * 2, Wait::Forever).unwrap();
    eventually("the TTL to pass", || clock.validity().is_zero());
    assert!(!safe.validity().is_zero());
    drop(go_on);
}

/// Closing a factory waits for its releases, which need the engine.
#[test]
fn what_a_notice_owns_is_dropped_where_it_may_block() {
    const TEST: &str = "what_a_notice_owns_is_dropped_where_it_may_block";
    let Some((_cluster, factory)) = alone(TEST) else {
        return;
    };
    struct Slow(Mutex<Receiver<()>>, Sender<()>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.1.send(()).unwrap();
            wait_at(&self.0);
        }
    }
    let (go_on, gate) = gate();
    let (dropped, drops) = channel();
    let slow = Slow(gate, dropped);
    let lock = kept(&factory, "r");
    lock.keep_alive(move |_| drop(slow)).unwrap();
    lock.release().unwrap();
    drops.recv_timeout(PATIENCE).unwrap();
    for _ in 0..50 {
        common::works_again(&factory, "call");
    }
    drop(go_on);
}

#[test]
fn a_log_that_blocks_or_calls_the_library_holds_up_nothing() {
    const TEST: &str = "a_log_that_blocks_or_calls_the_library_holds_up_nothing";
    let Some((cluster, factory)) = alone(TEST) else {
        return;
    };
    let (blocked, blocks) = channel();
    let (go_on, gate) = gate();
    let others = factory.clone();
    let sink = move |_, _: &str| {
        common::works_again(&others, "from the log");
        let _ = blocked.send(());
        wait_at(&gate);
    };
    log::set(Some(Box::new(sink)), log::Level::Debug);
    let second = Factory::with_options(&cluster.urls(), &common::options()).unwrap();
    blocks.recv_timeout(PATIENCE).unwrap();
    for _ in 0..50 {
        common::works_again(&factory, "r");
        common::works_again(&second, "r");
    }
    drop(go_on);
}

/// A logger of the program's, of the crate `log`.
struct Logger(Mutex<Vec<String>>);

static LOGGER: Logger = Logger(Mutex::new(Vec::new()));

impl Logger {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl ::log::Log for Logger {
    fn enabled(&self, _: &::log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &::log::Record) {
        if record.target() == "redlock" {
            let text = format!("{} {}", record.level(), record.args());
            self.0.lock().unwrap().push(text);
        }
    }

    fn flush(&self) {}
}

#[test]
fn the_programs_logger_hears_what_no_sink_takes() {
    const TEST: &str = "the_programs_logger_hears_what_no_sink_takes";
    let Some((cluster, factory)) = alone(TEST) else {
        return;
    };
    ::log::set_logger(&LOGGER).unwrap();
    ::log::set_max_level(::log::LevelFilter::Warn);
    cluster[0].kill();
    eventually("the loss to be logged", || LOGGER.count() > 0);
    let first = LOGGER.0.lock().unwrap()[0].clone();
    assert!(first.starts_with("WARN "), "{first}");
    assert!(first.contains(&cluster[0].address()), "{first}");
    // A sink has all of it, and each message is heard once.
    let heard = Arc::new(Mutex::new(0));
    let sink = {
        let heard = Arc::clone(&heard);
        move |_, _: &str| *heard.lock().unwrap() += 1
    };
    log::set(Some(Box::new(sink)), log::Level::Debug);
    cluster[0].restart();
    common::all_connected(&factory);
    eventually("the return to be logged", || *heard.lock().unwrap() > 0);
    let before = LOGGER.count();
    cluster[1].kill();
    common::trouble(&factory, 1, "");
    // Nothing is heard in between: what is logged later is handed over later.
    common::works_again(&factory, "r");
    assert_eq!(LOGGER.count(), before);
}

#[test]
fn a_sink_that_is_replaced_is_freed() {
    const TEST: &str = "a_sink_that_is_replaced_is_freed";
    let Some((_cluster, _factory)) = alone(TEST) else {
        return;
    };
    let owned = Arc::new(());
    for _ in 0..100 {
        let owned = Arc::clone(&owned);
        let sink = move |_, _: &str| drop(Arc::clone(&owned));
        log::set(Some(Box::new(sink)), log::Level::Error);
    }
    log::set(None, log::Level::Error);
    eventually("all to be freed", || Arc::strong_count(&owned) == 1);
}
