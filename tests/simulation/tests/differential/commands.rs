//! Random commands of the kinds that the library sends, over few keys, tokens and waiters, so that they meet.

use simulation::random::Random;

/// A command's words.
pub type Command = Vec<Vec<u8>>;

/// Channels that the connections of the test listen on, and one on which nobody listens.
pub const CHANNELS: [&str; 3] = ["libredlock:aaaa", "libredlock:bbbb", "libredlock:dead"];
const RESOURCES: [&str; 4] = ["r", "s", "app:t", "{u}v"];
const CELLS: [&str; 3] = ["7", "16383", "42"];

/// Draws commands.
pub struct Source<'a> {
    pub random: &'a mut Random,
    /// Scripts: name, text, digest.
    pub scripts: &'a [(&'static str, String, String)],
    /// In us since 1970.
    pub now_us: u64,
    pub tokens: &'a [String],
}

fn words(parts: &[&str]) -> Command {
    parts.iter().map(|part| part.as_bytes().to_vec()).collect()
}

impl Source<'_> {
    /// A few commands.
    pub fn commands(&mut self) -> Vec<Command> {
        let count = self.random.between(1, 12);
        (0..count).map(|_| self.command()).collect()
    }

    /// Any command.
    pub fn command(&mut self) -> Command {
        let mut command = match self.random.below(100) {
            0..65 => self.script(),
            65..75 => self.lock(),
            75..84 => self.ballots(),
            84..97 => self.plain(),
            _ => self.about_scripts(),
        };
        // To Redis 6 the number 0 is every connection.
        if command[0] != b"CLIENT" && self.random.per_mille(15) {
            self.spoil(&mut command);
        }
        command
    }

    fn one(&mut self, of: &[&'static str]) -> &'static str {
        self.random.pick::<&'static str>(of)
    }

    fn lock_key(&mut self) -> String {
        self.one(&RESOURCES).to_owned()
    }

    fn token(&mut self) -> String {
        match self.random.below(30) {
            0 => "another library's".to_owned(),
            1 => format!("reserved:{}", self.waiter()),
            _ => self.random.pick(self.tokens).clone(),
        }
    }

    fn waiter(&mut self) -> String {
        format!("{}|{}", self.one(&CHANNELS), self.random.between(1, 3))
    }

    fn ttl(&mut self) -> String {
        match self.random.below(10) {
            0 => self.random.between(1, 20),
            1..7 => self.random.between(20, 3_000),
            _ => self.random.between(3_000, 100_000),
        }
        .to_string()
    }

    /// Near the node's time, or far from it.
    fn ballot(&mut self) -> String {
        let (now, far) = (self.now_us, self.random.below(3_000_000));
        match self.random.below(12) {
            0 => now + far,
            1 => now - far,
            2 => now + 1_000_000,
            3 => now - 1_000_000,
            4 => now + 1_000_001,
            _ => now - self.random.below(6) + 3,
        }
        .to_string()
    }

    fn ballot_or_none(&mut self) -> String {
        match self.random.below(6) {
            0 => String::new(),
            _ => self.ballot(),
        }
    }

    fn arrival(&mut self) -> String {
        (self.now_us - self.random.below(1_000_000)).to_string()
    }

    fn grace(&mut self) -> String {
        self.one(&["200", "50", "1000"]).to_owned()
    }

    /// The names of two resources or three, perhaps one twice.
    fn several(&mut self) -> Vec<&'static str> {
        let count = self.random.between(1, 3);
        (0..count).map(|_| self.one(&RESOURCES)).collect()
    }

    fn script(&mut self) -> Command {
        let resource = self.one(&RESOURCES);
        let lock = resource.to_owned();
        let (waiting, queue) = (
            format!("libredlock:waiting:{resource}"),
            format!("libredlock:queue:{resource}"),
        );
        let open = format!("libredlock:open:{resource}");
        let ballots = "libredlock:ballots".to_owned();
        let retention = self.one(&["5000", "86401000"]).to_owned();
        let line = vec![lock.clone(), waiting, queue];
        let (name, keys, arguments) = match self.random.below(14) {
            0..2 => {
                let cell = self.one(&CELLS).to_owned();
                let arguments = vec![self.token(), self.ttl(), self.ballot(), retention, cell];
                ("acquire", vec![lock, ballots], arguments)
            }
            2 => self.acquire_many(retention),
            3..7 => {
                let cell = self.one(&CELLS).to_owned();
                let keys = [line, vec![ballots, open]].concat();
                let (token, ttl, ballot) = (self.token(), self.ttl(), self.ballot_or_none());
                let (waiter, arrival, grace) = (self.waiter(), self.arrival(), self.grace());
                let arguments = vec![token, ttl, ballot, retention, waiter, arrival, grace, cell];
                ("acquire_waiting", keys, arguments)
            }
            7 => (
                "step_back",
                line,
                vec![self.token(), self.waiter(), self.arrival(), self.grace()],
            ),
            8 => ("leave", line, vec![self.waiter(), self.grace()]),
            9 => ("release", line, vec![self.token(), self.grace()]),
            10 => {
                let window = self.one(&["5", "100"]).to_owned();
                (
                    "release",
                    [line, vec![open]].concat(),
                    vec![self.token(), self.grace(), window],
                )
            }
            11 => self.release_many(),
            12 => ("extend", vec![lock], vec![self.token(), self.ttl()]),
            _ => self.seldom(),
        };
        self.call(name, &keys, &arguments)
    }

    fn acquire_many(&mut self, retention: String) -> (&'static str, Vec<String>, Vec<String>) {
        let names = self.several();
        let mut keys: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let ballot = self.ballot_or_none();
        if !ballot.is_empty() {
            keys.push("libredlock:ballots".to_owned());
        }
        let mut arguments = vec![self.token(), self.ttl(), ballot, retention];
        arguments.extend(names.iter().map(|_| self.one(&CELLS).to_owned()));
        ("acquire_many", keys, arguments)
    }

    fn release_many(&mut self) -> (&'static str, Vec<String>, Vec<String>) {
        let names = self.several();
        let keys = ["", "libredlock:waiting:", "libredlock:queue:"]
            .iter()
            .flat_map(|prefix| names.iter().map(move |name| format!("{prefix}{name}")));
        (
            "release_many",
            keys.collect(),
            vec![self.token(), self.grace()],
        )
    }

    fn seldom(&mut self) -> (&'static str, Vec<String>, Vec<String>) {
        match self.random.below(4) {
            0 => ("probe", vec!["libredlock:probe".to_owned()], Vec::new()),
            1 => ("witness", Vec::new(), Vec::new()),
            2 => ("survey", vec!["libredlock:ballots".to_owned()], Vec::new()),
            _ => {
                let names = self.several();
                let keys = names.iter().map(|name| (*name).to_owned()).collect();
                ("extend_many", keys, vec![self.token(), self.ttl()])
            }
        }
    }

    fn call(&mut self, name: &str, keys: &[String], arguments: &[String]) -> Command {
        let script = self.scripts.iter().find(|(known, ..)| *known == name);
        let (_, text, digest) = script.expect("there is such a script");
        let count = keys.len().to_string();
        let head = match name == "survey" || self.random.per_mille(30) {
            true => ["EVAL", text, &count],
            false => ["EVALSHA", digest, &count],
        };
        let rest = keys
            .iter()
            .chain(arguments)
            .map(|word| word.as_bytes().to_vec());
        words(&head).into_iter().chain(rest).collect()
    }

    /// Locks without a script, and keys as no lock library makes them.
    fn lock(&mut self) -> Command {
        let (key, token, ttl) = (self.lock_key(), self.token(), self.ttl());
        match self.random.below(20) {
            0..14 => words(&["SET", &key, &token, "NX", "PX", &ttl]),
            14 => words(&["SET", &key, &token, "PX", &ttl, "XX"]),
            15 => words(&["SET", &key, &token, "KEEPTTL", "GET"]),
            16 => words(&["SET", &key, &token]),
            17 => words(&["HSET", &key, &token, "1", "b", "2"]),
            18 => words(&["ZADD", &key, "1", "a"]),
            _ => words(&["SET", &key, &token, "EX", "3"]),
        }
    }

    fn ballots(&mut self) -> Command {
        const KEY: &str = "libredlock:ballots";
        const LONG: &str = "-----------------------------------------------------------------";
        match self.random.below(8) {
            0..5 => {
                let mut command = words(&["ZADD", KEY, "GT", "CH"]);
                for _ in 0..self.random.between(1, 4) {
                    let (ballot, cell) = (self.ballot(), self.one(&CELLS));
                    command.extend(words(&[&ballot, cell]));
                }
                command
            }
            5 => words(&["PEXPIRE", KEY, self.one(&["5000", "86401000"])]),
            6 => words(&["ZADD", KEY, "NX", "0", LONG]),
            _ => words(&["TIME"]),
        }
    }

    fn about_scripts(&mut self) -> Command {
        let script = self.random.pick(self.scripts);
        let (text, digest) = (script.1.clone(), script.2.clone());
        match self.random.below(12) {
            0..6 => words(&["SCRIPT", "EXISTS", &digest]),
            6..11 => words(&["SCRIPT", "LOAD", &text]),
            _ => words(&["SCRIPT", "FLUSH"]),
        }
    }

    fn plain(&mut self) -> Command {
        let key = match self.random.below(3) {
            0 => self.lock_key(),
            1 => format!("libredlock:queue:{}", self.lock_key()),
            _ => "libredlock:ballots".to_owned(),
        };
        let (other, member) = (self.lock_key(), self.waiter());
        let (ttl, channel) = (self.ttl(), self.one(&CHANNELS));
        match self.random.below(40) {
            0 => words(&["GET", &key]),
            1 => words(&["MGET", &key, &other]),
            2 => words(&["DEL", &key]),
            3 => words(&["DEL", &key, &other]),
            4 => words(&["EXISTS", &key, &other, &other]),
            5 | 6 => words(&["PTTL", &key]),
            7 => words(&["TTL", &key]),
            8 => words(&["PEXPIRE", &key, &ttl]),
            9 => words(&[
                "PEXPIRE",
                &key,
                &ttl,
                self.one(&["NX", "XX", "GT", "LT", "ZZ"]),
            ]),
            10 => words(&[
                "PEXPIRE",
                &key,
                self.one(&["0", "-1", "x", "9223372036854775807"]),
            ]),
            11 => {
                let at = (self.now_us / 1000 + self.random.below(5_000)).to_string();
                words(&["PEXPIREAT", &key, &at])
            }
            12 => words(&["PERSIST", &key]),
            13 => words(&["TYPE", &key]),
            14 => words(&["ZSCORE", &key, &member]),
            15 => words(&["ZMSCORE", &key, "7", &member]),
            16 => words(&["ZRANGE", &key, "0", "-1", "WITHSCORES"]),
            17 => words(&[
                "ZRANGE",
                &key,
                self.one(&["0", "-1", "1", "-2"]),
                self.one(&["0", "-1", "1", "-2"]),
            ]),
            18 => words(&["ZRANGE", &key, "0", "1", "REV", "WITHSCORES"]),
            19 => words(&["ZREM", &key, &member, "7"]),
            20 => words(&["ZCARD", &key]),
            21 => words(&["ZRANK", &key, &member]),
            22 => words(&["ZCOUNT", &key, "-inf", "(1700000000000000"]),
            23 => words(&["ZRANGEBYSCORE", &key, "-inf", "+inf", "LIMIT", "0", "2"]),
            24 => words(&["ZREMRANGEBYSCORE", &key, "-inf", "0"]),
            25 => words(&["ZADD", &key, "XX", "CH", "5", &member]),
            26 => words(&["ZADD", &key, "LT", "12", &member]),
            27 => words(&["ZADD", &key, "INCR", "1", &member]),
            28 => words(&["HSET", &key, &member, "1"]),
            29 => words(&["HGET", &key, &member]),
            30 => words(&["HDEL", &key, &member, "b"]),
            31 => words(&["HGETALL", &key]),
            32 => words(&["HLEN", &key]),
            33 => words(&["INCR", self.one(&["number", "r"])]),
            34 | 35 => words(&["PUBLISH", channel, &other]),
            36 => words(&["CONFIG", "GET", "appendfsync"]),
            37 => words(&["PING"]),
            38 => words(&["ECHO", &other]),
            _ => words(&["CLIENT", "KILL", "ID", "9223372036854775807"]),
        }
    }

    /// Takes a word away, or puts another in its place.
    fn spoil(&mut self, command: &mut Command) {
        let place = self.random.below(command.len() as u64) as usize;
        match self.random.below(4) {
            0 if command.len() > 1 => {
                command.remove(place);
            }
            1 => command.push(b"x".to_vec()),
            _ if place > 0 => {
                let word = self.one(&["", "x", "-1", "0", "1.5", "99999999999999999999"]);
                command[place] = word.as_bytes().to_vec();
            }
            _ => {}
        }
    }
}
