//! The C ABI as files show it: the header, the library's symbols and its dynamic section, and the sources behind them.
//! What the functions do is tested from C, in tests/c.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

const HEADER: &str = "include/redlock.h";

#[test]
fn the_header_compiles_alone_in_every_language_version() {
    let languages = [
        ("gcc", "c", ["c99", "c11", "c2x"].as_slice()),
        ("clang", "c", &["c99", "c11", "c2x"]),
        ("g++", "c++", &["c++11", "c++17", "c++20"]),
        ("clang++", "c++", &["c++11", "c++17", "c++20"]),
    ];
    for (compiler, language, standards) in languages {
        for standard in standards {
            let output = compile(compiler, language, standard, "#include \"redlock.h\"\n");
            assert!(
                output.status.success(),
                "{compiler} -std={standard}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

/// The foreign function interfaces of other languages read declarations and see no macros.
#[test]
fn every_constant_is_an_enumerator_and_no_macro() {
    let header = read(HEADER);
    let macros = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define "));
    for name in macros.map(|definition| definition.split(' ').next().unwrap_or("")) {
        assert!(
            name == "REDLOCK_H" || name.starts_with("REDLOCK_VERSION"),
            "{name} is a macro"
        );
    }
    let mut count = 0;
    for entry in fs::read_dir("src/ffi").expect("src/ffi is there") {
        let source = read(entry.expect("it can be listed").path());
        for line in source
            .lines()
            .filter_map(|line| line.strip_prefix("pub const "))
        {
            let (name, value) = line.split_once(": ").expect("a constant has a type");
            let (_, value) = value.split_once(" = ").expect("and a value");
            let enumerator = format!("\n  {name} = {},\n", value.trim_end_matches(';'));
            assert!(header.contains(&enumerator), "no enumerator:{enumerator}");
            count += 1;
        }
    }
    assert!(count >= 25, "only {count} constants were found");
}

#[test]
fn only_the_event_can_be_looked_into() {
    let sizes = |name: &str| {
        let source = format!(
            "#include \"redlock.h\"\nsize_t size(void);\nsize_t size(void) {{ return sizeof(struct redlock_{name}); }}\n"
        );
        compile("gcc", "c", "c99", &source)
    };
    assert!(sizes("event").status.success());
    for name in ["factory", "lock", "reentrant", "queue", "options", "error"] {
        let output = sizes(name);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("incomplete type"),
            "redlock_{name}: {said}"
        );
    }
}

#[test]
fn every_opaque_type_has_a_maker_and_a_free() {
    let functions = declared_functions();
    for (name, maker) in [
        ("factory", "redlock_factory_new"),
        ("options", "redlock_options_new"),
        ("queue", "redlock_queue_new"),
        ("lock", "redlock_acquire"),
        ("reentrant", "redlock_reentrant_new"),
        ("error", "redlock_error_code"),
    ] {
        assert!(functions.contains(maker), "{maker} is missing");
        assert!(
            functions.contains(&format!("redlock_{name}_free")),
            "redlock_{name}_free is missing"
        );
    }
}

#[test]
fn the_library_exports_what_the_header_declares_and_nothing_else() {
    let exported = exported_symbols();
    assert!(
        exported.iter().all(|symbol| symbol.starts_with("redlock_")),
        "{exported:#?}"
    );
    assert_eq!(exported, declared_functions());
}

#[test]
fn the_library_says_its_soname_and_is_never_unloaded() {
    let section = run(Command::new("readelf").arg("-dW").arg(library()));
    assert!(
        section.contains("Library soname: [libredlock.so.0]"),
        "{section}"
    );
    assert!(
        section
            .lines()
            .any(|line| line.contains("FLAGS_1") && line.contains("NODELETE")),
        "{section}"
    );
}

#[test]
fn the_abi_is_that_of_the_last_release_or_more() {
    let mut check = Command::new("tests/abi-check");
    check.arg(library());
    println!("{}", run(&mut check));
}

#[test]
fn every_exported_function_runs_inside_of_a_guard() {
    for (name, source) in exported_sources() {
        // `text`, `column` and `node_text` are the getters of their files, and each begins with a guard itself.
        let body = source.split_once('{').map_or("", |(_, body)| body);
        let body = body.trim_start();
        // The reason why what follows is sound.
        let body = match body.strip_prefix("// SAFETY: ") {
            Some(reason) => reason.split_once('\n').map_or("", |(_, body)| body),
            None => body,
        };
        let body = body
            .trim_start()
            .trim_start_matches("unsafe {")
            .trim_start();
        let guarded = [
            "call::status(err, ",
            "guard::value(",
            "text(",
            "column(",
            "node_text(",
        ];
        assert!(
            guarded.iter().any(|guard| body.starts_with(guard)),
            "{name} does not begin with a guard:\n{source}"
        );
    }
    for (file, getter) in [
        ("status", "fn text("),
        ("lock", "fn text("),
        ("options", "fn column("),
        ("error", "fn node_text("),
    ] {
        let source = read(format!("src/ffi/{file}.rs"));
        let (_, getter) = source.split_once(getter).expect("the getter is there");
        let (_, body) = getter.split_once(" {\n").expect("it has a body");
        assert!(
            body.trim_start().starts_with("guard::value("),
            "{file}: {body}"
        );
    }
}

#[test]
fn every_function_that_can_fail_takes_an_error_last() {
    for (name, source) in exported_sources() {
        let (signature, _) = source.split_once('{').expect("a function has a body");
        let fails = signature.contains("-> redlock_status") && signature.contains("unsafe extern");
        let parameters = signature
            .rsplit_once(')')
            .map_or(signature, |(before, _)| before);
        let last = parameters
            .trim_end()
            .trim_end_matches(',')
            .rsplit([',', '('])
            .next()
            .unwrap_or("")
            .trim();
        assert_eq!(
            fails,
            last == "err: *mut *mut redlock_error",
            "{name}: {signature}"
        );
    }
}

#[test]
fn every_function_is_documented() {
    let header = read(HEADER);
    for (name, declaration) in declarations(&header) {
        let (_, comment) = header[..declaration].rsplit_once("/**").expect("a comment");
        let comment: String = comment
            .split_whitespace()
            .filter(|word| *word != "*")
            .collect::<Vec<_>>()
            .join(" ");
        assert!(
            comment.contains("thread"),
            "{name}: may it be called from any thread?"
        );
        assert!(
            comment.to_lowercase().contains("block"),
            "{name}: may it block?"
        );
        for parameter in parameters(&header[declaration..]) {
            assert!(
                comment.contains(&format!("@param {parameter} ")),
                "{name}: what is {parameter}?"
            );
        }
    }
}

/// The names of the parameters of the declaration that `text` begins with.
fn parameters(text: &str) -> Vec<&str> {
    let (_, rest) = text.split_once('(').expect("a parameter list");
    let (list, _) = rest.split_once(");").expect("its end");
    let names = list.split(',').map(|parameter| {
        let start = parameter.rfind([' ', '*']).map_or(0, |at| at + 1);
        &parameter[start..]
    });
    names.filter(|name| *name != "void").collect()
}

/// The functions that a header declares, each with where its declaration begins.
fn declarations(header: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    let mut offset = 0;
    for line in header.split_inclusive('\n') {
        let code = !line.starts_with([' ', '/', '#', '}']) && !line.starts_with("typedef");
        if let (true, Some((before, _))) = (code, line.split_once('(')) {
            found.extend(before.rsplit([' ', '*']).next().map(|name| (name, offset)));
        }
        offset += line.len();
    }
    found
}

fn declared_functions() -> BTreeSet<String> {
    let header = read(HEADER);
    let names = declarations(&header).into_iter();
    names.map(|(name, _)| name.to_owned()).collect()
}

/// The defined dynamic symbols of the shared library.
fn exported_symbols() -> BTreeSet<String> {
    let list = run(Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(library()));
    let names = list
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    names.map(str::to_owned).collect()
}

/// The name and the text of every exported function in `src/ffi`.
fn exported_sources() -> Vec<(String, String)> {
    let mut functions = Vec::new();
    for entry in fs::read_dir("src/ffi").expect("src/ffi is there") {
        let source = read(entry.expect("it can be listed").path());
        for function in source.split("#[unsafe(no_mangle)]\n").skip(1) {
            let (text, _) = function.split_once("\n}\n").expect("a function ends");
            let (_, name) = text
                .split_once("fn ")
                .expect("an exported item is a function");
            let (name, _) = name.split_once('(').expect("a function has parameters");
            functions.push((name.to_owned(), text.to_owned()));
        }
    }
    let names: BTreeSet<String> = functions.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(
        names,
        declared_functions(),
        "the sources were not understood"
    );
    functions
}

/// Compiles a source against the header, strictly, and keeps nothing: several runs of these tests may share a directory.
fn compile(compiler: &str, language: &str, standard: &str, source: &str) -> Output {
    let mut process = Command::new(compiler)
        .args(["-x", language, &format!("-std={standard}")])
        .args([
            "-Wall",
            "-Wextra",
            "-pedantic",
            "-Werror",
            "-Iinclude",
            "-fsyntax-only",
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; scripts/install-tools installs it"));
    let mut input = process.stdin.take().expect("it is piped");
    input.write_all(source.as_bytes()).expect("it reads it all");
    drop(input);
    process.wait_with_output().expect("it ends")
}

/// The shared library, of the same profile as this test.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        run(&mut build_command());
        let test = env::current_exe().expect("a process knows its program");
        let profile = test.ancestors().nth(2).expect("it lies in deps/");
        profile.join("libredlock.so")
    })
}

/// Cargo builds no shared library for tests, only a Rust one.
fn build_command() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "rustc",
        "--quiet",
        "--locked",
        "--lib",
        "--crate-type",
        "cdylib",
    ]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // What cargo tells this test of its package is nothing that the dependencies' builds should depend on.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a tool that must succeed, and gives what it prints.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}
