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

    /// Whether both name one server. Credentials and database do not matter: a server given twice would vote twice,
    /// whatever it is asked as. (Two names of one server are told apart by its run id only, once connected.)
    pub(crate) fn same_place(&self, other: &Address) -> bool {
        self.endpoint == other.endpoint
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

/// The likeliest reason why a URL with a known scheme is not one.
fn why_malformed(url: &str) -> &'static str {
    let authority = authority_of(url);
    match split_port(authority) {
        ("", _) => "the host is missing",
        (_, Some(port)) if port.parse::<u16>().is_err() => {
            "the port must be a number from 1 to 65535 (in a user or password, write '/' as %2F, \
             '#' as %23, '?' as %3F, '@' as %40, ':' as %3A)"
        }
        (host, _) if host.starts_with('[') => "the IPv6 address is malformed",
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
    for (name, _) in pairs {
        if !allowed.contains(&name.as_ref()) {
            return Err(format!(
                "unknown parameter {}; allowed after '?': {}",
                quote(&name),
                allowed.join(", ")
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
    let roots = match &files.ca {
        Some(path) => Arc::new(roots_of_file(path)?),
        None => system_roots()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::invalid(format!("cannot set up TLS: {error}")))?
        .with_root_certificates(roots);
    match (&files.certificate, &files.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| mismatch(certificate, key, &error)),
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

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    certificates_of(path, "client certificate")
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
