//! Runs the simulation: fresh seeds for some minutes, or one seed again.
//!
//! `simulation [--profile NAME] [--minutes N]`: until the time is over, or a promise is broken; then faults are dropped one by one
//! while it still is. `simulation --seed N --profile NAME [--faults 1,2,3] [--loud true]`: this run alone. `--mutant NAME` breaks a
//! rule on purpose.

use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use simulation::mutant::Mutant;
use simulation::node::Interpreter;
use simulation::profile::Profile;
use simulation::search::{self, Search};
use simulation::world::{self, Plan};

struct Arguments {
    seed: Option<u64>,
    profile: Option<Profile>,
    minutes: f64,
    faults: Option<Vec<usize>>,
    mutant: Option<Mutant>,
    is_loud: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seed: None,
        profile: None,
        minutes: 2.0,
        faults: None,
        mutant: None,
        is_loud: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        let wrong = || format!("{value} is no value for {word}");
        match word.as_str() {
            "--seed" => arguments.seed = Some(value.parse().map_err(|_| wrong())?),
            "--profile" => arguments.profile = Some(Profile::of(&value).ok_or_else(wrong)?),
            "--mutant" => arguments.mutant = Some(Mutant::of(&value).ok_or_else(wrong)?),
            "--minutes" => arguments.minutes = value.parse().map_err(|_| wrong())?,
            "--loud" => arguments.is_loud = value.parse().map_err(|_| wrong())?,
            "--faults" => {
                let places = value.split(',').filter(|place| *place != "none");
                let places: Result<Vec<usize>, _> = places.map(str::parse).collect();
                arguments.faults = Some(places.map_err(|_| wrong())?);
            }
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("simulation: {error}");
            return ExitCode::from(2);
        }
    };
    let interpreter = Mutant::interpreter(arguments.mutant);
    match arguments.seed {
        Some(seed) => repeat(&arguments, seed, &interpreter),
        None => search(arguments, &interpreter),
    }
}

/// One run, again.
fn repeat(arguments: &Arguments, seed: u64, interpreter: &Rc<Interpreter>) -> ExitCode {
    let plan = Plan {
        seed,
        profile: arguments.profile.unwrap_or(Profile::Calm),
        faults: arguments.faults.clone(),
        mutant: arguments.mutant,
        is_loud: arguments.is_loud,
    };
    let report = world::run(&plan, interpreter);
    let (trace, operations) = (report.trace, report.judges.ended);
    println!("trace {trace:016x}, {operations} operations");
    if report.judges.violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{}", search::describe(&plan, &report));
    ExitCode::FAILURE
}

/// Fresh seeds until the time is over.
fn search(arguments: Arguments, interpreter: &Rc<Interpreter>) -> ExitCode {
    let one = |profile| vec![profile];
    let search = Search {
        profiles: arguments.profile.map_or(Profile::ALL.to_vec(), one),
        mutant: arguments.mutant,
        seed: search::fresh_seed(),
        until: Instant::now() + Duration::from_secs_f64(60.0 * arguments.minutes),
        most: u64::MAX,
    };
    match search::search(&search, interpreter) {
        Ok(sums) => {
            for (profile, sum) in sums {
                println!("{}", sum.text(profile.name()));
            }
            ExitCode::SUCCESS
        }
        Err(failed) => {
            let (plan, report) = *failed;
            println!("a promise is broken: {}", search::command(&plan));
            let (plan, report) = search::shrink(plan, report, interpreter);
            println!("with fewer faults:\n{}", search::describe(&plan, &report));
            ExitCode::FAILURE
        }
    }
}
