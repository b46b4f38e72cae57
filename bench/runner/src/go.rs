//! The Go package held against redsync: how it is built, and the scenarios.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::builds::{self, Places};
use crate::options::Options;
use crate::program::Program;
use crate::scenarios::{Scenario, Target, against, pair};

/// The package, as it lies in its sources, on the library that is measured.
pub fn build(places: &Places) -> Result<Program, String> {
    let library = builds::library(places)?;
    let binary = places.out.join("bin/go");
    builds::run(
        Command::new("go")
            .args(["build", "-tags", "redlock_pkgconfig", "-o"])
            .arg(&binary)
            .arg(".")
            .env("PKG_CONFIG_PATH", describe(places, &library)?)
            .current_dir(places.bench("bindings/go")),
    )?;
    Ok(Program {
        // Go keeps what it has built, and with it the path of the library that was measured before.
        command: vec![
            "env".to_owned(),
            format!("LD_LIBRARY_PATH={}", library.display()),
            builds::text(&binary),
        ],
    })
}

/// Writes down for pkg-config where the library lies, which is not installed; returns the directory of that.
fn describe(places: &Places, library: &Path) -> Result<PathBuf, String> {
    let directory = places.out.join("pkgconfig");
    let include = places.root.join("include");
    let text = format!(
        "Name: redlock\nDescription: the library that is measured\nVersion: 0\n\
         Cflags: -I{}\nLibs: -L{lib} -Wl,-rpath,{lib} -lredlock\n",
        include.display(),
        lib = library.display(),
    );
    std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(directory.join("redlock.pc"), text))
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(directory)
}

/// One goroutine, and sixty-four.
pub fn scenarios(options: &Options) -> [Scenario; 2] {
    let scenario = |name, callers, least| Scenario {
        name,
        subjects: vec![
            pair(options, "go", callers),
            pair(options, "redsync", callers),
        ],
        comparisons: vec![
            against("p50_us", "redsync", Some(Target::AtMost(0.8))),
            against("pairs_per_s", "redsync", least),
            against("p99_us", "redsync", None),
            against("cpu_us_per_pair", "redsync", None),
        ],
    };
    [
        scenario("go-one-goroutine", 1, None),
        scenario("go-goroutines", 64, Some(Target::AtLeast(4.0))),
    ]
}
