//! Servers whose wall clock a test sets, while everybody else's stays right.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testkit::{Builder, Server, ServerBinary};

/// A wall clock, for one server or several.
pub struct SteppedClock {
    dir: PathBuf,
}

impl SteppedClock {
    /// A clock that is right so far. `None` if nothing can stand between the server and its clock, because it is linked
    /// statically; or if there is no C compiler to build that.
    pub fn new() -> Option<SteppedClock> {
        if !ServerBinary::chosen().takes_preloads() {
            eprintln!("skipped: no clock can be preloaded into this server");
            return None;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("redlock-clock-{}-{number}", std::process::id());
        let clock = SteppedClock {
            dir: std::env::temp_dir().join(name),
        };
        std::fs::create_dir_all(&clock.dir).unwrap();
        clock.show(0);
        if !clock.build() {
            assert!(std::env::var_os("CI").is_none(), "a C compiler is missing");
            eprintln!("skipped: there is no C compiler");
            return None;
        }
        Some(clock)
    }

    fn build(&self) -> bool {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stepped_clock/clock.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([self.library(), source])
            .status();
        built.is_ok_and(|status| {
            assert!(status.success(), "clock.c does not compile");
            true
        })
    }

    fn library(&self) -> PathBuf {
        self.dir.join("clock.so")
    }

    fn file(&self) -> PathBuf {
        self.dir.join("ahead")
    }

    /// Has a server go by this clock.
    pub fn of(&self, builder: Builder) -> Builder {
        builder
            .env("LD_PRELOAD", &self.library().to_string_lossy())
            .env("STEPPED_CLOCK", &self.file().to_string_lossy())
    }

    /// Has the clock show so many seconds more than the true time.
    pub fn show(&self, ahead: i64) {
        // In place: servers have the file's page in their memory.
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false);
        let written = file
            .open(self.file())
            .and_then(|mut file| file.write_all(&ahead.to_ne_bytes()));
        written.unwrap();
    }

    /// The same, and waits until this server goes by it.
    pub fn set(&self, server: &Server, ahead: i64) {
        let (before, was_ahead) = (uptime(server), seconds_ahead(server));
        self.show(ahead);
        testkit::wait_until(Duration::from_secs(60), "the server's clock", || {
            let stepped = uptime(server) - before;
            // Some servers remember the time for a moment, and all of them count their uptime a little later.
            (seconds_ahead(server) - ahead).abs() < 5 && (stepped - (ahead - was_ahead)).abs() < 5
        });
    }
}

impl Drop for SteppedClock {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// For how long the server says that it has been up, in seconds.
pub fn uptime(server: &Server) -> i64 {
    server.info("uptime_in_seconds").parse().unwrap()
}

/// By how much the server's clock is ahead of ours.
fn seconds_ahead(server: &Server) -> i64 {
    let told: i64 = server.command(&["TIME"]).elements()[0]
        .text()
        .parse()
        .unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    told - now.as_secs() as i64
}
