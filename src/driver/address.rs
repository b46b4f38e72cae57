//! A node's address: what a URL and the options of TLS say, checked once, with the credentials kept out of sight.

use std::fmt;
use std::sync::Arc;

use super::endpoint::Endpoint;
use super::tls::{self, Tls, TlsOptions};
use super::url;
use crate::error::{Error, Result};
use crate::protocol::node::config::{Login, NodeConfig, Protocol};

/// One node's address, ready to connect to.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) node: Arc<NodeConfig>,
    pub(crate) endpoint: Endpoint,
    /// Who logs in, by the URL.
    pub(crate) login: Login,
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Address {
    /// The canonical URL without credentials, for errors, logs and reports.
    pub(crate) fn display(&self) -> &str {
        self.node.display()
    }

    /// Whether both name one database of one server: it would vote twice, whatever user it is asked as. (Two names of one
    /// server are told apart by its run id only, once connected.)
    pub(crate) fn same_place(&self, other: &Address) -> bool {
        self.endpoint == other.endpoint && self.node.database == other.node.database
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.display())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.display())
    }
}

/// Reads a node's URL. `protocol` is what the URL's own `protocol` parameter overrides.
pub(crate) fn parse(url: &str, tls: &TlsOptions, protocol: Protocol) -> Result<Address> {
    parse_one_of(url, "", tls, protocol)
}

/// The same for one of several URLs; `which` says in an error which one, as the URL may be too doubtful to be shown.
pub(crate) fn parse_one_of(
    url: &str,
    which: &str,
    tls: &TlsOptions,
    protocol: Protocol,
) -> Result<Address> {
    let parts = url::read(url).map_err(|refusal| {
        let url::Refusal { shown, reason } = refusal;
        Error::invalid(format!("invalid node URL{which} {shown}: {reason}"))
    })?;
    let display = display_of(&parts.endpoint, parts.secure, parts.database);
    Ok(Address {
        tls: tls_of(&parts.endpoint, parts.secure, tls, &display)?,
        endpoint: parts.endpoint,
        login: Login {
            user: parts.user,
            password: parts.password,
        },
        node: Arc::new(NodeConfig {
            display,
            database: parts.database,
            protocol: parts.protocol.unwrap_or(protocol),
        }),
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
    options: &TlsOptions,
    display: &str,
) -> Result<Option<Arc<Tls>>> {
    let Endpoint::Tcp { host, .. } = endpoint else {
        return Ok(None);
    };
    if !secure {
        return Ok(None);
    }
    let name = options
        .server_name
        .clone()
        .or_else(|| tls::server_name(host));
    let name = name.ok_or_else(|| {
        Error::invalid(format!(
            "invalid node URL '{display}': the host is no name that a certificate can bear; set the option tls_server_name"
        ))
    })?;
    Ok(Some(Arc::new(Tls::new(options, name)?)))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::error::Status;
    use crate::protocol::node::secret::Secret;

    fn read(url: &str) -> Address {
        parse(url, &TlsOptions::default(), Protocol::Auto)
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
            assert_eq!(address.login.user.as_deref(), user, "{url}");
            let found = address.login.password.as_ref().map(Secret::reveal);
            assert_eq!(found, password, "{url}");
        }
    }

    #[test]
    fn the_url_decides_on_the_protocol_before_the_option_does() {
        let ask = |url: &str, option| {
            let address = parse(url, &TlsOptions::default(), option).unwrap();
            address.node.protocol
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
            format!("{:?}", address.login.password),
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

    fn tls_refusal(files: &TlsOptions) -> String {
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
        let ca = |path: &Path| TlsOptions {
            ca: Some(path.to_owned()),
            ..TlsOptions::default()
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
        let certificate = TlsOptions {
            certificate: Some("/client.crt".into()),
            ..TlsOptions::default()
        };
        let message = tls_refusal(&certificate);
        assert!(
            message.contains("'/client.crt' needs its private key"),
            "{message}"
        );
        let key = TlsOptions {
            key: Some("/client.key".into()),
            ..TlsOptions::default()
        };
        let message = tls_refusal(&key);
        assert!(
            message.contains("'/client.key' needs its certificate"),
            "{message}"
        );
    }

    #[test]
    fn tls_files_do_not_matter_to_plain_urls() {
        let files = TlsOptions {
            ca: Some("/nowhere/ca.pem".into()),
            ..TlsOptions::default()
        };
        assert!(parse("redis://h", &files, Protocol::Auto).is_ok());
    }
}
