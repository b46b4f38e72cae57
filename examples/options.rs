//! Options, and what is known of each node: `cargo run --example options -- redis://host1 redis://host2 ...`

use std::time::Duration;

use redlock::{Factory, Options, Wait};

fn main() -> redlock::Result<()> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let mut options = Options::new();
    options.set("node_timeout_ms", "500")?;
    options.set("key_prefix", "shop:")?;
    let factory = Factory::with_options(&urls, &options)?;
    // A first lock has the nodes contacted.
    drop(factory.acquire("order:1", Duration::from_secs(10), Wait::No)?);
    for node in factory.check()? {
        let (report, version) = (&node.report, node.version.as_deref());
        println!(
            "{}, {}: {}",
            report.address,
            version.unwrap_or("?"),
            report.message
        );
    }
    println!("there are {} options", Options::table().len());
    Ok(())
}
