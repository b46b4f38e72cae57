//! Which redis-server the tests run on, and what it can do.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The variable that names another server than the one in `PATH`.
const CHOICE: &str = "REDLOCK_TEST_SERVER";

/// A redis-server (or valkey-server) executable.
#[derive(Clone, Debug)]
pub struct ServerBinary {
    path: PathBuf,
    product: &'static str,
    version: String,
    tls: bool,
}

impl ServerBinary {
    /// The server that this process's tests run on, looked at once.
    pub fn chosen() -> &'static ServerBinary {
        static CHOSEN: OnceLock<ServerBinary> = OnceLock::new();
        CHOSEN.get_or_init(|| {
            let path = std::env::var_os(CHOICE).filter(|path| !path.is_empty());
            let binary = ServerBinary::at(path.unwrap_or_else(|| "redis-server".into()));
            let tls = if binary.tls { "with" } else { "without" };
            eprintln!(
                "testkit: {} {} ({}), {tls} TLS",
                binary.product,
                binary.version,
                binary.path.display()
            );
            binary
        })
    }

    /// The server at `path`, or of that name in `PATH`.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn at(path: impl Into<PathBuf>) -> ServerBinary {
        let path = path.into();
        let (product, version) = version_of(&path);
        let tls = knows_tls(&path);
        ServerBinary {
            path,
            product,
            version,
            tls,
        }
    }

    /// Its path, or its name when it is to be found in `PATH`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version, such as `7.0.15`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The version's first number.
    pub fn major(&self) -> u32 {
        let major = self
            .version
            .split('.')
            .next()
            .and_then(|number| number.parse().ok());
        major.unwrap_or_else(|| panic!("no number begins the version {}", self.version))
    }

    /// Whether libraries can be preloaded into it: not if it is linked statically. The loader of others complains about a
    /// library that there is not.
    pub fn takes_preloads(&self) -> bool {
        let output = Command::new(&self.path)
            .arg("--version")
            .env("LD_PRELOAD", "/nonexistent.so")
            .output();
        output
            .is_ok_and(|output| String::from_utf8_lossy(&output.stderr).contains("nonexistent.so"))
    }

    /// Whether it was built with TLS.
    pub fn supports_tls(&self) -> bool {
        self.tls
    }
}

/// The version of the server that the tests run on, such as `7.0.15`.
pub fn server_version() -> &'static str {
    ServerBinary::chosen().version()
}

/// Whether the server that the tests run on was built with TLS.
pub fn supports_tls() -> bool {
    ServerBinary::chosen().supports_tls()
}

/// The product and the version in a line such as `Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=...`.
fn version_of(path: &Path) -> (&'static str, String) {
    let output = Command::new(path).arg("--version").output().unwrap_or_else(|error| {
        panic!("cannot run {}: {error} (scripts/install-tools installs it; {CHOICE} names another)", path.display())
    });
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    let product = match line.starts_with("Valkey") {
        true => "Valkey",
        false => "Redis",
    };
    let version = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("v="));
    let version = version.unwrap_or_else(|| {
        panic!(
            "{} --version does not tell a version: {line:?}",
            path.display()
        )
    });
    (product, version.to_owned())
}

/// Whether the server was built with TLS. One that was and has no certificate says that it lacks one, and ends; others end
/// because they do not know what `tls-port` is, or cannot do it.
fn knows_tls(path: &Path) -> bool {
    let spawned = Command::new(path)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child =
        spawned.unwrap_or_else(|error| panic!("cannot run {}: {error}", path.display()));
    let mut input = child.stdin.take().expect("stdin is piped");
    input
        .write_all(b"port 0\ntls-port 1\n")
        .expect("the server reads its configuration");
    drop(input);
    let output = child.wait_with_output().expect("a child can be waited for");
    String::from_utf8_lossy(&output.stdout).contains("No tls-cert-file configured")
}
