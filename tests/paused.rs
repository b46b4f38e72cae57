//! A process that stands still for a while: answers that came meanwhile are counted before their nodes are called late.
#![cfg(target_os = "linux")]

mod common;

use std::process::{Child, Command};

use common::TTL;
use redlock::{Factory, Lock, Wait};
use testkit::{Cluster, Server};

/// Waits until this process is stopped, lets the servers go on, and this process only when `PAUSE_S` have passed.
const RESUMER: &str = r#"
    until grep -q '^State:.T' "/proc/$1/status"; do sleep 0.01; done
    process=$1 pause=$2
    shift 2
    kill -CONT "$@"
    sleep "$pause"
    kill -CONT "$process"
"#;

/// More than the node timeout, which leaves time for all to be stopped, on a busy machine too.
const PAUSE_S: &str = "7";
const NODE_TIMEOUT_MS: &str = "6000";

fn resumer(cluster: &Cluster) -> Child {
    let servers = cluster.iter().map(|server| server.pid().to_string());
    Command::new("sh")
        .args(["-c", RESUMER, "resumer"])
        .args([&std::process::id().to_string(), PAUSE_S])
        .args(servers)
        .spawn()
        .expect("there is a shell")
}

/// Releases a lock, with the process standing still from before the first answer until long after the last.
fn release_over_a_pause(cluster: &Cluster, lock: &Lock) -> redlock::Result<()> {
    let mut resumer = resumer(cluster);
    cluster.iter().for_each(Server::stop);
    let release = lock.release_async();
    // SAFETY: it stops this process, which the resumer lets go on.
    unsafe { libc::kill(libc::getpid(), libc::SIGSTOP) };
    let released = common::block_on(release);
    resumer.wait().expect("the resumer can be waited for");
    released
}

#[test]
fn answers_that_came_while_the_process_was_stopped_are_counted() {
    let cluster = Cluster::start(3);
    let options = common::options_with(&[("node_timeout_ms", NODE_TIMEOUT_MS)]);
    let factory = Factory::with_options(&cluster.urls(), &options).unwrap();
    common::all_connected(&factory);
    let lock = factory.acquire("r", TTL, Wait::Forever).unwrap();
    release_over_a_pause(&cluster, &lock).unwrap();
    common::eventually("the lock to be gone", || common::no_locks(&cluster));
}
