//! What is asked of a node on the hot path, how it is put on the wire, and how the answer becomes a vote.

use std::sync::Arc;

use super::resp::{self, Digits, Reply};
use super::secret::Secret;
use super::target::Target;
use super::text::{RunId, ServerText};
use crate::protocol::rules::ballot::REMINDER_MS;
use crate::protocol::rules::quorum::Vote;

/// A question about the resources of one lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Take the lock for this owner, for `ttl_ms`, if it is free; with a ballot, 0 for none.
    Acquire { ttl_ms: u64, ballot: u64 },
    /// The same with another ballot; the lock may be this owner's already.
    AcquireAgain { ttl_ms: u64, ballot: u64 },
    /// The same, and join the queue if it is not free, as this waiter that arrived then (us since 1970).
    AcquireOrWait {
        ttl_ms: u64,
        ballot: u64,
        waiter: u64,
        arrival: u64,
    },
    /// Free the lock if it is this owner's, but stay in the queue as this waiter.
    StepBack { waiter: u64, arrival: u64 },
    /// Leave the queue.
    Leave { waiter: u64 },
    /// Free the lock if it is this owner's; leave it free for so long before those who wait are called, 0 for not at all.
    Release { window_ms: u64 },
    /// Set the time to live from now, if the lock is this owner's.
    Extend { ttl_ms: u64 },
    /// Is the lock free?
    IsFree,
    /// What is there to know of the node's ballots? About no resource; its key prefix is of interest.
    Survey,
    /// Which boot of the server is this? About no resource.
    Identify,
    /// Keep the witness: this boot may vote. About no resource.
    KeepWitness,
    /// Have the script that takes locks, of one resource or of many. About no resource.
    Learn { many: bool },
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Vote(Vote),
    /// The lock was taken, but not with this ballot: this one or a larger one would do.
    NeedsBallot(u64),
    /// The script is not in the node's cache.
    NoScript,
    /// The server's run id, if it told one.
    Boot(Option<RunId>),
    /// Held by another; a look is worth while after so many ms. Not one of ours, perhaps, who would call.
    Held {
        look_after_ms: u64,
        calls: bool,
        stranger: Option<Stranger>,
    },
    /// The key is there, and not as any lock of this library.
    Strange(Stranger),
    /// What the node told of its ballots.
    Survey(Box<Survey>),
    /// Done, and nothing to count.
    Done,
    /// An error in the server's words.
    Error(ServerText),
}

/// What is known of a lock's key that is no lock of this library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// It never expires: no lock library makes such a key.
    NeverExpires,
    /// It is not a string: another library's lock, or data.
    NotAString,
}

/// What a node told of the ballots that it keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Its time in us since 1970, if the user may ask.
    pub(crate) time_us: Option<u64>,
    /// By how many us the highest ballot of this prefix lies ahead of the node's clock, negative when it is behind; `None` if
    /// there is none, or the user may not ask.
    pub(crate) ahead_us: Option<i64>,
    /// The keys of ballots that were found, of whatever prefix: not all, where there are many keys.
    pub(crate) keys: Vec<ServerText>,
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Survey {
    fn read(text: &[u8], password: Option<&Secret>) -> Survey {
        let mut lines = text.split(|byte| *byte == b'\n');
        Survey {
            time_us: lines.next().and_then(number),
            ahead_us: lines.next().and_then(number),
            // As the script limits them; but a server may say what it likes.
            keys: lines
                .take(10)
                .map(|key| ServerText::new(key, password))
                .collect(),
        }
    }
}

impl Answer {
    /// What an error means to which nothing else is known.
    pub(crate) fn of_error(text: &[u8], password: Option<&Secret>) -> Answer {
        match text.starts_with(b"NOSCRIPT") {
            true => Answer::NoScript,
            false => Answer::Error(ServerText::new(text, password)),
        }
    }
}

/// A reply that the question it came for cannot have: whatever else its connection brings answers other questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unrelated;

/// A script, and the digest under which the server keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) digest: String,
}

/// The scripts as one boot of a server knows them.
///
/// Each carries the boot's run id in a comment. So after a restart, or when a proxy has put another server behind its
/// address, the digests are unknown: the server says NOSCRIPT instead of voting, before it has been judged anew.
#[derive(Clone, Debug)]
pub(crate) struct Scripts {
    /// Whether the server took these scripts, and tells which ones it has.
    pub(crate) are_known: bool,
    pub(crate) acquire: Script,
    pub(crate) acquire_many: Script,
    pub(crate) acquire_or_wait: Script,
    pub(crate) step_back: Script,
    pub(crate) leave: Script,
    pub(crate) release: Script,
    pub(crate) release_many: Script,
    pub(crate) extend: Script,
    pub(crate) extend_many: Script,
    /// The channel on which this process's waiters are called; empty if the node can't call.
    pub(crate) channel: Arc<str>,
    /// Tells whether the user may give locks back. It does not vote, so it is the same for all boots.
    pub(crate) probe: Script,
    /// Does nothing. That the server has it says that this boot has lasted long enough to vote.
    pub(crate) witness: Script,
    /// In ms and decimal, for how long ballots are remembered, and how much time a called waiter has.
    retention_ms: String,
    grace_ms: String,
}

/// What the scripts are told, beyond the question at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// What is put before the names of resources, and of the library's own keys.
    pub(crate) key_prefix: Arc<str>,
    /// The longest TTL in use.
    pub(crate) max_ttl_ms: u64,
    /// Whether locks have fences.
    pub(crate) fencing: bool,
    /// For how long a node remembers the highest ballot of a resource after its last grant.
    pub(crate) ballot_retention_ms: u64,
    /// For how long the lock is reserved for a waiter that was called.
    pub(crate) fair_grace_ms: u64,
    /// The channel on which this process's waiters are called; empty if none are.
    pub(crate) channel: Arc<str>,
}

impl Script {
    fn new(text: String) -> Script {
        let digest = redis::Script::new(&text).get_hash().to_owned();
        Script { text, digest }
    }

    fn of_boot(text: &str, run_id: &str) -> Script {
        Script::new(format!("{text}-- boot {run_id}\n"))
    }
}

impl Scripts {
    /// The scripts for the boot of that run id (empty if the server does not tell).
    pub(crate) fn for_boot(run_id: &str, terms: Terms) -> Scripts {
        let of_boot = |text: &str| Script::of_boot(text, run_id);
        let with_promote = |text: &str| {
            of_boot(&format!(
                "{}{text}",
                include_str!("../../scripts/promote.lua")
            ))
        };
        let with_accept =
            |text: &str| format!("{}{text}", include_str!("../../scripts/accept.lua"));
        let witness = format!(
            "-- redlock: has run for {} ms or was vouched for\nreturn 1\n",
            terms.max_ttl_ms
        );
        Scripts {
            are_known: false,
            acquire: of_boot(&with_accept(include_str!("../../scripts/acquire.lua"))),
            acquire_many: of_boot(&with_accept(include_str!("../../scripts/acquire_many.lua"))),
            acquire_or_wait: with_promote(&with_accept(include_str!(
                "../../scripts/acquire_waiting.lua"
            ))),
            step_back: with_promote(include_str!("../../scripts/step_back.lua")),
            leave: with_promote(include_str!("../../scripts/leave.lua")),
            release: of_boot(concat!(
                include_str!("../../scripts/release.lua"),
                include_str!("../../scripts/promote.lua"),
                include_str!("../../scripts/open.lua"),
                include_str!("../../scripts/release_to_waiters.lua")
            )),
            release_many: with_promote(include_str!("../../scripts/release_many.lua")),
            extend: of_boot(include_str!("../../scripts/extend.lua")),
            extend_many: of_boot(include_str!("../../scripts/extend_many.lua")),
            probe: Script::new(include_str!("../../scripts/probe.lua").to_owned()),
            witness: of_boot(&witness),
            channel: terms.channel,
            retention_ms: (terms.ballot_retention_ms + REMINDER_MS).to_string(),
            grace_ms: terms.fair_grace_ms.to_string(),
        }
    }

    /// For how long a ballot is remembered, in ms and decimal.
    pub(crate) fn retention(&self) -> &[u8] {
        self.retention_ms.as_bytes()
    }

    /// Those that a new connection loads.
    pub(crate) fn to_load(&self) -> [&Script; 10] {
        [
            &self.acquire_or_wait,
            &self.step_back,
            &self.leave,
            &self.acquire,
            &self.acquire_many,
            &self.release,
            &self.release_many,
            &self.extend,
            &self.extend_many,
            &self.probe,
        ]
    }
}

/// How a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Scripts by their digest.
    Brief,
    /// Scripts with their text, for a node that turned out not to have them.
    Whole,
    /// A lock by SET; its ballot is accepted behind it, see [`Ballots`](super::ballots::Ballots).
    Apart,
}

impl Question {
    /// Whether the question is asked by SET NX.
    pub(crate) fn is_set(self, target: &Target, form: Form) -> bool {
        match self {
            Question::Acquire { ballot: 0, .. } => target.names().len() == 1,
            Question::Acquire { .. } => form == Form::Apart,
            _ => false,
        }
    }

    /// Appends the question to `out`.
    pub(crate) fn write(
        self,
        out: &mut Vec<u8>,
        scripts: &Scripts,
        target: &Target,
        token: &[u8],
        form: Form,
    ) {
        let many = target.names().len() > 1;
        let mut call = Call {
            out,
            target,
            token,
            form,
        };
        match self {
            Question::Acquire { ttl_ms, .. } if self.is_set(target, form) => call.set(ttl_ms),
            Question::Acquire { ttl_ms, ballot } | Question::AcquireAgain { ttl_ms, ballot } => {
                call.acquire(scripts, ttl_ms, ballot);
            }
            Question::Release { .. } if many => call.release_many(scripts),
            Question::Release { window_ms } => call.release(scripts, window_ms),
            Question::AcquireOrWait {
                ttl_ms,
                ballot,
                waiter,
                arrival,
            } => call.acquire_or_wait(scripts, (ttl_ms, ballot), (waiter, arrival)),
            Question::StepBack { waiter, arrival } => call.step_back(scripts, waiter, arrival),
            Question::Leave { waiter } => call.leave(scripts, waiter),
            Question::Extend { ttl_ms } => {
                let script = match many {
                    true => &scripts.extend_many,
                    false => &scripts.extend,
                };
                let mut digits = Digits::new();
                call.script(script, &[resp::decimal(ttl_ms, &mut digits)]);
            }
            Question::IsFree => call.exists(),
            Question::Survey => call.survey(),
            Question::Identify | Question::KeepWitness | Question::Learn { .. } => {
                self.write_about_server(out, scripts);
            }
        }
    }

    /// Appends a question that is about no resource.
    pub(crate) fn write_about_server(self, out: &mut Vec<u8>, scripts: &Scripts) {
        let script = match self {
            Question::KeepWitness => &scripts.witness,
            Question::Learn { many: false } => &scripts.acquire,
            Question::Learn { many: true } => &scripts.acquire_many,
            _ => return resp::write_command(out, &[b"INFO", b"server"]),
        };
        resp::write_command(out, &[b"SCRIPT", b"LOAD", script.text.as_bytes()]);
    }

    /// What a reply to SET NX means, by which a lock was asked for. The password is that of the connection, to be kept out of
    /// errors.
    pub(crate) fn answer_to_set(
        reply: Reply<'_>,
        password: Option<&Secret>,
    ) -> Result<Answer, Unrelated> {
        match reply {
            Reply::Status(b"OK") => Ok(Answer::Vote(Vote::Yes)),
            Reply::Nil => Ok(Answer::Vote(Vote::No)),
            Reply::Error(text) => Ok(Answer::of_error(text, password)),
            _ => Err(Unrelated),
        }
    }

    /// What a reply to this question means, if it was asked by anything else than SET NX.
    pub(crate) fn answer(
        self,
        reply: Reply<'_>,
        password: Option<&Secret>,
    ) -> Result<Answer, Unrelated> {
        use Question::*;
        Ok(match (self, reply) {
            (Acquire { .. } | AcquireAgain { .. }, Reply::Integer(0)) => Answer::Vote(Vote::Yes),
            (Acquire { .. } | AcquireAgain { .. }, Reply::Integer(least @ 1..)) => {
                Answer::NeedsBallot(least as u64)
            }
            (Acquire { .. } | AcquireAgain { .. }, Reply::Integer(NEVER_EXPIRES)) => {
                Answer::Strange(Stranger::NeverExpires)
            }
            (Acquire { .. } | AcquireAgain { .. }, Reply::Integer(_)) => Answer::Vote(Vote::No),
            (AcquireOrWait { .. }, Reply::Integer(0)) => Answer::Vote(Vote::Yes),
            (AcquireOrWait { .. }, Reply::Integer(least @ 1..)) => {
                Answer::NeedsBallot(least as u64)
            }
            (AcquireOrWait { .. }, Reply::Integer(held)) => held_answer(held),
            (Leave { .. }, Reply::Integer(_)) => Answer::Done,
            (Release { .. } | StepBack { .. } | Extend { .. }, Reply::Integer(1)) => {
                Answer::Vote(Vote::Yes)
            }
            (Release { .. } | StepBack { .. } | Extend { .. }, Reply::Integer(0)) => {
                Answer::Vote(Vote::No)
            }
            (IsFree, Reply::Integer(0)) => Answer::Vote(Vote::Yes),
            (IsFree, Reply::Integer(_)) => Answer::Vote(Vote::No),
            (Identify, Reply::Bulk(info)) => Answer::Boot(run_id(info)),
            (Survey, Reply::Bulk(text)) => {
                Answer::Survey(Box::new(self::Survey::read(text, password)))
            }
            (KeepWitness | Learn { .. }, Reply::Bulk(_)) => Answer::Done,
            // The key is there, as some other library's hash or list: taken, and certainly not ours.
            (Acquire { .. } | AcquireAgain { .. } | AcquireOrWait { .. }, Reply::Error(text))
                if is_wrong_type(text) =>
            {
                Answer::Strange(Stranger::NotAString)
            }
            (_, Reply::Error(text)) if is_wrong_type(text) => Answer::Vote(Vote::No),
            (_, Reply::Error(text)) => Answer::of_error(text, password),
            _ => return Err(Unrelated),
        })
    }
}

/// The answer of a script that takes locks, if the key that is in its way never expires: -2 - PTTL.
const NEVER_EXPIRES: i64 = -1;
/// What is subtracted from the answer to [`Question::AcquireOrWait`] when the owner is of another library, and when its key
/// never expires.
const NOT_OURS: i64 = 1 << 42;
const NOT_OURS_FOR_EVER: i64 = 1 << 43;

fn held_answer(answer: i64) -> Answer {
    let (left, calls, stranger) = match -2 - answer {
        NOT_OURS_FOR_EVER.. => (0, false, Some(Stranger::NeverExpires)),
        left @ NOT_OURS.. => (left - NOT_OURS, false, None),
        left => (left, true, None),
    };
    Answer::Held {
        look_after_ms: left.max(0) as u64,
        calls,
        stranger,
    }
}

/// A command that is being written.
struct Call<'a> {
    out: &'a mut Vec<u8>,
    target: &'a Target,
    token: &'a [u8],
    form: Form,
}

impl Call<'_> {
    fn set(&mut self, ttl_ms: u64) {
        resp::begin_command(self.out, 6);
        resp::write_word(self.out, &[b"SET"]);
        for key in self.target.locks() {
            resp::write_word(self.out, &key);
        }
        resp::write_word(self.out, &[self.token]);
        resp::write_word(self.out, &[b"NX"]);
        resp::write_word(self.out, &[b"PX"]);
        resp::write_number(self.out, ttl_ms);
    }

    fn exists(&mut self) {
        resp::begin_command(self.out, 1 + self.target.names().len());
        resp::write_word(self.out, &[b"EXISTS"]);
        for key in self.target.locks() {
            resp::write_word(self.out, &key);
        }
    }

    /// Seldom asked, so that no server has to keep it.
    fn survey(&mut self) {
        let script = include_str!("../../scripts/survey.lua");
        begin_call(self.out, b"EVAL", script, (1, 0));
        resp::write_word(self.out, &self.target.ballots());
    }

    fn acquire(&mut self, scripts: &Scripts, ttl_ms: u64, ballot: u64) {
        let (mut ttl, mut number) = (Digits::new(), Digits::new());
        let (ttl, ballot) = (
            resp::decimal(ttl_ms, &mut ttl),
            ballot_word(ballot, &mut number),
        );
        let (locks, fenced) = (self.target.names().len(), !ballot.is_empty());
        let script = match (locks, fenced) {
            (1, true) => &scripts.acquire,
            _ => &scripts.acquire_many,
        };
        self.begin(script, (locks + usize::from(fenced), 4 + locks));
        for key in self.target.locks() {
            resp::write_word(self.out, &key);
        }
        if fenced {
            resp::write_word(self.out, &self.target.ballots());
        }
        for word in [self.token, ttl, ballot, scripts.retention()] {
            resp::write_word(self.out, &[word]);
        }
        for cell in self.target.cells() {
            resp::write_number(self.out, cell.into());
        }
    }

    fn release(&mut self, scripts: &Scripts, window_ms: u64) {
        let [lock, waiting, queue] = self.target.queue_keys();
        let grace = scripts.grace_ms.as_bytes();
        let mut digits = Digits::new();
        let window = resp::decimal(window_ms, &mut digits);
        let arguments: [&[&[u8]]; 3] = [&[self.token], &[grace], &[window]];
        let keys: [&[&[u8]]; 4] = [&lock, &waiting, &queue, &self.target.open_key()];
        let (keys, arguments) = match window_ms {
            0 => (&keys[..3], &arguments[..2]),
            _ => (&keys[..], &arguments[..]),
        };
        self.call(&scripts.release, keys, arguments);
    }

    fn release_many(&mut self, scripts: &Scripts) {
        let grace = scripts.grace_ms.as_bytes();
        self.begin(&scripts.release_many, (3 * self.target.names().len(), 2));
        for kind in 0..3 {
            for keys in self.target.all_queue_keys() {
                resp::write_word(self.out, &keys[kind]);
            }
        }
        resp::write_word(self.out, &[self.token]);
        resp::write_word(self.out, &[grace]);
    }

    fn step_back(&mut self, scripts: &Scripts, waiter: u64, arrival: u64) {
        let [lock, waiting, queue] = self.target.queue_keys();
        let (mut number, mut came) = (Digits::new(), Digits::new());
        let waiter = [
            scripts.channel.as_bytes(),
            b"|",
            resp::decimal(waiter, &mut number),
        ];
        let arrival = resp::decimal(arrival, &mut came);
        let grace = scripts.grace_ms.as_bytes();
        self.call(
            &scripts.step_back,
            &[&lock, &waiting, &queue],
            &[&[self.token], &waiter, &[arrival], &[grace]],
        );
    }

    fn leave(&mut self, scripts: &Scripts, waiter: u64) {
        let [lock, waiting, queue] = self.target.queue_keys();
        let mut number = Digits::new();
        let waiter = [
            scripts.channel.as_bytes(),
            b"|",
            resp::decimal(waiter, &mut number),
        ];
        let grace = scripts.grace_ms.as_bytes();
        self.call(
            &scripts.leave,
            &[&lock, &waiting, &queue],
            &[&waiter, &[grace]],
        );
    }

    fn acquire_or_wait(
        &mut self,
        scripts: &Scripts,
        (ttl_ms, ballot): (u64, u64),
        (waiter, arrival): (u64, u64),
    ) {
        let [lock, waiting, queue] = self.target.queue_keys();
        let Some(cell) = self.target.cells().next() else {
            return;
        };
        let mut digits = [Digits::new(); 5];
        let [ttl, number, cell_digits, name, came] = &mut digits;
        let waiter = [
            scripts.channel.as_bytes(),
            b"|",
            resp::decimal(waiter, name),
        ];
        self.call(
            &scripts.acquire_or_wait,
            &[
                &lock,
                &waiting,
                &queue,
                &self.target.ballots(),
                &self.target.open_key(),
            ],
            &[
                &[self.token],
                &[resp::decimal(ttl_ms, ttl)],
                &[ballot_word(ballot, number)],
                &[scripts.retention()],
                &waiter,
                &[resp::decimal(arrival, came)],
                &[scripts.grace_ms.as_bytes()],
                &[resp::decimal(cell.into(), cell_digits)],
            ],
        );
    }

    /// A script's call, with each key and argument in parts.
    fn call(&mut self, script: &Script, keys: &[&[&[u8]]], arguments: &[&[&[u8]]]) {
        self.begin(script, (keys.len(), arguments.len()));
        for word in keys.iter().chain(arguments) {
            resp::write_word(self.out, word);
        }
    }

    /// A script's call: the locks' keys, the token and more arguments.
    fn script(&mut self, script: &Script, arguments: &[&[u8]]) {
        self.begin(script, (self.target.names().len(), 1 + arguments.len()));
        for key in self.target.locks() {
            resp::write_word(self.out, &key);
        }
        resp::write_word(self.out, &[self.token]);
        for argument in arguments {
            resp::write_word(self.out, &[argument]);
        }
    }

    /// The head of a script's call: that many keys, and arguments behind them.
    fn begin(&mut self, script: &Script, counts: (usize, usize)) {
        let (verb, script): (&[u8], &str) = match self.form {
            Form::Brief | Form::Apart => (b"EVALSHA", &script.digest),
            Form::Whole => (b"EVAL", &script.text),
        };
        begin_call(self.out, verb, script, counts);
    }
}

fn begin_call(out: &mut Vec<u8>, verb: &[u8], script: &str, (keys, arguments): (usize, usize)) {
    resp::begin_command(out, 3 + keys + arguments);
    resp::write_word(out, &[verb]);
    resp::write_word(out, &[script.as_bytes()]);
    resp::write_number(out, keys as u64);
}

/// A ballot as the scripts want it, empty for none.
fn ballot_word(ballot: u64, digits: &mut Digits) -> &[u8] {
    match ballot {
        0 => b"",
        ballot => resp::decimal(ballot, digits),
    }
}

/// The run id in the text of INFO.
fn run_id(info: &[u8]) -> Option<RunId> {
    let text = std::str::from_utf8(info).ok()?;
    let id = text.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    RunId::new(id.trim().as_bytes())
}

/// Inside a script's error, 6.2 puts its own words before the code.
fn is_wrong_type(text: &[u8]) -> bool {
    text.starts_with(b"WRONGTYPE") || text.windows(10).any(|part| part == b"WRONGTYPE ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACQUIRE: Question = Question::Acquire {
        ttl_ms: 1,
        ballot: 7,
    };
    const RELEASE: Question = Question::Release { window_ms: 0 };

    #[test]
    fn an_unexpected_reply_is_no_answer() {
        for reply in [
            Reply::Status(b"QUEUED"),
            Reply::Status(b"OK"),
            Reply::Bulk(b"OK"),
            Reply::Nil,
        ] {
            assert_eq!(ACQUIRE.answer(reply, None), Err(Unrelated));
        }
        assert_eq!(RELEASE.answer(Reply::Integer(2), None), Err(Unrelated));
    }

    #[test]
    fn a_script_s_reply_is_none_to_set() {
        let answer = |reply| Question::answer_to_set(reply, None);
        assert_eq!(answer(Reply::Status(b"OK")), Ok(Answer::Vote(Vote::Yes)));
        assert_eq!(answer(Reply::Nil), Ok(Answer::Vote(Vote::No)));
        for reply in [
            Reply::Integer(0),
            Reply::Status(b"PONG"),
            Reply::Bulk(b"OK"),
        ] {
            assert_eq!(answer(reply), Err(Unrelated));
        }
    }

    #[test]
    fn an_acquire_is_granted_refused_or_asked_for_a_larger_ballot() {
        let answer = |number| ACQUIRE.answer(Reply::Integer(number), None).unwrap();
        assert_eq!(answer(0), Answer::Vote(Vote::Yes));
        assert_eq!(answer(9), Answer::NeedsBallot(9));
        for held in [-2, -20_000] {
            assert_eq!(answer(held), Answer::Vote(Vote::No));
        }
        let endless = Answer::Strange(Stranger::NeverExpires);
        assert_eq!(answer(-1), endless);
    }

    #[test]
    fn a_key_of_another_type_counts_as_taken() {
        let direct =
            Reply::Error(b"WRONGTYPE Operation against a key holding the wrong kind of value");
        let in_script = Reply::Error(
            b"ERR Error running script (call to f_1): @user_script:5: WRONGTYPE Operation against a key",
        );
        for reply in [direct, in_script] {
            assert_eq!(RELEASE.answer(reply, None), Ok(Answer::Vote(Vote::No)));
            let not_a_string = Answer::Strange(Stranger::NotAString);
            assert_eq!(ACQUIRE.answer(reply, None), Ok(not_a_string));
        }
    }

    #[test]
    fn the_scripts_of_two_boots_differ() {
        let terms = Terms {
            key_prefix: "".into(),
            max_ttl_ms: 1,
            fencing: true,
            ballot_retention_ms: 1,
            fair_grace_ms: 1,
            channel: "".into(),
        };
        let one = Scripts::for_boot("a", terms.clone());
        let other = Scripts::for_boot("b", terms);
        assert_ne!(one.acquire.digest, other.acquire.digest);
        assert_ne!(one.witness.digest, other.witness.digest);
    }

    #[test]
    fn the_run_id_is_found_in_info() {
        let info = b"# Server\r\nredis_version:7.0.15\r\nrun_id:8c0e\r\ntcp_port:1\r\n";
        let answer = Question::Identify.answer(Reply::Bulk(info), None);
        assert_eq!(answer, Ok(Answer::Boot(RunId::new(b"8c0e"))));
    }
}
