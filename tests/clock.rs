//! The wall clock may be set to whatever time: the validity of a lock does not move by it.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use common::{Scratch, TTL, child, eventually};
use redlock::{Factory, Lock, Wait};
use testkit::Server;

const TEST: &str = "a_wall_clock_that_is_set_does_not_move_the_validity";
const HOUR: Duration = Duration::from_secs(3600);

/// The library that stands between a process and its wall clock.
fn libfaketime() -> Option<PathBuf> {
    let architectures = std::fs::read_dir("/usr/lib").ok()?;
    architectures
        .flatten()
        .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"))
        .chain([PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1")])
        .find(|path| path.exists())
}

/// By how much the validity fell, with bounds of the time in which it did: the least and the most that may have passed
/// between two looks at it.
struct Fall {
    validity: Duration,
    looked: (Instant, Instant),
}

impl Fall {
    fn look(lock: &Lock) -> Fall {
        let before = Instant::now();
        let validity = lock.validity();
        Fall {
            validity,
            looked: (before, Instant::now()),
        }
    }

    fn check(&self, later: &Fall) {
        let fell = self.validity - later.validity;
        let least = later.looked.0 - self.looked.1;
        let most = later.looked.1 - self.looked.0;
        // The clocks of the two are not read to the same nanosecond, nor are they the same clock.
        let grain = Duration::from_millis(5);
        assert!(fell + grain >= least, "fell by {fell:?} in {least:?}");
        assert!(fell <= most + grain, "fell by {fell:?} in {most:?}");
    }
}

/// In the process whose wall clock is set: says when it has the lock, and goes on when it is told that the clock is set.
fn under_a_wild_clock(url: &str) {
    let factory = Factory::with_options(&[url], &common::options()).unwrap();
    let lock = factory.acquire("r", TTL, Wait::No).unwrap();
    for by_an_hour in [-1, 1] {
        let (first, wall) = (Fall::look(&lock), SystemTime::now());
        println!("\nready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        eventually("the wall clock to be set", || {
            let now = SystemTime::now();
            match by_an_hour {
                -1 => now < wall - HOUR / 2,
                _ => now > wall + HOUR / 2,
            }
        });
        first.check(&Fall::look(&lock));
        // Nor does it break anything else.
        common::works_again(&factory, "s");
        lock.extend(TTL).unwrap();
    }
    lock.release().unwrap();
}

#[test]
fn a_wall_clock_that_is_set_does_not_move_the_validity() {
    if let Some(url) = child::role() {
        return under_a_wild_clock(&url);
    }
    let Some(library) = libfaketime() else {
        assert!(std::env::var_os("CI").is_none(), "libfaketime is missing");
        eprintln!("skipped: libfaketime is not installed");
        return;
    };
    let scratch = Scratch::new();
    let clock = scratch.file("clock", "+0");
    let server = Server::builder().start();
    let mut command = child::command(TEST, &server.url());
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    for offset in ["-3600", "+0"] {
        if lines.any(|line| line.is_ok_and(|line| line == "ready")) {
            std::fs::write(&clock, offset).unwrap();
            input.write_all(b"go on\n").unwrap();
        }
    }
    drop(input);
    let said: Vec<String> = lines.map_while(Result::ok).collect();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{said:?} {}", child::said(&output));
    assert!(
        said.iter().any(|line| line.contains("1 passed")),
        "{said:?}"
    );
    assert!(common::calls(&server, "set") >= 3);
}
