//! Measures libredlock, a floor and its peers on the same servers, in turn, and reports their ratios.

mod axis;
mod builds;
mod contention;
mod cpp;
mod docs;
mod go;
mod handover;
mod machine;
mod network;
mod node;
mod options;
mod picture;
mod program;
mod python;
mod records;
mod redisson;
mod rounds;
mod scenarios;
mod statistics;
mod table;
mod turns;

use std::io;
use std::process::ExitCode;

use serde_json::Value;
use testkit::Cluster;

use builds::{Places, Programs};
use options::Options;
use picture::Picture;
use records::Record;
use rounds::Results;
use scenarios::Scenario;

const NODES: usize = 5;

fn main() -> ExitCode {
    let options = Options::from_command_line();
    match bench(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("bench/run: {complaint}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<(), String> {
    let scenarios = scenarios::chosen(options);
    if scenarios.is_empty() {
        let all = scenarios::all(options);
        let names: Vec<_> = all.iter().map(|scenario| scenario.name).collect();
        options::wrong(&format!("no such scenario; there are {}", names.join(", ")));
    }
    let load = machine::load_average();
    machine::warn_when_busy(load);
    let places = Places::new(options.lib_dir.clone());
    let programs = builds::build(&places, &scenarios::programs_of(&scenarios))?;
    let measured = measure(scenarios, &programs);
    let machine = machine::describe(&places, &programs, load);
    report(options, &machine, &places, &measured).map_err(|error| error.to_string())?;
    if measured.violated {
        return Err("two processes had one lock of ours at the same time".to_owned());
    }
    Ok(())
}

/// What all scenarios gave.
#[derive(Default)]
struct Measured {
    records: Vec<Record>,
    /// How long the contended lock is waited for.
    picture: Option<Picture>,
    /// Whether ours let two processes in at once.
    violated: bool,
}

fn measure(scenarios: Vec<Scenario>, programs: &Programs) -> Measured {
    let cluster = Cluster::start(NODES);
    let mut measured = Measured::default();
    for scenario in scenarios {
        let scenario = scenarios::without_missing(scenario, programs);
        let results = rounds::run(&scenario, programs, &cluster);
        measured
            .records
            .extend(records::records(&scenario, &results));
        measured.violated |= exclusion_violated(&scenario, &results);
        if scenario.name == contention::TURNS {
            measured.picture = picture::draw(&scenario, &results);
        }
    }
    measured
}

/// Says which subjects let two processes in at once; true when one of them is ours.
fn exclusion_violated(scenario: &Scenario, results: &Results) -> bool {
    let mut ours = false;
    for subject in &scenario.subjects {
        let runs = results.get(subject.label).into_iter().flatten().flatten();
        let overlaps: u64 = runs.filter_map(|run| run["overlaps"].as_u64()).sum();
        if overlaps > 0 {
            eprintln!(
                "{}: {} let two in at once, {overlaps} times",
                scenario.name, subject.label
            );
            ours |= subject.program == "ours";
        }
    }
    ours
}

fn report(
    options: &Options,
    machine: &str,
    places: &Places,
    measured: &Measured,
) -> io::Result<()> {
    let records = &measured.records;
    let table = table::render(records);
    let asked: Vec<bool> = records.iter().filter_map(Record::met).collect();
    let met = asked.iter().filter(|met| **met).count();
    println!("{machine}\n{table}\n{met} of {} targets met", asked.len());
    let json: Vec<Value> = records.iter().map(Record::to_json).collect();
    std::fs::write(
        places.out.join("results.json"),
        format!("{:#}\n", Value::from(json)),
    )?;
    if let Some(picture) = &measured.picture {
        std::fs::write(places.out.join("contention.svg"), &picture.svg)?;
    }
    if options.write_docs {
        write_docs(places, &format!("{machine}\n{table}"), measured)?;
    }
    Ok(())
}

fn write_docs(places: &Places, table: &str, measured: &Measured) -> io::Result<()> {
    let docs = places.root.join("docs");
    let page = docs.join("benchmarks.md");
    docs::write(&page, "measured", table)?;
    if let Some(Picture { svg, text }) = &measured.picture {
        std::fs::write(docs.join("contention.svg"), svg)?;
        let image = format!("![Waiting times: {text}](contention.svg)\n\n{text}.\n");
        docs::write(&page, "waits", &image)?;
    }
    Ok(())
}
