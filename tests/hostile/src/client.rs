//! The process that runs the library, and what is seen of it from outside.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long any call of the library may take before it counts as one that never returns. All time limits of the scenarios
/// are far below.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process in which the library runs. It ends when this is dropped.
pub struct Client {
    child: Mutex<Child>,
    input: Mutex<ChildStdin>,
    seen: Arc<Seen>,
}

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Asked(u64);

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The words of the answer.
    Text(String),
    /// None has come within the time.
    Hangs,
    /// The process has ended, by a signal for example.
    Died,
}

#[derive(Default)]
struct Seen {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next: u64,
    answers: HashMap<u64, String>,
    log: Vec<Told>,
    panics: Vec<String>,
    ended: bool,
}

/// A line of the library's log.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its whole length, in bytes.
    pub length: usize,
    /// Its beginning, quoted as Rust quotes a string.
    pub text: String,
}

impl Client {
    /// Starts the process. `program` is `env!("CARGO_BIN_EXE_hostile-client")`, which only a test can name.
    pub fn start(program: &str) -> Client {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client can be started");
        let input = child.stdin.take().expect("its input is a pipe");
        let output = child.stdout.take().expect("its output is a pipe");
        let seen = Arc::new(Seen::default());
        let listening = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                listening.take(&line);
            }
            listening.state().ended = true;
            listening.changed.notify_all();
        });
        Client {
            child: Mutex::new(child),
            input: Mutex::new(input),
            seen,
        }
    }

    /// Sends a request.
    pub fn ask(&self, request: &str) -> Asked {
        let number = {
            let mut state = self.seen.state();
            state.next += 1;
            state.next
        };
        let line = format!("{number} {request}\n");
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        // Fails when the process has died, which the wait for its answer tells.
        let _ = input.write_all(line.as_bytes());
        Asked(number)
    }

    /// Waits for the answer.
    pub fn answer(&self, asked: Asked) -> Answer {
        let end = Instant::now() + PATIENCE;
        let mut state = self.seen.state();
        loop {
            if let Some(answer) = state.answers.remove(&asked.0) {
                return Answer::Text(answer);
            }
            let left = end.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return if state.ended {
                    Answer::Died
                } else {
                    Answer::Hangs
                };
            }
            let waited = self.seen.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends a request and gives its answer.
    ///
    /// # Panics
    /// When none comes.
    pub fn call(&self, request: &str) -> String {
        match self.answer(self.ask(request)) {
            Answer::Text(answer) => answer,
            other => panic!("{request:?}: the client {other:?}; {}", self.says()),
        }
    }

    /// Whether the request has been answered.
    pub fn has_answered(&self, asked: Asked) -> bool {
        self.seen.state().answers.contains_key(&asked.0)
    }

    /// The lines of the library's log so far.
    pub fn log(&self) -> Vec<Told> {
        self.seen.state().log.clone()
    }

    /// The panics of the process so far.
    pub fn panics(&self) -> Vec<String> {
        self.seen.state().panics.clone()
    }

    /// Whether the process has ended, which it does not by itself.
    pub fn has_died(&self) -> bool {
        self.seen.state().ended
    }

    /// Its largest resident memory so far, in KiB; 0 if it has died.
    pub fn peak_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let field = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        field
            .and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok())
            .unwrap_or(0)
    }

    /// The processor time that it has taken.
    pub fn processor_time(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.pid());
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        // The fields behind the name, which is in brackets; the first of them is the third of the file.
        let fields: Vec<&str> = match stat.rsplit_once(')') {
            Some((_, rest)) => rest.split_whitespace().collect(),
            None => return Duration::ZERO,
        };
        let ticks: u64 = [11, 12]
            .iter()
            .filter_map(|at| fields[*at].parse::<u64>().ok())
            .sum();
        // SAFETY: no pointers.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        Duration::from_millis(ticks * 1000 / u64::try_from(per_second).unwrap_or(100))
    }

    /// What there is to be told when a scenario fails.
    pub fn says(&self) -> String {
        let state = self.seen.state();
        let log: Vec<_> = state
            .log
            .iter()
            .rev()
            .take(5)
            .map(|told| &told.text)
            .collect();
        format!(
            "panics: {:?}; its last log lines: {log:?}",
            state.panics.first()
        )
    }

    /// Fails if the process has panicked or died.
    ///
    /// # Panics
    /// If so.
    pub fn is_sound(&self) {
        assert!(!self.has_died(), "the client has died; {}", self.says());
        let panics = self.panics();
        assert!(
            panics.is_empty(),
            "{} panics, the first: {}",
            panics.len(),
            panics[0]
        );
    }

    fn pid(&self) -> u32 {
        self.child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .id()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Seen {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, line: &str) {
        let mut state = self.state();
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "answer" => {
                let (number, answer) = rest.split_once(' ').expect("a number and an answer");
                let number = number.parse().expect("a number");
                state.answers.insert(number, answer.to_owned());
            }
            "log" => {
                let mut words = rest.splitn(3, ' ').skip(1);
                let length = words.next().and_then(|word| word.parse().ok());
                let text = words.next().unwrap_or_default().to_owned();
                let length = length.expect("a length");
                state.log.push(Told { length, text });
            }
            "panic" => state.panics.push(rest.to_owned()),
            _ => panic!("the client says {line:?}"),
        }
        self.changed.notify_all();
    }
}
