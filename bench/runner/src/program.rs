//! One benchmark program: how it is called, one process of it, and one run.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

/// A built program. All take the same command line.
#[derive(Clone)]
pub struct Program {
    /// The command and the arguments that come before the common ones.
    pub command: Vec<String>,
}

/// How long a program may take to warm its connections, and how long to end after its window.
pub const PATIENCE: Duration = Duration::from_secs(30);

impl Program {
    /// Runs it once. When it says that it is ready, `meanwhile` is called, and then the measuring begins.
    ///
    /// Returns the object that it printed, with `pairs_per_s` added, or why there is none.
    pub fn run(
        &self,
        arguments: &[String],
        window: Duration,
        meanwhile: impl FnOnce(),
    ) -> Result<Value, String> {
        let mut process = self.start(arguments)?;
        process.await_ready()?;
        meanwhile();
        process.say("go")?;
        with_rate(process.object(window + PATIENCE)?)
    }

    /// Starts a process of it, which says "ready" in a while, and then waits for a line.
    pub fn start(&self, arguments: &[String]) -> Result<Process, String> {
        let mut child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .args(arguments)
            .arg("--handshake")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.command[0]))?;
        let input = child.stdin.take();
        let lines = lines_of(&mut child);
        Ok(Process {
            child,
            input,
            lines,
        })
    }
}

/// A running program, with which the runner talks line by line. It ends with this.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Process {
    /// Waits until its connections are warm.
    pub fn await_ready(&self) -> Result<(), String> {
        match self.line(PATIENCE)?.as_str() {
            "ready" => Ok(()),
            other => Err(format!("expected \"ready\", got {other:?}")),
        }
    }

    /// Writes a line to its standard input.
    pub fn say(&mut self, line: &str) -> Result<(), String> {
        let input = self.input.as_mut().ok_or("no stdin")?;
        // In one piece, so that it wakes the program once.
        input
            .write_all(format!("{line}\n").as_bytes())
            .map_err(|error| error.to_string())
    }

    /// The next line that it prints.
    pub fn line(&self, patience: Duration) -> Result<String, String> {
        self.lines
            .recv_timeout(patience)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => format!("no end after {} s", patience.as_secs()),
                RecvTimeoutError::Disconnected => "it ended without a result".to_owned(),
            })
    }

    /// The next line, which is an object of JSON.
    pub fn object(&self, patience: Duration) -> Result<Value, String> {
        let line = self.line(patience)?;
        serde_json::from_str(&line).map_err(|error| format!("{error} in {line:?}"))
    }
}

impl Drop for Process {
    /// It may have been given up while it still runs; both fail harmlessly when it has ended.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of the child's standard output, read by a thread so that waiting for one can have a deadline.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

fn with_rate(mut value: Value) -> Result<Value, String> {
    if let (Some(pairs), Some(seconds)) = (value["pairs"].as_f64(), value["seconds"].as_f64()) {
        if pairs == 0.0 {
            return Err("not one pair began in the window".to_owned());
        }
        value["pairs_per_s"] = (pairs / seconds).into();
    }
    Ok(value)
}
