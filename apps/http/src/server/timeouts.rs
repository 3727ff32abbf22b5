//! Who has too little time, and who has had too much: slow heads and bodies, readers that do not read, connections that
//! nobody uses, and the end of the server itself.

use super::Server;
use super::client::Phase;
use super::clock::TICK;
use crate::connection::{Now, Waits};
use libix::{Flow, Io};
use std::time::Duration;

/// Bytes a reader must take within the time to send.
const PROGRESS_BYTES: usize = 16 << 10;

/// For the disk.
const FILE_TIMEOUT: Duration = Duration::from_secs(30);

/// For the client to finish after us, and for TCP after that.
const LINGER: Duration = Duration::from_secs(2);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

impl Server {
    /// Starts the ticks, unless they go already.
    pub(super) fn keep_ticking(&mut self, io: &mut Io) {
        if self.ticker.is_none() {
            self.clock.look();
            // Without room for a timer, the next client tries again.
            self.ticker = io.start_timer(TICK).ok();
        }
    }

    pub(super) fn on_tick(&mut self, io: &mut Io) {
        self.clock.look();
        self.site.counters.uptime_s = self.clock.ms() / 1_000;
        for flow in self.deadlines.advance() {
            self.check(io, flow);
        }
        self.hear_loader(io);
        if self.drained_by.is_some_and(|tick| tick <= self.deadlines.tick()) {
            io.stop();
        } else if self.site.counters.connections_open > 0 {
            self.keep_ticking(io);
        }
    }

    fn check(&mut self, io: &mut Io, flow: Flow) {
        let Some(client) = self.clients.get(flow) else {
            return;
        };
        if client.deadline <= self.deadlines.tick() {
            self.expire(io, flow);
        }
        if let Some(client) = self.clients.get(flow) {
            self.deadlines.insert(flow, client.deadline);
        }
    }

    fn expire(&mut self, io: &mut Io, flow: Flow) {
        let Some(client) = self.clients.get_mut(flow) else {
            return;
        };
        match client.phase {
            Phase::Waits(Waits::ForRequest) => client.connection.end(),
            Phase::Waits(Waits::ForHead | Waits::ForBody) => {
                self.site.counters.timeouts += 1;
                let now = Now {
                    ms: self.clock.ms(),
                    date: self.clock.date(),
                };
                client.connection.time_out(&mut self.site, now);
            }
            Phase::Sending | Phase::Waits(_) => {
                self.site.counters.timeouts += 1;
                client.abort(io, flow);
            }
            Phase::Lingering => client.close(io, flow),
            Phase::Closed => client.abort(io, flow),
        }
        self.pump(io, flow);
    }

    /// A new phase begins a new time, and so does progress in sending; but another byte of a head does not.
    pub(super) fn note_phase(&mut self, io: &mut Io, flow: Flow) {
        let Some(client) = self.clients.get_mut(flow) else {
            return;
        };
        let phase = if client.phase >= Phase::Lingering {
            client.phase
        } else if io.backlog(flow) > 0 {
            Phase::Sending
        } else {
            Phase::Waits(client.connection.waits())
        };
        let progress = phase == Phase::Sending && client.acknowledged >= PROGRESS_BYTES;
        if phase != client.noted || progress {
            self.begin_phase(flow, phase);
        }
    }

    pub(super) fn begin_phase(&mut self, flow: Flow, phase: Phase) {
        let tick = self.deadlines.tick();
        let Some(client) = self.clients.get_mut(flow) else {
            return;
        };
        let settings = &self.settings;
        let time = match phase {
            Phase::Waits(Waits::ForRequest) => settings.idle_timeout,
            Phase::Waits(Waits::ForHead) => settings.head_timeout,
            Phase::Waits(Waits::ForBody) => settings.body_timeout,
            Phase::Waits(Waits::ForFile) => FILE_TIMEOUT,
            Phase::Waits(Waits::ForNothing) | Phase::Sending => settings.send_timeout,
            Phase::Lingering => LINGER,
            Phase::Closed => CLOSE_TIMEOUT,
        };
        client.phase = phase;
        client.noted = phase;
        client.acknowledged = 0;
        client.deadline = tick + ticks(time);
    }

    /// The server is to stop: nobody is let in any more, and those who are in get the answers they have asked for.
    pub(super) fn drain(&mut self, io: &mut Io) {
        if let Some(listener) = self.listener.take() {
            io.unlisten(listener);
        }
        self.drained_by = Some(self.deadlines.tick() + ticks(self.settings.drain_timeout));
        for flow in self.deadlines.all() {
            if let Some(client) = self.clients.get_mut(flow) {
                if client.phase == Phase::Lingering {
                    client.close(io, flow);
                } else {
                    client.connection.end();
                }
                self.pump(io, flow);
            }
        }
        if self.site.counters.connections_open == 0 {
            io.stop();
        }
    }
}

/// At least one more than the time takes: the current tick is partly over.
#[allow(clippy::cast_possible_truncation, reason = "ticks of u32 seconds")]
fn ticks(time: Duration) -> u64 {
    time.as_millis().div_ceil(TICK.as_millis()) as u64 + 1
}
