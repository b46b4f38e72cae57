//! Each fault of the proxy, seen from a client's socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testkit::{Fault, Proxy, Server, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for anything that is to arrive on loopback to arrive.
const GLIMPSE: Duration = Duration::from_millis(100);

/// A client that sends inline PINGs.
struct Client(TcpStream);

impl Client {
    fn connect(proxy: &Proxy) -> io::Result<Client> {
        let stream = TcpStream::connect(proxy.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client(stream))
    }

    fn ping(&mut self) -> io::Result<String> {
        self.send("PING\r\n")?;
        self.receive(7)
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(text.as_bytes())
    }

    fn receive(&mut self, length: usize) -> io::Result<String> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether nothing comes for a while.
    fn hears_nothing(&mut self) -> bool {
        self.0
            .set_read_timeout(Some(GLIMPSE))
            .expect("the socket is open");
        let result = self.receive(1);
        self.0
            .set_read_timeout(Some(PATIENCE))
            .expect("the socket is open");
        result
            .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }
}

fn setting() -> (Server, Proxy, Client) {
    let server = Server::builder().start();
    let proxy = Proxy::to(&server);
    let mut client = Client::connect(&proxy).expect("the proxy accepts");
    assert_eq!(client.ping().expect("the server answers"), "+PONG\r\n");
    (server, proxy, client)
}

fn reconnects(proxy: &Proxy) {
    let mut client = Client::connect(proxy).expect("the proxy accepts");
    assert_eq!(client.ping().expect("the server answers"), "+PONG\r\n");
}

#[test]
fn refuses_and_accepts_again_on_the_same_port() {
    let (_server, proxy, mut client) = setting();
    for _ in 0..3 {
        proxy.set(Fault::Refuse);
        assert!(client.ping().is_err());
        let refused = Client::connect(&proxy)
            .map(|_| ())
            .expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        proxy.set(Fault::Pass);
        reconnects(&proxy);
        client = Client::connect(&proxy).expect("the proxy accepts");
    }
}

#[test]
fn a_black_hole_swallows_both_ways() {
    let (_server, proxy, mut client) = setting();
    proxy.set(Fault::BlackHole);
    client.send("PING\r\n").expect("the proxy still reads");
    assert!(client.hears_nothing());
    let mut late = Client::connect(&proxy).expect("a black hole accepts");
    late.send("PING\r\n").expect("a black hole reads");
    assert!(late.hears_nothing());
    proxy.set(Fault::Pass);
    assert!(
        client.receive(1).is_err(),
        "a connection that has lost bytes is cut"
    );
    assert!(late.receive(1).is_err());
    reconnects(&proxy);
    wait_until(PATIENCE, "all connections to be forgotten", || {
        proxy.open() == 0
    });
}

#[test]
fn what_was_held_arrives_late() {
    let (server, proxy, mut client) = setting();
    proxy.set(Fault::Hold);
    client.send("SET a b\r\n").expect("the proxy reads");
    assert!(client.hears_nothing());
    assert!(!server.holds("a"));
    proxy.set(Fault::Pass);
    assert_eq!(client.receive(5).expect("the server answers"), "+OK\r\n");
    assert!(server.holds("a"));
}

#[test]
fn delays_each_way() {
    let (_server, proxy, mut client) = setting();
    let delay = Duration::from_millis(30);
    proxy.set(Fault::Delay {
        request: delay,
        answer: delay,
    });
    // A lower bound, which no slow machine can miss.
    let start = Instant::now();
    assert_eq!(client.ping().expect("the server answers"), "+PONG\r\n");
    assert!(start.elapsed() >= 2 * delay);
}

#[test]
fn cuts_in_the_middle_of_an_answer() {
    let (_server, proxy, mut client) = setting();
    proxy.set(Fault::CutAfter(10));
    assert_eq!(client.ping().expect("seven bytes pass"), "+PONG\r\n");
    client.send("PING\r\n").expect("the proxy reads");
    assert_eq!(client.receive(3).expect("three more pass"), "+PO");
    assert!(client.receive(1).is_err());

    proxy.set(Fault::CutOnceAfter(0));
    assert!(
        Client::connect(&proxy)
            .expect("the proxy accepts")
            .ping()
            .is_err()
    );
    reconnects(&proxy);
}

#[test]
fn swaps_the_server_behind_it() {
    let (server, proxy, mut client) = setting();
    let other = Server::builder().start();
    proxy.set_backend(&other);
    client.send("SET a b\r\n").expect("the proxy reads");
    assert_eq!(
        client.receive(5).expect("the old server answers"),
        "+OK\r\n"
    );
    assert!(server.holds("a"));
    proxy.cut();
    assert!(client.ping().is_err());
    let mut client = Client::connect(&proxy).expect("the proxy accepts");
    client.send("SET c d\r\n").expect("the proxy reads");
    assert_eq!(
        client.receive(5).expect("the new server answers"),
        "+OK\r\n"
    );
    assert!(other.holds("c"));
    assert_eq!(proxy.accepted(), 2);
}

#[test]
fn passes_the_ends_of_connections_on() {
    let (server, proxy, mut client) = setting();
    drop(Client::connect(&proxy).expect("the proxy accepts"));
    wait_until(PATIENCE, "the closed connection to be forgotten", || {
        proxy.open() == 1
    });
    server.kill();
    assert!(client.receive(1).is_err());
    drop(client);
    wait_until(PATIENCE, "the dead connection to be forgotten", || {
        proxy.open() == 0
    });
}
