//! A node's address: what a URL and the TLS files say, checked once, with the credentials kept out of sight.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use once_cell::sync::OnceCell;
use redis::{ConnectionAddr, IntoConnectionInfo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem};
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Result};

/// What a user may write, for error messages.
const FORMS: &str = "redis://[user:password@]host[:port][/database], rediss://... for TLS, or \
     unix:///path/to/socket[?db=0&user=...&pass=...]";

/// The room for a socket's path in `sockaddr_un`, less the closing NUL.
const LONGEST_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The longest part of a URL that an error message repeats.
const LONGEST_QUOTE: usize = 120;

/// Which version of the protocol to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RESP3 where the server has it, RESP2 otherwise.
    #[default]
    Auto,
    /// RESP2, without asking: HELLO is never sent.
    Resp2,
    /// RESP3, or no connection.
    Resp3,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A host name or IP address (IPv6 without brackets), in lower case, and a port.
    Tcp { host: String, port: u16 },
    /// The path of a socket.
    Unix(PathBuf),
}

/// A password, which no formatting shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The password itself, for the AUTH command only.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The text with every occurrence of the password blotted out: servers quote what they were sent.
    pub(crate) fn blot(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        text.replace(&self.0, "***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How to speak TLS with one node.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// Whom to trust, and who we are.
    pub(crate) config: Arc<ClientConfig>,
    /// The name that the server's certificate must bear.
    pub(crate) name: ServerName<'static>,
}

/// The files that TLS connections are made with; used by `rediss://` URLs only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The only certificates that vouch for servers; without it, the system's.
    pub(crate) ca: Option<PathBuf>,
    /// The certificate (chain) shown to servers that ask for one.
    pub(crate) certificate: Option<PathBuf>,
    /// The certificate's private key.
    pub(crate) key: Option<PathBuf>,
}

/// One node's address, ready to connect to.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    display: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: i64,
    pub(crate) tls: Option<Tls>,
    pub(crate) protocol: Protocol,
}

impl Address {
    /// The canonical URL without credentials, for errors, logs and reports.
    pub(crate) fn display(&self) -> &str {
        &self.display
    }

    /// Whether both name one database of one server: it would vote twice, whatever user it is asked as. (Two names of one
    /// server are told apart by its run id only, once connected.)
    pub(crate) fn same_place(&self, other: &Address) -> bool {
        self.endpoint == other.endpoint && self.database == other.database
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

/// Reads a node's URL. `protocol` is what the URL's own `protocol` parameter overrides.
pub(crate) fn parse(url: &str, tls: &TlsFiles, protocol: Protocol) -> Result<Address> {
    let refuse = |why: &str| Error::invalid(format!("invalid node URL {}: {why}", redact(url)));
    let scheme = check_scheme(url).map_err(|why| refuse(&why))?;
    let parsed = redis::parse_redis_url(url).ok_or_else(|| refuse(why_malformed(url)))?;
    check_fragment(parsed.fragment()).map_err(|why| refuse(&why))?;
    check_authority(&scheme, parsed.host_str(), parsed.port()).map_err(|why| refuse(&why))?;
    check_parameters(&scheme, parsed.query_pairs()).map_err(|why| refuse(&why))?;
    let from_url = protocol_of(parsed.query_pairs()).map_err(|why| refuse(&why))?;
    let info = parsed
        .into_connection_info()
        .map_err(|error| refuse(error_of_redis(&error)))?;
    let (endpoint, secure) = endpoint_of(info.addr()).map_err(|why| refuse(&why))?;
    let settings = info.redis_settings();
    let database = settings.db();
    if !(0..=i64::from(i32::MAX)).contains(&database) {
        return Err(refuse("the database must be a number from 0"));
    }
    if [settings.username(), settings.password()]
        .iter()
        .flatten()
        .any(|text| text.contains('\0'))
    {
        return Err(refuse("it contains a NUL byte"));
    }
    let display = display_of(&endpoint, secure, database);
    Ok(Address {
        tls: tls_of(&endpoint, secure, tls, &display)?,
        display,
        endpoint,
        user: settings.username().map(str::to_owned),
        password: settings
            .password()
            .map(|password| Secret(password.to_owned())),
        database,
        protocol: from_url.unwrap_or(protocol),
    })
}

/// The scheme in lower case, if it is one of ours.
fn check_scheme(url: &str) -> std::result::Result<String, String> {
    if url.is_empty() {
        return Err(format!("it is empty; use {FORMS}"));
    }
    if url.contains('\0') {
        return Err("it contains a NUL byte".into());
    }
    if url.trim() != url {
        return Err("it begins or ends with white space".into());
    }
    let Some((scheme, _)) = url.split_once("://") else {
        return Err(format!("it has no scheme; use {FORMS}"));
    };
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "redis" | "rediss" | "valkey" | "valkeys" | "unix" | "redis+unix" | "valkey+unix" => {
            Ok(scheme)
        }
        _ => Err(format!("unknown scheme; use {FORMS}")),
    }
}

fn is_unix(scheme: &str) -> bool {
    scheme.ends_with("unix")
}

const IPV6_MALFORMED: &str = "the IPv6 address is malformed";

/// The likeliest reason why a URL with a known scheme is not one.
fn why_malformed(url: &str) -> &'static str {
    let authority = authority_of(url);
    if authority.starts_with('[') && !authority.contains(']') {
        return IPV6_MALFORMED;
    }
    match split_port(authority) {
        ("", _) => "the host is missing",
        (_, Some(port)) if port.parse::<u16>().is_err() => {
            "the port must be a number from 1 to 65535 (in a user or password, write '/' as %2F, \
             '#' as %23, '?' as %3F, '@' as %40, ':' as %3A)"
        }
        (host, _) if host.starts_with('[') => IPV6_MALFORMED,
        _ => "the host contains a character that is not allowed there",
    }
}

/// The part between the scheme and the path, without credentials.
fn authority_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    authority.rsplit_once('@').map_or(authority, |(_, at)| at)
}

/// Host and port; the colons inside an IPv6 address's brackets are the host's.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let after_brackets = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[after_brackets..].find(':') {
        Some(colon) => (
            &authority[..after_brackets + colon],
            Some(&authority[after_brackets + colon + 1..]),
        ),
        None => (authority, None),
    }
}

fn check_fragment(fragment: Option<&str>) -> std::result::Result<(), String> {
    match fragment {
        None => Ok(()),
        Some("insecure") => Err(
            "#insecure (TLS without verification) is not supported: name the server's certificate \
             authority in a CA file instead"
                .into(),
        ),
        Some(_) => Err("it has a '#' part; in a user or password, write '#' as %23".into()),
    }
}

fn check_authority(
    scheme: &str,
    host: Option<&str>,
    port: Option<u16>,
) -> std::result::Result<(), String> {
    let host = host.unwrap_or_default();
    if is_unix(scheme) {
        return match host.is_empty() {
            true => Ok(()),
            false => Err("a socket's path begins after three slashes: unix:///path".into()),
        };
    }
    if host.is_empty() {
        return Err("the host is missing".into());
    }
    if host.contains('%') {
        return Err("the host contains a character that is not allowed there".into());
    }
    match port {
        Some(0) => Err("the port must be a number from 1 to 65535".into()),
        _ => Ok(()),
    }
}

/// A parameter that would be ignored is refused: `?db=3` on a TCP URL would lock in another database than was meant.
fn check_parameters<'a>(
    scheme: &str,
    pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
) -> std::result::Result<(), String> {
    let allowed: &[&str] = match is_unix(scheme) {
        true => &["db", "user", "pass", "protocol"],
        false => &["protocol"],
    };
    let pairs: Vec<_> = pairs.collect();
    // With an '@' in it, this is likelier the rest of a password with an unescaped '?'.
    let doubtful = pairs
        .iter()
        .any(|(name, value)| name.contains('@') || value.contains('@'));
    for (name, _) in &pairs {
        if !allowed.contains(&name.as_ref()) {
            let shown = match doubtful {
                true => String::new(),
                false => format!(" {}", quote(name)),
            };
            let allowed = allowed.join(", ");
            return Err(format!(
                "unknown parameter{shown}; allowed after '?': {allowed}"
            ));
        }
    }
    Ok(())
}

fn protocol_of<'a>(
    mut pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
) -> std::result::Result<Option<Protocol>, String> {
    let Some((_, value)) = pairs.find(|(name, _)| name == "protocol") else {
        return Ok(None);
    };
    match value.as_ref() {
        "resp2" | "2" => Ok(Some(Protocol::Resp2)),
        "resp3" | "3" => Ok(Some(Protocol::Resp3)),
        _ => Err("the protocol must be resp2 or resp3".into()),
    }
}

/// The reason in the redis crate's fixed words: its details may repeat parts of the URL.
fn error_of_redis(error: &redis::RedisError) -> &'static str {
    let text = error.to_string();
    [
        (
            "database number",
            "the database must be a number from 0, as in redis://host:6379/0",
        ),
        ("wildcard", "0.0.0.0 and :: are not addresses to connect to"),
        ("hostname", "the host is missing"),
        ("Missing path", "the socket's path is missing"),
        ("Username", "the user is not valid UTF-8"),
        ("Password", "the password is not valid UTF-8"),
    ]
    .into_iter()
    .find(|(word, _)| text.contains(word))
    .map_or("it is malformed", |(_, reason)| reason)
}

fn endpoint_of(address: &ConnectionAddr) -> std::result::Result<(Endpoint, bool), String> {
    match address {
        ConnectionAddr::Tcp(host, port) => Ok((tcp(host, *port), false)),
        ConnectionAddr::TcpTls { host, port, .. } => Ok((tcp(host, *port), true)),
        ConnectionAddr::Unix(path) => {
            check_path(path).map(|()| (Endpoint::Unix(path.clone()), false))
        }
        _ => Err(format!("unknown kind of address; use {FORMS}")),
    }
}

fn tcp(host: &str, port: u16) -> Endpoint {
    Endpoint::Tcp {
        host: host.to_ascii_lowercase(),
        port,
    }
}

fn check_path(path: &Path) -> std::result::Result<(), String> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() || bytes == b"/" {
        return Err("the socket's path is missing".into());
    }
    if bytes.contains(&0) {
        return Err("it contains a NUL byte".into());
    }
    if bytes.len() > LONGEST_SOCKET_PATH {
        return Err(format!(
            "the socket's path has {} bytes; the system allows {LONGEST_SOCKET_PATH}",
            bytes.len()
        ));
    }
    Ok(())
}

fn display_of(endpoint: &Endpoint, secure: bool, database: i64) -> String {
    let scheme = if secure { "rediss" } else { "redis" };
    match endpoint {
        Endpoint::Tcp { host, port } if host.contains(':') => {
            format!("{scheme}://[{host}]:{port}/{database}")
        }
        Endpoint::Tcp { host, port } => format!("{scheme}://{host}:{port}/{database}"),
        Endpoint::Unix(path) => format!(
            "unix://{}?db={database}",
            path.to_string_lossy().escape_debug()
        ),
    }
}

/// The URL as an error may show it. The URL may be malformed, so anything that could be a credential goes: whatever
/// stands before the last '@' or after the first '?' or '#', and a "port" that is none.
fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return match url.contains(['@', '?', '#']) {
            true => "***".into(),
            false => quote(url),
        };
    };
    let tail = rest.find(['?', '#']).unwrap_or(rest.len());
    let tail_mark = if tail < rest.len() { "?***" } else { "" };
    let unix = is_unix(&scheme.to_ascii_lowercase());
    let (visible, user_mark) = match rest.rfind('@') {
        Some(at) if at < tail => (&rest[at + 1..tail], "***@"),
        // An unescaped '?' in the credentials: nothing tells them from the rest.
        Some(_) if !unix => return quote(&format!("{scheme}://***")),
        _ => (&rest[..tail], ""),
    };
    if unix {
        return quote(&format!("{scheme}://{user_mark}{visible}{tail_mark}"));
    }
    let end = visible.find('/').unwrap_or(visible.len());
    let (host, port) = split_port(&visible[..end]);
    let plain = !host.is_empty() && port.is_none_or(|port| port.parse::<u16>().is_ok());
    match plain {
        true => quote(&format!("{scheme}://{user_mark}{visible}{tail_mark}")),
        false => quote(&format!("{scheme}://***")),
    }
}

/// A user's text in an error message: one line, of bounded length.
fn quote(text: &str) -> String {
    let short: String = text.chars().take(LONGEST_QUOTE).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("'{}{dots}'", short.escape_debug())
}

fn tls_of(
    endpoint: &Endpoint,
    secure: bool,
    files: &TlsFiles,
    display: &str,
) -> Result<Option<Tls>> {
    let Endpoint::Tcp { host, .. } = endpoint else {
        return Ok(None);
    };
    if !secure {
        return Ok(None);
    }
    let name = ServerName::try_from(host.clone()).map_err(|_| {
        Error::invalid(format!(
            "invalid node URL '{display}': the host is no name that a certificate can bear"
        ))
    })?;
    let config = Arc::new(client_config(files)?);
    Ok(Some(Tls { config, name }))
}

/// The provider is given by hand: a process-wide default would be the application's business, not a library's.
fn client_config(files: &TlsFiles) -> Result<ClientConfig> {
    let identity = identity_of(files)?;
    let roots = match &files.ca {
        Some(path) => Arc::new(roots_of_file(path)?),
        None => system_roots()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::invalid(format!("cannot set up TLS: {error}")))?
        .with_root_certificates(roots);
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                certificates_of(certificate, "client certificate")?,
                private_key(key)?,
            )
            .map_err(|error| mismatch(certificate, key, &error)),
    }
}

/// The files of the client's certificate and key: both or none.
fn identity_of(files: &TlsFiles) -> Result<Option<(&Path, &Path)>> {
    match (&files.certificate, &files.key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (Some(certificate), None) => Err(Error::invalid(format!(
            "the client certificate file '{}' needs its private key: give the key file too",
            certificate.display()
        ))),
        (None, Some(key)) => Err(Error::invalid(format!(
            "the client key file '{}' needs its certificate: give the certificate file too",
            key.display()
        ))),
    }
}

fn mismatch(certificate: &Path, key: &Path, error: &rustls::Error) -> Error {
    let reason = match error {
        rustls::Error::InconsistentKeys(_) => "they do not belong together".to_owned(),
        other => other.to_string(),
    };
    Error::invalid(format!(
        "cannot use the client certificate file '{}' with the key file '{}': {reason}",
        certificate.display(),
        key.display()
    ))
}

/// Read once per process: it takes some ten milliseconds. A failure is not remembered.
fn system_roots() -> Result<Arc<RootCertStore>> {
    static ROOTS: OnceCell<Arc<RootCertStore>> = OnceCell::new();
    ROOTS.get_or_try_init(load_system_roots).cloned()
}

fn load_system_roots() -> Result<Arc<RootCertStore>> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if !roots.is_empty() {
        return Ok(Arc::new(roots));
    }
    let reason = loaded
        .errors
        .first()
        .map_or(String::new(), |error| format!(" ({error})"));
    Err(Error::invalid(format!(
        "the system has no root certificates for rediss://{reason}: install them (the package ca-certificates) or give \
         a CA file"
    )))
}

fn roots_of_file(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates_of(path, "CA")?);
    match added {
        0 => Err(unusable(path, "CA", "none of its certificates can be read")),
        _ => Ok(roots),
    }
}

fn certificates_of(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| unusable(path, what, &reason_of(&error, "certificate")))?;
    match found.is_empty() {
        true => Err(unusable(path, what, "it holds no certificate in PEM form")),
        false => Ok(found),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        let reason = reason_of(&error, "private key without a passphrase");
        unusable(path, "client key", &reason)
    })
}

fn reason_of(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => format!("it holds no {what} in PEM form"),
        // Other errors may repeat parts of the file, which can be a key.
        _ => "it is not well-formed PEM".to_owned(),
    }
}

fn unusable(path: &Path, what: &str, reason: &str) -> Error {
    Error::invalid(format!(
        "cannot use the {what} file '{}': {reason}",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    fn read(url: &str) -> Address {
        parse(url, &TlsFiles::default(), Protocol::Auto)
            .unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    fn refusal(url: &str) -> String {
        let error = parse(url, &TlsFiles::default(), Protocol::Auto)
            .err()
            .unwrap_or_else(|| panic!("{url} was accepted"));
        assert_eq!(error.status(), Status::InvalidArgument, "{url}");
        error.message().to_owned()
    }

    #[test]
    fn urls_are_shown_in_canonical_form() {
        for (url, display) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://LocalHost:7000/", "redis://localhost:7000/0"),
            ("REDIS://127.0.0.1:7000/15", "redis://127.0.0.1:7000/15"),
            ("redis://u:p@h/2", "redis://h:6379/2"),
            ("redis://:p@[::1]:7000/2", "redis://[::1]:7000/2"),
            ("redis://[0:0:0:0:0:0:0:1]", "redis://[::1]:6379/0"),
            ("valkey://h", "redis://h:6379/0"),
            ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0"),
            (
                "redis+unix:///run/redis.sock?db=3&user=u&pass=p",
                "unix:///run/redis.sock?db=3",
            ),
            ("redis://h?protocol=resp2", "redis://h:6379/0"),
        ] {
            assert_eq!(read(url).display(), display, "{url}");
        }
    }

    #[test]
    fn credentials_are_decoded() {
        for (url, user, password) in [
            ("redis://h", None, None),
            ("redis://:secret@h", None, Some("secret")),
            ("redis://ann:s%40c%2Fr%3At@h", Some("ann"), Some("s@c/r:t")),
            ("redis://a%20b:%C3%A9@h", Some("a b"), Some("é")),
            ("redis://ann@h", Some("ann"), None),
            (
                "unix:///s?user=ann&pass=a%26b%3D%2Bc",
                Some("ann"),
                Some("a&b=+c"),
            ),
        ] {
            let address = read(url);
            assert_eq!(address.user.as_deref(), user, "{url}");
            let found = address.password.as_ref().map(Secret::reveal);
            assert_eq!(found, password, "{url}");
        }
    }

    #[test]
    fn the_url_decides_on_the_protocol_before_the_option_does() {
        let ask = |url: &str, option| {
            let address = parse(url, &TlsFiles::default(), option).unwrap();
            address.protocol
        };
        assert_eq!(ask("redis://h", Protocol::Auto), Protocol::Auto);
        assert_eq!(ask("redis://h", Protocol::Resp2), Protocol::Resp2);
        assert_eq!(
            ask("redis://h?protocol=resp3", Protocol::Resp2),
            Protocol::Resp3
        );
        assert_eq!(ask("unix:///s?protocol=2", Protocol::Auto), Protocol::Resp2);
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
            ("redis://a b", "character that is not allowed"),
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

    #[test]
    fn nothing_prints_a_password() {
        let address = read("redis://ann:hunter2@h:7000/1");
        for text in [
            format!("{address:?}"),
            format!("{address:#?}"),
            format!("{address}"),
            format!("{:?}", address.password),
        ] {
            assert!(!text.contains("hunter2"), "{text}");
        }
        let secret = address.password.unwrap();
        assert_eq!(secret.blot("with args `hunter2`"), "with args `***`");
    }

    #[test]
    fn a_server_given_twice_is_noticed() {
        let same = |one: &str, other: &str| read(one).same_place(&read(other));
        assert!(same("redis://h", "redis://u:p@H:6379/0"));
        assert!(!same("redis://h", "redis://h/4"));
        assert!(same("redis://[::1]", "redis://[0:0::1]:6379"));
        assert!(same("unix:///s?db=1", "redis+unix:///s?db=1"));
        assert!(!same("redis://h", "redis://h:6380"));
        assert!(!same("redis://h", "redis://g"));
        assert!(!same("redis://s", "unix:///s"));
    }

    fn tls_refusal(files: &TlsFiles) -> String {
        let error = parse("rediss://h", files, Protocol::Auto).expect_err("accepted");
        assert_eq!(error.status(), Status::InvalidArgument);
        error.message().to_owned()
    }

    /// A file of this crate that surely is no PEM.
    fn no_pem() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")
    }

    #[test]
    fn a_bad_tls_file_is_named() {
        let ca = |path: &Path| TlsFiles {
            ca: Some(path.to_owned()),
            ..TlsFiles::default()
        };
        let message = tls_refusal(&ca(Path::new("/nowhere/ca.pem")));
        assert!(message.contains("CA file '/nowhere/ca.pem'"), "{message}");
        assert!(message.contains("No such file"), "{message}");
        let message = tls_refusal(&ca(Path::new("/dev/null")));
        assert!(message.contains("'/dev/null'"), "{message}");
        assert!(message.contains("holds no certificate"), "{message}");
        let message = tls_refusal(&ca(&no_pem()));
        assert!(message.contains("Cargo.toml"), "{message}");
    }

    #[test]
    fn a_client_certificate_and_its_key_come_together() {
        let certificate = TlsFiles {
            certificate: Some("/client.crt".into()),
            ..TlsFiles::default()
        };
        let message = tls_refusal(&certificate);
        assert!(
            message.contains("'/client.crt' needs its private key"),
            "{message}"
        );
        let key = TlsFiles {
            key: Some("/client.key".into()),
            ..TlsFiles::default()
        };
        let message = tls_refusal(&key);
        assert!(
            message.contains("'/client.key' needs its certificate"),
            "{message}"
        );
    }

    #[test]
    fn tls_files_do_not_matter_to_plain_urls() {
        let files = TlsFiles {
            ca: Some("/nowhere/ca.pem".into()),
            ..TlsFiles::default()
        };
        assert!(parse("redis://h", &files, Protocol::Auto).is_ok());
    }
}
