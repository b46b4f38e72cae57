//! The program of Redisson, in Java: how it is built.

use std::process::Command;

use crate::builds::{self, Places};
use crate::program::Program;

/// Maven compiles it and fetches what it needs.
pub fn build(places: &Places) -> Result<Program, String> {
    let directory = places.bench("peers/redisson");
    builds::run(Command::new("javac").arg("-version"))?;
    builds::run(
        Command::new("mvn")
            .args(["-q", "-B", "compile", "dependency:copy-dependencies"])
            .current_dir(&directory),
    )?;
    let target = directory.join("target");
    let classes = format!(
        "{}:{}/*",
        target.join("classes").display(),
        target.join("lib").display()
    );
    Ok(Program {
        command: ["java", "-cp", &classes, "bench.Main"]
            .map(str::to_owned)
            .to_vec(),
    })
}

/// Its version and Java's, of what was built.
pub fn version(places: &Places) -> String {
    let library = places.bench("peers/redisson/target/lib");
    let files = std::fs::read_dir(library).into_iter().flatten().flatten();
    let version = files.filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let version = name.strip_prefix("redisson-")?.strip_suffix(".jar")?;
        Some(version.to_owned())
    });
    let versions: Vec<String> = version.collect();
    versions.join(", ")
}
