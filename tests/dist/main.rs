//! A program of somebody who depends on the crate: takes a lock and gives it back.

use std::time::Duration;

use redlock::{Factory, Wait};

fn main() -> redlock::Result<()> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let factory = Factory::new(&urls)?;
    let lock = factory.acquire(
        "dist:rust",
        Duration::from_secs(10),
        Wait::For(Duration::from_secs(5)),
    )?;
    assert!(lock.validity() > Duration::ZERO);
    println!("held");
    lock.release()
}
