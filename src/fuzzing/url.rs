//! Node URLs, with any password in them: none is shown, and what is accepted is shown in a form that means the same.

use std::sync::OnceLock;

use super::{Input, assert_presentable};
use crate::driver::address::parse;
use crate::driver::tls::TlsOptions;
use crate::driver::url::read;
use crate::protocol::node::config::Protocol;
use crate::protocol::node::secret::PIECE;

/// What a refusal may say: everything in these, and numbers.
const REFUSED: [&str; 25] = [
    "",
    "x",
    "x://",
    "redis://",
    "redis://h:x",
    "redis://[",
    "redis://a%20b",
    "redis://0.0.0.0",
    "redis://h/x",
    "redis://h?x",
    "redis://h?protocol=4",
    "redis://h#x",
    "redis://h#insecure",
    "redis://u:%00@h",
    "redis://u:%ff@h",
    "redis://%ff:p@h",
    " ",
    "unix://",
    "unix:///p q",
    "unix://h/p",
    "unix:///p?db=1&db=2",
    "unix:///p?pass=%ff",
    "unix:///p?user=1&user=2",
    "unix:///p?pass=1&pass=2",
    "unix:///p?protocol=2&protocol=2",
];

/// How what is not refused is shown, and what stands around a refusal.
const ACCEPTED: &str = "invalid node URL 'valkeys://***': REDLOCK_ERR_INVALID_ARGUMENT: invalid node URL 'unix:///h?***': \
     redis://h:6379/0 Address(redis://h:6379/0) None Some(***) rediss://h:6379/0 Address(rediss://h:6379/0) \
     unix:///h?db=0 Address(unix:///h?db=0) Some(***) \
     'redis://***@h:6379/1': 'redis://***@h/***': 'redis://***@h#***': 'redis://***@h?***': 'redis://h/***': 'redis://h?***'";

/// A byte that chooses where the password stands, and the password; or a whole URL.
pub(super) fn run(data: &[u8]) {
    let mut input = Input(data);
    let shape = input.byte();
    let secret = String::from_utf8_lossy(input.0).into_owned();
    let url = match shape % 12 {
        0 => format!("redis://:{secret}@h"),
        1 => format!("redis://u:{secret}@h:6379/1"),
        2 => format!("valkeys://{secret}@h"),
        3 => format!("redis://u:{secret}@h/x"),
        4 => format!("redis://u:{secret}@h#insecure"),
        5 => format!("redis://u:{secret}@h?db=1"),
        // With a scheme it would be a URL of its own.
        6 | 7 if secret.starts_with("//") || secret.contains("://") => return whole(&secret),
        6 => format!("redis:{secret}://h"),
        7 => format!("{secret}@h:1"),
        8 => format!("unix:///h?pass={secret}"),
        9 => format!("unix:///h?user=u&pass={secret}&db=x"),
        10 => format!("unix://u:{secret}@/h"),
        _ => return whole(&secret),
    };
    let shown = match parse(&url, &TlsOptions::default(), Protocol::Auto) {
        Ok(address) => format!("{address} {address:?} {:?}", address.login.password),
        Err(error) => format!("{error} {error:?}"),
    };
    assert_presentable(&shown);
    assert_hidden(&shown, &secret);
}

/// Numbers may be shown: ports, databases, lengths.
fn without_digits(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "0")
}

fn assert_hidden(shown: &str, secret: &str) {
    static OWN_WORDS: OnceLock<String> = OnceLock::new();
    let own_words = OWN_WORDS.get_or_init(|| {
        let refusals = REFUSED.iter().filter_map(|url| read(url).err());
        let messages =
            refusals.map(|it| format!("invalid node URL '{}: {}\n", it.shown, it.reason));
        without_digits(&(messages.collect::<String>() + ACCEPTED))
    });
    let (shown, secret) = (without_digits(shown), without_digits(secret));
    for piece in secret.as_bytes().windows(PIECE) {
        let piece = String::from_utf8_lossy(piece);
        let is_own = own_words.contains(&*piece) || piece.contains(char::REPLACEMENT_CHARACTER);
        assert!(
            is_own || !shown.contains(&*piece),
            "{piece:?} of {secret:?} is in {shown:?}"
        );
    }
}

fn whole(url: &str) {
    match read(url) {
        Err(refusal) => {
            assert_presentable(&refusal.shown);
            assert_presentable(&refusal.reason);
        }
        Ok(parts) => {
            // Without TLS: whether the system has root certificates is not in question here.
            let is_secure = url
                .get(..7)
                .is_some_and(|it| it.eq_ignore_ascii_case("rediss:"));
            let plain = match is_secure {
                true => format!("redis:{}", &url[7..]),
                false => url.to_owned(),
            };
            let address = parse(&plain, &TlsOptions::default(), Protocol::Auto);
            let Ok(address) = address else { return };
            assert_presentable(address.display());
            let again = read(address.display()).expect("what is shown is a URL");
            assert_eq!(
                (again.endpoint, again.database),
                (parts.endpoint, parts.database)
            );
        }
    }
}
