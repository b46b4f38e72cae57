//! Builds the programs that are measured. One whose toolchain is missing is left out, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cpp;
use crate::go;
use crate::node;
use crate::program::Program;
use crate::python;
use crate::redisson;

/// The programs by the names that the table uses: `ours`, `floor` and the peers.
pub type Programs = BTreeMap<&'static str, Program>;

/// Where things are.
pub struct Places {
    /// The repository.
    pub root: PathBuf,
    /// bench/out, for everything that is built or measured.
    pub out: PathBuf,
    /// The directory of a given libredlock.so; built when there is none.
    pub lib_dir: Option<PathBuf>,
}

impl Places {
    /// The places of the repository that this runner was built from.
    pub fn new(lib_dir: Option<PathBuf>) -> Places {
        let bench = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the runner lies in bench/");
        let root = bench.parent().expect("bench/ lies in the repository");
        Places {
            root: root.to_owned(),
            out: bench.join("out"),
            lib_dir,
        }
    }

    /// A directory or file under bench/.
    pub fn bench(&self, path: &str) -> PathBuf {
        self.root.join("bench").join(path)
    }

    fn binary(&self, name: &str) -> PathBuf {
        self.out.join("bin").join(name)
    }
}

/// Builds the wanted programs; says which peer is left out and why. An error when ours cannot be built.
pub fn build(places: &Places, wanted: &BTreeSet<&'static str>) -> Result<Programs, String> {
    std::fs::create_dir_all(places.out.join("bin"))
        .map_err(|error| format!("bench/out: {error}"))?;
    let mut programs = Programs::new();
    for &name in wanted {
        eprintln!("building {name}");
        match build_one(places, name) {
            Ok(program) => _ = programs.insert(name, program),
            Err(reason) if name == "ours" => return Err(format!("libredlock: {reason}")),
            Err(reason) => eprintln!("skipped: {name}: {reason}"),
        }
    }
    Ok(programs)
}

fn build_one(places: &Places, name: &str) -> Result<Program, String> {
    match name {
        "ours" => ours(places),
        "floor" => floor(places),
        "redsync" => redsync(places),
        "rslock" => rslock(places),
        "node-redlock" => node_redlock(places),
        "redlock-py" => redlock_py(places),
        "redisson" => redisson::build(places),
        "go" => go::build(places),
        "node" => node::build(places),
        "cpp" => cpp::build(places),
        "python" => python::build(places),
        _ => Err("nobody knows how to build it".to_owned()),
    }
}

fn floor(places: &Places) -> Result<Program, String> {
    compile(places, "floor", &[])
}

fn ours(places: &Places) -> Result<Program, String> {
    let lib_dir = library(places)?;
    let lib_dir = lib_dir.display();
    let flags = [
        format!("-I{}", places.root.join("include").display()),
        format!("-L{lib_dir}"),
        format!("-Wl,-rpath,{lib_dir}"),
        "-lredlock".to_owned(),
    ];
    compile(places, "ours", &flags)
}

/// The directory of the library that is measured, which is built unless one was given.
pub fn library(places: &Places) -> Result<PathBuf, String> {
    let lib_dir = match &places.lib_dir {
        Some(given) => given.clone(),
        None => build_library(places)?,
    };
    lib_dir
        .canonicalize()
        .map_err(|error| format!("{}: {error}", lib_dir.display()))
}

/// Builds the release library; returns its directory.
fn build_library(places: &Places) -> Result<PathBuf, String> {
    run(Command::new("cargo")
        .args([
            "rustc",
            "--release",
            "--locked",
            "--lib",
            "--crate-type",
            "cdylib",
        ])
        .current_dir(&places.root))?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Ok(places.root.join(target).join("release"))
}

/// Compiles the C program in bench/NAME together with bench/common.
fn compile(places: &Places, name: &str, flags: &[String]) -> Result<Program, String> {
    let binary = places.binary(name);
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command
        .args(["-std=c11", "-O2", "-pthread", "-Wall", "-Wextra", "-o"])
        .arg(&binary);
    command
        .args(c_files(&places.bench(name))?)
        .args(c_files(&places.bench("common"))?)
        .args(flags);
    run(&mut command)?;
    Ok(Program {
        command: vec![text(&binary)],
    })
}

/// The C files of a directory.
pub fn c_files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths
        .filter(|path| path.extension() == Some(OsStr::new("c")))
        .collect())
}

fn redsync(places: &Places) -> Result<Program, String> {
    let binary = places.binary("redsync");
    let directory = places.bench("peers/redsync");
    run(Command::new("go")
        .args(["build", "-o"])
        .arg(&binary)
        .arg(".")
        .current_dir(directory))?;
    Ok(Program {
        command: vec![text(&binary)],
    })
}

fn rslock(places: &Places) -> Result<Program, String> {
    let target = places.out.join("rslock");
    let manifest = places.bench("peers/rslock/Cargo.toml");
    run(Command::new("cargo")
        .args(["build", "--release", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target))?;
    Ok(Program {
        command: vec![text(&target.join("release/bench-rslock"))],
    })
}

fn node_redlock(places: &Places) -> Result<Program, String> {
    let directory = places.bench("peers/node-redlock");
    run(Command::new("node").arg("--version"))?;
    run(Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(&directory))?;
    Ok(Program {
        command: vec!["node".to_owned(), text(&directory.join("main.js"))],
    })
}

fn redlock_py(places: &Places) -> Result<Program, String> {
    let python = python::environment(places)?;
    let directory = places.bench("peers/redlock-py");
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ])
        .arg(directory.join("requirements.txt")))?;
    Ok(Program {
        command: vec![text(&python), text(&directory.join("main.py"))],
    })
}

/// A path as a word of a command.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Runs a build step; on failure the error is what it complained about.
pub fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    // Maven complains on its standard output.
    let complaints = [output.stdout, output.stderr].concat();
    let complaints = String::from_utf8_lossy(&complaints);
    let tail: Vec<&str> = complaints.trim().lines().rev().take(5).collect();
    Err(format!(
        "{program} failed: {}",
        tail.into_iter().rev().collect::<Vec<_>>().join(" | ")
    ))
}
