//! How much a message of the log matters.

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Something is broken and stays so until somebody acts.
    Error = 1,
    /// Something is not as it should be; the library copes.
    Warn = 2,
    /// A change worth knowing, such as a node that came back.
    Info = 3,
    /// Everything else.
    Debug = 4,
}
