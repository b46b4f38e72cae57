//! Callers that drive the engine themselves: those that wait for a lock for long, alone, and those that stand still then.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::threads::comes_to_rest;
use common::{TTL, child};
use redlock::{Factory, Status, Wait};
use testkit::Cluster;

/// Runs the test again in a process of its own, where nobody else uses the engine, with these nodes.
fn alone(test: &str) -> Option<Factory> {
    let Some(role) = child::role() else {
        child::run_alone(test, &Cluster::start(3));
        return None;
    };
    let factory = Factory::with_options(&child::urls(&role), &common::options()).unwrap();
    common::all_connected(&factory);
    Some(factory)
}

#[test]
fn one_who_waits_alone_drives_until_there_is_company() {
    let Some(factory) = alone("one_who_waits_alone_drives_until_there_is_company") else {
        return;
    };
    for _ in 0..3 {
        let held = factory.acquire("r", TTL, Wait::No).unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| factory.acquire("r", TTL, Wait::Forever));
            comes_to_rest("rest while a thread waits for a lock");
            // Company, while the other waits on.
            for _ in 0..100 {
                common::works_again(&factory, "other");
            }
            assert!(!waiter.is_finished());
            held.release().unwrap();
            waiter.join().unwrap().unwrap().release().unwrap();
        });
    }
    comes_to_rest("rest when nobody waits any more");
}

#[test]
fn one_who_drives_is_told_that_the_factory_is_closed() {
    let Some(factory) = alone("one_who_drives_is_told_that_the_factory_is_closed") else {
        return;
    };
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| factory.acquire("r", TTL, Wait::Forever));
        comes_to_rest("rest while a thread waits for a lock");
        factory.close();
        let error = waiter.join().unwrap().unwrap_err();
        assert_eq!(error.status(), Status::Closed, "{error:?}");
    });
    held.release().unwrap();
}

/// A thread that stands still in a signal handler, until it is let go.
mod standing {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::Duration;

    static THREAD: AtomicU64 = AtomicU64::new(0);
    static STANDS: AtomicBool = AtomicBool::new(false);
    static MAY_GO: AtomicBool = AtomicBool::new(false);

    extern "C" fn stand_still(_: libc::c_int) {
        STANDS.store(true, Ordering::SeqCst);
        while !MAY_GO.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The calling thread is the one that will stand still.
    pub fn will() {
        // SAFETY: it has no conditions.
        THREAD.store(unsafe { libc::pthread_self() }, Ordering::SeqCst);
    }

    /// Has the thread stand still; this returns when it does.
    pub fn still() {
        let thread = THREAD.load(Ordering::SeqCst);
        STANDS.store(false, Ordering::SeqCst);
        MAY_GO.store(false, Ordering::SeqCst);
        let handler = stand_still as extern "C" fn(libc::c_int);
        // SAFETY: the handler only uses atomics and sleeps; the thread lives until the caller has joined it.
        unsafe {
            libc::signal(libc::SIGUSR1, handler as libc::sighandler_t);
            assert_eq!(libc::pthread_kill(thread, libc::SIGUSR1), 0);
        }
        super::common::eventually("the thread to stand still", || {
            STANDS.load(Ordering::SeqCst)
        });
    }

    pub fn goes_on() {
        MAY_GO.store(true, Ordering::SeqCst);
    }

    /// Lets it go on in any case, so that a test that fails comes to an end.
    pub struct AtMost;

    impl Drop for AtMost {
        fn drop(&mut self) {
            goes_on();
        }
    }
}

/// Longer than it takes to see that the background thread rests.
const KEPT_TTL: Duration = Duration::from_secs(8);

/// A thread waits for a lock and drives the engine meanwhile; `body` may have it stand still.
fn while_a_caller_drives(factory: &Factory, body: impl FnOnce()) {
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            standing::will();
            factory.acquire("r", TTL, Wait::For(2 * common::PATIENCE))
        });
        comes_to_rest("rest while a thread waits for a lock");
        let at_most = standing::AtMost;
        body();
        drop(at_most);
        held.release().unwrap();
        waiter.join().unwrap().unwrap().release().unwrap();
    });
    common::works_again(factory, "r");
}

#[test]
fn a_driver_that_stands_still_delays_no_extension() {
    let Some(factory) = alone("a_driver_that_stands_still_delays_no_extension") else {
        return;
    };
    let lock = factory.acquire("kept", KEPT_TTL, Wait::No).unwrap();
    let end = Instant::now() + KEPT_TTL;
    while_a_caller_drives(&factory, || {
        lock.keep_alive_silently().unwrap();
        standing::still();
        common::eventually("its TTL to pass", || Instant::now() > end);
        assert!(!lock.validity().is_zero());
    });
}

#[test]
fn a_driver_that_stands_still_delays_no_notice_of_a_loss() {
    let Some(factory) = alone("a_driver_that_stands_still_delays_no_notice_of_a_loss") else {
        return;
    };
    let lock = factory.acquire("kept", KEPT_TTL, Wait::No).unwrap();
    while_a_caller_drives(&factory, || {
        let (told, tells) = std::sync::mpsc::channel();
        lock.keep_alive(move |error| told.send(error.status()).unwrap())
            .unwrap();
        standing::still();
        for url in child::urls(&child::role().unwrap()) {
            let address = url.trim_start_matches("redis://").trim_end_matches('/');
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"DEL kept\r\n").unwrap();
            let _ = stream.read(&mut [0; 16]).unwrap();
        }
        let lost = tells.recv_timeout(common::PATIENCE).unwrap();
        assert_eq!(lost, Status::Expired);
    });
}

/// Whoever calls finds the engine at work, whatever its driver does.
#[test]
fn a_driver_that_stands_still_delays_nobodys_calls() {
    let Some(factory) = alone("a_driver_that_stands_still_delays_nobodys_calls") else {
        return;
    };
    for _ in 0..3 {
        while_a_caller_drives(&factory, || {
            standing::still();
            for _ in 0..50 {
                common::works_again(&factory, "other");
            }
        });
    }
}

/// One after another drives for the time of its own calls, and is caught there at any moment.
#[test]
fn a_caller_that_stands_still_in_its_calls_delays_nobodys() {
    let Some(factory) = alone("a_caller_that_stands_still_in_its_calls_delays_nobodys") else {
        return;
    };
    for round in 0..20 {
        let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let caller = scope.spawn(|| {
                standing::will();
                while !stop.load(Ordering::SeqCst) {
                    common::works_again(&factory, "mine");
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
            common::eventually("it to drive", || calls.load(Ordering::SeqCst) > 50 + round);
            let at_most = standing::AtMost;
            standing::still();
            for _ in 0..20 {
                common::works_again(&factory, "other");
            }
            stop.store(true, Ordering::SeqCst);
            drop(at_most);
            caller.join().unwrap();
        });
    }
}
