//! Options by name and value: whatever is not allowed is refused and changes nothing.

use super::{Input, assert_presentable};
use crate::{Options, Status};

/// Names and values in turn, with a zero byte behind each. A name of one byte is the number of an option.
pub(super) fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut options = Options::new();
    let table = Options::table();
    while !input.is_empty() {
        let name = match input.word() {
            [number] => table[usize::from(*number) % table.len()].name.to_owned(),
            name => String::from_utf8_lossy(name).into_owned(),
        };
        let value = String::from_utf8_lossy(input.word()).into_owned();
        let before = format!("{options:?}");
        match options.set(&name, &value) {
            Ok(()) => assert!(table.iter().any(|option| option.name == name)),
            Err(error) => {
                assert_eq!(error.status(), Status::InvalidArgument);
                assert_presentable(error.message());
                assert_eq!(format!("{options:?}"), before);
            }
        }
    }
    for option in table {
        options
            .set(option.name, option.default)
            .expect("a default is allowed");
    }
}
