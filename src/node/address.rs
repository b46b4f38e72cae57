//! A node's address: what a URL and the TLS files say, checked once, with the credentials kept out of sight.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use once_cell::sync::OnceCell;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem};
use rustls::{ClientConfig, RootCertStore};

use super::secret::Secret;
use super::text::quoted;
use super::url;
use crate::error::{Error, Result};

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
#[derive(Clone)]
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

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.display)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

/// Reads a node's URL. `protocol` is what the URL's own `protocol` parameter overrides.
pub(crate) fn parse(url: &str, tls: &TlsFiles, protocol: Protocol) -> Result<Address> {
    parse_one_of(url, "", tls, protocol)
}

/// The same for one of several URLs; `which` says in an error which one, as the URL may be too doubtful to be shown.
pub(crate) fn parse_one_of(
    url: &str,
    which: &str,
    tls: &TlsFiles,
    protocol: Protocol,
) -> Result<Address> {
    let parts = url::read(url).map_err(|refusal| {
        let url::Refusal { shown, reason } = refusal;
        Error::invalid(format!("invalid node URL{which} {shown}: {reason}"))
    })?;
    let display = display_of(&parts.endpoint, parts.secure, parts.database);
    Ok(Address {
        tls: tls_of(&parts.endpoint, parts.secure, tls, &display)?,
        display,
        endpoint: parts.endpoint,
        user: parts.user,
        password: parts.password,
        database: parts.database,
        protocol: parts.protocol.unwrap_or(protocol),
    })
}

fn display_of(endpoint: &Endpoint, secure: bool, database: i64) -> String {
    let scheme = if secure { "rediss" } else { "redis" };
    match endpoint {
        Endpoint::Tcp { host, port } if host.contains(':') => {
            format!("{scheme}://[{host}]:{port}/{database}")
        }
        Endpoint::Tcp { host, port } => format!("{scheme}://{host}:{port}/{database}"),
        Endpoint::Unix(path) => format!("unix://{}?db={database}", url::encode_path(path)),
    }
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
            "the client certificate file {} needs its private key: give the key file too",
            shown(certificate)
        ))),
        (None, Some(key)) => Err(Error::invalid(format!(
            "the client key file {} needs its certificate: give the certificate file too",
            shown(key)
        ))),
    }
}

fn mismatch(certificate: &Path, key: &Path, error: &rustls::Error) -> Error {
    let reason = match error {
        rustls::Error::InconsistentKeys(_) => "they do not belong together".to_owned(),
        other => other.to_string(),
    };
    Error::invalid(format!(
        "cannot use the client certificate file {} with the key file {}: {reason}",
        shown(certificate),
        shown(key)
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

/// A path as a message shows it.
fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn unusable(path: &Path, what: &str, reason: &str) -> Error {
    Error::invalid(format!(
        "cannot use the {what} file {}: {reason}",
        shown(path)
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
            (
                "unix:///a%20b%0A%3Fq%25/ü%FF%E2%80%AE'",
                "unix:///a%20b%0A%3Fq%25/ü%FF%E2%80%AE%27?db=0",
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
