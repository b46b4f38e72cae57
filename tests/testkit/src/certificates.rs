//! Certificates for TLS servers and their clients, made on the fly.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The files of one certificate authority and what it signed, all in PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// A server's certificate.
    pub server_certificate: PathBuf,
    /// The server's private key.
    pub server_key: PathBuf,
    /// A client's certificate.
    pub client_certificate: PathBuf,
    /// The client's private key.
    pub client_key: PathBuf,
}

impl Certificates {
    /// Makes a new authority, and a server's certificate for 127.0.0.1, ::1 and localhost. The files are written into
    /// `dir`, which is made if need be; each test that needs them may have its own.
    pub fn issue(dir: impl AsRef<Path>) -> Certificates {
        Certificates::issue_for(dir, &["127.0.0.1", "::1", "localhost"])
    }

    /// The same with a server's certificate for other names or addresses, such as those of another host.
    pub fn issue_for(dir: impl AsRef<Path>, names: &[&str]) -> Certificates {
        let dir = dir.as_ref();
        std::fs::create_dir_all(dir).expect("the certificates' directory can be made");
        let certificates = Certificates {
            ca: dir.join("ca.pem"),
            server_certificate: dir.join("server.pem"),
            server_key: dir.join("server.key"),
            client_certificate: dir.join("client.pem"),
            client_key: dir.join("client.key"),
        };
        let authority = authority(&certificates.ca);
        let server = leaf("testkit server", names, ExtendedKeyUsagePurpose::ServerAuth);
        sign(
            server,
            &authority,
            &certificates.server_certificate,
            &certificates.server_key,
        );
        let client = leaf("testkit client", &[], ExtendedKeyUsagePurpose::ClientAuth);
        sign(
            client,
            &authority,
            &certificates.client_certificate,
            &certificates.client_key,
        );
        certificates
    }
}

/// Makes an authority and writes its certificate.
fn authority(file: &Path) -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "testkit authority");
    let key = new_key();
    let certificate = params
        .self_signed(&key)
        .expect("the authority can sign itself");
    write(file, &certificate.pem());
    Issuer::new(params, key)
}

fn leaf(name: &str, names: &[&str], usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("the names are DNS names or addresses");
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params
}

fn sign(
    params: CertificateParams,
    authority: &Issuer<'static, KeyPair>,
    certificate_file: &Path,
    key_file: &Path,
) {
    let key = new_key();
    let certificate = params
        .signed_by(&key, authority)
        .expect("the authority can sign");
    write(certificate_file, &certificate.pem());
    write(key_file, &key.serialize_pem());
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
}
