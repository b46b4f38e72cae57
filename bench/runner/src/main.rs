//! Measures libredlock, a floor and its peers on the same servers, in turn, and reports their ratios.

mod builds;
mod cpp;
mod docs;
mod go;
mod machine;
mod node;
mod options;
mod program;
mod python;
mod records;
mod rounds;
mod scenarios;
mod table;

use std::io;
use std::process::ExitCode;

use serde_json::Value;
use testkit::Cluster;

use builds::{Places, Programs};
use options::Options;
use records::Record;
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
    let records = measure(scenarios, &programs);
    report(
        options,
        &machine::describe(&places, &programs, load),
        &places,
        &records,
    )
    .map_err(|error| error.to_string())
}

fn measure(scenarios: Vec<Scenario>, programs: &Programs) -> Vec<Record> {
    let cluster = Cluster::start(NODES);
    let mut all = Vec::new();
    for scenario in scenarios {
        let scenario = scenarios::without_missing(scenario, programs);
        let results = rounds::run(&scenario, programs, &cluster);
        all.extend(records::records(&scenario, &results));
    }
    all
}

fn report(options: &Options, machine: &str, places: &Places, records: &[Record]) -> io::Result<()> {
    let table = table::render(records);
    let asked: Vec<bool> = records.iter().filter_map(Record::met).collect();
    let met = asked.iter().filter(|met| **met).count();
    println!("{machine}\n{table}\n{met} of {} targets met", asked.len());
    let json: Vec<Value> = records.iter().map(Record::to_json).collect();
    std::fs::write(
        places.out.join("results.json"),
        format!("{:#}\n", Value::from(json)),
    )?;
    if options.write_docs {
        let page = places.root.join("docs/benchmarks.md");
        docs::write(&page, &format!("{machine}\n{table}"))?;
    }
    Ok(())
}
