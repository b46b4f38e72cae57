//! Certificates for TLS servers and their clients, made on the fly.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::version_1;

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

/// What is wrong with a server's certificate that is otherwise for 127.0.0.1, ::1 and localhost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It ended in the year 2000.
    Expired,
    /// It begins in the year 4000.
    NotYetValid,
    /// It has a common name, and no subjectAltName.
    CommonNameOnly,
    /// It is of X.509 version 1, and its own authority.
    Version1,
}

/// The names of this machine.
const LOCAL: [&str; 3] = ["127.0.0.1", "::1", "localhost"];

impl Certificates {
    /// Makes a new authority, and a server's certificate for 127.0.0.1, ::1 and localhost. The files are written into
    /// `dir`, which is made if need be; each test that needs them may have its own.
    pub fn issue(dir: impl AsRef<Path>) -> Certificates {
        Certificates::issue_for(dir, &LOCAL)
    }

    /// The same with a server's certificate for other names or addresses, such as those of another host.
    pub fn issue_for(dir: impl AsRef<Path>, names: &[&str]) -> Certificates {
        let server = leaf("testkit server", names, ExtendedKeyUsagePurpose::ServerAuth);
        Certificates::with_server(dir, server)
    }

    /// The same with a server's certificate that has a flaw.
    pub fn flawed(dir: impl AsRef<Path>, flaw: Flaw) -> Certificates {
        let names = match flaw {
            Flaw::CommonNameOnly => &[][..],
            _ => &LOCAL,
        };
        let mut server = leaf("localhost", names, ExtendedKeyUsagePurpose::ServerAuth);
        match flaw {
            Flaw::Expired => {
                server.not_before = date_time_ymd(1999, 1, 1);
                server.not_after = date_time_ymd(2000, 1, 1);
            }
            Flaw::NotYetValid => server.not_before = date_time_ymd(4000, 1, 1),
            Flaw::CommonNameOnly => {}
            Flaw::Version1 => return Certificates::of_version_1(dir, &server),
        }
        Certificates::with_server(dir, server)
    }

    /// A server's certificate that is its own authority, as `openssl req -x509` makes one: `ca` is the same certificate.
    /// It has ended if `expired`.
    pub fn self_signed(dir: impl AsRef<Path>, names: &[&str], expired: bool) -> Certificates {
        let mut server = leaf("testkit server", names, ExtendedKeyUsagePurpose::ServerAuth);
        server.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        server.key_usages.clear();
        server.extended_key_usages.clear();
        if expired {
            server.not_before = date_time_ymd(1999, 1, 1);
            server.not_after = date_time_ymd(2000, 1, 1);
        }
        let key = new_key();
        let certificate = server.self_signed(&key).expect("it can sign itself");
        Certificates::own_authority(dir, &certificate.pem(), &key)
    }

    fn of_version_1(dir: impl AsRef<Path>, server: &CertificateParams) -> Certificates {
        let key = new_key();
        let certificate = server.self_signed(&key).expect("it can sign itself");
        let pem = version_1::pem(certificate.der(), &key);
        Certificates::own_authority(dir, &pem, &key)
    }

    /// One certificate and key for authority and server; none for a client.
    fn own_authority(dir: impl AsRef<Path>, pem: &str, key: &KeyPair) -> Certificates {
        let certificates = Certificates::within(dir);
        write(&certificates.ca, pem);
        write(&certificates.server_certificate, pem);
        write(&certificates.server_key, &key.serialize_pem());
        certificates
    }

    fn with_server(dir: impl AsRef<Path>, server: CertificateParams) -> Certificates {
        let certificates = Certificates::within(dir);
        let authority = authority(&certificates.ca);
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

    fn within(dir: impl AsRef<Path>) -> Certificates {
        let dir = dir.as_ref();
        std::fs::create_dir_all(dir).expect("the certificates' directory can be made");
        Certificates {
            ca: dir.join("ca.pem"),
            server_certificate: dir.join("server.pem"),
            server_key: dir.join("server.key"),
            client_certificate: dir.join("client.pem"),
            client_key: dir.join("client.key"),
        }
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
