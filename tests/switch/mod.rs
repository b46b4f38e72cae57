//! A TCP switch in front of a server: it puts another server behind the connections that are open, as a virtual address
//! or a proxy that pools its connections does, and their clients see nothing of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use testkit::Server;

/// Listens on a port of its own until the process ends.
pub struct Switch {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    backend: SocketAddr,
    lines: Vec<Arc<Line>>,
}

/// One client's connection.
struct Line {
    client: TcpStream,
    /// The server that it talks to now.
    server: Mutex<TcpStream>,
}

impl Switch {
    /// Starts a switch in front of a server.
    pub fn to(server: &Server) -> Switch {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            backend: backend_of(server),
            lines: Vec::new(),
        }));
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut shared = accepting.lock().unwrap();
                if let Some(line) = Line::open(client, shared.backend) {
                    shared.lines.push(line);
                }
            }
        });
        Switch { address, shared }
    }

    /// The URL of what is behind it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// How many connections have been made so far.
    pub fn accepted(&self) -> usize {
        self.shared.lock().unwrap().lines.len()
    }

    /// Puts another server behind all connections, open ones and new ones. Nothing may be under way on them.
    pub fn swap(&self, server: &Server) {
        let mut shared = self.shared.lock().unwrap();
        shared.backend = backend_of(server);
        for line in &shared.lines {
            line.swap(shared.backend);
        }
    }
}

impl Line {
    fn open(client: TcpStream, backend: SocketAddr) -> Option<Arc<Line>> {
        let server = TcpStream::connect(backend).ok()?;
        for stream in [&client, &server] {
            stream.set_nodelay(true).ok()?;
        }
        let line = Arc::new(Line {
            client,
            server: Mutex::new(server),
        });
        line.carry_answers();
        let requests = Arc::clone(&line);
        thread::spawn(move || requests.carry_requests());
        Some(line)
    }

    fn swap(self: &Arc<Self>, backend: SocketAddr) {
        let Ok(fresh) = TcpStream::connect(backend) else {
            return;
        };
        fresh.set_nodelay(true).unwrap();
        let mut server = self.server.lock().unwrap();
        let before = std::mem::replace(&mut *server, fresh);
        drop(server);
        let _ = before.shutdown(Shutdown::Both);
        self.carry_answers();
    }

    /// Carries what the client sends to whichever server is behind it then.
    fn carry_requests(&self) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match (&self.client).read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(length) => {
                    let server = self.server.lock().unwrap();
                    if (&*server).write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
            }
        }
        self.end();
    }

    /// Starts to carry what the present server answers.
    fn carry_answers(self: &Arc<Self>) {
        let server = self.server.lock().unwrap();
        let (mut source, line) = (server.try_clone().unwrap(), Arc::clone(self));
        drop(server);
        thread::spawn(move || {
            let _ = std::io::copy(&mut source, &mut &line.client);
            // The end of a server that was swapped is not the client's.
            if line.is_served_by(&source) {
                line.end();
            }
        });
    }

    fn is_served_by(&self, stream: &TcpStream) -> bool {
        let server = self.server.lock().unwrap();
        server.local_addr().ok() == stream.local_addr().ok()
    }

    fn end(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.lock().unwrap().shutdown(Shutdown::Both);
    }
}

fn backend_of(server: &Server) -> SocketAddr {
    server.address().parse().unwrap()
}
