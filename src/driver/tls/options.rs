//! What a factory's options say of TLS.

use std::path::PathBuf;

use rustls::pki_types::ServerName;

/// What of a server's certificate is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Who issued it, when it is valid, and its name.
    #[default]
    Full,
    /// All of that but the name.
    Ca,
    /// Nothing: anybody between here and the server can read and change what is sent.
    None,
}

/// How TLS connections are made; used by `rediss://` URLs only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsOptions {
    /// The file with the only certificates that vouch for servers; without it, the system's.
    pub(crate) ca: Option<PathBuf>,
    /// The file with the certificate (chain) shown to servers that ask for one.
    pub(crate) certificate: Option<PathBuf>,
    /// The file with the certificate's private key.
    pub(crate) key: Option<PathBuf>,
    /// The name that servers' certificates must bear; without it, the URL's host.
    pub(crate) server_name: Option<ServerName<'static>>,
    /// What of their certificates is verified.
    pub(crate) verify: Verify,
}

/// A host name or an IP address (IPv6 without brackets); `None` if it is neither.
pub(crate) fn server_name(text: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(text.to_owned()).ok()
}
