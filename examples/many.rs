//! Several resources as one lock, all or none: `cargo run --example many -- redis://host1 redis://host2 ...`

use std::time::Duration;

use redlock::{Factory, Status, Wait};

fn main() -> redlock::Result<()> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let factory = Factory::new(&urls)?;
    let (ttl, wait) = (Duration::from_secs(10), Wait::For(Duration::from_secs(2)));

    // The order of the names does not matter: sets that overlap do not wait for each other forever.
    let transfer = factory.acquire_many(&["account:b", "account:a"], ttl, wait)?;
    for resource in transfer.resources() {
        println!("{resource} is ours");
    }
    let other = factory.acquire_many(&["account:b", "account:c"], ttl, Wait::No);
    assert!(matches!(other, Err(error) if error.status() == Status::Contended));
    println!("account:c is free: {}", !factory.is_locked("account:c")?);
    transfer.release()
}
