//! A panic in what the application handed to the library: the library goes on.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use common::{PATIENCE, TTL, child, eventually};
use redlock::{Factory, Status, Wait, log};
use testkit::{Cluster, Server};

/// Many calls of one thread in a row, which drive the engine themselves, and then calls that must not notice anything.
fn works_again(factory: &Factory) {
    for _ in 0..50 {
        common::works_again(factory, "r");
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| common::works_again(factory, "r"));
        }
    });
}

/// A log is heard at any place in the engine.
#[test]
fn a_log_that_panics_harms_nothing() {
    if child::role().is_none() {
        return child::succeeds(child::command("a_log_that_panics_harms_nothing", "alone"));
    }
    std::panic::set_hook(Box::new(|_| {}));
    static MESSAGES: AtomicUsize = AtomicUsize::new(0);
    let sink = |_, _: &str| {
        MESSAGES.fetch_add(1, Ordering::SeqCst);
        panic!("the application's own");
    };
    log::set(Some(Box::new(sink)), log::Level::Debug);
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    works_again(&factory);
    for round in 0..5 {
        let server: &Server = &cluster[round % 3];
        let before = MESSAGES.load(Ordering::SeqCst);
        server.command(&["CLIENT", "KILL", "USER", "default"]).ok();
        eventually("the loss to be logged", || {
            MESSAGES.load(Ordering::SeqCst) > before
        });
        works_again(&factory);
    }
    eventually("all nodes to be back", || {
        let nodes = factory.check().unwrap();
        nodes.iter().all(|node| node.report.status == Status::Ok)
    });
}

struct Explosive;

impl Wake for Explosive {
    fn wake(self: Arc<Self>) {
        panic!("the application's own");
    }
}

/// A waker is called in the middle of the engine's work.
#[test]
fn a_waker_that_panics_harms_nothing() {
    if child::role().is_none() {
        let test = "a_waker_that_panics_harms_nothing";
        return child::succeeds(child::command(test, "alone"));
    }
    std::panic::set_hook(Box::new(|_| {}));
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    for round in 0..20 {
        works_again(&factory);
        let name = format!("r{round}");
        let mut future = factory.acquire_async(&name, TTL, Wait::Forever);
        let waker = Waker::from(Arc::new(Explosive));
        // It may have been faster than this, and then nobody is woken.
        let _ = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        let other = factory.acquire("other", TTL, Wait::For(PATIENCE));
        other.unwrap().release().unwrap();
    }
    works_again(&factory);
}

#[test]
fn a_notice_of_a_loss_that_panics_harms_nothing() {
    if child::role().is_none() {
        let test = "a_notice_of_a_loss_that_panics_harms_nothing";
        return child::succeeds(child::command(test, "alone"));
    }
    std::panic::set_hook(Box::new(|_| {}));
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let (told, tells) = std::sync::mpsc::channel();
    let ttl = Duration::from_millis(900);
    let lock = factory.acquire("kept", ttl, Wait::Forever).unwrap();
    lock.keep_alive(move |error| {
        told.send(error.status()).unwrap();
        panic!("the application's own");
    })
    .unwrap();
    common::vacate_all(&cluster, "kept");
    assert_eq!(tells.recv_timeout(PATIENCE).unwrap(), Status::Expired);
    works_again(&factory);
}
