//! Faults as they happen.

use super::{Event, Kind, MS, Program, World};
use crate::Nanos;
use crate::random::Random;

/// By how much nodes' clocks may differ from the true time, in us.
const MOST_WRONG_US: u64 = 1_000_000;

impl World {
    pub(super) fn fault(&mut self, place: usize) {
        if self.is_quiet {
            return;
        }
        self.happened.push(place);
        let fault = self.faults[place].clone();
        let (node, client, until) = (fault.node, fault.client, self.now + fault.lasts);
        match fault.kind {
            Kind::HeldToNode => {
                for link in self.links_between(client, node) {
                    self.links[link].to_node_held = until;
                }
            }
            Kind::HeldToClient => {
                for link in self.links_between(client, node) {
                    self.links[link].to_client_held = until;
                }
            }
            Kind::Cut => {
                for link in self.links_between(client, node) {
                    self.links[link].breaks_after = Some((fault.random % 2_000) as usize);
                }
            }
            Kind::Refused => self.hosts[node].refuses_until = until,
            Kind::BlackHole => self.hosts[node].silent_until = until,
            Kind::Slow => {
                let host = &mut self.hosts[node];
                host.slow_until = until;
                host.slowness = fault.random % (100 * MS);
            }
            Kind::NodeStopped => self.stop_node(node, until),
            Kind::NodeRestarted => self.restart_node(node, until, true),
            Kind::DataLost => self.restart_node(node, until, false),
            Kind::ScriptsFlushed => self.hosts[node].node.state_mut().scripts.clear(),
            Kind::ClockSetBack => self.set_clock_back(node, fault.random),
            Kind::ClockRate => {
                let ppm = (fault.random % 18_000) as i64 - 9_000;
                self.hosts[node].node.clock.set_rate(self.now, ppm);
            }
            Kind::ClientPaused => self.pause(client, until),
            Kind::ClientKilled => self.kill(client, fault.random),
            Kind::MemoryFull => {
                self.hosts[node].node.state_mut().settings.memory_full = true;
                self.schedule(until, Event::NodeRemembersMemory(node));
            }
        }
    }

    fn stop_node(&mut self, node: usize, until: Nanos) {
        if !self.hosts[node].is_stopped && !self.hosts[node].is_down {
            self.hosts[node].is_stopped = true;
            self.schedule(until, Event::NodeContinues(node));
        }
    }

    pub(super) fn node_continues(&mut self, node: usize) {
        if !std::mem::take(&mut self.hosts[node].is_stopped) {
            return;
        }
        for (link, bytes) in std::mem::take(&mut self.hosts[node].inbox) {
            self.bytes_to_node(link, bytes);
        }
    }

    /// Ends a node's process at once; another begins then.
    fn restart_node(&mut self, node: usize, until: Nanos, keeps_data: bool) {
        let host = &mut self.hosts[node];
        if host.is_down {
            return;
        }
        host.is_down = true;
        host.is_stopped = false;
        host.inbox.clear();
        let mut links: Vec<usize> = host.links.values().copied().collect();
        links.sort_unstable();
        for link in links {
            self.break_link(link);
        }
        self.hosts[node].boots += 1;
        self.schedule(until, Event::NodeComesUp(node, keeps_data));
    }

    pub(super) fn node_comes_up(&mut self, node: usize, keeps_data: bool) {
        let run_id = self.random.hexadecimal(40);
        // Another boot may be set up otherwise, whatever the one before was.
        let persists = self.random.per_mille(500);
        let host = &mut self.hosts[node];
        self.commands_of_former_boots += host.node.state().commands;
        let mut settings = host.node.state().settings.clone();
        settings.memory_full = false;
        settings.aof = persists;
        settings.appendfsync = if persists { "always" } else { "everysec" };
        host.node.restart(self.now, run_id, settings, keeps_data);
        host.is_down = false;
    }

    /// By less than all clocks may be wrong together.
    fn set_clock_back(&mut self, node: usize, random: u64) {
        let truth = super::BEGIN_US + self.now / 1000;
        let clock = &mut self.hosts[node].node.clock;
        let ahead = clock.us(self.now) as i64 - truth as i64 + MOST_WRONG_US as i64;
        if let Ok(most @ 1..) = u64::try_from(ahead) {
            clock.step(self.now, -((random % most) as i64));
        }
    }

    fn pause(&mut self, client: usize, until: Nanos) {
        let now = self.now;
        let program = &mut self.programs[client];
        if program.paused_until > now {
            return;
        }
        program.paused_until = until;
        program.last_pause = until;
        let incarnation = program.incarnation;
        self.judges.paused(client, until - now);
        self.schedule(until, Event::ClientContinues(client, incarnation));
    }

    pub(super) fn client_continues(&mut self, client: usize, incarnation: u32) {
        let now = self.now;
        let program = &mut self.programs[client];
        if program.incarnation != incarnation || program.paused_until > now {
            return;
        }
        program.timer = None;
        for event in std::mem::take(&mut program.inbox) {
            self.happen(event);
        }
        // What was due meanwhile.
        self.drain(client);
    }

    /// The process ends, and another one begins in its place.
    fn kill(&mut self, client: usize, random: u64) {
        self.judges.process_ended(self.now, client);
        let links = std::mem::take(&mut self.programs[client].links);
        let mut links: Vec<_> = links.into_iter().collect();
        links.sort_unstable();
        for (at, link) in links {
            self.programs[client].links.insert(at, link);
            self.disconnect(client, at);
        }
        let incarnation = self.programs[client].incarnation + 1;
        let workers = self.programs[client].workers.len();
        let mut program = self.program(incarnation, Random::new(random));
        program.workers = (0..workers).map(|_| Default::default()).collect();
        self.programs[client] = program;
        for worker in 0..workers {
            let at = self.now + self.random.below(50 * MS);
            self.schedule(at, Event::Step(client, incarnation, worker));
        }
        self.drain(client);
    }

    /// All that lasts is over.
    pub(super) fn heal(&mut self) {
        for node in 0..self.hosts.len() {
            let host = &mut self.hosts[node];
            host.node.state_mut().settings.memory_full = false;
            host.refuses_until = 0;
            host.slow_until = 0;
            self.node_continues(node);
        }
    }

    /// Whether a client stood still since then.
    pub(super) fn stood_still_since(&self, program: &Program, since: Nanos) -> bool {
        program.last_pause >= since
    }
}
