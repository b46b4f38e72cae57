//! The user as whom the library logs in to the servers of a test: the default one, or one with few permissions.

use crate::binary::ServerBinary;

/// Set this to `minimal` to have the library log in, wherever a test has no users or passwords of its own, as a user who may do
/// what docs/DESIGN.md says that it needs, and no more.
const VARIABLE: &str = "REDLOCK_TEST_USER";
/// That user's name and password.
const NAME: &str = "minimal";
const PASSWORD: &str = "testkit-minimal";
/// What it may do.
const COMMANDS: &str = "+hello +auth +client|setname +client|kill +info +ping +script|load +script|exists +set +get +mget \
                        +del +pexpire +pttl +time +exists +zadd +zmscore +evalsha +eval";

/// The name of the user as whom the library logs in.
pub fn library_user() -> &'static str {
    match is_minimal() {
        true => NAME,
        false => "default",
    }
}

/// Name and password, if the library has to log in.
pub(crate) fn login() -> Option<(&'static str, &'static str)> {
    is_minimal().then_some((NAME, PASSWORD))
}

/// The line of redis.conf that makes the user.
pub(crate) fn line(server: &ServerBinary) -> Option<String> {
    // Redis 6.2 can't allow single subcommands of a command that is denied.
    let commands = match server.major() {
        ..7 => COMMANDS
            .replace("+client|setname +client|kill", "+client")
            .replace("+script|load +script|exists", "+script"),
        _ => COMMANDS.to_owned(),
    };
    is_minimal().then(|| format!("user {NAME} on >{PASSWORD} ~* resetchannels {commands}"))
}

fn is_minimal() -> bool {
    match std::env::var(VARIABLE).as_deref() {
        Ok("minimal") => true,
        Ok("") | Err(_) => false,
        Ok(other) => panic!("{VARIABLE} is {other:?}; it can be \"minimal\""),
    }
}
