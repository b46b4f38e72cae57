//! The header for C++ held against the C that it stands on: how it is built, and the scenarios.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::builds::{self, Places};
use crate::options::Options;
use crate::program::Program;
use crate::scenarios::{Scenario, Target, against, pair};

/// The program in bench/bindings/cpp together with bench/common, on the library that is measured.
pub fn build(places: &Places) -> Result<Program, String> {
    let lib_dir = builds::library(places)?;
    let lib_dir = lib_dir.display();
    let binary = places.out.join("bin/cpp");
    let mut command = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
    command
        .args(["-O2", "-pthread", "-Wall", "-Wextra", "-o"])
        .arg(&binary)
        .arg(format!("-I{}", places.root.join("include").display()))
        .arg(format!("-I{}", places.root.join("bindings/c").display()))
        .arg(places.bench("bindings/cpp/main.cpp"));
    for source in builds::c_files(&places.bench("common"))? {
        command.arg(object(places, &source)?);
    }
    command.arg("-lredlock");
    command.args([format!("-L{lib_dir}"), format!("-Wl,-rpath,{lib_dir}")]);
    builds::run(&mut command)?;
    Ok(Program {
        command: vec![builds::text(&binary)],
    })
}

/// A file in C, compiled by a compiler for C.
fn object(places: &Places, source: &Path) -> Result<PathBuf, String> {
    let name = source.file_stem().unwrap_or_default();
    let object = places.out.join("bin").join(name).with_extension("o");
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.args(["-O2", "-pthread", "-c", "-o"]);
    builds::run(command.arg(&object).arg(source))?;
    Ok(object)
}

/// One caller, and 64 threads, each with the loop that the program in C has.
pub fn scenarios(options: &Options) -> [Scenario; 2] {
    let scenario = |name, callers, comparisons| Scenario {
        name,
        subjects: vec![
            pair(options, "cpp", callers),
            pair(options, "ours", callers),
        ],
        comparisons,
    };
    [
        scenario(
            "cpp-one-caller",
            1,
            vec![
                against("p50_us", "ours", Some(Target::AtMost(1.03))),
                against("cpu_us_per_pair", "ours", None),
            ],
        ),
        scenario(
            "cpp-many-callers",
            64,
            vec![
                against("pairs_per_s", "ours", Some(Target::AtLeast(0.97))),
                against("cpu_us_per_pair", "ours", None),
            ],
        ),
    ]
}
