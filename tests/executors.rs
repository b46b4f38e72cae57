//! The futures need no particular runtime: they work on tokio, with one thread and several, and on smol.

mod common;

use std::future::Future;
use std::time::Duration;

use redlock::{Factory, Status, Wait};
use testkit::Cluster;

use crate::common::{PATIENCE, TTL, eventually};

/// Takes, extends and gives back a lock, and meets it as somebody else.
async fn a_lock_s_life(factory: &Factory) {
    let lock = factory.acquire_async("r", TTL, Wait::No).await.unwrap();
    let error = factory.acquire_async("r", TTL, Wait::No).await.unwrap_err();
    assert_eq!(error.status(), Status::Contended);
    assert!(factory.is_locked_async("r").await.unwrap());
    lock.extend_async(TTL).await.unwrap();
    lock.release_async().await.unwrap();
    assert!(!factory.is_locked_async("r").await.unwrap());
}

fn tokio_with_one_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(work)
}

#[test]
fn tokio_with_one_thread_takes_locks() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    tokio_with_one_thread(a_lock_s_life(&factory));
}

#[test]
fn tokio_with_many_threads_takes_a_lock_in_turn() {
    const TASKS: usize = 50;
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    runtime.block_on(a_lock_s_life(&factory));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let factory = factory.clone();
            runtime.spawn(async move {
                let wait = Wait::For(PATIENCE);
                let lock = factory.acquire_async("r", TTL, wait).await.unwrap();
                let fence = lock.fence();
                lock.release_async().await.unwrap();
                fence
            })
        })
        .collect();
    let mut fences: Vec<_> = tasks
        .into_iter()
        .map(|task| runtime.block_on(task).unwrap())
        .collect();
    fences.sort_unstable();
    fences.dedup();
    assert_eq!(fences.len(), TASKS);
}

#[test]
fn smol_takes_locks() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    smol::block_on(a_lock_s_life(&factory));
}

#[test]
fn a_future_that_loses_a_race_leaves_no_lock_behind() {
    let cluster = Cluster::start(3);
    let factory = common::factory(&cluster);
    let held = factory.acquire("r", TTL, Wait::No).unwrap();
    tokio_with_one_thread(async {
        tokio::select! {
            _ = factory.acquire_async("r", TTL, Wait::Forever) => panic!("it is held"),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    });
    held.release().unwrap();
    eventually("the keys to be free", || cluster.keys_holding("r") == 0);
}
