//! One real redis-server process with its own port and directory.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use crate::builder::{Builder, ClientCertificates};
use crate::builder::{CONTROL_PASSWORD, CONTROL_USER, log_file, socket};
use crate::process;
use crate::resp::{Connection, Reply};
use crate::user;
use crate::wait::{holds_within, wait_until};

/// How long a server may take for anything that is asked of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A redis-server. Dropping it kills the process and removes its directory.
///
/// The testkit itself talks to it through its Unix socket, as a user of its own, so that passwords, access rules and
/// TLS do not stand in its way. Such a connection lasts for one command.
pub struct Server {
    builder: Builder,
    dir: PathBuf,
    port: u16,
    child: Mutex<Option<Child>>,
}

/// What a started server must answer before it counts as started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ready {
    /// PONG.
    Serving,
    /// That it is loading its data.
    Loading,
}

/// Why a server did not start.
enum Failure {
    PortTaken,
    Other(String),
}

impl Server {
    /// A server that is to be started.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start(builder: Builder) -> Server {
        let dir = new_directory();
        let mut server = Server {
            builder,
            dir,
            port: 0,
            child: Mutex::new(None),
        };
        let end = Instant::now() + PATIENCE;
        loop {
            server.port = random_port();
            match server.launch(Ready::Serving, &[]) {
                Ok(()) => return server,
                Err(Failure::PortTaken) if Instant::now() < end => {}
                Err(failure) => server.give_up(failure),
            }
        }
    }

    /// The URL of its TCP port: `redis://127.0.0.1:20001`, with the default user's password if it has one, or else the
    /// [library's user](crate::library_user), and `rediss://` if it speaks TLS.
    pub fn url(&self) -> String {
        match (&self.builder.password, user::login()) {
            (Some(password), _) => self.url_with_login(&format!(":{}@", percent_encoded(password))),
            (None, Some((user, password))) => self.url_as(user, password),
            (None, None) => self.url_with_login(""),
        }
    }

    /// The same with a user's name and password.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        self.url_with_login(&format!(
            "{}:{}@",
            percent_encoded(user),
            percent_encoded(password)
        ))
    }

    /// The URL of its Unix socket: `unix:///tmp/...`, with the default user's password if it has one.
    pub fn unix_url(&self) -> String {
        let login = self
            .builder
            .password
            .as_ref()
            .map(|password| format!("?pass={}", percent_encoded(password)));
        format!(
            "unix://{}{}",
            self.unix_socket().display(),
            login.unwrap_or_default()
        )
    }

    fn url_with_login(&self, login: &str) -> String {
        let scheme = if self.builder.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        format!("{scheme}://{login}{}", self.address())
    }

    /// Address and port: `127.0.0.1:20001`, `[::1]:20001`.
    pub fn address(&self) -> String {
        if self.host().contains(':') {
            format!("[{}]:{}", self.host(), self.port)
        } else {
            format!("{}:{}", self.host(), self.port)
        }
    }

    /// The address that it listens on (the first, if there are several).
    pub fn host(&self) -> &str {
        &self.builder.addresses[0]
    }

    /// Its TCP port; the same for the whole life of the server, also after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its Unix socket.
    pub fn unix_socket(&self) -> PathBuf {
        socket(&self.dir)
    }

    /// Its working directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its process id, a new one after each restart.
    ///
    /// # Panics
    /// When it is dead.
    pub fn pid(&self) -> u32 {
        self.child()
            .as_ref()
            .map(Child::id)
            .expect("the server is running")
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read(log_file(&self.dir))
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// Whether it is neither dead nor stopped.
    pub fn is_answering(&self) -> bool {
        let pid = self.child().as_ref().map(Child::id);
        pid.and_then(process::state)
            .is_some_and(|state| !matches!(state, 'T' | 'Z' | 'X'))
    }

    /// Stops it with SIGSTOP: it keeps its connections and answers nothing. Returns when it stands still.
    pub fn stop(&self) {
        process::stop(self.pid());
    }

    /// Lets it go on after [`Server::stop`].
    pub fn cont(&self) {
        process::cont(self.pid());
    }

    /// Kills it with SIGKILL, and returns when it is gone. What it did not write to disk is lost.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child can be waited for");
        }
    }

    /// Kills it if it lives, and starts it again on the same port with the data that it wrote to disk: all if it is
    /// [persistent](Builder::persistent), otherwise none, unless the test made it SAVE.
    pub fn restart(&self) {
        self.relaunch(Ready::Serving, &[]);
    }

    /// As [`Server::restart`], with more lines of redis.conf for this start.
    pub fn restart_with(&self, lines: &[&str]) {
        self.relaunch(Ready::Serving, lines);
    }

    /// Kills it if it lives, and starts it again on the same port without any data.
    pub fn restart_empty(&self) {
        self.kill();
        self.remove_data("dump.rdb");
        self.remove_data("appendonly");
        self.relaunch(Ready::Serving, &[]);
    }

    /// Kills it if it lives, and starts it again with the data that it persisted and so long a log of commands to read
    /// that it answers LOADING to everything until [`Server::finish_loading`], or for some eight seconds. A look at its
    /// clients takes it some ten milliseconds meanwhile.
    pub fn restart_loading(&self) {
        self.kill();
        self.lengthen_append_only_file();
        // The number is negative to make one command in so many take 50 us or so; and it looks at its clients after
        // every thousand commands.
        self.relaunch(Ready::Loading, &["appendonly yes", "key-load-delay -5"]);
    }

    /// Lets a server that is loading finish, and waits until it has.
    pub fn finish_loading(&self) {
        // Redis 6.2 refuses this while it loads, and takes its time.
        self.command(&["CONFIG", "SET", "key-load-delay", "0"]);
        wait_until(6 * PATIENCE, "the server to have loaded its data", || {
            self.is_ready(Ready::Serving)
        });
        if !self.builder.persistent {
            self.command(&["CONFIG", "SET", "appendonly", "no"]).ok();
            self.remove_data("appendonly");
        }
    }

    /// Makes its snapshots fail, so that it refuses all writes with MISCONF until [`Server::mend_snapshots`].
    pub fn break_snapshots(&self) {
        // A directory where the file should go; as root, no permission could be in the way.
        let _ = std::fs::remove_file(self.snapshot());
        std::fs::create_dir_all(self.snapshot().join("in-the-way"))
            .expect("a directory can be made");
        self.command(&["CONFIG", "SET", "save", "3600 1000000"])
            .ok();
        self.command(&["BGSAVE"]).ok();
        wait_until(PATIENCE, "the snapshot to fail", || {
            self.info("rdb_last_bgsave_status") == "err"
        });
    }

    /// Undoes [`Server::break_snapshots`].
    pub fn mend_snapshots(&self) {
        std::fs::remove_dir_all(self.snapshot()).expect("the directory can be removed");
        self.command(&["CONFIG", "SET", "save", ""]).ok();
        self.command(&["SAVE"]).ok();
        wait_until(PATIENCE, "the snapshot to succeed", || {
            self.info("rdb_last_bgsave_status") == "ok"
        });
    }

    /// Sends a command and returns the answer, which may be an error.
    ///
    /// # Panics
    /// When no answer comes within 10 seconds.
    pub fn command(&self, words: &[&str]) -> Reply {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.try_command(&words).unwrap_or_else(|error| {
            let words: Vec<_> = words
                .iter()
                .map(|word| String::from_utf8_lossy(word))
                .collect();
            panic!("no answer to {words:?} from {}: {error}", self.address())
        })
    }

    /// Sends a command of any bytes and returns the answer, if one comes within 10 seconds.
    pub fn try_command(&self, words: &[&[u8]]) -> io::Result<Reply> {
        let mut connection = Connection::open(&self.unix_socket(), PATIENCE)?;
        let login = connection.call(&[
            b"AUTH",
            CONTROL_USER.as_bytes(),
            CONTROL_PASSWORD.as_bytes(),
        ])?;
        // A server that does not know the command lets everybody in.
        if let Reply::Error(message) = login
            && !message.starts_with("ERR unknown command")
        {
            return Err(io::Error::other(message));
        }
        connection.call(words)
    }

    /// Whether it holds this key in database 0.
    pub fn holds(&self, key: &str) -> bool {
        self.command(&["EXISTS", key]).integer() == 1
    }

    /// One field of INFO, such as `run_id`.
    ///
    /// # Panics
    /// When there is no such field.
    pub fn info(&self, field: &str) -> String {
        let text = self.command(&["INFO", "everything"]).text();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value
            .unwrap_or_else(|| panic!("INFO has no field {field}"))
            .to_owned()
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        // A test that panics while it holds the lock must still get its servers killed.
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> PathBuf {
        self.dir.join("dump.rdb")
    }

    fn relaunch(&self, ready: Ready, extra: &[&str]) {
        self.kill();
        let end = Instant::now() + PATIENCE;
        loop {
            match self.launch(ready, extra) {
                Ok(()) => return,
                // Someone's connection may have taken the port for a moment.
                Err(Failure::PortTaken) if Instant::now() < end => {}
                Err(failure) => self.give_up(failure),
            }
        }
    }

    /// Starts the process once and waits until it is ready or has ended.
    fn launch(&self, ready: Ready, extra: &[&str]) -> Result<(), Failure> {
        let _ = std::fs::remove_file(log_file(&self.dir));
        let child = process::spawn(self.start_command(extra))
            .map_err(|error| Failure::Other(error.to_string()))?;
        *self.child() = Some(child);
        let mut ended = false;
        holds_within(PATIENCE, || {
            ended = self.has_ended();
            ended || self.is_ready(ready)
        });
        if !ended && self.is_ready(ready) {
            return Ok(());
        }
        self.kill();
        if self.log().contains("Address already in use") {
            return Err(Failure::PortTaken);
        }
        Err(Failure::Other(
            if ended {
                "it ended"
            } else {
                "it did not answer"
            }
            .to_owned(),
        ))
    }

    fn start_command(&self, extra: &[&str]) -> Command {
        let file = self.dir.join("redis.conf");
        let mut text = self.builder.redis_conf(&self.dir, self.port);
        text.extend(extra.iter().map(|line| format!("{line}\n")));
        std::fs::write(&file, text).expect("the server's directory can be written to");
        let output = std::fs::File::create(self.dir.join("output"))
            .expect("the server's directory can be written to");
        let errors = output.try_clone().expect("a file can be opened twice");
        let mut command = Command::new(self.builder.binary.path());
        command
            .arg(file)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        command.envs(self.builder.environment());
        command
    }

    fn has_ended(&self) -> bool {
        let mut child = self.child();
        child
            .as_mut()
            .is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()))
    }

    fn is_ready(&self, ready: Ready) -> bool {
        match self.try_command(&[b"PING"]) {
            Ok(Reply::Status(_)) => ready == Ready::Serving,
            Ok(Reply::Error(message)) => ready == Ready::Loading && message.starts_with("LOADING"),
            _ => false,
        }
    }

    /// Removes the files and directories whose names begin so.
    fn remove_data(&self, prefix: &str) {
        for path in entries(&self.dir).filter(|path| name_of(path).starts_with(prefix)) {
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            removed.expect("the server's data can be removed");
        }
    }

    /// Adds a great many commands without effect to the file of commands that a starting server runs.
    fn lengthen_append_only_file(&self) {
        let file = self.append_only_file();
        let commands = "*1\r\n$4\r\nPING\r\n".repeat(500_000);
        let opened = OpenOptions::new().create(true).append(true).open(file);
        let written = opened.and_then(|mut file| file.write_all(commands.as_bytes()));
        written.expect("the server's directory can be written to");
    }

    /// The file that a persistent server appends its commands to, or that one will find that was not persistent so far.
    fn append_only_file(&self) -> PathBuf {
        let since_7 = self.dir.join("appendonlydir");
        if since_7.is_dir() {
            let mut files = entries(&since_7).filter(|path| name_of(path).ends_with(".incr.aof"));
            return files.next().expect("the directory has such a file");
        }
        self.dir.join("appendonly.aof")
    }

    fn give_up(&self, failure: Failure) -> ! {
        let reason = match failure {
            Failure::PortTaken => format!("port {} stays taken", self.port),
            Failure::Other(reason) => reason,
        };
        let output = std::fs::read_to_string(self.dir.join("output")).unwrap_or_default();
        let text = output + &self.log();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n");
        panic!(
            "{} did not start: {reason}; it said last:\n{tail}",
            self.builder.binary.path().display()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(dir).expect("the server's directory can be read");
    entries.map(|entry| entry.expect("the server's directory can be read").path())
}

fn name_of(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// A new directory for one server. Its name is short because a Unix socket's path may have no more than 107 bytes.
fn new_directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let base = std::env::temp_dir();
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = base.join(format!("testkit-{}-{number}", std::process::id()));
        match std::fs::create_dir(&dir) {
            Ok(()) => return dir,
            // Left behind by a process that had the same id and was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => panic!("cannot make the directory {}: {error}", dir.display()),
        }
    }
}

/// A port that is probably free, below those that the system gives to outgoing connections.
pub(crate) fn random_port() -> u16 {
    const FIRST: u16 = 16_000;
    const COUNT: u16 = 16_000;
    FIRST + u16::try_from(random(u64::from(COUNT))).expect("it is smaller than the bound")
}

/// A random number below the bound.
pub(crate) fn random(bound: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Each RandomState has keys of its own, which makes it the standard library's source of random numbers.
    RandomState::new().build_hasher().finish() % bound
}

/// The text with everything but letters, digits and `-._~` percent-encoded, as it may stand in a URL.
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
