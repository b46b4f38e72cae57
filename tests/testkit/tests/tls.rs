//! A TLS server shows a certificate that its authority vouches for, and asks for the client's.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use testkit::{Certificates, ClientCertificates, Server, supports_tls};

/// Sends PING over TLS and returns the answer.
fn ping(server: &Server, ca: &Certificates, own: Option<&Certificates>) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&ca.ca).expect("a certificate"))
        .expect("an authority");
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let certificate =
                CertificateDer::from_pem_file(&own.client_certificate).expect("a certificate");
            let key = PrivateKeyDer::from_pem_file(&own.client_key).expect("a key");
            config
                .with_client_auth_cert(vec![certificate], key)
                .expect("they belong together")
        }
    };
    let name = ServerName::try_from(server.host().to_owned()).expect("an address");
    let connection =
        ClientConnection::new(Arc::new(config), name).expect("the configuration is sound");
    let socket = TcpStream::connect(server.address())?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn asks_for_certificates_as_told() {
    if !supports_tls() {
        eprintln!("this server was built without TLS");
        return;
    }
    let plain = Server::builder().start();
    let ours = Certificates::issue(plain.dir().join("ours"));
    let others = Certificates::issue(plain.dir().join("others"));

    let strict = Server::builder()
        .tls(&ours, ClientCertificates::Required)
        .start();
    assert_eq!(
        strict.url(),
        format!("rediss://127.0.0.1:{}", strict.port())
    );
    assert_eq!(strict.command(&["PING"]).text(), "PONG");
    assert_eq!(
        ping(&strict, &ours, Some(&ours)).expect("a good certificate"),
        "+PONG\r\n"
    );
    assert!(ping(&strict, &ours, None).is_err());
    assert!(ping(&strict, &ours, Some(&others)).is_err());
    assert!(ping(&strict, &others, Some(&ours)).is_err());

    let lax = Server::builder()
        .bind(&["::1"])
        .tls(&ours, ClientCertificates::Ignored)
        .start();
    assert_eq!(
        ping(&lax, &ours, None).expect("none is asked for"),
        "+PONG\r\n"
    );

    let elsewhere = Certificates::issue_for(plain.dir().join("elsewhere"), &["redis.example"]);
    let misnamed = Server::builder()
        .tls(&elsewhere, ClientCertificates::Ignored)
        .start();
    assert!(ping(&misnamed, &elsewhere, None).is_err());
}
