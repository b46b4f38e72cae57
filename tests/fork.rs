//! A forked child: it may use its parent's factory, but its parent's locks, futures and queues are not its own.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{TTL, calls, eventually, is_pending, occupy, vacate};
use redlock::{Completion, Factory, Lock, Pending, Queue, Status, Wait};
use testkit::Cluster;

/// Runs `body` in a forked child and waits for it. The child prints nothing: it tells by its exit code which of the
/// numbered steps failed. It ends without running anybody's exit handlers or destructors.
fn in_child(body: impl FnOnce() -> Result<(), i32>) {
    // SAFETY: the child uses only what the library promises to work there, and ends by _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no child can be made");
    if pid == 0 {
        std::panic::set_hook(Box::new(|_| {}));
        let code = match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(())) => 0,
            Ok(Err(step)) => step,
            Err(_) => 99,
        };
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    eventually("the child to end", || {
        // SAFETY: a valid place for the status of a child of ours.
        unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) == pid }
    });
    assert!(libc::WIFEXITED(status), "the child ended by {status:#x}");
    assert_eq!(libc::WEXITSTATUS(status), 0, "a step in the child failed");
}

fn step(number: i32, holds: bool) -> Result<(), i32> {
    if holds { Ok(()) } else { Err(number) }
}

fn is<T>(result: redlock::Result<T>, status: Status) -> bool {
    result.is_err_and(|error| error.status() == status)
}

fn child_of_a_holder(factory: &Factory, lock: Lock) -> Result<(), i32> {
    step(1, is(lock.extend(TTL), Status::Forked))?;
    step(2, is(lock.release(), Status::Forked))?;
    step(3, lock.validity().is_zero())?;
    let mine = factory.acquire("child's", TTL, Wait::No).map_err(|_| 4)?;
    step(
        5,
        is(factory.acquire("r", TTL, Wait::No), Status::Contended),
    )?;
    step(6, factory.is_locked("r").is_ok_and(|locked| locked))?;
    step(7, mine.extend(TTL).is_ok())?;
    step(8, mine.release().is_ok())?;
    // Not this process's to give back.
    drop(lock);
    let also = factory.acquire("child's", TTL, Wait::No).map_err(|_| 9)?;
    also.release().map_err(|_| 10)
}

#[test]
fn a_child_uses_its_parents_factory_and_leaves_its_parents_lock_alone() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    for _ in 0..3 {
        // The child's copy of the lock, which it drops; the parent's stays where it is.
        // SAFETY: only one of the two copies is used in each process.
        let copy = unsafe { std::ptr::read(&lock) };
        let copy = std::mem::ManuallyDrop::new(copy);
        let child = || child_of_a_holder(&factory, std::mem::ManuallyDrop::into_inner(copy));
        in_child(child);
        assert_eq!(cluster.keys_holding("r"), 3);
        lock.extend(TTL).unwrap();
        assert!(!lock.validity().is_zero());
    }
    assert_eq!(cluster.keys_holding("child's"), 0);
    lock.release().unwrap();
    eventually("nothing to be left", || cluster.keys_holding("r") == 0);
}

#[test]
fn a_childs_own_factory_and_a_grandchilds_work_too() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    common::works_again(&factory, "r");
    in_child(|| {
        let own = Factory::with_options(&cluster.urls(), &common::options()).map_err(|_| 1)?;
        let lock = own.acquire("r", TTL, Wait::No).map_err(|_| 2)?;
        in_child(|| {
            step(3, is(lock.release(), Status::Forked))?;
            let grandchilds = own.acquire("s", TTL, Wait::No).map_err(|_| 4)?;
            grandchilds.release().map_err(|_| 5)
        });
        lock.release().map_err(|_| 6)
    });
    common::works_again(&factory, "r");
}

fn child_of_a_waiter(factory: &Factory, inherited: Pending<Lock>) -> Result<(), i32> {
    let mut inherited = inherited;
    let queue = Queue::new().map_err(|_| 1)?;
    // The first operation of a new engine bears the same number as the first one of the parent's.
    factory
        .submit_acquire("r", TTL, Wait::Forever, &queue, 1)
        .map_err(|_| 2)?;
    factory.check().map_err(|_| 3)?;
    step(4, !is_pending(&mut inherited))?;
    drop(inherited);
    factory.check().map_err(|_| 5)?;
    // Still under way, and cancelled only by its own process.
    let mut events = Vec::new();
    let count = queue.next(&mut events, 1, Some(std::time::Duration::ZERO));
    step(6, count.is_ok_and(|count| count == 0))?;
    queue.cancel(1).map_err(|_| 7)?;
    queue.next(&mut events, 1, None).map_err(|_| 8)?;
    let outcome = events.remove(0).result;
    step(9, is(outcome, Status::Cancelled))
}

#[test]
fn a_future_that_a_child_inherits_has_no_part_in_the_childs_engine() {
    let cluster = Cluster::start(1);
    let factory = common::factory(&cluster);
    occupy(&cluster[0], "r");
    let mut waiter = factory.acquire_async("r", TTL, Wait::Forever);
    eventually("an attempt", || common::calls(&cluster[0], "set") > 1);
    // SAFETY: the child uses its copy only, the parent the original.
    let copy = std::mem::ManuallyDrop::new(unsafe { std::ptr::read(&waiter) });
    in_child(|| child_of_a_waiter(&factory, std::mem::ManuallyDrop::into_inner(copy)));
    assert!(is_pending(&mut waiter));
    vacate(&cluster[0], "r");
    common::block_on(waiter).unwrap().release().unwrap();
}

#[test]
fn a_queue_that_a_child_inherits_refuses_it_and_stays_the_parents() {
    let cluster = Cluster::start(1);
    let factory = common::factory(&cluster);
    let queue = Queue::new().unwrap();
    factory
        .submit_acquire("r", TTL, Wait::No, &queue, 1)
        .unwrap();
    in_child(|| {
        let next = queue.next(&mut Vec::new(), 1, None);
        step(1, is(next, Status::Forked))?;
        step(2, is(queue.cancel(1), Status::Forked))?;
        let submitted = factory.submit_acquire("s", TTL, Wait::No, &queue, 2);
        step(3, is(submitted, Status::Forked))
    });
    let mut events = Vec::new();
    queue.next(&mut events, 1, None).unwrap();
    assert!(matches!(events[0].result, Ok(Completion::Acquired(_))));
}

/// How many connections this process has, as the kernel lists its descriptors.
fn sockets() -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = descriptors.filter_map(|it| std::fs::read_link(it.ok()?.path()).ok());
    let is_socket = |target: &std::path::PathBuf| target.to_string_lossy().starts_with("socket:");
    targets.filter(is_socket).count()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// They would be waiters that nobody answers for when the parent has died: the servers would go on calling them.
#[test]
#[cfg(target_os = "linux")]
fn a_child_closes_the_connections_that_it_inherits() {
    const TEST: &str = "a_child_closes_the_connections_that_it_inherits";
    if common::child::role().is_none() {
        return common::child::run_alone(TEST, &Cluster::start(3));
    }
    let urls = common::child::urls(&common::child::role().unwrap());
    let (sockets_before, before) = (sockets(), descriptors());
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    common::all_connected(&factory);
    assert!(sockets() >= sockets_before + 3);
    // Files of the program's own stay, under whichever numbers.
    let own = std::fs::File::open("/dev/null").unwrap();
    in_child(|| {
        step(1, sockets() == sockets_before)?;
        step(2, descriptors() == before + 1)?;
        step(3, own.metadata().is_ok())?;
        let lock = factory.acquire("r", TTL, Wait::No).map_err(|_| 4)?;
        in_child(|| {
            step(5, sockets() == sockets_before)?;
            step(6, descriptors() == before + 1)
        });
        lock.release().map_err(|_| 7)
    });
    let with_all = sockets();
    common::works_again(&factory, "r");
    assert_eq!(sockets(), with_all);
}

/// The application closes all descriptors, and opens files of its own, as a program does that becomes a daemon.
#[test]
#[cfg(target_os = "linux")]
fn files_that_took_the_place_of_closed_descriptors_are_left_alone() {
    const TEST: &str = "files_that_took_the_place_of_closed_descriptors_are_left_alone";
    if common::child::role().is_none() {
        return common::child::run_alone(TEST, &Cluster::start(3));
    }
    let urls = common::child::urls(&common::child::role().unwrap());
    let factory = Factory::with_options(&urls, &common::options()).unwrap();
    common::all_connected(&factory);
    let queue = Queue::new().unwrap();
    for round in 0..3 {
        common::works_again(&factory, "r");
        // SAFETY: this process has no files above standard error but the library's, which is what is tested.
        unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
        let files: Vec<_> = (0..50).map(|_| TemporaryFile::new()).collect();
        factory
            .submit_acquire("s", TTL, Wait::No, &queue, round)
            .unwrap();
        let (finished, finishes) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                common::works_again(&factory, "r");
                finished.send(()).unwrap();
            });
            finishes.recv_timeout(common::PATIENCE).unwrap();
        });
        common::all_connected(&factory);
        let mut events = Vec::new();
        queue.next(&mut events, 1, Some(common::PATIENCE)).unwrap();
        drop(events);
        files.iter().for_each(TemporaryFile::is_untouched);
    }
}

/// A file that has no name and is empty.
struct TemporaryFile(std::fs::File);

impl TemporaryFile {
    fn new() -> TemporaryFile {
        // SAFETY: a name that lives through the call; the result is checked and owned by no one else.
        let fd = unsafe { libc::memfd_create(c"test".as_ptr(), 0) };
        assert!(fd >= 0);
        // SAFETY: as above.
        TemporaryFile(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
    }

    fn is_untouched(&self) {
        assert_eq!(self.0.metadata().expect("it is open").len(), 0);
    }
}

/// A fork in the middle of other threads' calls leaves their locks locked for ever in the child.
#[test]
fn a_child_of_a_busy_process_does_not_hang() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    common::works_again(&factory, "r");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (factory, done) = (&factory, &done);
            scope.spawn(move || {
                let name = format!("parent {thread}");
                while !done.load(Ordering::Relaxed) {
                    common::works_again(factory, &name);
                }
            });
        }
        for round in 0..30 {
            let name = format!("child {round}");
            in_child(|| {
                let lock = factory.acquire(&name, TTL, Wait::Forever).map_err(|_| 1)?;
                lock.release().map_err(|_| 2)
            });
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_child_of_a_process_that_waits_does_not_hang() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| factory.acquire("r", TTL, Wait::Forever));
        eventually("somebody to wait", || {
            calls(&cluster[0], "evalsha") + calls(&cluster[0], "set") > 1
        });
        // The waiter takes over from the engine's thread somewhere in between.
        for round in 0..30 {
            let name = format!("child {round}");
            in_child(|| {
                step(
                    1,
                    is(factory.acquire("r", TTL, Wait::No), Status::Contended),
                )?;
                let lock = factory.acquire(&name, TTL, Wait::Forever).map_err(|_| 2)?;
                lock.release().map_err(|_| 3)
            });
        }
        held.release().unwrap();
        waiter.join().unwrap().unwrap().release().unwrap();
    });
}
