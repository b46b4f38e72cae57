//! What an error of TLS means, in words that help.

use std::io;

use rustls::{AlertDescription, CertificateError};

use super::verifier::is_authority;
use crate::protocol::node::text::ServerText;

/// The reason, with a hint at the remedy; `None` if it is no error of TLS.
pub(crate) fn reason(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidMessage(_) => {
            "the server does not speak TLS here: for a plain port use redis://".to_owned()
        }
        rustls::Error::InvalidCertificate(reason) => format!(
            "the server's certificate is not accepted: {}{}",
            // It may repeat the names in the certificate.
            ServerText::new(objection(reason).as_bytes(), None),
            certificate_hint(reason)
        ),
        rustls::Error::AlertReceived(alert) => {
            format!("the server refused TLS: {alert:?}{}", alert_hint(*alert))
        }
        other => {
            let reason = ServerText::new(other.to_string().as_bytes(), None);
            format!("TLS failed: {reason}")
        }
    })
}

/// In rustls's words, or in those of what it wraps.
fn objection(error: &CertificateError) -> String {
    match error {
        CertificateError::Other(other) => other.0.to_string(),
        _ => error.to_string(),
    }
}

fn certificate_hint(error: &CertificateError) -> &'static str {
    match error {
        // A bad signature is what another authority of the same name gives.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            " (give its authority's certificate as tls_ca_file)"
        }
        // What `openssl req -x509` makes.
        CertificateError::Other(other) if is_authority(other) => {
            " (it is its own authority: give this very certificate as tls_ca_file)"
        }
        CertificateError::Other(other) if other.0.to_string() == "UnsupportedCertVersion" => {
            " (it is of X.509 version 1, which has no names: issue it as version 3, with a subjectAltName)"
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            " (its common name does not count: issue it with a subjectAltName, or set tls_verify=ca to skip the name)"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            " (if it is the right server, set tls_server_name to a name that its certificate bears)"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            " (renew the server's certificate; if it is valid, this machine's clock is wrong)"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            " (is this machine's clock right?)"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            " (issue it with the extendedKeyUsage serverAuth)"
        }
        _ => "",
    }
}

fn alert_hint(alert: AlertDescription) -> &'static str {
    match alert {
        // With TLS 1.2 and 1.3, respectively.
        AlertDescription::HandshakeFailure | AlertDescription::CertificateRequired => {
            " (it may ask for a client certificate: give tls_cert_file and tls_key_file)"
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown => " (it does not accept the client certificate)",
        _ => "",
    }
}
