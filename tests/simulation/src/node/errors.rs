//! Errors in each server's own words.

use super::user::User;
use super::version::Version;

/// There is no such command.
pub(super) fn unknown_command(version: Version, words: &[&[u8]]) -> String {
    let word = |word: &[u8], most: usize| {
        String::from_utf8_lossy(&word[..word.len().min(most)]).into_owned()
    };
    let name = match version {
        Version::V6_2 => word(words[0], usize::MAX),
        _ => word(words[0], 128),
    };
    let mut arguments = String::new();
    for argument in &words[1..] {
        if arguments.len() >= 128 {
            break;
        }
        let argument = word(argument, 128 - arguments.len());
        arguments += &match version {
            Version::V6_2 => format!("`{argument}`, "),
            _ => format!("'{argument}' "),
        };
    }
    match version {
        Version::V6_2 => {
            format!("ERR unknown command `{name}`, with args beginning with: {arguments}")
        }
        _ => format!("ERR unknown command '{name}', with args beginning with: {arguments}"),
    }
}

/// There is no such subcommand.
pub(super) fn unknown_subcommand(version: Version, command: &str, name: &[u8]) -> String {
    let shown = match version {
        Version::V6_2 => name,
        _ => &name[..name.len().min(128)],
    };
    let name = String::from_utf8_lossy(shown);
    let upper = command.to_ascii_uppercase();
    match version {
        Version::V6_2 => format!(
            "ERR Unknown subcommand or wrong number of arguments for '{name}'. Try {upper} HELP."
        ),
        _ => format!("ERR unknown subcommand '{name}'. Try {upper} HELP."),
    }
}

/// So many words are too few or too many. A subcommand is called `script|load`.
pub(super) fn wrong_number(version: Version, command: &str) -> String {
    let shown = match version {
        Version::V6_2 => command.split('|').next().unwrap_or(command),
        _ => command,
    };
    format!("ERR wrong number of arguments for '{shown}' command")
}

/// What a user may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Use the command.
    Command,
    /// Use one of the keys.
    Key,
    /// Use the channel.
    Channel,
}

impl Denied {
    /// To who sent the command.
    pub(super) fn text(self, version: Version, user: &User, command: &str) -> String {
        format!("NOPERM {}", self.words(version, user, command))
    }

    fn words(self, version: Version, user: &User, command: &str) -> String {
        let name = &user.name;
        match (self, version) {
            (Denied::Command, Version::V6_2) => {
                let command = command.split('|').next().unwrap_or(command);
                format!(
                    "this user has no permissions to run the '{command}' command or its subcommand"
                )
            }
            (Denied::Command, Version::V7_0) => {
                format!("this user has no permissions to run the '{command}' command")
            }
            (Denied::Command, Version::V8_2) => {
                format!("User {name} has no permissions to run the '{command}' command")
            }
            (Denied::Key, Version::V8_2) => "No permissions to access a key".to_owned(),
            (Denied::Channel, Version::V8_2) => "No permissions to access a channel".to_owned(),
            (Denied::Key, _) => {
                "this user has no permissions to access one of the keys used as arguments"
                    .to_owned()
            }
            (Denied::Channel, _) => {
                "this user has no permissions to access one of the channels used as arguments"
                    .to_owned()
            }
        }
    }

    /// To a script.
    pub(super) fn in_script(self, version: Version, user: &User, command: &str) -> String {
        let words = match self {
            Denied::Command => "The user executing the script can't run this command or subcommand",
            Denied::Key => {
                "The user executing the script can't access at least one of the keys mentioned in the command arguments"
            }
            Denied::Channel => {
                "The user executing the script can't publish to the channel mentioned in the command"
            }
        };
        match version {
            Version::V6_2 => words.to_owned(),
            Version::V7_0 => format!("ERR {words}"),
            Version::V8_2 => {
                let words = self.words(version, user, command);
                format!("ERR ACL failure in script: {words}")
            }
        }
    }
}

pub(super) const NOAUTH: &str = "NOAUTH Authentication required.";
pub(super) const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";
pub(super) const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
pub(super) const NO_REPLICAS: &str = "NOREPLICAS Not enough good replicas to write.";
pub(super) const READ_ONLY: &str = "READONLY You can't write against a read only replica.";
pub(super) const LOADING: &str = "LOADING Redis is loading the dataset in memory";
