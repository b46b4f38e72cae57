//! docs/OPTIONS.md is the table of options, written by this test when REDLOCK_UPDATE_DOCS is set.

use std::env;
use std::fmt::Write;
use std::fs;

use redlock::Options;

const PAGE: &str = "docs/OPTIONS.md";

#[test]
fn the_page_of_options_is_the_table() {
    let page = page();
    if env::var_os("REDLOCK_UPDATE_DOCS").is_some() {
        fs::write(PAGE, &page).expect("docs can be written to");
    }
    let committed = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        committed == page,
        "{PAGE} is out of date: run `REDLOCK_UPDATE_DOCS=1 cargo test --test options` and commit it"
    );
}

fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for option in Options::table() {
        let default = match option.default {
            "" => "nothing".to_owned(),
            default => format!("`{default}`"),
        };
        // Writing to a String does not fail.
        let _ = write!(
            page,
            "\n## `{}`\n\n{}\n\n- Default: {default}\n- Values: {}\n",
            option.name, option.description, option.values
        );
    }
    page
}

const INTRODUCTION: &str = r#"# Options

The settings of a factory, in every language. Each has a name and a value, both text:

```c
redlock_options_set(options, "node_timeout_ms", "50", &err);
```

```rust
options.set("node_timeout_ms", "50")?;
```

An unknown name, or a value that is not allowed, is an error that says what is allowed. This page is generated from the table in
the library, which programs can read too: `redlock_option_count()`, `redlock::Options::table()`.
"#;
