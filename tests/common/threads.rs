//! What the library's thread does, as the kernel counts it.

use std::time::{Duration, Instant};

use super::eventually;

/// How often the thread of that name has been switched to, so far.
fn switches(thread: &str) -> u64 {
    let mut count = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        // A thread may end while it is looked at.
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        if field("Name:").is_some_and(|name| name.trim() == thread) {
            let number = |text: Option<&str>| text.unwrap().trim().parse::<u64>().unwrap();
            count += number(field("voluntary_ctxt_switches:"));
            count += number(field("nonvoluntary_ctxt_switches:"));
        }
    }
    count
}

/// Waits until nothing has woken the I/O thread for this long.
pub fn comes_to_rest(what: &str) {
    const REST: Duration = Duration::from_secs(2);
    let mut seen = (switches("redlock-io"), Instant::now());
    assert!(seen.0 > 0, "there is such a thread");
    eventually(what, || {
        let now = switches("redlock-io");
        if now != seen.0 {
            seen = (now, Instant::now());
        }
        seen.1.elapsed() >= REST
    });
}
