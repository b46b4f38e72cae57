//! A writer that is paused for longer than its lock lasts is refused by its storage, because its fence is an old one:
//! `cargo run --example fenced_storage -- redis://host1 redis://host2 redis://host3`
//!
//! No lock with a time limit can stop a process that checked its lock, was paused, and goes on when another process has
//! the lock. The storage can: it keeps the highest fence that it has seen and refuses writes with a smaller one. Here the
//! storage is an SQLite database, reached through the command `sqlite3`, and the pause is a SIGSTOP.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use redlock::{Factory, Wait};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const RESOURCE: &str = "document:1";
const TTL: Duration = Duration::from_secs(2);
/// A writer's exit code when its write was refused.
const REFUSED: u8 = 3;

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((role, rest)) if role == "writer" => {
            write_once(&rest[0], Path::new(&rest[1]), &rest[2..])
        }
        _ => tell(&words),
    }
}

/// The storage: one document, and the highest fence that it was written with.
struct Storage<'a>(&'a Path);

impl Storage<'_> {
    fn create(&self) -> Result<()> {
        self.query(
            "CREATE TABLE document (id INTEGER PRIMARY KEY, text TEXT, fence INTEGER NOT NULL);
             INSERT INTO document VALUES (1, 'empty', 0);",
        )?;
        Ok(())
    }

    /// The one rule: a write comes with its writer's fence, and one with a smaller fence than the last changes nothing.
    /// Comparing and writing are one statement. Returns whether the write was accepted.
    fn write(&self, text: &str, fence: u64) -> Result<bool> {
        let changed = self.query(&format!(
            "UPDATE document SET text = '{text}', fence = {fence} WHERE id = 1 AND fence <= {fence};
             SELECT changes();"
        ))?;
        Ok(changed == "1")
    }

    fn read(&self) -> Result<String> {
        self.query("SELECT text FROM document WHERE id = 1;")
    }

    fn query(&self, statements: &str) -> Result<String> {
        let output = Command::new("sqlite3")
            .args(["-bail", "-cmd", ".timeout 10000"])
            .arg(self.0)
            .arg(statements)
            .output()
            .map_err(|error| format!("sqlite3 can't be run, is it installed? {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

/// A writer's process: takes the lock, and writes the document once.
fn write_once(name: &str, storage: &Path, urls: &[String]) -> Result<ExitCode> {
    let factory = Factory::new(urls)?;
    let lock = factory.acquire(RESOURCE, TTL, Wait::Forever)?;
    if lock.validity().is_zero() {
        return Err("the lock has run out already".into());
    }
    println!("{name} has the lock, with fence {}", lock.fence());
    // Whatever may happen between the check and the write happens here.
    io::stdin().read_line(&mut String::new())?;
    let accepted = Storage(storage).write(&format!("by {name}"), lock.fence())?;
    let verdict = if accepted { "accepted" } else { "REFUSED" };
    println!("{name} writes with fence {}: {verdict}", lock.fence());
    // Fails if the lock has been lost; it is in other hands then.
    let _ = lock.release();
    Ok(if accepted {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(REFUSED)
    })
}

/// Starts two writers, pauses the first one between its check and its write, and succeeds if that one is refused.
fn tell(urls: &[String]) -> Result<ExitCode> {
    let directory = Directory::new()?;
    let path = directory.0.join("documents.db");
    let storage = Storage(&path);
    storage.create()?;
    let mut ann = Writer::start("Ann", &path, urls)?;
    ann.stop()?;
    println!("Ann is paused");
    ann.go_on_and_write()?;
    let mut bob = Writer::start("Bob", &path, urls)?;
    bob.go_on_and_write()?;
    let bob_wrote = bob.finish()?;
    println!("Ann continues");
    ann.cont()?;
    let ann_wrote = ann.finish()?;
    let text = storage.read()?;
    println!("the document is {text:?}");
    let all_well = bob_wrote && !ann_wrote && text == "by Bob";
    Ok(ExitCode::from(u8::from(!all_well)))
}

/// A writer's process, from outside.
struct Writer {
    process: Child,
    lines: io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Writer {
    /// Starts it, and waits until it has the lock.
    fn start(name: &str, storage: &Path, urls: &[String]) -> Result<Writer> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["writer", name])
            .arg(storage)
            .args(urls)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(output).lines();
        println!("{}", lines.next().ok_or("a writer got no lock")??);
        Ok(Writer { process, lines })
    }

    /// Pauses it, as a long garbage collection or a suspended machine would.
    fn stop(&self) -> Result<()> {
        self.signal(libc::SIGSTOP)?;
        let mut status = 0;
        // SAFETY: the process is our child, and `status` is a place to write to.
        match unsafe { libc::waitpid(self.pid(), &mut status, libc::WUNTRACED) } {
            -1 => Err(io::Error::last_os_error().into()),
            _ => Ok(()),
        }
    }

    fn cont(&self) -> Result<()> {
        self.signal(libc::SIGCONT)
    }

    fn signal(&self, signal: i32) -> Result<()> {
        // SAFETY: two integers; the process is our child, and has not been waited for.
        match unsafe { libc::kill(self.pid(), signal) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error().into()),
        }
    }

    fn pid(&self) -> libc::pid_t {
        self.process.id() as libc::pid_t
    }

    /// Lets it write as soon as it runs.
    fn go_on_and_write(&mut self) -> Result<()> {
        let mut input = self.process.stdin.take().ok_or("no input")?;
        Ok(input.write_all(b"\n")?)
    }

    /// Waits for its end; whether its write was accepted.
    fn finish(mut self) -> Result<bool> {
        for line in self.lines.by_ref() {
            println!("{}", line?);
        }
        match self.process.wait()?.code() {
            Some(0) => Ok(true),
            Some(code) if code == i32::from(REFUSED) => Ok(false),
            code => Err(format!("a writer failed: {code:?}").into()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // After a failure it may still be there.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A directory that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Directory> {
        let name = format!("fenced-storage-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
