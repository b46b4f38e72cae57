//! Runs of the simulation: fresh seeds, seeds of defects that were mended, and rules that are broken on purpose.
//!
//! `SIMULATION_SECONDS=120` tries fresh seeds for so long; `cargo run --release -p simulation -- --minutes 60` for longer.

use std::time::{Duration, Instant};

use simulation::mutant::Mutant;
use simulation::profile::Profile;
use simulation::search::{self, Search};
use simulation::world::{self, Plan};

/// Within so many seeds each wrong rule is found.
const SEEDS: u64 = 600;

/// Runs in which a promise was broken once.
const MENDED: &[(u64, Profile)] = &[];

fn plan(seed: u64, profile: Profile) -> Plan {
    Plan {
        seed,
        profile,
        faults: None,
        mutant: None,
        is_loud: false,
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for profile in Profile::ALL {
        let trace = |seed| {
            let interpreter = Mutant::interpreter(None);
            world::run(&plan(seed, profile), &interpreter).trace
        };
        let first = trace(1);
        assert_eq!(trace(1), first, "{}", profile.name());
        assert_ne!(trace(2), first, "{}", profile.name());
    }
}

#[test]
fn fresh_seeds_break_no_promise() {
    let seconds = std::env::var("SIMULATION_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let search = Search {
        profiles: Profile::ALL.to_vec(),
        mutant: None,
        seed: search::fresh_seed(),
        until: Instant::now() + Duration::from_secs(seconds.unwrap_or(10)),
        most: u64::MAX,
    };
    let interpreter = Mutant::interpreter(None);
    match search::search(&search, &interpreter) {
        Ok(sums) => sums
            .iter()
            .for_each(|(profile, sum)| println!("{}", sum.text(profile.name()))),
        Err(failed) => {
            let (plan, report) = *failed;
            let (plan, report) = search::shrink(plan, report, &interpreter);
            panic!("a promise is broken:\n{}", search::describe(&plan, &report));
        }
    }
}

#[test]
fn what_was_mended_stays_so() {
    let interpreter = Mutant::interpreter(None);
    for (seed, profile) in MENDED {
        let plan = plan(*seed, *profile);
        let report = world::run(&plan, &interpreter);
        assert!(
            report.judges.violations.is_empty(),
            "{}",
            search::describe(&plan, &report)
        );
    }
}

#[test]
fn each_wrong_rule_is_found() {
    for mutant in Mutant::ALL {
        let interpreter = Mutant::interpreter(Some(mutant));
        let search = Search {
            profiles: vec![mutant.profile()],
            mutant: Some(mutant),
            seed: 1,
            until: Instant::now() + Duration::from_secs(3600),
            most: SEEDS,
        };
        let failed = search::search(&search, &interpreter).err();
        assert!(
            interpreter.made_all_changes(),
            "the scripts have changed: {}",
            mutant.name()
        );
        let failed =
            failed.unwrap_or_else(|| panic!("{} is not found within {SEEDS} seeds", mutant.name()));
        let (plan, report) = *failed;
        println!(
            "{}: seed {}: {}",
            mutant.name(),
            plan.seed,
            report.judges.violations[0].rule
        );
    }
}
