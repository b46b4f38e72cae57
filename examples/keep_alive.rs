//! Work of unknown length under a lock that is kept alive: `cargo run --example keep_alive -- redis://host1 redis://host2 ...`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redlock::{Factory, Wait};

fn main() -> redlock::Result<()> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let factory = Factory::new(&urls)?;
    let lock = factory.acquire("report", Duration::from_secs(10), Wait::No)?;

    // It is told before the validity ends, on a thread of the library's that may block.
    let lost = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&lost);
    lock.keep_alive(move |why| {
        eprintln!("stop: {why}");
        told.store(true, Ordering::Release);
    })?;

    let mut pages = 0;
    while pages < 100 && !lost.load(Ordering::Acquire) {
        pages += 1; // however long a page takes
    }
    println!("{pages} pages, lost: {}", lost.load(Ordering::Acquire));
    lock.release()
}
