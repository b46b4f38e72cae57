//! Rules that are broken on purpose, to see whether the judges notice.

use std::rc::Rc;

use crate::node::Interpreter;
use crate::profile::Profile;

/// A wrong rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A node votes right after it lost its data.
    NoGuard,
    /// An extension sets the TTL, also to a shorter one.
    ExtensionShortens,
    /// A release frees whatever is there.
    ReleaseOfOthers,
    /// A release of one resource calls nobody.
    ReleaseCallsNobody,
    /// A release of several resources calls nobody.
    ReleaseOfManyCallsNobody,
    /// Who waits takes a lock that is reserved for another.
    TakesReserved,
    /// What is left in a queue stays for ever.
    QueueNeverEnds,
    /// A node accepts any ballot in a script.
    AnyBallot,
}

type Changes = Vec<(&'static str, &'static str)>;

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 8] = [
        Mutant::NoGuard,
        Mutant::ExtensionShortens,
        Mutant::ReleaseOfOthers,
        Mutant::ReleaseCallsNobody,
        Mutant::ReleaseOfManyCallsNobody,
        Mutant::TakesReserved,
        Mutant::QueueNeverEnds,
        Mutant::AnyBallot,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mutant::NoGuard => "no-guard",
            Mutant::ExtensionShortens => "extension-shortens",
            Mutant::ReleaseOfOthers => "release-of-others",
            Mutant::ReleaseCallsNobody => "release-calls-nobody",
            Mutant::ReleaseOfManyCallsNobody => "release-of-many-calls-nobody",
            Mutant::TakesReserved => "takes-reserved",
            Mutant::QueueNeverEnds => "queue-never-ends",
            Mutant::AnyBallot => "any-ballot",
        }
    }

    /// The mutant of this name.
    pub fn of(name: &str) -> Option<Mutant> {
        Mutant::ALL.into_iter().find(|mutant| mutant.name() == name)
    }

    /// The profile in which it is to be found.
    pub fn profile(self) -> Profile {
        match self {
            Mutant::NoGuard => Profile::Restarts,
            Mutant::ExtensionShortens => Profile::Network,
            Mutant::ReleaseOfOthers | Mutant::AnyBallot | Mutant::QueueNeverEnds => Profile::Pauses,
            Mutant::ReleaseCallsNobody
            | Mutant::ReleaseOfManyCallsNobody
            | Mutant::TakesReserved => Profile::Calm,
        }
    }

    pub(crate) fn restart_guard(self) -> &'static str {
        match self {
            Mutant::NoGuard => "off",
            _ => "strict",
        }
    }

    /// What a node has to execute the scripts with.
    pub fn interpreter(mutant: Option<Mutant>) -> Rc<Interpreter> {
        Interpreter::with_changes(mutant.map_or(Vec::new(), Mutant::changes))
    }

    /// What stands in scripts, and what is executed instead.
    fn changes(self) -> Changes {
        match self {
            Mutant::NoGuard => Vec::new(),
            Mutant::ExtensionShortens => vec![(
                "if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then",
                "if true then",
            )],
            Mutant::ReleaseOfOthers => vec![(
                "if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end\nlocal heard",
                "local heard",
            )],
            Mutant::ReleaseCallsNobody => vec![(
                "if not heard then return 1 end",
                "if true then return 1 end",
            )],
            Mutant::ReleaseOfManyCallsNobody => vec![("if heard[i] then", "if false then")],
            Mutant::TakesReserved => vec![(
                "if holder and holder ~= ARGV[1] and holder ~= 'reserved:' .. waiter then",
                "if holder and holder ~= ARGV[1] and string.sub(holder, 1, 9) ~= 'reserved:' then",
            )],
            Mutant::QueueNeverEnds => vec![("redis.call('PEXPIRE', KEYS[3], keep)", "")],
            Mutant::AnyBallot => vec![("if number <= highest or early or", "if early or")],
        }
    }
}
