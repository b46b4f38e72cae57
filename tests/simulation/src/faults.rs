//! What goes wrong, drawn before a run, so that it can be left out one by one.

use crate::Nanos;
use crate::profile::Profile;
use crate::random::Random;

const MS: Nanos = 1_000_000;

/// Something that goes wrong at a time, for a while.
#[derive(Clone, Debug)]
pub struct Fault {
    /// When.
    pub at: Nanos,
    /// For how long.
    pub lasts: Nanos,
    /// Which node, of all.
    pub node: usize,
    /// Which client, of all.
    pub client: usize,
    /// What.
    pub kind: Kind,
    /// Numbers for what is still to be chosen.
    pub random: u64,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What this client sends to this node is held, and delivered late, in its order.
    HeldToNode,
    /// The same for what the node sends.
    HeldToClient,
    /// The connections between the two are cut, perhaps within a message.
    Cut,
    /// The node refuses connections.
    Refused,
    /// The node's connections are silent, and new ones are not made.
    BlackHole,
    /// All connections of the node are slow.
    Slow,
    /// The node stands still.
    NodeStopped,
    /// The node restarts with its data.
    NodeRestarted,
    /// It restarts without them.
    DataLost,
    /// Its scripts are gone.
    ScriptsFlushed,
    /// Its clock is set back.
    ClockSetBack,
    /// Its clock runs at another rate.
    ClockRate,
    /// The client stands still.
    ClientPaused,
    /// It ends, and another begins.
    ClientKilled,
    /// The node's memory is full.
    MemoryFull,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 15] = [
        Kind::HeldToNode,
        Kind::HeldToClient,
        Kind::Cut,
        Kind::Refused,
        Kind::BlackHole,
        Kind::Slow,
        Kind::NodeStopped,
        Kind::NodeRestarted,
        Kind::DataLost,
        Kind::ScriptsFlushed,
        Kind::ClockSetBack,
        Kind::ClockRate,
        Kind::ClientPaused,
        Kind::ClientKilled,
        Kind::MemoryFull,
    ];

    fn belongs_to(self, profile: Profile) -> bool {
        match self {
            Kind::HeldToNode
            | Kind::HeldToClient
            | Kind::Cut
            | Kind::Refused
            | Kind::BlackHole
            | Kind::Slow => true,
            Kind::NodeStopped
            | Kind::NodeRestarted
            | Kind::ScriptsFlushed
            | Kind::ClientPaused
            | Kind::ClientKilled
            | Kind::MemoryFull => profile.has_pauses(),
            Kind::DataLost => profile.loses_data(),
            Kind::ClockSetBack | Kind::ClockRate => profile.has_wrong_clocks(),
        }
    }
}

/// Draws the faults of a run, in their order.
pub fn draw(random: &mut Random, profile: Profile, nodes: usize, clients: usize) -> Vec<Fault> {
    let Some(pace) = profile.pace() else {
        return Vec::new();
    };
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| kind.belongs_to(profile))
        .collect();
    let mut faults = Vec::new();
    let mut at = 500 * MS;
    while at < profile.duration() {
        let most = *random.pick(&[20, 200, 1_000, 5_000]);
        faults.push(Fault {
            at,
            lasts: random.between(1, most) * MS,
            node: random.below(nodes as u64) as usize,
            client: random.below(clients as u64) as usize,
            kind: *random.pick(&kinds),
            random: random.number(),
        });
        at += random.below(2 * pace);
    }
    faults
}
