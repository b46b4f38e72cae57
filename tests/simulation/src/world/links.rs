//! Connections between clients and nodes: bytes on their way.

use super::{Event, MS, World};
use crate::Nanos;
use crate::client::Connection;
use crate::node::{ConnectionId, Event as NodeEvent};

/// A connection, from the first packet on.
pub(super) struct Link {
    pub(super) client: usize,
    incarnation: u32,
    at: Connection,
    pub(super) node: usize,
    /// The node's number for it, when it has accepted it.
    accepted: Option<ConnectionId>,
    boot: u32,
    /// When the last bytes arrive that were sent: later ones arrive later.
    to_node_at: Nanos,
    to_client_at: Nanos,
    client_is_open: bool,
    node_is_open: bool,
    /// After so many more bytes it breaks.
    pub(super) breaks_after: Option<usize>,
    /// Until when what is sent is held up.
    pub(super) to_node_held: Nanos,
    pub(super) to_client_held: Nanos,
}

impl Link {
    /// Whether both ends have it open.
    pub(super) fn is_open(&self) -> bool {
        self.client_is_open && self.node_is_open && self.accepted.is_some()
    }
}

impl World {
    fn delay(&mut self, link: usize) -> Nanos {
        let Link { client, node, .. } = self.links[link];
        let base = self.delays[client][node];
        let host = &self.hosts[node];
        let slowness = if host.slow_until > self.now {
            host.slowness
        } else {
            0
        };
        base + slowness + self.random.below(base / 2 + slowness / 4 + 1)
    }

    pub(super) fn connect(&mut self, client: usize, at: Connection) {
        let program = &mut self.programs[client];
        let link = self.links.len();
        program.links.insert(at, link);
        self.links.push(Link {
            client,
            incarnation: program.incarnation,
            at,
            node: at.node,
            accepted: None,
            boot: 0,
            to_node_at: 0,
            to_client_at: 0,
            client_is_open: true,
            node_is_open: true,
            breaks_after: None,
            to_node_held: 0,
            to_client_held: 0,
        });
        let delay = self.delay(link);
        // A lost packet is sent again.
        let silent_until = self.hosts[at.node].silent_until;
        let arrives = (self.now + delay).max(if silent_until > self.now {
            silent_until + delay
        } else {
            0
        });
        self.schedule(arrives + delay, Event::Connected(link));
    }

    /// A packet that asks for a connection has come and was answered.
    pub(super) fn make_connection(&mut self, link: usize) {
        let now = self.now;
        let Link {
            client,
            node,
            at,
            incarnation,
            client_is_open,
            ..
        } = self.links[link];
        let program = &self.programs[client];
        if !client_is_open || program.incarnation != incarnation {
            return;
        }
        let paused = program.paused_until > now;
        if paused {
            self.programs[client]
                .inbox
                .push_back(Event::Connected(link));
            return;
        }
        let host = &mut self.hosts[node];
        if host.is_down || host.refuses_until > now {
            let it = &mut self.links[link];
            (it.client_is_open, it.node_is_open) = (false, false);
            let program = &mut self.programs[client];
            program.links.remove(&at);
            program.client.connect_failed(now, at);
            return self.drain(client);
        }
        let id = host.node.accept();
        host.links.insert(id, link);
        let it = &mut self.links[link];
        it.accepted = Some(id);
        it.boot = host.boots;
        let program = &mut self.programs[client];
        let wall_offset_us = program.wall_offset_us;
        program.client.connected(now, at, wall_offset_us);
        self.drain(client);
    }

    pub(super) fn send(&mut self, client: usize, at: Connection, mut bytes: Vec<u8>) {
        let Some(&link) = self.programs[client].links.get(&at) else {
            return;
        };
        // Now and then it goes in two packets.
        if bytes.len() > 1 && self.random.per_mille(20) {
            let rest = bytes.split_off(self.random.between(1, bytes.len() as u64 - 1) as usize);
            self.pass_to_node(link, bytes);
            return self.pass_to_node(link, rest);
        }
        self.pass_to_node(link, bytes);
    }

    fn pass_to_node(&mut self, link: usize, bytes: Vec<u8>) {
        let arrives = self.next_arrival_at_node(link);
        self.schedule(arrives, Event::ToNode(link, bytes));
    }

    fn next_arrival_at_node(&mut self, link: usize) -> Nanos {
        let delay = self.delay(link);
        let silent_until = self.hosts[self.links[link].node].silent_until;
        let it = &mut self.links[link];
        let arrives = (self.now + delay)
            .max(it.to_node_at)
            .max(it.to_node_held)
            .max(silent_until);
        it.to_node_at = arrives;
        arrives
    }

    fn next_arrival_at_client(&mut self, link: usize) -> Nanos {
        let delay = self.delay(link);
        let silent_until = self.hosts[self.links[link].node].silent_until;
        let it = &mut self.links[link];
        let arrives = (self.now + delay)
            .max(it.to_client_at)
            .max(it.to_client_held)
            .max(silent_until);
        it.to_client_at = arrives;
        arrives
    }

    /// The client closes the connection; what it has sent is still on its way.
    pub(super) fn disconnect(&mut self, client: usize, at: Connection) {
        let Some(link) = self.programs[client].links.remove(&at) else {
            return;
        };
        self.links[link].client_is_open = false;
        let arrives = self.next_arrival_at_node(link);
        self.schedule(arrives, Event::ClosedToNode(link));
    }

    /// How much of the bytes gets through, if the connection is about to break; whether it breaks.
    fn get_through(&mut self, link: usize, count: usize) -> (usize, bool) {
        let Some(left) = &mut self.links[link].breaks_after else {
            return (count, false);
        };
        let through = count.min(*left);
        *left -= through;
        (through, *left == 0)
    }

    pub(super) fn bytes_to_node(&mut self, link: usize, mut bytes: Vec<u8>) {
        let Link {
            node,
            node_is_open,
            boot,
            ..
        } = self.links[link];
        if !node_is_open || self.hosts[node].boots != boot {
            return;
        }
        if self.hosts[node].is_stopped {
            return self.hosts[node].inbox.push_back((link, bytes));
        }
        let (through, breaks) = self.get_through(link, bytes.len());
        bytes.truncate(through);
        if self.judges.judges_order {
            self.notice_windows(&bytes);
        }
        if let Some(id) = self.links[link].accepted {
            self.hosts[node].node.received(self.now, id, &bytes);
            self.collect(node);
        }
        if breaks {
            self.break_link(link);
        }
    }

    /// A release with four keys leaves its lock to those who do not queue.
    fn notice_windows(&mut self, bytes: &[u8]) {
        const OPEN: &[u8] = b"libredlock:open:app:r";
        let has_four_keys = bytes.windows(9).any(|part| part == b"\r\n$1\r\n4\r\n");
        for place in (0..bytes.len().saturating_sub(OPEN.len())).filter(|_| has_four_keys) {
            if bytes[place..].starts_with(OPEN) {
                let digit = bytes[place + OPEN.len()];
                self.judges.window(usize::from(digit.wrapping_sub(b'0')));
            }
        }
    }

    /// Sends what a node wants sent.
    pub(super) fn collect(&mut self, node: usize) {
        while let Some(event) = self.hosts[node].node.take_event() {
            match event {
                NodeEvent::Output(id) => {
                    let bytes = self.hosts[node].node.take_output(id);
                    if let Some(&link) = self.hosts[node].links.get(&id)
                        && !bytes.is_empty()
                    {
                        let arrives = self.next_arrival_at_client(link);
                        self.schedule(arrives, Event::ToClient(link, bytes));
                    }
                }
                NodeEvent::Closed(id, last) => {
                    if let Some(link) = self.hosts[node].links.remove(&id) {
                        self.links[link].node_is_open = false;
                        let arrives = self.next_arrival_at_client(link);
                        if !last.is_empty() {
                            self.schedule(arrives, Event::ToClient(link, last));
                        }
                        self.schedule(arrives, Event::ClosedToClient(link, true));
                    }
                }
            }
        }
    }

    pub(super) fn deliver_to_client(&mut self, link: usize, event: Event) {
        let Link {
            client,
            at,
            incarnation,
            client_is_open,
            ..
        } = self.links[link];
        let program = &mut self.programs[client];
        if !client_is_open || program.incarnation != incarnation {
            return;
        }
        if program.paused_until > self.now {
            return program.inbox.push_back(event);
        }
        match event {
            Event::ToClient(_, mut bytes) => {
                let (through, breaks) = self.get_through(link, bytes.len());
                bytes.truncate(through);
                self.programs[client].client.received(self.now, at, &bytes);
                if breaks {
                    self.break_link(link);
                }
            }
            Event::ClosedToClient(_, is_closed) => {
                self.links[link].client_is_open = false;
                program.links.remove(&at);
                program.client.disconnected(self.now, at, is_closed);
            }
            _ => {}
        }
        self.drain(client);
    }

    pub(super) fn closed_to_node(&mut self, link: usize) {
        let Link {
            node,
            accepted,
            boot,
            ..
        } = self.links[link];
        let host = &mut self.hosts[node];
        if host.is_stopped {
            // It reads what is there first.
            return self.schedule(self.now + MS, Event::ClosedToNode(link));
        }
        self.links[link].node_is_open = false;
        if let Some(id) = accepted
            && host.boots == boot
        {
            host.links.remove(&id);
            host.node.disconnected(id);
        }
    }

    /// The connection is lost at both ends, with what is on its way.
    pub(super) fn break_link(&mut self, link: usize) {
        let Link {
            node,
            accepted,
            boot,
            ..
        } = self.links[link];
        self.links[link].node_is_open = false;
        let host = &mut self.hosts[node];
        if let Some(id) = accepted
            && host.boots == boot
        {
            host.links.remove(&id);
            host.node.disconnected(id);
        }
        // Nothing that was under way to the client comes: it learns of the end before.
        let at = self.now + self.random.below(2 * MS);
        self.schedule(at, Event::ClosedToClient(link, false));
    }

    /// The open connections between a client and a node.
    pub(super) fn links_between(&self, client: usize, node: usize) -> Vec<usize> {
        let of =
            |link: &&usize| self.links[**link].client == client && self.links[**link].is_open();
        let mut links: Vec<usize> = self.hosts[node]
            .links
            .values()
            .filter(of)
            .copied()
            .collect();
        links.sort_unstable();
        links
    }
}
