//! A thousand locks in one thread, by a queue of events: `cargo run --example queue -- redis://host1 redis://host2 ...`

use std::time::Duration;

use redlock::{Completion, Factory, Queue, Wait};

const JOBS: u64 = 1000;

fn main() -> redlock::Result<()> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let factory = Factory::new(&urls)?;
    let queue = Queue::new()?;
    for id in 0..JOBS {
        let resource = format!("job:{id}");
        factory.submit_acquire(&resource, Duration::from_secs(30), Wait::No, &queue, id)?;
    }

    // In an event loop, wait until queue.fd() is readable instead.
    let (mut events, mut won) = (Vec::new(), Vec::new());
    for _ in 0..JOBS {
        if events.is_empty() {
            queue.next(&mut events, 64, None)?;
        }
        if let Some(Completion::Acquired(lock)) = events.pop().and_then(|event| event.result.ok()) {
            won.push(lock);
        }
    }
    println!("{} of {JOBS} jobs are ours", won.len());
    Ok(()) // all are released in the background when they are dropped
}
