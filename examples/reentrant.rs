//! Functions that take the lock that their callers may have taken: `cargo run --example reentrant -- redis://host1 redis://host2 ...`

use std::time::Duration;

use redlock::{Factory, ReentrantLock, Wait};

fn main() -> redlock::Result<()> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let factory = Factory::new(&urls)?;
    let ledger = ReentrantLock::new(&factory, "ledger", Duration::from_secs(10))?;
    close_month(&ledger)?;
    println!("afterwards it is held {} times", ledger.count());
    Ok(())
}

fn close_month(ledger: &ReentrantLock) -> redlock::Result<()> {
    ledger.acquire(Wait::For(Duration::from_secs(2)))?;
    for _ in 0..3 {
        book(ledger)?;
    }
    ledger.release()
}

/// May be called by itself, too. Inside of another acquire it asks no node.
fn book(ledger: &ReentrantLock) -> redlock::Result<()> {
    ledger.acquire(Wait::For(Duration::from_secs(2)))?;
    println!("booked, while it is held {} times", ledger.count());
    ledger.release()
}
