//! Seeded damage to the replies of a dialogue.

/// Random numbers that depend on the seed alone (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `count`, which is not 0.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.number() % count as u64).expect("it is below a usize")
    }

    fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// Pieces of protocol that do harm in wrong places.
const FRAGMENTS: &[&[u8]] = &[
    b"\r\n",
    b"+OK\r\n",
    b"+PONG\r\n",
    b":0\r\n",
    b":1\r\n",
    b":-1\r\n",
    b":9223372036854775807\r\n",
    b":99999999999999999999\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"$-2\r\n",
    b"$1048577\r\n",
    b"$2147483647\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*1\r\n:1\r\n",
    b"*1\r\n:0\r\n",
    b"*2\r\n$20\r\n18446744073709551615\r\n$1\r\n0\r\n",
    b"*1000000000\r\n",
    b"%1000000000\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",inf\r\n",
    b"(170141183460469231731687303715884105727\r\n",
    b"|1\r\n+ttl\r\n:1\r\n",
    b"=5\r\ntxt:a\r\n",
    b"!5\r\nERR x\r\n",
    b">1\r\n+x\r\n",
    b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$16\r\n4294967296 wake r\r\n",
    b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$33\r\n18446744073709551615 standby 99999\r\n",
    b">3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n",
    b"-ERR no\r\n",
    b"-NOSCRIPT No matching script. Please use EVAL.\r\n",
    b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    b"-MOVED 1 127.0.0.1:1\r\n",
    b"-READONLY You can't write against a read only replica.\r\n",
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"\x15\x03\x01\x00\x02\x02\x46",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\0",
];

/// One reply's damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A bit is flipped, at this place of so many thousandths of the reply.
    Flip { at: usize, bit: u32 },
    /// The reply ends there, and the next follows.
    Cut { at: usize },
    /// The reply comes so often.
    Repeat(usize),
    /// The next reply comes before it.
    Swap,
    /// A piece of protocol is put into it.
    Insert { at: usize, fragment: &'static [u8] },
    /// A piece of protocol comes instead.
    Replace(&'static [u8]),
    /// It does not come.
    Drop,
    /// It comes in two parts, the second so many ms later.
    Split { at: usize, ms: u64 },
    /// The connection is closed there.
    Close { at: usize },
}

/// The damage of one session: which of its replies, counted over all its connections, and what.
#[derive(Clone, Debug)]
pub struct Plan {
    damages: Vec<(usize, Damage)>,
}

impl Plan {
    /// The plan of a seed, for a dialogue of so many replies.
    pub fn new(random: &mut Random, replies: usize) -> Plan {
        let count = 1 + random.below(3);
        let damages = (0..count)
            .map(|_| (random.below(replies), damage(random)))
            .collect();
        Plan { damages }
    }

    /// A plan without damage.
    pub fn none() -> Plan {
        Plan {
            damages: Vec::new(),
        }
    }

    /// What happens to the reply of this number.
    pub fn damages(&self, number: usize) -> impl Iterator<Item = &Damage> {
        self.damages
            .iter()
            .filter(move |(at, _)| *at == number)
            .map(|(_, damage)| damage)
    }
}

fn damage(random: &mut Random) -> Damage {
    let at = random.below(1001);
    match random.below(12) {
        0 | 1 => Damage::Flip {
            at,
            bit: u32::try_from(random.below(8)).expect("below 8"),
        },
        2 => Damage::Cut { at },
        3 => Damage::Repeat(2 + random.below(3)),
        4 => Damage::Swap,
        // In front of it, behind it or in its midst.
        5..=7 => Damage::Insert {
            at: [0, 1000, at][random.below(3)],
            fragment: random.pick(FRAGMENTS),
        },
        8 => Damage::Replace(random.pick(FRAGMENTS)),
        9 => Damage::Drop,
        10 => Damage::Split {
            at,
            ms: random.number() % 8,
        },
        _ => Damage::Close { at },
    }
}

/// A place in bytes of that length.
pub fn place(thousandths: usize, length: usize) -> usize {
    length * thousandths / 1000
}
