//! What an error of TLS means, in words that help.

use std::io;

use rustls::{AlertDescription, CertificateError};

use super::text::ServerText;

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
            ServerText::new(reason.to_string().as_bytes(), None),
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

fn certificate_hint(error: &CertificateError) -> &'static str {
    match error {
        // A bad signature is what another authority of the same name gives.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            " (give its authority's certificate as the CA file)"
        }
        // What `openssl req -x509` makes; other TLS libraries let it pass.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            " (it is an authority's own certificate: give the server one that an authority signed)"
        }
        _ => "",
    }
}

fn alert_hint(alert: AlertDescription) -> &'static str {
    match alert {
        // With TLS 1.2 and 1.3, respectively.
        AlertDescription::HandshakeFailure | AlertDescription::CertificateRequired => {
            " (it may ask for a client certificate: give certificate and key file)"
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown => " (it does not accept the client certificate)",
        _ => "",
    }
}
