//! A hundred locks at once, as futures: `cargo run --example async -- redis://host1 redis://host2 ...`
//!
//! The futures need no particular runtime: under tokio, smol or any other, `.await` them as here. This example brings the
//! smallest executor there can be, so that it needs none of them.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use redlock::{Factory, Wait};

const TTL: Duration = Duration::from_secs(10);

fn main() -> redlock::Result<()> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    // Without URLs: redis://127.0.0.1:6379/0.
    let factory = Factory::new(&urls)?;
    block_on(run(&factory))
}

async fn run(factory: &Factory) -> redlock::Result<()> {
    // An operation is under way as soon as it is called, so these hundred go out together.
    let acquires: Vec<_> = (0..100)
        .map(|job| factory.acquire_async(&format!("job:{job}"), TTL, Wait::No))
        .collect();
    let mut locks = Vec::new();
    for acquire in acquires {
        locks.push(acquire.await?);
    }
    println!("{} locks are held", locks.len());

    // Dropping a future cancels its operation: nobody waits for this lock any more.
    drop(factory.acquire_async("job:0", TTL, Wait::Forever));

    for lock in &locks {
        lock.release_async().await?;
    }
    println!("all are released");
    Ok(())
}

/// Runs a future on this thread, which sleeps while there is nothing to do.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
