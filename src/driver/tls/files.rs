//! The files with certificates and keys: read, and checked as far as they can be without a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use once_cell::sync::OnceCell;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

use super::options::{TlsOptions, Verify};
use crate::error::{Error, Result};
use crate::protocol::node::text::quoted;

/// The contents of the files.
#[derive(PartialEq)]
pub(super) struct Files {
    /// The certificates that vouch for servers, if they are not the system's.
    pub(super) authorities: Option<Vec<CertificateDer<'static>>>,
    /// The certificate (chain) and key shown to servers that ask for one.
    pub(super) identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Files {
    /// Blocks, as reading does.
    pub(super) fn read(options: &TlsOptions) -> Result<Files> {
        let identity = match identity_of(options)? {
            None => None,
            Some((certificate, key)) => Some((
                certificates_of(certificate, "client certificate")?,
                private_key(key)?,
            )),
        };
        let authorities = match &options.ca {
            None => None,
            Some(path) => Some(certificates_of(path, "CA")?),
        };
        Ok(Files {
            authorities,
            identity,
        })
    }

    /// Whom to trust. A machine without any root certificates can do without verification.
    pub(super) fn roots(&self, options: &TlsOptions) -> Result<Arc<RootCertStore>> {
        match (&self.authorities, &options.ca) {
            (Some(authorities), Some(path)) => Ok(Arc::new(roots_of(authorities, path)?)),
            _ if options.verify == Verify::None => Ok(Arc::new(RootCertStore::empty())),
            _ => system_roots(),
        }
    }
}

/// The files of the client's certificate and key: both or none.
fn identity_of(options: &TlsOptions) -> Result<Option<(&Path, &Path)>> {
    match (&options.certificate, &options.key) {
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

/// The error for a certificate and a key that can't be used together.
pub(super) fn mismatch(options: &TlsOptions, error: &rustls::Error) -> Error {
    let reason = match error {
        rustls::Error::InconsistentKeys(_) => "they do not belong together".to_owned(),
        other => other.to_string(),
    };
    let path = |path: &Option<PathBuf>| shown(path.as_deref().unwrap_or(Path::new("")));
    Error::invalid(format!(
        "cannot use the client certificate file {} with the key file {}: {reason}",
        path(&options.certificate),
        path(&options.key)
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

fn roots_of(authorities: &[CertificateDer<'static>], path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(authorities.iter().cloned());
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
