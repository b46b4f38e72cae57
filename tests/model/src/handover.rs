//! The queue of waiters when all goes well: who is served when, and whether anybody is forgotten.
//!
//! The nodes run the library's scripts ([`crate::scripts`]); the clients do as `src/protocol/machine/waiting.rs` and
//! `asking.rs`. Nothing is lost, nobody dies, and each connection keeps the order of its messages, which is why a client
//! needs only one token here: what an attempt left behind is given back before the next one asks. Connections are as
//! late as they like against each other.
//!
//! Left out are the reservations' time and the looks that a waiter takes once a second: the search shows that nobody
//! needs either.
//!
//! In the beginning the holder has the lock on all nodes, and waiter 0 is in the queue on all of them. Waiter 1 and the
//! one that barges come when they like.

use stateright::{Model, Property};

use crate::scripts::{Answer, Key, Lock, Question, Rules, Run, Waiter, bit};
use crate::{NODES, QUORUM};

/// The waiters by their arrival, one that tries once, and the holder; each is its own owner token.
pub const CLIENTS: usize = 4;
pub const WAITERS: Waiter = 2;
pub const BARGING: usize = 2;
pub const HOLDER: usize = 3;

/// The model.
#[derive(Clone, Debug)]
pub struct Handover {
    pub rules: Rules,
    /// Whether somebody tries once without waiting.
    pub barging: bool,
    /// How often each waiter looks although nobody called it: in vain, or at the very moment when it is called.
    pub looks: [u8; WAITERS as usize],
    /// Whether a waiter that was called waits for the other nodes' calls for long enough.
    pub patient: bool,
    /// Whether a client whose turn is over declines calls, or lets the reservations run out.
    pub declines: bool,
    pub clients: Clients,
    /// Whether the holder leaves the lock to those who do not queue, for a window, and calls nobody.
    pub window: bool,
    /// Whether the order of service is promised.
    pub in_order: bool,
    /// The holder keeps the lock, but has it on two nodes only; and the waiters' attempts are so many at most. 0 when the
    /// holder has it on all nodes and gives it back.
    pub held_attempts: u8,
}

/// How clients heed calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clients {
    /// As the library's are.
    Sound,
    /// The same, but the time for more calls is up also for an attempt that has failed: the waiter leaves where it was not
    /// called.
    LeavingLate,
    /// The call of a node that was asked already in an attempt that gathers is dropped.
    Forgetful,
    /// A call when the lock is won already is dropped.
    Deaf,
}

/// What is under way on a connection in one direction; the front one first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Line(u32);

/// What clients send.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Acquire = 1,
    AcquireOrWait,
    Release,
    StepBack,
    Leave,
    /// A release that opens a window.
    Open,
}

/// What nodes send.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tell {
    Granted = 1,
    Refused,
    Wake,
    /// Look when the window closes.
    StandBy,
}

impl Line {
    fn push(&mut self, message: u32) {
        let length = 32 - self.0.leading_zeros();
        let place = length.div_ceil(4);
        assert!(
            place < 8,
            "a connection that holds so many messages is beyond this model"
        );
        self.0 |= message << (4 * place);
    }

    fn pop(&mut self) -> u32 {
        let front = self.0 & 15;
        self.0 >>= 4;
        front
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn is_answer(self) -> bool {
        matches!(Tell::of(self.0 & 15), Some(Tell::Granted | Tell::Refused))
    }

    fn has(self, message: u32) -> bool {
        (0..8).any(|place| self.0 >> (4 * place) & 15 == message)
    }
}

impl Ask {
    fn of(number: u32) -> Option<Ask> {
        use Ask::{Acquire, AcquireOrWait, Leave, Open, Release, StepBack};
        [Acquire, AcquireOrWait, Release, StepBack, Leave, Open]
            .into_iter()
            .find(|it| *it as u32 == number)
    }
}

impl Tell {
    fn of(number: u32) -> Option<Tell> {
        [Tell::Granted, Tell::Refused, Tell::Wake, Tell::StandBy]
            .into_iter()
            .find(|it| *it as u32 == number)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    #[default]
    Idle,
    Resting,
    Asking,
    /// Holds the lock.
    Held,
    Done,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    pub phase: Phase,
    /// Whether it waits in the queue.
    pub is_waiting: bool,
    /// Asks the nodes that call, until the time for that is up.
    pub gathering: bool,
    looks: u8,
}

/// A node's vote in a client's attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Vote {
    #[default]
    NotAsked,
    Open,
    Yes,
    No,
}

/// A client's connection to a node, and what is between the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Link {
    to: Line,
    from: Line,
    vote: Vote,
    /// The node owes an answer in this attempt.
    open: bool,
    /// The node called during an attempt in which it had been asked already.
    called: bool,
    /// The waiter is in the node's queue, as far as is known.
    queued_on: bool,
    /// Whether a release must go there, when the client holds the lock.
    taken: bool,
    /// The node told it to look when its window closes.
    told: bool,
    /// How many answers of earlier attempts the node still owes.
    stale: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    pub lock: Lock,
    links: [Link; CLIENTS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub nodes: [Node; NODES],
    pub clients: [Client; CLIENTS],
    /// Somebody was served out of turn.
    pub out_of_turn: bool,
    /// How many attempts the waiters made while the holder keeps the lock.
    pub attempts: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Begin {
        client: usize,
    },
    /// Looks without having been called.
    Look {
        client: usize,
    },
    /// Looks because a node told it to.
    LookAsTold {
        client: usize,
    },
    /// A node's window closes.
    Close {
        node: usize,
    },
    /// The nodes that have not called are asked too.
    AskUncalled {
        client: usize,
    },
    Release {
        client: usize,
    },
    /// The front message of a connection arrives at the node, or at the client.
    Arrive {
        client: usize,
        node: usize,
    },
    Return {
        client: usize,
        node: usize,
    },
}

/// Clients.
impl Handover {
    /// An attempt that asks all nodes.
    fn ask_all(&self, state: &mut State, client: usize) {
        self.begin_attempt(state, client);
        (0..NODES).for_each(|node| self.ask(state, client, node));
    }

    fn begin_attempt(&self, state: &mut State, client: usize) {
        state.attempts += u8::from(self.held_attempts > 0 && client < usize::from(WAITERS));
        let it = &mut state.clients[client];
        (it.phase, it.gathering) = (Phase::Asking, false);
        for node in &mut state.nodes {
            let link = &mut node.links[client];
            link.stale += u8::from(link.open);
            (link.vote, link.open, link.called) = (Vote::NotAsked, false, false);
            link.told = false;
        }
    }

    fn ask(&self, state: &mut State, client: usize, node: usize) {
        let question = match state.clients[client].is_waiting {
            true => Ask::AcquireOrWait,
            false => Ask::Acquire,
        };
        let link = &mut state.nodes[node].links[client];
        if link.vote == Vote::NotAsked {
            link.vote = Vote::Open;
        }
        link.open = true;
        link.to.push(question as u32);
    }

    /// A node has called: asks it, and those in whose queue the waiter is not known to be.
    fn gather(&self, state: &mut State, client: usize) {
        self.begin_attempt(state, client);
        state.clients[client].gathering = true;
        for node in 0..NODES {
            if !state.nodes[node].links[client].queued_on {
                self.ask(state, client, node);
            }
        }
    }

    /// The time for more calls is up: the nodes that have not called are asked too.
    fn ask_uncalled(&self, state: &mut State, client: usize) {
        state.clients[client].gathering = false;
        for node in 0..NODES {
            if state.nodes[node].links[client].vote != Vote::NotAsked {
                continue;
            }
            match state.clients[client].phase {
                Phase::Asking => self.ask(state, client, node),
                Phase::Resting if self.clients != Clients::LeavingLate => {}
                _ => self.take_too(state, client, node),
            }
        }
    }

    /// A node calls.
    fn called(&self, state: &mut State, client: usize, node: usize) {
        let holds_some = count(state, client, Vote::Yes) > 0;
        let link = &mut state.nodes[node].links[client];
        link.queued_on = false;
        let is_new = link.vote == Vote::NotAsked;
        let gathering = state.clients[client].gathering;
        let refused = link.vote == Vote::No;
        match state.clients[client].phase {
            Phase::Resting => self.gather(state, client),
            Phase::Asking if gathering && is_new => self.ask(state, client, node),
            Phase::Asking if refused && holds_some => {
                link.vote = Vote::NotAsked;
                self.ask(state, client, node);
            }
            Phase::Asking => {
                link.called = !gathering || self.clients != Clients::Forgetful;
                self.evaluate(state, client);
            }
            Phase::Held if self.clients == Clients::Deaf => {}
            Phase::Held => self.take_too(state, client, node),
            Phase::Done if self.declines => link.to.push(Ask::Leave as u32),
            Phase::Idle | Phase::Done => {}
        }
    }

    /// The lock was won by the votes of others: takes it here as well, or lets it go.
    fn take_too(&self, state: &mut State, client: usize, node: usize) {
        let is_known = state.is_known(client);
        let link = &mut state.nodes[node].links[client];
        if is_known && matches!(link.vote, Vote::Open | Vote::Yes) {
            return; // It has granted, or is going to.
        }
        if is_known && state.clients[client].phase == Phase::Held {
            link.taken = true;
            self.ask(state, client, node);
        } else {
            link.to.push(Ask::Leave as u32);
        }
    }

    fn answered(&self, state: &mut State, client: usize, node: usize, vote: Vote) {
        let is_waiting = state.clients[client].is_waiting;
        let link = &mut state.nodes[node].links[client];
        link.open = false;
        if link.vote == Vote::Open {
            link.vote = vote;
            link.queued_on |= vote == Vote::No && is_waiting;
        }
        self.evaluate(state, client);
    }

    fn evaluate(&self, state: &mut State, client: usize) {
        if state.clients[client].phase != Phase::Asking {
            return;
        }
        if count(state, client, Vote::Yes) >= QUORUM {
            self.won(state, client);
        } else if NODES - count(state, client, Vote::No) < QUORUM
            && !awaits_all_refusals(state, client)
        {
            self.not_won(state, client);
        }
    }

    fn won(&self, state: &mut State, client: usize) {
        let first = state.clients[0].phase;
        state.out_of_turn |= client != 0 && first != Phase::Held && first != Phase::Done;
        state.clients[client].phase = Phase::Held;
        for node in 0..NODES {
            let link = &mut state.nodes[node].links[client];
            link.taken = matches!(link.vote, Vote::Open | Vote::Yes);
            if std::mem::take(&mut link.called) && self.clients != Clients::Deaf {
                self.take_too(state, client, node);
            }
        }
    }

    fn not_won(&self, state: &mut State, client: usize) {
        let it = &mut state.clients[client];
        let give_back = match it.is_waiting {
            true => Ask::StepBack,
            false => Ask::Release,
        };
        it.phase = Phase::Resting;
        for node in &mut state.nodes {
            let link = &mut node.links[client];
            if matches!(link.vote, Vote::Open | Vote::Yes) {
                link.to.push(give_back as u32);
            }
        }
        let it = &mut state.clients[client];
        if client == BARGING {
            it.phase = Phase::Done;
        } else if !it.is_waiting {
            it.is_waiting = true; // Into the queue, at once.
            self.ask_all(state, client);
        } else {
            let called = state.nodes.map(|node| node.links[client].called);
            let calling = (0..NODES).filter(|&node| called[node]);
            calling.for_each(|node| self.called(state, client, node));
        }
    }

    fn release(&self, state: &mut State, client: usize) {
        state.clients[client].phase = Phase::Done;
        for node in &mut state.nodes {
            let link = &mut node.links[client];
            if std::mem::take(&mut link.taken) {
                let release = match self.window && client == HOLDER {
                    true => Ask::Open,
                    false => Ask::Release,
                };
                link.to.push(release as u32);
            }
        }
    }

    fn hears(&self, state: &mut State, client: usize, node: usize, told: Tell) {
        match told {
            Tell::Granted => self.answered(state, client, node, Vote::Yes),
            Tell::Refused => self.answered(state, client, node, Vote::No),
            Tell::Wake => self.called(state, client, node),
            Tell::StandBy => state.nodes[node].links[client].told = true,
        }
    }

    /// Answers of attempts that are over change nothing, whenever they come; and what a client remembers that does not
    /// ask.
    fn tidy(&self, state: &mut State) {
        for client in 0..CLIENTS {
            let is_known = state.is_known(client);
            let it = &mut state.clients[client];
            if it.phase == Phase::Done {
                (it.is_waiting, it.looks) = (false, 0);
            }
            let Client {
                phase, gathering, ..
            } = *it;
            for link in state.nodes.iter_mut().map(|node| &mut node.links[client]) {
                let is_over = match phase {
                    Phase::Asking => false,
                    Phase::Held => !is_known,
                    Phase::Idle | Phase::Resting | Phase::Done => true,
                };
                if is_over {
                    link.stale += u8::from(std::mem::take(&mut link.open));
                    link.called = false;
                    link.vote = match link.vote {
                        Vote::Open | Vote::Yes | Vote::No if gathering => Vote::Yes,
                        _ => Vote::NotAsked,
                    };
                }
                link.queued_on &= matches!(phase, Phase::Resting | Phase::Asking);
                link.told &= matches!(phase, Phase::Resting | Phase::Asking);
                while link.stale > 0 && link.from.is_answer() {
                    link.from.pop();
                    link.stale -= 1;
                }
            }
            let all_called = |node: &Node| node.links[client].vote != Vote::NotAsked;
            if gathering && phase != Phase::Asking && state.nodes.iter().all(all_called) {
                // There is nobody left to ask.
                state.clients[client].gathering = false;
            }
        }
        state.nodes.sort_unstable(); // States count as one that differ only in the nodes' order.
    }
}

impl State {
    /// Whether the engine still knows the operation: until each node has answered, and the time for more calls is up.
    fn is_known(&self, client: usize) -> bool {
        let is_open = |node: &Node| node.links[client].open;
        self.clients[client].gathering || self.nodes.iter().any(is_open)
    }
}

/// An attempt that is lost waits for the other answers, if it got nothing: whoever refuses needs no release.
fn awaits_all_refusals(state: &State, client: usize) -> bool {
    let was_called = state.nodes.iter().any(|node| node.links[client].called);
    let got_none = count(state, client, Vote::Yes) == 0;
    let missing = count(state, client, Vote::Open) > 0;
    state.clients[client].is_waiting && got_none && !was_called && missing
}

fn count(state: &State, client: usize, vote: Vote) -> usize {
    let voted = |node: &&Node| node.links[client].vote == vote;
    state.nodes.iter().filter(voted).count()
}

/// Nodes.
impl Handover {
    fn carry_out(&self, state: &mut State, client: usize, node: usize, asked: Ask) {
        let question = Question {
            owner: client as u8,
            ballot: 0,
            in_window: true,
        };
        let Node { lock, links } = &mut state.nodes[node];
        let mut run = Run::new(self.rules, lock, !0);
        let answer = match asked {
            Ask::Acquire => Some(run.acquire(question)),
            Ask::AcquireOrWait => Some(run.acquire_waiting(question, client as Waiter)),
            Ask::Release | Ask::Open => {
                run.release(question.owner, asked == Ask::Open);
                None
            }
            Ask::StepBack => {
                run.step_back(question.owner, client as Waiter);
                None
            }
            Ask::Leave => {
                run.leave(client as Waiter);
                None
            }
        };
        let (called, told) = (run.called, run.told);
        for waiter in 0..WAITERS {
            let line = &mut links[usize::from(waiter)].from;
            if called & bit(waiter) != 0 {
                line.push(Tell::Wake as u32);
            }
            if told & bit(waiter) != 0 {
                line.push(Tell::StandBy as u32);
            }
        }
        match answer {
            Some(Answer::Granted) => links[client].from.push(Tell::Granted as u32),
            Some(_) => links[client].from.push(Tell::Refused as u32),
            None => {}
        }
    }
}

/// What can happen.
impl Handover {
    fn clients(&self, state: &State, actions: &mut Vec<Action>) {
        for (client, it) in state.clients.iter().enumerate() {
            match it.phase {
                Phase::Idle if client != BARGING || self.barging => {
                    actions.push(Action::Begin { client });
                }
                Phase::Resting if it.looks < self.looks[client] => {
                    actions.push(Action::Look { client })
                }
                Phase::Held if client != HOLDER || self.held_attempts == 0 => {
                    actions.push(Action::Release { client })
                }
                _ => {}
            }
            let told = |node: &Node| node.links[client].told;
            let is_open = |node: &Node| node.lock.open;
            let is_due = state.nodes.iter().any(told) && !state.nodes.iter().any(is_open);
            if it.phase == Phase::Resting && is_due {
                actions.push(Action::LookAsTold { client });
            }
            if it.gathering && (!self.patient || has_heard_all(state, client)) {
                actions.push(Action::AskUncalled { client });
            }
        }
    }

    fn connections(&self, state: &State, actions: &mut Vec<Action>) {
        for (node, Node { links, lock }) in state.nodes.iter().enumerate() {
            if lock.open {
                actions.push(Action::Close { node });
            }
            for (client, link) in links.iter().enumerate() {
                if !link.to.is_empty() {
                    actions.push(Action::Arrive { client, node });
                }
                if !link.from.is_empty() {
                    actions.push(Action::Return { client, node });
                }
            }
        }
    }
}

/// No release and no call is under way: whoever is going to call this client has done so.
fn has_heard_all(state: &State, client: usize) -> bool {
    let release = |link: &Link| link.to.has(Ask::Release as u32) || link.to.has(Ask::Open as u32);
    state.nodes.iter().all(|node| {
        !node.links.iter().any(release) && !node.links[client].from.has(Tell::Wake as u32)
    })
}

impl Model for Handover {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let lock = Lock {
            key: Key::Held(HOLDER as u8),
            waiting: true,
            queue: bit(0),
            called: 0,
            open: false,
            highest: 0,
        };
        let mut node = Node {
            lock,
            ..Node::default()
        };
        node.links[HOLDER].taken = true;
        node.links[0].queued_on = true;
        let mut clients = [Client::default(); CLIENTS];
        clients[0].phase = Phase::Resting;
        clients[0].is_waiting = true;
        clients[HOLDER].phase = Phase::Held;
        let mut state = State {
            nodes: [node; NODES],
            clients,
            out_of_turn: false,
            attempts: 0,
        };
        if self.held_attempts > 0 {
            state.nodes[0].lock.key = Key::Free;
            state.nodes[0].links = Default::default();
        }
        self.tidy(&mut state);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.clients(state, actions);
        self.connections(state, actions);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        match action {
            Action::Begin { client } => self.ask_all(&mut state, client),
            Action::Look { client } => {
                state.clients[client].looks += 1;
                self.ask_all(&mut state, client);
            }
            Action::LookAsTold { client } => self.ask_all(&mut state, client),
            Action::Close { node } => state.nodes[node].lock.open = false,
            Action::AskUncalled { client } => self.ask_uncalled(&mut state, client),
            Action::Release { client } => self.release(&mut state, client),
            Action::Arrive { client, node } => {
                let asked = Ask::of(state.nodes[node].links[client].to.pop())?;
                self.carry_out(&mut state, client, node, asked);
            }
            Action::Return { client, node } => {
                let told = Tell::of(state.nodes[node].links[client].from.pop())?;
                self.hears(&mut state, client, node, told);
            }
        }
        self.tidy(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "in order of arrival",
                |handover: &Handover, state: &State| !state.out_of_turn || !handover.in_order,
            ),
            Property::always("one owner at a time", |_, state| one_owner(state)),
            Property::always("whoever waits is served", |handover: &Handover, state| {
                handover.held_attempts > 0 || handover.goes_on(state) || is_served(state)
            }),
            Property::always("nothing is left behind", |handover: &Handover, state| {
                // A waiter may get the lock elsewhere while a node's window is open, and stay in the queue there.
                !handover.declines
                    || handover.window
                    || handover.held_attempts > 0
                    || handover.goes_on(state)
                    || is_clean(state)
            }),
            Property::always("nobody leaves who waits", |_, state: &State| {
                !has_left(state)
            }),
            Property::always(
                "few attempts in vain",
                |handover: &Handover, state: &State| state.attempts <= handover.held_attempts,
            ),
        ]
    }
}

fn one_owner(state: &State) -> bool {
    let holds = |it: &&Client| it.phase == Phase::Held;
    state.clients.iter().filter(holds).count() <= 1
}

impl Handover {
    fn goes_on(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        !actions.is_empty()
    }
}

/// A waiter that goes on waiting has left a queue.
fn has_left(state: &State) -> bool {
    let mut links = state
        .nodes
        .iter()
        .flat_map(|node| node.links.iter().enumerate());
    links.any(|(client, link)| {
        let waits = matches!(state.clients[client].phase, Phase::Resting | Phase::Asking);
        waits && link.to.has(Ask::Leave as u32)
    })
}

/// The lock is free everywhere, and nobody in a queue.
fn is_clean(state: &State) -> bool {
    let clean = |node: &Node| node.lock.key == Key::Free && node.lock.queue == 0 && !node.lock.open;
    state.nodes.iter().all(clean)
}

/// Everybody who waits has had the lock and given it back.
fn is_served(state: &State) -> bool {
    state.clients[..usize::from(WAITERS)]
        .iter()
        .all(|it| it.phase == Phase::Done)
}
