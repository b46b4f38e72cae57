//! Many runs, and what is done about one that breaks a promise.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::faults::Kind;
use crate::mutant::Mutant;
use crate::node::Interpreter;
use crate::profile::Profile;
use crate::world::{self, Plan, Report};

/// What many runs were.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// How many there were.
    pub runs: u64,
    /// Operations that ended.
    pub operations: u64,
    /// Locks that were won.
    pub won: u64,
    /// Commands that nodes executed.
    pub commands: u64,
    /// How long they lasted, in virtual time.
    pub simulated: Duration,
    /// What they took of a processor.
    pub spent: Duration,
    /// The longest time by which an operation outlasted its budget, in ns.
    pub overrun: u64,
    /// The longest time for which a lock was free that somebody waited for, in ns.
    pub picked_up: u64,
    /// How often one who waited was overtaken, at most.
    pub overtaken: u32,
    /// The faults that happened.
    pub faults: BTreeMap<Kind, u64>,
}

impl Sum {
    fn add(&mut self, report: &Report, spent: Duration) {
        self.runs += 1;
        self.operations += report.judges.ended;
        self.won += report.judges.won;
        self.commands += report.commands;
        self.simulated += Duration::from_nanos(report.simulated);
        self.spent += spent;
        self.overrun = self.overrun.max(report.judges.overrun);
        self.picked_up = self.picked_up.max(report.judges.picked_up);
        self.overtaken = self.overtaken.max(report.judges.overtaken);
        for (_, fault) in &report.faults {
            *self.faults.entry(fault.kind).or_default() += 1;
        }
    }

    /// A line or two for people.
    pub fn text(&self, name: &str) -> String {
        let mut text = format!(
            "{name}: {} runs, {} operations ({} locks won), {:.2} simulated hours, {:.0} operations a second of a core, {:.1} commands each; at \
             most {} ms over the budget",
            self.runs,
            self.operations,
            self.won,
            self.simulated.as_secs_f64() / 3600.0,
            self.operations as f64 / self.spent.as_secs_f64().max(0.001),
            self.commands as f64 / self.operations.max(1) as f64,
            self.overrun / 1_000_000,
        );
        if self.faults.is_empty() {
            let free = self.picked_up / 1_000_000;
            let _ = write!(
                text,
                ", free for {free} ms, overtaken {} times",
                self.overtaken
            );
        } else {
            let faults = self
                .faults
                .iter()
                .map(|(kind, count)| format!("{kind:?} {count}"));
            let _ = write!(
                text,
                "\n    faults: {}",
                faults.collect::<Vec<_>>().join(", ")
            );
        }
        text
    }
}

/// What is to be searched.
#[derive(Clone, Debug)]
pub struct Search {
    /// One run of each, in turn.
    pub profiles: Vec<Profile>,
    /// A rule that is broken on purpose.
    pub mutant: Option<Mutant>,
    /// The first seed; the others follow it.
    pub seed: u64,
    /// No run begins after that.
    pub until: Instant,
    /// So many runs at most.
    pub most: u64,
}

/// A run in which a promise was broken.
pub type Broken = Box<(Plan, Report)>;

/// Runs that kept all promises, by profile; or the first one that did not.
pub fn search(
    search: &Search,
    interpreter: &Rc<Interpreter>,
) -> Result<Vec<(Profile, Sum)>, Broken> {
    let mut sums: Vec<(Profile, Sum)> = search
        .profiles
        .iter()
        .map(|profile| (*profile, Sum::default()))
        .collect();
    for (number, place) in (0..search.most).zip((0..sums.len()).cycle()) {
        if Instant::now() >= search.until {
            break;
        }
        let plan = Plan {
            seed: search.seed + number,
            profile: sums[place].0,
            faults: None,
            mutant: search.mutant,
            is_loud: false,
        };
        let began = time_spent();
        let report = world::run(&plan, interpreter);
        sums[place]
            .1
            .add(&report, time_spent().saturating_sub(began));
        if !report.judges.violations.is_empty() {
            return Err(Box::new((plan, report)));
        }
    }
    Ok(sums)
}

/// What this thread has had of a processor, whatever else wanted it.
fn time_spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

/// A seed that was not tried before.
pub fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() % 1_000_000_000_000
}

/// Drops faults while the same promise is still broken. Returns the plan that is left, and what it does.
pub fn shrink(mut plan: Plan, report: Report, interpreter: &Rc<Interpreter>) -> (Plan, Report) {
    let rule = report.judges.violations[0].rule;
    let mut kept: Vec<usize> = report.faults.iter().map(|(place, _)| *place).collect();
    let mut last = report;
    let mut size = kept.len().div_ceil(2).max(1);
    loop {
        let mut begin = 0;
        let before = kept.len();
        while begin < kept.len() {
            let mut fewer = kept.clone();
            fewer.drain(begin..(begin + size).min(kept.len()));
            plan.faults = Some(fewer.clone());
            let report = world::run(&plan, interpreter);
            if report
                .judges
                .violations
                .first()
                .is_some_and(|violation| violation.rule == rule)
            {
                kept = fewer;
                last = report;
            } else {
                begin += size;
            }
        }
        if size == 1 && kept.len() == before {
            break;
        }
        size = size.div_ceil(2);
    }
    plan.faults = Some(kept);
    (plan, last)
}

/// What is to be told of a run that breaks a promise.
pub fn describe(plan: &Plan, report: &Report) -> String {
    let mut text = String::new();
    for violation in &report.judges.violations {
        let ms = violation.at as f64 / 1e6;
        let _ = writeln!(
            text,
            "{ms:>10.3} ms: {}: {}",
            violation.rule, violation.message
        );
    }
    for (place, fault) in &report.faults {
        let (at, lasts) = (fault.at / 1_000_000, fault.lasts / 1_000_000);
        let _ = writeln!(
            text,
            "{at:>10} ms: fault {place}: {:?} for {lasts} ms, node {}, client {}",
            fault.kind, fault.node, fault.client
        );
    }
    text + &command(plan)
}

/// The command that repeats a run.
pub fn command(plan: &Plan) -> String {
    let faults = plan.faults.as_ref().map_or(String::new(), |faults| {
        let places: Vec<String> = faults.iter().map(usize::to_string).collect();
        let places = if places.is_empty() {
            "none".to_owned()
        } else {
            places.join(",")
        };
        format!(" --faults {places}")
    });
    let mutant = plan.mutant.map_or(String::new(), |mutant| {
        format!(" --mutant {}", mutant.name())
    });
    let (seed, profile) = (plan.seed, plan.profile.name());
    format!(
        "cargo run --release -p simulation -- --seed {seed} --profile {profile}{faults}{mutant}"
    )
}
