//! Real servers whose clock stands still until it is set.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::{Server, ServerBinary};

use crate::frames;

/// A server of this version, and connections to it.
pub struct Real {
    pub server: Server,
    connections: Vec<Connection>,
    clock: FrozenClock,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Real {
    /// Starts one. `None` without a C compiler.
    pub fn start(binary: ServerBinary, us: u64) -> Option<Real> {
        let clock = FrozenClock::new(us)?;
        let builder = Server::builder().binary(binary);
        let server = builder
            .env("LD_PRELOAD", &clock.library().to_string_lossy())
            .env("FROZEN_CLOCK", &clock.file().to_string_lossy())
            .start();
        Some(Real {
            server,
            connections: Vec::new(),
            clock,
        })
    }

    pub fn connect(&mut self) {
        let stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        self.connections.push(Connection {
            stream,
            received: Vec::new(),
        });
    }

    pub fn set_clock(&mut self, us: u64) {
        self.clock.show(us);
    }

    pub fn send(&mut self, connection: usize, bytes: &[u8]) {
        self.connections[connection]
            .stream
            .write_all(bytes)
            .unwrap();
    }

    /// Waits for so many replies or pushes on a connection, and takes them.
    pub fn replies(&mut self, connection: usize, count: usize) -> Vec<Vec<u8>> {
        let Connection { stream, received } = &mut self.connections[connection];
        let mut replies = Vec::new();
        while replies.len() < count {
            if let Some(length) = frames::length(received) {
                replies.push(received.drain(..length).collect());
                continue;
            }
            let mut buffer = [0; 16 * 1024];
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => received.extend_from_slice(&buffer[..read]),
                Err(error) => panic!("{} of {count} replies came, then: {error}", replies.len()),
            }
        }
        replies
    }
}

/// A clock that shows what it is told.
struct FrozenClock {
    dir: PathBuf,
}

impl FrozenClock {
    fn new(us: u64) -> Option<FrozenClock> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("redlock-frozen-{}-{number}", std::process::id());
        let clock = FrozenClock {
            dir: std::env::temp_dir().join(name),
        };
        std::fs::create_dir_all(&clock.dir).unwrap();
        clock.show(us);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/clock.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([clock.library(), source])
            .status();
        match built {
            Ok(status) => {
                assert!(status.success(), "clock.c does not compile");
                Some(clock)
            }
            Err(_) => {
                assert!(std::env::var_os("CI").is_none(), "a C compiler is missing");
                eprintln!("skipped: there is no C compiler");
                None
            }
        }
    }

    fn library(&self) -> PathBuf {
        self.dir.join("clock.so")
    }

    fn file(&self) -> PathBuf {
        self.dir.join("time")
    }

    fn show(&self, us: u64) {
        // In place: the server has the file's page in its memory.
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false);
        let written = file
            .open(self.file())
            .and_then(|mut file| file.write_all(&us.to_ne_bytes()));
        written.unwrap();
    }
}

impl Drop for FrozenClock {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
