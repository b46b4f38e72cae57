//! The Python package held against redlock-py: how it is built, and the scenarios.

use std::path::PathBuf;
use std::process::Command;

use crate::builds::{self, Places};
use crate::options::Options;
use crate::program::Program;
use crate::scenarios::{Scenario, Target, against, pair};

/// The Python environment that every Python program runs in, so that none has a faster interpreter.
pub fn environment(places: &Places) -> Result<PathBuf, String> {
    let venv = places.out.join("venv");
    let python = venv.join("bin/python");
    if !python.exists() {
        builds::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    Ok(python)
}

/// The package, as it lies in its sources, on the library that is measured.
pub fn build(places: &Places) -> Result<Program, String> {
    let python = environment(places)?;
    let library = builds::library(places)?.join("libredlock.so");
    let package = places.root.join("bindings/python/src");
    Ok(Program {
        command: vec![
            "env".to_owned(),
            format!("REDLOCK_LIBRARY={}", library.display()),
            format!("PYTHONPATH={}", package.display()),
            builds::text(&python),
            builds::text(&places.bench("bindings/python/main.py")),
        ],
    })
}

/// One caller, and sixteen threads.
pub fn scenarios(options: &Options) -> [Scenario; 2] {
    let scenario = |name, callers, comparisons| Scenario {
        name,
        subjects: vec![
            pair(options, "python", callers),
            pair(options, "redlock-py", callers),
        ],
        comparisons,
    };
    [
        scenario(
            "python-one-caller",
            1,
            vec![
                against("p50_us", "redlock-py", Some(Target::AtMost(0.4))),
                against("p99_us", "redlock-py", None),
                against("cpu_us_per_pair", "redlock-py", None),
            ],
        ),
        scenario(
            "python-threads",
            16,
            vec![
                against("pairs_per_s", "redlock-py", Some(Target::AtLeast(5.0))),
                against("p50_us", "redlock-py", None),
                against("cpu_us_per_pair", "redlock-py", None),
            ],
        ),
    ]
}
