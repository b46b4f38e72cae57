//! Tells the linker what the shared library is called; with the feature `header` it makes the C header out of `src/ffi`.

use std::env;
use std::path::{Path, PathBuf};

const SONAME: &str = "libredlock.so.0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    link_arguments();
    #[cfg(feature = "header")]
    header::make();
    // As a dependency of another crate, only the Rust side is wanted: the published package comes without the tests.
    if Path::new("tests/abi.rs").exists() {
        soname_link();
    }
}

/// `rustc-link-arg` reaches the tests' programs too, where these do nothing; of `rustc-cdylib-link-arg` cargo warns, since
/// Cargo.toml names no cdylib.
fn link_arguments() {
    match variable("CARGO_CFG_TARGET_OS").as_str() {
        "linux" | "android" | "freebsd" | "netbsd" | "openbsd" | "dragonfly" => {
            // `nodelete`: the I/O thread and the fork handlers must not lose their code to a dlclose.
            for argument in [format!("-Wl,-soname,{SONAME}"), "-Wl,-z,nodelete".into()] {
                println!("cargo::rustc-link-arg={argument}");
            }
        }
        "macos" | "ios" => {
            // Apple's linker may refuse it for programs.
            println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libredlock.0.dylib");
        }
        _ => {}
    }
}

/// Programs linked with the library look for its SONAME; beside the library that cargo built, a link of that name lets them run
/// without an installation.
fn soname_link() {
    // OUT_DIR is <profile directory>/build/<package>/out.
    #[cfg(unix)]
    if let Some(directory) = out_dir().ancestors().nth(3) {
        // It may be there already, and nothing but running uninstalled programs depends on it.
        let _ = std::os::unix::fs::symlink("libredlock.so", directory.join(SONAME));
    }
}

fn out_dir() -> PathBuf {
    PathBuf::from(variable("OUT_DIR"))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// The C header. Its generator is no dependency of those who use the crate, nor of those who only build the library: the
/// header is committed.
#[cfg(feature = "header")]
mod header {
    use std::env;
    use std::fs;

    use super::variable;

    const HEADER: &str = "include/redlock.h";

    /// The files of the C ABI, in the order that the header has.
    const FFI: [&str; 14] = [
        "status",
        "version",
        "error",
        "options",
        "factory",
        "blocking",
        "lock",
        "event",
        "queue",
        "submit",
        "reentrant",
        "thread",
        "log",
        "string",
    ];

    /// Writes the header if REDLOCK_UPDATE_HEADER is set, and otherwise checks that the committed one is up to date.
    pub fn make() {
        for path in ["src/ffi", "cbindgen.toml", "Cargo.toml", HEADER] {
            println!("cargo::rerun-if-changed={path}");
        }
        println!("cargo::rerun-if-env-changed=REDLOCK_UPDATE_HEADER");
        let generated = match generate() {
            Ok(generated) => generated,
            Err(why) => return println!("cargo::error={HEADER} can't be generated: {why}"),
        };
        if env::var_os("REDLOCK_UPDATE_HEADER").is_some() {
            if let Err(why) = fs::write(HEADER, generated) {
                println!("cargo::error={HEADER} can't be written: {why}");
            }
        } else if fs::read(HEADER).ok() != Some(generated) {
            println!("cargo::error={HEADER} is out of date: run `make header` and commit it");
        }
    }

    fn generate() -> Result<Vec<u8>, String> {
        let mut config = cbindgen::Config::from_file("cbindgen.toml")?;
        config.after_includes = Some(version_macros());
        let mut builder = cbindgen::Builder::new().with_config(config);
        for file in FFI {
            builder = builder.with_src(format!("src/ffi/{file}.rs"));
        }
        let mut text = Vec::new();
        let bindings = builder.generate().map_err(|error| error.to_string())?;
        bindings.write(&mut text);
        Ok(with_enums(&String::from_utf8_lossy(&text)).into_bytes())
    }

    /// Turns the macros that cbindgen makes of constants into enum constants, which debuggers and the foreign function interfaces
    /// of other languages see too: an enum for each run of them, with their comments.
    fn with_enums(header: &str) -> String {
        let blocks: Vec<&str> = header.split("\n\n").collect();
        let mut written = Vec::new();
        for run in
            blocks.chunk_by(|one, next| group_of(one).is_some() && group_of(one) == group_of(next))
        {
            match group_of(run[0]) {
                Some(group) => written.push(one_enum(GROUPS[group].1, run)),
                None => written.extend(run.iter().map(|block| (*block).to_owned())),
            }
        }
        written.join("\n\n")
    }

    /// What the names of the constants in an enum begin with, and the enum's comment.
    const GROUPS: [(&[&str], &str); 3] = [
        (
            &["REDLOCK_OK", "REDLOCK_ERR_"],
            "The values of redlock_status.",
        ),
        (&["REDLOCK_EVENT_"], "The kinds of a redlock_event."),
        (&["REDLOCK_LOG_"], "The levels of the log's messages."),
    ];

    /// The group of the constant that a paragraph of the header defines, if it defines one.
    fn group_of(block: &str) -> Option<usize> {
        let (_, definition) = block.rsplit_once("\n#define ")?;
        let is_of =
            |(prefixes, _): &(&[&str], &str)| prefixes.iter().any(|it| definition.starts_with(it));
        GROUPS.iter().position(is_of)
    }

    fn one_enum(comment: &str, constants: &[&str]) -> String {
        let mut text = format!("/**\n * {comment}\n */\nenum {{\n");
        for constant in constants {
            for line in constant.lines() {
                let definition = line
                    .strip_prefix("#define ")
                    .and_then(|it| it.split_once(' '));
                text += &match definition {
                    Some((name, value)) => format!("  {name} = {value},\n"),
                    None => format!("  {line}\n"),
                };
            }
        }
        text + "};"
    }

    fn version_macros() -> String {
        let [major, minor, patch] = ["MAJOR", "MINOR", "PATCH"].map(|part| {
            variable(&format!("CARGO_PKG_VERSION_{part}"))
                .parse::<u32>()
                .unwrap_or(0)
        });
        let version = variable("CARGO_PKG_VERSION");
        let number = major * 10_000 + minor * 100 + patch;
        format!(
            r#"
/**
 * The version of this header, as text and as numbers; that of the library that runs is redlock_version().
 */
#define REDLOCK_VERSION "{version}"
#define REDLOCK_VERSION_MAJOR {major}
#define REDLOCK_VERSION_MINOR {minor}
#define REDLOCK_VERSION_PATCH {patch}
/**
 * major * 10000 + minor * 100 + patch
 */
#define REDLOCK_VERSION_NUMBER {number}"#
        )
    }
}
