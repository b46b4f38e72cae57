//! The Node binding held against node-redlock: how it is built, and the scenarios.

use std::process::Command;

use crate::builds::{self, Places};
use crate::options::Options;
use crate::program::Program;
use crate::scenarios::{Scenario, Subject, Target, against, pair, plain};

/// The binding as it lies in its sources, on the library that is measured.
pub fn build(places: &Places) -> Result<Program, String> {
    let binding = places.root.join("bindings/node");
    builds::run(Command::new("node").arg("--version"))?;
    if !binding.join("node_modules/koffi").exists() {
        builds::run(
            Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(&binding),
        )?;
    }
    let library = builds::library(places)?.join("libredlock.so");
    Ok(Program {
        command: vec![
            "env".to_owned(),
            format!("REDLOCK_LIBRARY={}", library.display()),
            "node".to_owned(),
            builds::text(&places.bench("bindings/node/main.mjs")),
        ],
    })
}

const DEFAULTS: &str = "node, with fences";

/// One caller, and 64 at once.
pub fn scenarios(options: &Options) -> [Scenario; 2] {
    let scenario = |name, callers, comparisons| Scenario {
        name,
        subjects: vec![
            plain(pair(options, "node", callers)),
            pair(options, "node-redlock", callers),
            Subject {
                label: DEFAULTS,
                ..pair(options, "node", callers)
            },
        ],
        comparisons,
    };
    [
        scenario(
            "node-one-caller",
            1,
            vec![
                against("p50_us", "node-redlock", Some(Target::AtMost(1.0))),
                against("p99_us", "node-redlock", None),
                against("cpu_us_per_pair", "node-redlock", None),
                against("p50_us", DEFAULTS, None),
            ],
        ),
        scenario(
            "node-many-callers",
            64,
            vec![
                against("pairs_per_s", "node-redlock", Some(Target::AtLeast(3.0))),
                against("p50_us", "node-redlock", None),
                against("cpu_us_per_pair", "node-redlock", None),
                against("pairs_per_s", DEFAULTS, None),
            ],
        ),
    ]
}
