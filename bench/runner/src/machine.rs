//! What was measured on, and which versions: a figure without these says nothing.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::builds::{Places, Programs};
use crate::redisson;

/// Lines of Markdown: the machine, the tools, and the versions of those programs that took part.
pub fn describe(places: &Places, programs: &Programs, load: f64) -> String {
    let mut lines = vec![
        format!(
            "- machine: {} cores of {}, Linux {}; load average before: {load:.1}",
            cores(),
            cpu_model(),
            kernel()
        ),
        format!(
            "- servers: five redis-server {} on loopback, without persistence",
            testkit::server_version()
        ),
        format!(
            "- ours: libredlock of {}, {}, {}",
            commit(places),
            said("rustc", &["--version"]),
            said("cc", &["--version"])
        ),
    ];
    let peers = [
        ("redsync", redsync as fn(&Places) -> String),
        ("rslock", rslock),
        ("node-redlock", node_redlock),
        ("redlock-py", redlock_py),
        ("redisson", redisson),
    ];
    let present = peers
        .into_iter()
        .filter(|(name, _)| programs.contains_key(name));
    lines.extend(present.map(|(name, version)| format!("- {name}: {}", version(places))));
    lines.join("\n") + "\n"
}

/// How many processes have wanted a core in the last minute, besides the benchmarks when it is asked before them.
pub fn load_average() -> f64 {
    let load = read(Path::new("/proc/loadavg"));
    let first = load.split_whitespace().next();
    first.and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

/// Says so when others use the machine: then the rounds lie far apart and the figures say little.
pub fn warn_when_busy(load: f64) {
    if load > cores() as f64 / 2.0 {
        eprintln!(
            "warning: the machine is busy (load average {load:.1}); the figures will say little"
        );
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn cpu_model() -> String {
    let cpuinfo = read(Path::new("/proc/cpuinfo"));
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    model
        .and_then(|line| line.split_once(':'))
        .map_or("unknown", |(_, name)| name.trim())
        .to_owned()
}

fn kernel() -> String {
    read(Path::new("/proc/sys/kernel/osrelease"))
        .trim()
        .to_owned()
}

fn commit(places: &Places) -> String {
    let root = places.root.display().to_string();
    said("git", &["-C", &root, "describe", "--always", "--dirty"])
}

fn redsync(places: &Places) -> String {
    let modules = read(&places.bench("peers/redsync/go.mod"));
    let version = |module: &str| {
        let line = modules
            .lines()
            .find(|line| line.contains(module))
            .unwrap_or_default();
        line.split_whitespace()
            .nth(1)
            .unwrap_or("?")
            .trim_start_matches('v')
            .to_owned()
    };
    let (redsync, client) = (version("go-redsync/redsync"), version("redis/go-redis"));
    format!(
        "redsync {redsync}, go-redis {client}, {}",
        said("go", &["version"])
    )
}

fn rslock(places: &Places) -> String {
    let lock = read(&places.bench("peers/rslock/Cargo.lock"));
    let version = |name: &str| {
        let after = lock
            .split(&format!("name = \"{name}\"\nversion = \""))
            .nth(1)
            .unwrap_or("?");
        after.split('"').next().unwrap_or("?").to_owned()
    };
    format!(
        "rslock {}, redis {}, tokio {}",
        version("rslock"),
        version("redis"),
        version("tokio")
    )
}

fn node_redlock(places: &Places) -> String {
    let version = |name: &str| {
        let package = read(&places.bench(&format!(
            "peers/node-redlock/node_modules/{name}/package.json"
        )));
        let package: Value = serde_json::from_str(&package).unwrap_or_default();
        package["version"]
            .as_str()
            .unwrap_or("?")
            .trim_start_matches('v')
            .to_owned()
    };
    format!(
        "redlock {}, ioredis {}, Node {}",
        version("redlock"),
        version("ioredis"),
        said("node", &["--version"])
    )
}

fn redlock_py(places: &Places) -> String {
    let python = places.out.join("venv/bin/python").display().to_string();
    let script = "import platform, importlib.metadata as m; \
                  print('redlock-py ' + m.version('redlock-py') + ', redis-py ' + m.version('redis') \
                  + ', Python ' + platform.python_version())";
    said(&python, &["-c", script])
}

fn redisson(places: &Places) -> String {
    format!(
        "Redisson {}, {}",
        redisson::version(places),
        said("java", &["--version"])
    )
}

/// The first line that a command prints.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    output.lines().next().unwrap_or("unknown").to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
