//! What can go wrong, as one status code, a message, and what each node had to say about it.

use std::fmt;

/// The outcome of an operation, or of one node's part in it. The numbers are the C ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum Status {
    /// Success; for a node: it voted for the operation.
    Ok = 0,
    /// The resource is held by another owner on enough nodes to preclude a quorum.
    Contended = 1,
    /// Too few nodes could be reached, answered in time, or were willing.
    NoQuorum = 2,
    /// The lock is not held any more: its validity ended, or its keys are gone.
    Expired = 3,
    /// The operation was cancelled by its caller.
    Cancelled = 4,
    /// The lock was already released through this handle.
    Released = 5,
    /// An argument is missing, malformed, out of range, or a handle that was freed.
    InvalidArgument = 6,
    /// The lock or queue was made by the parent process, before a fork.
    Forked = 7,
    /// The factory or queue was freed while the operation was under way.
    Closed = 8,
    /// The operating system refused a thread, a descriptor or memory.
    System = 9,
    /// A defect of this library; the message tells what to report.
    Internal = 10,
    /// Node only: no answer within the node timeout.
    Timeout = 20,
    /// Node only: no connection.
    Unreachable = 21,
    /// Node only: it answered with an error.
    Server = 22,
    /// Node only: it is connected, but must not vote (yet).
    NotAdmitted = 23,
    /// Node only: it had not answered when the outcome was already certain.
    Unanswered = 24,
}

impl Status {
    /// Every status, in the order of the codes.
    pub const ALL: [Status; 16] = [
        Status::Ok,
        Status::Contended,
        Status::NoQuorum,
        Status::Expired,
        Status::Cancelled,
        Status::Released,
        Status::InvalidArgument,
        Status::Forked,
        Status::Closed,
        Status::System,
        Status::Internal,
        Status::Timeout,
        Status::Unreachable,
        Status::Server,
        Status::NotAdmitted,
        Status::Unanswered,
    ];

    /// The code as the C ABI has it.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The status of a code, `None` for a number that is no status.
    pub fn from_code(code: i32) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.code() == code)
    }

    /// The name of the C macro.
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "REDLOCK_OK",
            Status::Contended => "REDLOCK_ERR_CONTENDED",
            Status::NoQuorum => "REDLOCK_ERR_NO_QUORUM",
            Status::Expired => "REDLOCK_ERR_EXPIRED",
            Status::Cancelled => "REDLOCK_ERR_CANCELLED",
            Status::Released => "REDLOCK_ERR_RELEASED",
            Status::InvalidArgument => "REDLOCK_ERR_INVALID_ARGUMENT",
            Status::Forked => "REDLOCK_ERR_FORKED",
            Status::Closed => "REDLOCK_ERR_CLOSED",
            Status::System => "REDLOCK_ERR_SYSTEM",
            Status::Internal => "REDLOCK_ERR_INTERNAL",
            Status::Timeout => "REDLOCK_ERR_TIMEOUT",
            Status::Unreachable => "REDLOCK_ERR_UNREACHABLE",
            Status::Server => "REDLOCK_ERR_SERVER",
            Status::NotAdmitted => "REDLOCK_ERR_NOT_ADMITTED",
            Status::Unanswered => "REDLOCK_ERR_UNANSWERED",
        }
    }

    /// One sentence for a person.
    pub fn message(self) -> &'static str {
        match self {
            Status::Ok => "success",
            Status::Contended => "the resource is locked by another owner",
            Status::NoQuorum => "too few nodes could be reached or were willing to vote",
            Status::Expired => "the lock is not held any more",
            Status::Cancelled => "the operation was cancelled",
            Status::Released => "the lock was already released through this handle",
            Status::InvalidArgument => "an argument is missing, malformed or out of range",
            Status::Forked => "the handle belongs to the parent process",
            Status::Closed => "the factory or queue was freed while the operation was under way",
            Status::System => "the operating system refused a thread, a descriptor or memory",
            Status::Internal => "a defect of libredlock, please report it",
            Status::Timeout => "the node did not answer within the node timeout",
            Status::Unreachable => "the node is not connected",
            Status::Server => "the node answered with an error",
            Status::NotAdmitted => "the node must not vote",
            Status::Unanswered => "the node had not answered when the outcome was certain",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// One node's part in the outcome of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// The node's URL without its credentials.
    pub address: String,
    /// What the node did.
    pub status: Status,
    /// Why, and since when; the server's own words where there are some.
    pub message: String,
}

/// Why an operation failed.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    status: Status,
    message: String,
    nodes: Vec<NodeReport>,
}

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that no node had a part in.
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Error {
        Error::with_nodes(status, message, Vec::new())
    }

    /// An error with what each node answered.
    pub(crate) fn with_nodes(
        status: Status,
        message: impl Into<String>,
        nodes: Vec<NodeReport>,
    ) -> Error {
        Error(Box::new(Inner {
            status,
            message: message.into(),
            nodes,
        }))
    }

    /// An error about an argument.
    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(Status::InvalidArgument, message)
    }

    /// The code: what kind of failure this is.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// What failed, why, and what to do, without the nodes' parts.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Every node's own part, in the order of the factory's URLs; empty where no node was asked.
    pub fn nodes(&self) -> &[NodeReport] {
        &self.0.nodes
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for node in self.nodes().iter().filter(|node| node.status != Status::Ok) {
            write!(f, "; {}: {}", node.address, node.message)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.status.name())
    }
}

impl std::error::Error for Error {}
