//! Profiles: which of the assumptions of `docs/safety.md` a run keeps, and which faults it has.

use crate::Nanos;

const MS: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MS;

/// A set of assumptions. What is judged holds under all of them, so that a violation is a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Nothing goes wrong. Order and speed are judged, too.
    Calm,
    /// Connections are slow, held up, cut, refused or lost without a word.
    Network,
    /// Nodes and clients stand still or end besides; nodes keep their data.
    Pauses,
    /// Nodes restart without their data besides, under `restart_guard=strict`.
    Restarts,
    /// Nodes' clocks run at other rates, by 1 % at most, and are set back besides.
    Clocks,
    /// All of that, in a fleet of mixed options and with clients of another library, which needs the nodes' data.
    Mixed,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 6] = [
        Profile::Calm,
        Profile::Network,
        Profile::Pauses,
        Profile::Restarts,
        Profile::Clocks,
        Profile::Mixed,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Calm => "calm",
            Profile::Network => "network",
            Profile::Pauses => "pauses",
            Profile::Restarts => "restarts",
            Profile::Clocks => "clocks",
            Profile::Mixed => "mixed",
        }
    }

    /// The profile of this name.
    pub fn of(name: &str) -> Option<Profile> {
        Profile::ALL
            .into_iter()
            .find(|profile| profile.name() == name)
    }

    /// How long operations are begun, in virtual time.
    pub fn duration(self) -> Nanos {
        match self {
            Profile::Calm => 20 * SECOND,
            Profile::Network | Profile::Pauses | Profile::Mixed => 60 * SECOND,
            Profile::Restarts | Profile::Clocks => 120 * SECOND,
        }
    }

    /// From one fault to the next, on average; `None` without faults.
    pub fn pace(self) -> Option<Nanos> {
        match self {
            Profile::Calm => None,
            Profile::Network => Some(400 * MS),
            Profile::Pauses | Profile::Mixed => Some(600 * MS),
            Profile::Restarts | Profile::Clocks => Some(1_000 * MS),
        }
    }

    /// Whether nodes and clients stand still or end.
    pub fn has_pauses(self) -> bool {
        !matches!(self, Profile::Calm | Profile::Network)
    }

    /// Whether nodes lose their data.
    pub fn loses_data(self) -> bool {
        matches!(self, Profile::Restarts | Profile::Clocks)
    }

    /// Whether nodes' clocks are wrong.
    pub fn has_wrong_clocks(self) -> bool {
        matches!(self, Profile::Clocks | Profile::Mixed)
    }

    /// Whether the fleet has different options, and clients of another library.
    pub fn is_mixed(self) -> bool {
        self == Profile::Mixed
    }
}
