//! The measured part of docs/benchmarks.md.

use std::io;
use std::path::Path;

const BEGIN: &str = "<!-- measured: written by bench/run --write-docs -->\n";
const END: &str = "<!-- end of measured -->";

/// Replaces what stands between the two markers.
pub fn write(path: &Path, measured: &str) -> io::Result<()> {
    let page = std::fs::read_to_string(path)?;
    let (before, rest) = page.split_once(BEGIN).ok_or_else(|| no_marker(BEGIN))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| no_marker(END))?;
    std::fs::write(path, format!("{before}{BEGIN}\n{measured}\n{END}{after}"))
}

fn no_marker(marker: &str) -> io::Error {
    io::Error::other(format!("the page lacks the marker {}", marker.trim()))
}
