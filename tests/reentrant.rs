//! Re-entrant locks on real masters: counted, without the nodes for inner calls, lost and taken afresh, shared by threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use redlock::{Factory, Options, ReentrantLock, Status, Wait};
use testkit::{Cluster, wait_until};

const TTL: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(60);

fn three() -> (Cluster, Factory) {
    let cluster = Cluster::start(3);
    let mut options = Options::new();
    // Patience with a loaded machine, also for locks with a short TTL.
    options.set("node_timeout_ms", "20000").unwrap();
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    (cluster, factory)
}

fn holder(factory: &Factory, ttl: Duration) -> ReentrantLock {
    ReentrantLock::new(factory, "r", ttl).unwrap()
}

fn status<T: std::fmt::Debug>(result: redlock::Result<T>) -> Status {
    result.unwrap_err().status()
}

#[test]
fn it_counts_and_the_last_release_gives_back() {
    let (_cluster, factory) = three();
    let holder = holder(&factory, TTL);
    assert_eq!((holder.count(), holder.fence()), (0, 0));
    assert!(holder.validity().is_zero());
    for count in 1..=5 {
        holder.acquire(Wait::For(PATIENCE)).unwrap();
        assert_eq!(holder.count(), count);
    }
    assert!(holder.validity() > TTL / 2 && holder.fence() > 0);
    for count in (0..5).rev() {
        assert!(factory.is_locked("r").unwrap());
        holder.release().unwrap();
        assert_eq!(holder.count(), count);
    }
    assert!(!factory.is_locked("r").unwrap());
    assert!(holder.validity().is_zero() && holder.fence() == 0);
}

#[test]
fn inner_calls_touch_no_node() {
    let (cluster, factory) = three();
    let holder = holder(&factory, TTL);
    holder.acquire(Wait::For(PATIENCE)).unwrap();
    let fence = holder.fence();
    cluster.iter().for_each(|master| master.stop());
    // With every master stopped, whatever asked one would fail.
    for _ in 0..1000 {
        holder.acquire(Wait::No).unwrap();
    }
    for _ in 0..1000 {
        holder.release().unwrap();
    }
    cluster.iter().for_each(|master| master.cont());
    assert_eq!((holder.count(), holder.fence()), (1, fence));
    holder.release().unwrap();
}

#[test]
fn a_release_without_an_acquire_is_refused() {
    let (_cluster, factory) = three();
    let holder = holder(&factory, TTL);
    assert_eq!(status(holder.release()), Status::Released);
    holder.acquire(Wait::For(PATIENCE)).unwrap();
    holder.release().unwrap();
    assert_eq!(status(holder.release()), Status::Released);
    assert_eq!(status(holder.keep_alive_silently()), Status::Released);
}

#[test]
fn after_a_loss_inner_acquires_fail_until_it_is_taken_afresh() {
    let (_cluster, factory) = three();
    let holder = holder(&factory, Duration::from_millis(400));
    holder.acquire(Wait::For(PATIENCE)).unwrap();
    let lost_fence = holder.fence();
    holder.acquire(Wait::No).unwrap();
    wait_until(PATIENCE, "the lock runs out", || {
        holder.validity().is_zero()
    });
    let error = holder.acquire(Wait::Forever).unwrap_err();
    assert_eq!(error.status(), Status::Expired);
    assert!(error.to_string().contains("\"r\""), "{error}");
    assert_eq!(holder.count(), 2);
    assert_eq!(status(holder.keep_alive_silently()), Status::Expired);
    holder.release().unwrap();
    assert_eq!(status(holder.acquire(Wait::No)), Status::Expired);
    // The keys outlive the validity a little.
    wait_until(PATIENCE, "its keys are gone", || {
        !factory.is_locked("r").unwrap()
    });
    assert_eq!(status(holder.release()), Status::Expired);
    assert_eq!(holder.count(), 0);
    holder.acquire(Wait::For(PATIENCE)).unwrap();
    assert!(holder.fence() > lost_fence);
    assert_eq!(holder.count(), 1);
}

#[test]
fn a_failed_acquire_leaves_the_holder_as_it_was() {
    let (_cluster, factory) = three();
    let (one, other) = (holder(&factory, TTL), holder(&factory, TTL));
    one.acquire(Wait::For(PATIENCE)).unwrap();
    assert_eq!(status(other.acquire(Wait::No)), Status::Contended);
    assert_eq!((other.count(), other.fence()), (0, 0));
    assert_eq!(status(other.release()), Status::Released);
    one.release().unwrap();
    other.acquire(Wait::For(PATIENCE)).unwrap();
}

#[test]
fn what_can_not_be_locked_can_not_be_held() {
    let (_cluster, factory) = three();
    for (resource, ttl) in [
        ("", TTL),
        ("r", Duration::ZERO),
        ("r", Duration::from_secs(31 * 24 * 60 * 60)),
    ] {
        let error = ReentrantLock::new(&factory, resource, ttl).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
    }
}

#[test]
fn dropping_it_gives_back_however_often_it_was_acquired() {
    let (_cluster, factory) = three();
    let holder = holder(&factory, TTL);
    holder.acquire(Wait::For(PATIENCE)).unwrap();
    holder.acquire(Wait::No).unwrap();
    drop(holder);
    factory.acquire("r", TTL, Wait::For(PATIENCE)).unwrap();
}

#[test]
fn it_is_kept_alive_until_the_last_release() {
    let (_cluster, factory) = three();
    let holder = holder(&factory, Duration::from_secs(2));
    let lost = redlock::Queue::new().unwrap();
    holder.acquire(Wait::For(PATIENCE)).unwrap();
    let (began, fence) = (Instant::now(), holder.fence());
    holder.keep_alive_in(&lost, 9).unwrap();
    wait_until(PATIENCE, "three TTLs pass", || {
        began.elapsed() > Duration::from_secs(6)
    });
    holder.acquire(Wait::No).unwrap();
    assert_eq!(holder.fence(), fence);
    holder.release().unwrap();
    holder.release().unwrap();
    assert!(!factory.is_locked("r").unwrap());
    let mut events = Vec::new();
    lost.next(&mut events, 1, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty(), "{events:?}");
}

/// Waits until another thread asks the nodes through this holder, which is how an acquire without patience can tell.
fn wait_for_another_thread(holder: &ReentrantLock) {
    wait_until(PATIENCE, "another thread acquires", || {
        let error = holder.acquire(Wait::No).unwrap_err();
        assert_eq!(error.status(), Status::Contended);
        error.to_string().contains("another thread")
    });
}

#[test]
fn threads_of_one_holder_share_the_first_acquire() {
    let (_cluster, factory) = three();
    let holder = holder(&factory, TTL);
    let outsider = factory.acquire("r", TTL, Wait::For(PATIENCE)).unwrap();
    thread::scope(|scope| {
        let waiters = [Wait::Forever, Wait::Forever, Wait::For(PATIENCE)].map(|wait| {
            let holder = &holder;
            scope.spawn(move || holder.acquire(wait))
        });
        wait_for_another_thread(&holder);
        // One whose patience ends before the first acquire does.
        let impatient = holder.acquire(Wait::For(Duration::from_millis(1)));
        assert_eq!(status(impatient), Status::Contended);
        outsider.release().unwrap();
        for waiter in waiters {
            waiter.join().unwrap().unwrap();
        }
    });
    assert_eq!(holder.count(), 3);
}

#[test]
fn closing_ends_acquires_that_wait() {
    let (_cluster, factory) = three();
    let holder = holder(&factory, TTL);
    let outsider = factory.acquire("r", TTL, Wait::For(PATIENCE)).unwrap();
    thread::scope(|scope| {
        let waiters = [(); 3].map(|()| scope.spawn(|| holder.acquire(Wait::Forever)));
        wait_for_another_thread(&holder);
        holder.close();
        for waiter in waiters {
            assert_eq!(status(waiter.join().unwrap()), Status::Closed);
        }
    });
    assert_eq!(status(holder.acquire(Wait::No)), Status::Closed);
    assert_eq!(status(holder.release()), Status::Released);
    outsider.release().unwrap();
    // Nothing that was cancelled holds it.
    factory.acquire("r", TTL, Wait::For(PATIENCE)).unwrap();
}

#[test]
fn closing_gives_back_what_is_held() {
    let (_cluster, factory) = three();
    let holder = holder(&factory, TTL);
    holder.acquire(Wait::For(PATIENCE)).unwrap();
    holder.acquire(Wait::No).unwrap();
    holder.close();
    assert_eq!(holder.count(), 0);
    factory.acquire("r", TTL, Wait::For(PATIENCE)).unwrap();
}

#[test]
fn closing_the_factory_leaves_the_lock_and_ends_acquires() {
    let (_cluster, factory) = three();
    let holder = holder(&factory, TTL);
    holder.acquire(Wait::For(PATIENCE)).unwrap();
    factory.close();
    holder.acquire(Wait::No).unwrap();
    holder.release().unwrap();
    holder.release().unwrap();
    assert_eq!(status(holder.acquire(Wait::No)), Status::Closed);
}

/// Each party nests its own holder, at random, and counts in a place of its own, not atomically: no count is lost.
#[test]
fn holders_keep_each_other_out_at_every_depth() {
    const PARTIES: u64 = 4;
    const ROUNDS: u64 = 25;
    let (_cluster, factory) = three();
    let counter = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..PARTIES {
            scope.spawn(|| {
                let holder = holder(&factory, TTL);
                (0..ROUNDS).for_each(|round| nest(&holder, round % 5, &counter));
            });
        }
    });
    assert_eq!(counter.load(Ordering::SeqCst), PARTIES * ROUNDS);
}

fn nest(holder: &ReentrantLock, depth: u64, counter: &AtomicU64) {
    holder.acquire(Wait::Forever).unwrap();
    if depth > 0 {
        nest(holder, depth - 1, counter);
    } else {
        let seen = counter.load(Ordering::SeqCst);
        thread::yield_now();
        counter.store(seen + 1, Ordering::SeqCst);
    }
    holder.release().unwrap();
}

/// Threads that share one holder come and go; in the end the counts add up.
#[test]
fn many_threads_of_one_holder_leave_nothing_behind() {
    let (_cluster, factory) = three();
    let holder = holder(&factory, TTL);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    holder.acquire(Wait::Forever).unwrap();
                    assert!(holder.count() >= 1 && !holder.validity().is_zero());
                    holder.release().unwrap();
                }
            });
        }
    });
    assert_eq!(holder.count(), 0);
    assert!(!factory.is_locked("r").unwrap());
}
