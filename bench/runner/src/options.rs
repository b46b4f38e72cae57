//! The runner's command line.

use std::path::PathBuf;

/// What the user asked for.
pub struct Options {
    /// Fewer and shorter rounds, for a look rather than a figure.
    pub quick: bool,
    /// Only this scenario.
    pub only: Option<String>,
    /// Put the table into docs/benchmarks.md too.
    pub write_docs: bool,
    /// A directory with a libredlock.so to measure as it is, instead of building it.
    pub lib_dir: Option<PathBuf>,
    /// Rounds and their length, when given.
    pub rounds: Option<usize>,
    pub seconds: Option<f64>,
}

const USAGE: &str = "\
usage: bench/run [--quick] [--only SCENARIO] [--rounds N] [--seconds S] [--write-docs] [--lib-dir DIR]

Measures libredlock, a floor without any library, and other Redlock libraries on the same five servers, in turn.
Prints a table and writes bench/out/results.json.

  --quick          fewer and shorter rounds: for a look, not for a figure
  --only SCENARIO  only this one; a name that there is not lists all
  --rounds N       how often each program runs (5; 3 when quick)
  --seconds S      how long each run is measured (2; 1 when quick)
  --write-docs     puts the table into docs/benchmarks.md
  --lib-dir DIR    measures DIR/libredlock.so as it is instead of building it
";

impl Options {
    /// Reads the command line; ends the process when it is wrong or asks for help.
    pub fn from_command_line() -> Options {
        let mut options = Options {
            quick: false,
            only: None,
            write_docs: false,
            lib_dir: None,
            rounds: None,
            seconds: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .unwrap_or_else(|| wrong(&format!("{name} lacks its value")))
            };
            match name.as_str() {
                "--quick" => options.quick = true,
                "--write-docs" => options.write_docs = true,
                "--only" => options.only = Some(value()),
                "--lib-dir" => options.lib_dir = Some(value().into()),
                "--rounds" => options.rounds = Some(number(&value())),
                "--seconds" => options.seconds = Some(number(&value())),
                "--help" | "-h" => help(),
                _ => wrong(&format!("unknown option {name}")),
            }
        }
        options
    }

    /// How often each program runs.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 }).max(1)
    }

    /// How long one run is measured.
    pub fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(if self.quick { 1.0 } else { 2.0 })
    }

    /// Whether a scenario is to run.
    pub fn wants(&self, scenario: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == scenario)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| wrong(&format!("not a number: {text}")))
}

fn help() -> ! {
    print!("{USAGE}");
    std::process::exit(0)
}

/// Ends the process with a complaint about the command line.
pub fn wrong(complaint: &str) -> ! {
    eprint!("bench/run: {complaint}\n\n{USAGE}");
    std::process::exit(2)
}
