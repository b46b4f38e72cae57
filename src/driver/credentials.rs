//! Who logs in at a node: by its URL, by a file that is read at each connect, or by what the program has said since.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use arc_swap::ArcSwapOption;

use super::address::Address;
use crate::clock::Nanos;
use crate::error::{Error, Result};
use crate::protocol::node::config::Login;
use crate::protocol::node::secret::Secret;
use crate::protocol::node::text::quoted;

/// The most that a file with a password may hold, in bytes: tokens have some thousand.
const LONGEST_FILE: u64 = 64 * 1024;

/// What a factory knows of credentials besides its URLs. Later connections use what was given last.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    file: Option<PathBuf>,
    asked: bool,
    /// No lock guards it: one that another thread holds during a fork would stay locked in the child.
    given: ArcSwapOption<Given>,
}

#[derive(Debug)]
struct Given {
    user: Option<String>,
    password: Secret,
    /// When; `None` once a server has refused them.
    at: Option<Nanos>,
}

impl Credentials {
    /// Reads the file, so that a wrong one is an error at once. `asked`: each connection waits for what the program gives.
    pub(crate) fn new(file: Option<PathBuf>, asked: bool) -> Result<Credentials> {
        if let Some(path) = &file {
            read_password(path)?;
        }
        Ok(Credentials {
            file,
            asked,
            given: ArcSwapOption::empty(),
        })
    }

    /// For connections from now on. Without a user, each URL's own.
    pub(crate) fn give(&self, user: Option<String>, password: Secret, at: Nanos) {
        let given = Given {
            user,
            password,
            at: Some(at),
        };
        self.given.store(Some(given.into()));
    }

    /// Those of the URLs and of the file count again.
    pub(crate) fn forget(&self) {
        self.given.store(None);
    }

    /// Whether a connection has to ask for them: what was given since `since` is still good.
    pub(crate) fn have_to_be_asked_for(&self, since: Nanos) -> bool {
        let is_fresh = |given: &Given| given.at.is_some_and(|at| at >= since);
        self.asked && !self.given.load().as_deref().is_some_and(is_fresh)
    }

    /// A server has refused what was given: it is not good for other connections.
    pub(crate) fn were_refused(&self) {
        let outdated = |given: &Given| Given {
            user: given.user.clone(),
            password: given.password.clone(),
            at: None,
        };
        if let Some(given) = self.given.load_full() {
            // Unless others were given in the same moment.
            self.given
                .compare_and_swap(&given, Some(outdated(&given).into()));
        }
    }

    /// Whether connections wait for what the program gives.
    pub(crate) fn are_asked_for(&self) -> bool {
        self.asked
    }

    /// Who logs in at this address now. May read a file, which blocks: it is small and local.
    pub(crate) fn login(&self, address: &Address) -> Result<Login> {
        let mut login = address.login.clone();
        if let Some(given) = self.given.load().as_deref() {
            login.user = given.user.clone().or(login.user);
            login.password = Some(given.password.clone());
        } else if let Some(path) = &self.file {
            login.password = Some(read_password(path)?);
        }
        Ok(login)
    }
}

/// The password in a file, without the line break at its end.
fn read_password(path: &Path) -> Result<Secret> {
    let unusable = |reason: &str| {
        let path = quoted(&path.to_string_lossy());
        Error::invalid(format!("cannot use the password file {path}: {reason}"))
    };
    let text = read(path).map_err(|error| unusable(&error.to_string()))?;
    if text.len() as u64 > LONGEST_FILE {
        return Err(unusable("it holds more than 64 KiB"));
    }
    // The error would quote the file.
    let text = String::from_utf8(text).map_err(|_| unusable("it is not UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    match line.strip_suffix('\r').unwrap_or(line) {
        "" => Err(unusable("it is empty")),
        password => Ok(Secret::new(password)),
    }
}

/// The beginning of a regular file: a pipe would block, and be empty the next time.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = Vec::new();
    file.take(LONGEST_FILE + 1).read_to_end(&mut text)?;
    Ok(text)
}
