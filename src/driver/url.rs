//! Node URLs: what one says, and what a refusal may show of one.
//!
//! A URL with an error may be one whose password was not percent-encoded, so that parts of the password stand where a host, a
//! port, a path or a parameter should be. Whatever could be such a part is not shown.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use url::{ParseError, Url};

use super::endpoint::Endpoint;
use crate::protocol::node::config::Protocol;
use crate::protocol::node::secret::{MARK, Secret};
use crate::protocol::node::text::{is_invisible, quoted};

/// What a user may write, for error messages.
const FORMS: &str = "redis://[user:password@]host[:port][/database], rediss://... for TLS, or \
     unix:///path/to/socket[?db=0&user=...&pass=...]";

/// What to do about special characters in credentials.
const ENCODE: &str = "percent-encode the user and the password: '/' is %2F, '#' is %23, '?' is %3F, '@' is %40, ':' is \
     %3A, '&' is %26, '%' is %25, '+' is %2B, a space is %20";

/// The schemes that are known, in lower case.
const SCHEMES: [&str; 7] = [
    "redis",
    "rediss",
    "valkey",
    "valkeys",
    "unix",
    "redis+unix",
    "valkey+unix",
];

/// The parameters of a socket's URL and of a TCP URL.
const UNIX_PARAMETERS: [&str; 4] = ["db", "user", "pass", "protocol"];
const TCP_PARAMETERS: [&str; 1] = ["protocol"];

/// What other libraries call their parameters: if one of these is unknown here, the message may name it.
const FOREIGN_PARAMETERS: [&str; 8] = [
    "database",
    "db",
    "pass",
    "password",
    "timeout",
    "user",
    "username",
    "virtual_host",
];

const DEFAULT_PORT: u16 = 6379;

/// The room for a socket's path in `sockaddr_un`, less the closing NUL.
const LONGEST_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

const NUL: &str = "it contains a NUL byte";
const NOT_ALLOWED: &str = "the host contains a character that is not allowed there";
const NO_HOST: &str = "the host is missing";
const BAD_PORT: &str = "the port must be a number from 1 to 65535";
const BAD_DATABASE: &str = "the database must be a number from 0";

/// What a URL says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) endpoint: Endpoint,
    /// Whether to speak TLS.
    pub(crate) secure: bool,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: i64,
    pub(crate) protocol: Option<Protocol>,
}

/// Why a URL is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What may be shown of the URL, in quotes.
    pub(crate) shown: String,
    pub(crate) reason: String,
}

/// Reads a node's URL.
pub(crate) fn read(url: &str) -> Result<Parts, Refusal> {
    let known = known_scheme(url);
    let doubtful = |reason: &str| Refusal {
        shown: match (known, url.is_empty()) {
            (Some(scheme), _) => format!("'{scheme}://{MARK}'"),
            (None, false) => format!("'{MARK}'"),
            (None, true) => "''".to_owned(),
        },
        reason: match known {
            Some(_) => format!("{reason} ({ENCODE})"),
            None => reason.to_owned(),
        },
    };
    check_characters(url).map_err(doubtful)?;
    let Some(scheme) = known else {
        return Err(doubtful(&format!("{}; use {FORMS}", no_scheme(url))));
    };
    let parsed = Url::parse(url).map_err(|error| doubtful(malformed(error)))?;
    parts(scheme, &parsed).map_err(|reason| match shown(scheme, url, &parsed) {
        Some(shown) => Refusal { shown, reason },
        None => doubtful(&reason),
    })
}

/// The scheme, if it is one of ours.
fn known_scheme(url: &str) -> Option<&'static str> {
    let (scheme, _) = url.split_once("://")?;
    SCHEMES
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(scheme))
}

fn no_scheme(url: &str) -> &'static str {
    match (url.is_empty(), url.contains("://")) {
        (true, _) => "it is empty",
        (_, true) => "unknown scheme",
        (_, false) => "it has no scheme",
    }
}

/// What the parser would drop or change without a word.
fn check_characters(url: &str) -> Result<(), &'static str> {
    if url.contains('\0') {
        return Err(NUL);
    }
    if url.trim() != url {
        return Err("it begins or ends with white space");
    }
    if url.contains(|c: char| c.is_control() || c == ' ') {
        return Err("it contains a space or a control character, which is not allowed");
    }
    Ok(())
}

fn malformed(error: ParseError) -> &'static str {
    match error {
        ParseError::EmptyHost => NO_HOST,
        ParseError::InvalidPort => BAD_PORT,
        ParseError::InvalidIpv6Address => "the IPv6 address is malformed",
        ParseError::InvalidDomainCharacter => NOT_ALLOWED,
        _ => "it is malformed",
    }
}

fn is_unix(scheme: &str) -> bool {
    scheme.ends_with("unix")
}

fn parts(scheme: &str, url: &Url) -> Result<Parts, String> {
    match url.fragment() {
        None => {}
        Some("insecure") => {
            return Err(
                "#insecure (TLS without verification) is not supported: name the server's certificate authority \
                 in a CA file instead"
                    .to_owned(),
            );
        }
        Some(_) => return Err(format!("it has a '#' part; {ENCODE}")),
    }
    let parts = match is_unix(scheme) {
        true => unix_parts(url)?,
        false => tcp_parts(scheme, url)?,
    };
    let password = parts.password.as_ref().map(Secret::reveal);
    let has_nul = |text: Option<&str>| text.is_some_and(|text| text.contains('\0'));
    if has_nul(parts.user.as_deref()) || has_nul(password) {
        return Err(NUL.to_owned());
    }
    Ok(parts)
}

fn tcp_parts(scheme: &str, url: &Url) -> Result<Parts, String> {
    let host = match url.host() {
        Some(url::Host::Ipv6(address)) => address.to_string(),
        Some(host) => host.to_string().to_ascii_lowercase(),
        None => String::new(),
    };
    check_host(&host)?;
    if url.port() == Some(0) {
        return Err(BAD_PORT.to_owned());
    }
    let parameters = Parameters::of(url, &TCP_PARAMETERS)?;
    let user = decode(url.username(), false).ok_or("the user is not valid UTF-8")?;
    let password = url
        .password()
        .map(|password| decode(password, false).ok_or("the password is not valid UTF-8"))
        .transpose()?;
    Ok(Parts {
        endpoint: Endpoint::Tcp {
            host,
            port: url.port().unwrap_or(DEFAULT_PORT),
        },
        secure: matches!(scheme, "rediss" | "valkeys"),
        user: (!user.is_empty()).then_some(user),
        password: password.as_deref().map(Secret::new),
        database: database(url.path().trim_matches('/'), "redis://host:6379/0")?,
        protocol: parameters.protocol()?,
    })
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err(NO_HOST);
    }
    if host.contains('%') {
        return Err(NOT_ALLOWED);
    }
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => {
            Err("0.0.0.0 and :: are not addresses to connect to")
        }
        _ => Ok(()),
    }
}

fn unix_parts(url: &Url) -> Result<Parts, String> {
    if url.has_host() && url.host_str() != Some("") {
        return Err("a socket's path begins after three slashes: unix:///path".to_owned());
    }
    let path = PathBuf::from(OsString::from_vec(decode_bytes(url.path(), false)));
    check_path(&path)?;
    let parameters = Parameters::of(url, &UNIX_PARAMETERS)?;
    Ok(Parts {
        endpoint: Endpoint::Unix(path),
        secure: false,
        user: parameters.get("user").map(str::to_owned),
        password: parameters.get("pass").map(Secret::new),
        database: database(parameters.get("db").unwrap_or("0"), "?db=0")?,
        protocol: parameters.protocol()?,
    })
}

fn check_path(path: &Path) -> Result<(), String> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() || bytes == b"/" {
        return Err("the socket's path is missing".to_owned());
    }
    if bytes.contains(&0) {
        return Err(NUL.to_owned());
    }
    match bytes.len() {
        ..=LONGEST_SOCKET_PATH => Ok(()),
        length => Err(format!(
            "the socket's path has {length} bytes; the system allows {LONGEST_SOCKET_PATH}"
        )),
    }
}

fn database(text: &str, example: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    match text.parse::<i32>() {
        Ok(number @ 0..) => Ok(number.into()),
        _ => Err(format!("{BAD_DATABASE}, as in {example}")),
    }
}

/// What stands behind the question mark.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// One that would be ignored is refused: with `?db=3` on a TCP URL, locks would be taken in another database than was
    /// meant.
    fn of(url: &Url, allowed: &[&str]) -> Result<Parameters, String> {
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in url.query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name.is_empty() && value.is_empty() {
                continue;
            }
            if !allowed.contains(&name) {
                return Err(unknown_parameter(name, &found, allowed));
            }
            if found.iter().any(|(other, _)| other == name) {
                return Err(format!("the parameter '{name}' is given twice; {ENCODE}"));
            }
            let value = decode(value, true)
                .ok_or_else(|| format!("the parameter '{name}' is not valid UTF-8"))?;
            found.push((name.to_owned(), value));
        }
        Ok(Parameters(found))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(other, _)| other == name)?;
        Some(value)
    }

    fn protocol(&self) -> Result<Option<Protocol>, &'static str> {
        match self.get("protocol") {
            None => Ok(None),
            Some("resp2" | "2") => Ok(Some(Protocol::Resp2)),
            Some("resp3" | "3") => Ok(Some(Protocol::Resp3)),
            Some(_) => Err("the protocol must be resp2 or resp3"),
        }
    }
}

/// A name that is not well known may be the rest of a password with an '&' in it, and so may one behind a password.
fn unknown_parameter(name: &str, before: &[(String, String)], allowed: &[&str]) -> String {
    let is_clear = FOREIGN_PARAMETERS.contains(&name) && !before.iter().any(|(it, _)| it == "pass");
    let shown = match is_clear {
        true => format!(" '{name}'"),
        false => String::new(),
    };
    let allowed = allowed.join(", ");
    format!("unknown parameter{shown}; allowed after '?': {allowed}; {ENCODE}")
}

/// A socket's path as it stands in a URL, readable as far as it fits into one line.
pub(crate) fn encode_path(path: &Path) -> String {
    let mut encoded = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            match is_plain(character) {
                true => encoded.push(character),
                false => encode(character.encode_utf8(&mut [0; 4]).as_bytes(), &mut encoded),
            }
        }
        encode(chunk.invalid(), &mut encoded);
    }
    encoded
}

fn is_plain(character: char) -> bool {
    match character.is_ascii() {
        true => character.is_ascii_alphanumeric() || "/-._~!$&()*+,;=:@".contains(character),
        false => !is_invisible(character) && !character.is_whitespace(),
    }
}

fn encode(bytes: &[u8], encoded: &mut String) {
    for byte in bytes {
        encoded.push_str(&format!("%{byte:02X}"));
    }
}

/// Percent-decoded text, if it is UTF-8.
fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    String::from_utf8(decode_bytes(text, plus_is_space)).ok()
}

/// A '%' without two hexadecimal digits stands for itself.
fn decode_bytes(text: &str, plus_is_space: bool) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, tail @ ..] = rest {
        let (byte, length) = match (first, percent_byte(tail)) {
            (b'%', Some(byte)) => (byte, 3),
            (b'+', _) if plus_is_space => (b' ', 1),
            _ => (*first, 1),
        };
        decoded.push(byte);
        rest = &rest[length..];
    }
    decoded
}

fn percent_byte(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    Some((digit(0)? * 16 + digit(1)?) as u8)
}

/// What a message may show of a URL that could be parsed: the host, or the socket's path. `None` if that may be a part of a
/// password: a '@' that comes later shows that the credentials were to go on until there.
fn shown(scheme: &str, url: &str, parsed: &Url) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if rest[authority..].contains('@') {
        return None;
    }
    let user = match rest[..authority].contains('@') {
        true => format!("{MARK}@"),
        false => String::new(),
    };
    let host = parsed.host_str().unwrap_or_default();
    let path = parsed.path();
    let place = match (is_unix(scheme), host.is_empty()) {
        (true, true) => path.to_owned(),
        (false, false) => {
            let port = parsed
                .port()
                .map_or(String::new(), |port| format!(":{port}"));
            let digits = path
                .bytes()
                .all(|byte| byte == b'/' || byte.is_ascii_digit());
            let path = if digits { path } else { "/***" };
            format!("{host}{port}{path}")
        }
        _ => return None,
    };
    let tail = match (parsed.query(), parsed.fragment()) {
        (Some(_), _) => "?***",
        (None, Some(_)) => "#***",
        (None, None) => "",
    };
    Some(quoted(&format!("{scheme}://{user}{place}{tail}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::address::parse;
    use crate::driver::tls::TlsOptions;
    use crate::protocol::node::secret::PIECE;
    use proptest::prelude::*;
    use redis::{ConnectionAddr, IntoConnectionInfo};

    fn refusal(url: &str) -> String {
        let error = parse(url, &TlsOptions::default(), Protocol::Auto)
            .err()
            .unwrap_or_else(|| panic!("{url} was accepted"));
        assert_eq!(
            error.status(),
            crate::error::Status::InvalidArgument,
            "{url}"
        );
        error.message().to_owned()
    }

    #[test]
    fn every_bad_url_is_refused_with_its_reason() {
        for (url, reason) in [
            ("", "it is empty; use redis://"),
            ("localhost:6379", "no scheme"),
            ("http://h", "unknown scheme"),
            ("redis:/h", "no scheme"),
            ("redis://", "host is missing"),
            ("redis:///0", "host is missing"),
            ("redis://:7000", "host is missing"),
            ("redis://u:p@", "host is missing"),
            ("redis://h:0", "port must be a number from 1 to 65535"),
            ("redis://h:65536", "port must be a number from 1 to 65535"),
            ("redis://h:x", "port must be a number from 1 to 65535"),
            ("redis://h:-1", "port must be a number from 1 to 65535"),
            ("redis://h/x", "database must be a number from 0"),
            ("redis://h/-1", "database must be a number from 0"),
            ("redis://h/0/1", "database must be a number from 0"),
            ("redis://h/99999999999", "database must be a number from 0"),
            ("redis://h?db=3", "unknown parameter 'db'"),
            ("unix:///s?database=3", "unknown parameter 'database'"),
            ("unix:///s?db=x", "database must be a number from 0"),
            ("redis://h?protocol=4", "protocol must be resp2 or resp3"),
            ("redis://a b", "a space or a control character"),
            ("redis://a%20b", "character that is not allowed"),
            ("redis://[::1", "IPv6 address is malformed"),
            ("redis://[xyz]", "IPv6 address is malformed"),
            ("redis://0.0.0.0", "not addresses to connect to"),
            ("redis://[::]", "not addresses to connect to"),
            (" redis://h", "white space"),
            ("redis://h\n", "white space"),
            ("redis://h\0", "NUL"),
            ("redis://u:%00@h", "NUL"),
            ("unix:///a%00b", "NUL"),
            ("redis://u:%ff@h", "password is not valid UTF-8"),
            ("rediss://h#insecure", "#insecure"),
            ("redis://h#x", "'#'"),
            ("unix://host/path", "three slashes"),
            ("unix://", "path is missing"),
            ("rediss://a,b", "no name that a certificate can bear"),
        ] {
            let message = refusal(url);
            assert!(message.contains(reason), "{url:?}: {message}");
        }
        let long = format!("unix:///{}", "x".repeat(200));
        assert!(refusal(&long).contains("the system allows"));
    }

    #[test]
    fn an_unquoted_password_is_never_shown_and_the_message_says_what_to_do() {
        for url in [
            "redis://:s3cr#et/pa@ss@host",
            "redis://:s3cr/et@host",
            "redis://u:s3cr?et@host:6379/1",
            "redis://:1#s3cr/et@pass@host",
            "redis://u:1/s3cr@et",
            "redis://u:p@s3cr/et@host",
            "redis://:s3cret",
            "redis://:s3c ret@host",
            "redis://:s3cr\tet@host",
            "redis://:%s3cr[et]#@host",
            "unix:///p?pass=a&s3cret",
            "unix:///p?pass=a&s3cret=b",
            "unix:///p?pass=a#s3cret",
            "unix:///p?pass=a&pass=s3cret",
            "unix:///p?user=a&s3cret&db=1",
            "unix://u:s3cret@/p",
            "unix://s3cret/p?pass=x",
        ] {
            let message = refusal(url);
            for part in ["s3c", "cret", "pass@", "@ss", "et@"] {
                assert!(!message.contains(part), "{url}: {message}");
            }
            assert!(
                message.contains("%23") || url.contains("unix://"),
                "{url}: {message}"
            );
        }
        for url in [
            "redis:S3CRET...://",
            "redis:s3cret@host",
            "S3CRET",
            "s3cret://h",
            "u:s3cret@h:1",
        ] {
            let message = refusal(url);
            assert!(
                !message.to_ascii_lowercase().contains("s3cr"),
                "{url}: {message}"
            );
        }
    }

    #[test]
    fn what_is_no_secret_helps_to_find_the_error() {
        for (url, shown) in [
            ("redis://u:p@Host:7000/x", "'redis://***@Host:7000/***'"),
            ("redis://h/99999999999", "'redis://h/99999999999'"),
            ("redis://h?protocol=4", "'redis://h?***'"),
            ("rediss://h#insecure", "'rediss://h#***'"),
            (
                "unix:///run/redis.sock?db=x",
                "'unix:///run/redis.sock?***'",
            ),
            ("http://h", "'***': unknown scheme"),
        ] {
            let message = refusal(url);
            assert!(message.contains(shown), "{url}: {message}");
        }
        let long = refusal(&format!("redis://{}/x", "h".repeat(10_000)));
        assert!(long.len() < 1_200, "{long}");
    }

    #[test]
    fn no_refusal_shows_a_credential() {
        for url in [
            "redis://ann:hunter2@h:x",
            "redis://ann:hunter2@h/x",
            "redis://ann:hunter2@h#insecure",
            "redis://ann:hunter2@",
            "redis://:hun/ter2@h",
            "redis://:hun#ter2@h",
            "redis://:hun?ter2@h",
            "redis://:hun:ter2@h:x",
            "redis://:hunter2",
            "redis://ann:hunter2",
            "redis://:hunter2@h:6379:1",
            "http://ann:hunter2@h",
            "ann:hunter2@h",
            "redis:ann:hunter2@h",
            "redis://h?password=hunter2",
            "redis://h?pass=hun@ter2",
            "redis://ann:6379?hunter2@h",
            "redis://ann:6379?hun=ter2@h",
            "unix:///s?pass=hunter2&db=x",
            "unix:///s?pass=hun@ter2&db=x",
            "unix://ann:hunter2@h/s",
            "rediss://ann:hunter2@a,b",
        ] {
            let message = refusal(url);
            for part in ["ann", "hun", "ter2"] {
                assert!(!message.contains(part), "{url}: {message}");
            }
        }
    }

    /// Letters that the library's own words and the marks have not got in such runs.
    const LETTERS: &str = "[qxzQXZ0-9@:/?#&%+=. \\[\\]\t\\\\]{4,24}";

    fn encoded(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    proptest! {
        #[test]
        fn no_piece_of_a_password_is_shown_whatever_the_urls_shape(
            secret in LETTERS,
            shape in 0..14usize,
            host in "[a-w]{1,8}",
        ) {
            let url = match shape {
                0 => format!("redis://:{secret}@{host}"),
                1 => format!("redis://u:{secret}@{host}:6379/1"),
                2 => format!("rediss://{secret}@{host}"),
                3 => format!("redis://u:{secret}@{host}/x"),
                4 => format!("redis://u:{secret}@{host}#insecure"),
                5 => format!("redis://u:{secret}@{host}?db=1"),
                6 => format!("redis:{secret}://{host}"),
                7 => format!("{secret}@{host}:1"),
                8 => format!("unix:///{host}?pass={secret}"),
                9 => format!("unix:///{host}?user=u&pass={secret}&db=x"),
                10 => format!("unix://u:{secret}@/{host}"),
                11 => format!("redis://u:{}@{host}/x", encoded(&secret)),
                12 => format!("unix:///{host}?pass={}&db=x", encoded(&secret)),
                _ => format!("http://u:{secret}@{host}"),
            };
            let shown = match parse(&url, &TlsOptions::default(), Protocol::Auto) {
                Ok(address) => format!("{address} {address:?} {:?}", address.login.password),
                Err(error) => format!("{error} {error:?}"),
            };
            for piece in secret.as_bytes().windows(PIECE) {
                let piece = String::from_utf8_lossy(piece).to_ascii_lowercase();
                prop_assert!(!shown.to_ascii_lowercase().contains(&piece), "{:?} in {}", piece, shown);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(url: String) {
            let _ = read(&url);
            for scheme in SCHEMES {
                let _ = read(&format!("{scheme}://{url}"));
            }
        }

        /// The crate that other programs use understands the same by a URL.
        #[test]
        fn a_url_means_what_the_redis_crate_means(
            scheme in prop::sample::select(&SCHEMES[..5]),
            user in "[a-z@é ]{0,6}",
            password in prop::option::of("[a-z@:/?#&%+é ]{1,10}"),
            host in "[a-zA-Z0-9-][a-zA-Z0-9.-]{0,11}|\\[::1\\]",
            port in prop::option::of(1..=u16::MAX),
            database in 0..100i64,
        ) {
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            let (user_at, pass_at) = (encoded(&user), password.as_deref().map(encoded));
            let url = match (scheme, pass_at) {
                ("unix", Some(pass)) => format!("unix:///{}?db={database}&user={user_at}&pass={pass}", encoded(&host)),
                ("unix", None) => format!("unix:///{}?db={database}", encoded(&host)),
                (_, Some(pass)) => format!("{scheme}://{user_at}:{pass}@{host}{port}/{database}"),
                (_, None) => format!("{scheme}://{host}{port}/{database}"),
            };
            let Ok(theirs) = url.as_str().into_connection_info() else {
                return Ok(());
            };
            let ours = read(&url).map_err(|it| TestCaseError::fail(format!("{url}: {it:?}")))?;
            let settings = theirs.redis_settings();
            prop_assert_eq!(ours.user.as_deref(), settings.username());
            prop_assert_eq!(ours.password.as_ref().map(Secret::reveal), settings.password());
            prop_assert_eq!(ours.database, settings.db());
            match (&ours.endpoint, theirs.addr()) {
                (Endpoint::Unix(path), ConnectionAddr::Unix(other)) => prop_assert_eq!(path, other),
                (Endpoint::Tcp { host, port }, ConnectionAddr::Tcp(other, its)) => {
                    prop_assert!(!ours.secure && *host == other.to_ascii_lowercase() && port == its);
                }
                (Endpoint::Tcp { host, port }, ConnectionAddr::TcpTls { host: other, port: its, .. }) => {
                    prop_assert!(ours.secure && *host == other.to_ascii_lowercase() && port == its);
                }
                (ours, theirs) => prop_assert!(false, "{:?} is not {:?}", ours, theirs),
            }
        }
    }
}
