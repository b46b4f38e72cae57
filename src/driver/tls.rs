//! TLS with one node: whom to trust and who we are, as the files say at the moment of a connection.

mod files;
mod options;
mod reason;
mod verifier;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::error::{Error, Result};
use files::Files;
pub(crate) use options::{TlsOptions, Verify, server_name};
pub(crate) use reason::reason;
use verifier::Verifier;

/// How to speak TLS with one node.
pub(crate) struct Tls {
    options: TlsOptions,
    name: ServerName<'static>,
    /// What the files said last. It is kept as long as they say the same, and with it the sessions that can be resumed. No
    /// lock guards it: one that another thread holds during a fork would stay locked in the child.
    latest: ArcSwap<Configured>,
}

/// The contents of the files, and what was made of them.
struct Configured {
    files: Files,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files, so that a wrong one is an error at once. `name` is the server's.
    pub(crate) fn new(options: &TlsOptions, name: ServerName<'static>) -> Result<Tls> {
        let latest = configure(Files::read(options)?, options)?;
        Ok(Tls {
            options: options.clone(),
            name,
            latest: ArcSwap::from_pointee(latest),
        })
    }

    /// The name that the server is asked for, and that its certificate must bear.
    pub(crate) fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// What the files say now. Reads them, which blocks: they are small and local.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>> {
        let files = Files::read(&self.options)?;
        let latest = self.latest.load();
        if latest.files == files {
            return Ok(Arc::clone(&latest.config));
        }
        let renewed = configure(files, &self.options)?;
        let config = Arc::clone(&renewed.config);
        self.latest.store(Arc::new(renewed));
        Ok(config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("options", &self.options)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The provider is given by hand: a process-wide default would be the application's business, not a library's.
fn configure(files: Files, options: &TlsOptions) -> Result<Configured> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(
        options.verify,
        files.roots(options)?,
        files.authorities.clone().unwrap_or_default(),
        provider.signature_verification_algorithms,
    );
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::invalid(format!("cannot set up TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificate.clone(), key.clone_key())
            .map_err(|error| files::mismatch(options, &error))?,
    };
    Ok(Configured {
        config: Arc::new(config),
        files,
    })
}
