//! The parts of docs/benchmarks.md that are written by the runner.

use std::io;
use std::path::Path;

/// Replaces what stands between the two markers of a part.
pub fn write(page: &Path, part: &str, text: &str) -> io::Result<()> {
    let old = std::fs::read_to_string(page)?;
    let begin = format!("<!-- {part}: written by bench/run --write-docs -->\n");
    let end = format!("<!-- end of {part} -->");
    let new = replaced(&old, &begin, &end, text).ok_or_else(|| {
        io::Error::other(format!("the page lacks the markers of its part {part:?}"))
    })?;
    std::fs::write(page, new)
}

fn replaced(page: &str, begin: &str, end: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{text}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let page = "a <1>old</1> b <2>kept</2>";
        let new = replaced(page, "<1>", "</1>", "new").unwrap();
        assert_eq!(new, "a <1>new\n</1> b <2>kept</2>");
        assert_eq!(replaced(page, "<3>", "</3>", "new"), None);
    }
}
