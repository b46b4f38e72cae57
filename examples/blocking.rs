//! Takes a lock, extends it, and gives it back: `cargo run --example blocking -- redis://host1 redis://host2 ...`

use std::time::Duration;

use redlock::{Factory, Status, Wait};

fn main() -> redlock::Result<()> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    // Without URLs: redis://127.0.0.1:6379/0.
    let factory = Factory::new(&urls)?;
    let ttl = Duration::from_secs(10);

    let lock = factory.acquire("invoice:17", ttl, Wait::For(Duration::from_secs(2)))?;
    println!("{} is ours for {:?}", lock.resource(), lock.validity());
    report_refusal(&factory);
    lock.extend(ttl)?;
    println!("and now for {:?}", lock.validity());
    lock.release()?;
    println!("released");
    Ok(())
}

/// What somebody else sees meanwhile. To the nodes, every acquire is another owner.
fn report_refusal(factory: &Factory) {
    match factory.acquire("invoice:17", Duration::from_secs(10), Wait::No) {
        Ok(_) => println!("nobody holds it: ours has run out"),
        Err(error) if error.status() == Status::Contended => {
            println!("another owner is refused:");
            for node in error.nodes() {
                println!("  {}: {}", node.address, node.message);
            }
        }
        Err(error) => println!("{error}"),
    }
}
