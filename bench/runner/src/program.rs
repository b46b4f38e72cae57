//! One benchmark program: how it is called, and one run of it.

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
const PATIENCE: Duration = Duration::from_secs(30);

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
        let mut child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .args(arguments)
            .arg("--handshake")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.command[0]))?;
        let outcome = converse(&mut child, window, meanwhile);
        // It may have been given up while it still runs; both fail harmlessly when it has ended.
        let _ = child.kill();
        let _ = child.wait();
        outcome
    }
}

fn converse(
    child: &mut Child,
    window: Duration,
    meanwhile: impl FnOnce(),
) -> Result<Value, String> {
    let mut input = child.stdin.take().ok_or("no stdin")?;
    let lines = lines_of(child);
    let first = next_line(&lines, PATIENCE)?;
    if first != "ready" {
        return Err(format!("expected \"ready\", got {first:?}"));
    }
    meanwhile();
    go(&mut input)?;
    let result = next_line(&lines, window + PATIENCE)?;
    let value = serde_json::from_str(&result).map_err(|error| format!("{error} in {result:?}"))?;
    with_rate(value)
}

fn go(input: &mut ChildStdin) -> Result<(), String> {
    input.write_all(b"go\n").map_err(|error| error.to_string())
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

fn next_line(lines: &Receiver<String>, patience: Duration) -> Result<String, String> {
    lines.recv_timeout(patience).map_err(|error| match error {
        RecvTimeoutError::Timeout => format!("no end after {} s", patience.as_secs()),
        RecvTimeoutError::Disconnected => "it ended without a result".to_owned(),
    })
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
