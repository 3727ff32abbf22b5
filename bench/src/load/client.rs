use super::connection::{Connection, Received};
use super::{Kind, Load, Outcome};
use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Handshakes under way at once while connections are opened, so that no listener's backlog overflows.
const OPENING_AT_ONCE: usize = 64;
const OPENING_TIME: Duration = Duration::from_secs(60);
const EVENTS: usize = 256;
/// A datagram unanswered for so long is sent again.
const LOST_AFTER: Duration = Duration::from_millis(300);
const WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// All connections, and what was counted.
pub(super) struct Client<'a> {
    load: &'a Load,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    events: Vec<Event>,
    established: usize,
    /// Connections send as soon as they are established.
    started: bool,
    message: Vec<u8>,
    /// Bytes of an answer.
    answer_len: usize,
    /// Connections without a request, where not all are to have one.
    resting: Vec<usize>,
    random: SmallRng,
    buffer: Vec<u8>,
    answered: u64,
    errors: u64,
    lost: u64,
    latency_ns: Histogram<u64>,
}

impl<'a> Client<'a> {
    /// Opens all connections and sends their first requests.
    pub(super) fn open(load: &'a Load, answer_len: usize) -> Result<Self> {
        let mut client = Self {
            load,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::with_capacity(load.connections),
            events: Vec::with_capacity(EVENTS),
            established: 0,
            answer_len,
            resting: Vec::new(),
            random: SmallRng::seed_from_u64(1),
            started: !load.kind.stays(),
            message: load.message(),
            buffer: vec![0; 1 << 16],
            answered: 0,
            errors: 0,
            lost: 0,
            latency_ns: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
        };
        let patience = Instant::now() + OPENING_TIME;
        for index in 0..load.connections {
            let connection = Connection::open(load)?;
            client.watch(index, &connection)?;
            client.connections.push(connection);
            if load.kind == Kind::Udp {
                client.send(index);
            }
            let enough = if index + 1 == load.connections {
                0
            } else {
                OPENING_AT_ONCE
            };
            while load.kind.stays() && index + 1 - client.established > enough {
                client.turn()?;
                let (got, all) = (client.established, load.connections);
                ensure!(
                    Instant::now() < patience,
                    "only {got} of {all} connections could be opened"
                );
            }
        }
        if !client.started {
            client.started = true;
            let busy = load.busy.unwrap_or(load.connections).min(load.connections);
            client.resting = (busy..load.connections).collect();
            for index in 0..busy {
                client.send_all(index);
            }
        }
        Ok(client)
    }

    /// Carries the load on.
    pub(super) fn run_until(&mut self, end: Instant) -> Result<()> {
        let mut look_for_lost = Instant::now();
        loop {
            self.turn()?;
            let now = Instant::now();
            if self.load.kind == Kind::Udp && now > look_for_lost {
                self.send_lost_again(now);
                look_for_lost = now + LOST_AFTER / 3;
            }
            if now >= end {
                return Ok(());
            }
        }
    }

    /// Starts to count anew.
    pub(super) fn forget(&mut self) {
        (self.answered, self.errors, self.lost) = (0, 0, 0);
        self.latency_ns.reset();
    }

    /// What was counted since.
    pub(super) fn outcome(&self, elapsed: Duration) -> Outcome {
        let Self {
            answered,
            errors,
            lost,
            ..
        } = *self;
        Outcome {
            elapsed,
            answered,
            errors,
            lost,
            latency_ns: self.latency_ns.clone(),
        }
    }

    fn turn(&mut self) -> Result<()> {
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            Some(&WAIT),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let events = std::mem::take(&mut self.events);
        for event in &events {
            let index = usize::try_from(event.data.u64())?;
            self.on_event(index, event.flags)?;
        }
        self.events = events;
        Ok(())
    }

    fn on_event(&mut self, index: usize, flags: EventFlags) -> Result<()> {
        let connection = &mut self.connections[index];
        if !connection.established {
            if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
                self.errors += 1;
                return self.open_again(index);
            }
            connection.established = true;
            self.established += 1;
            let data = EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, &self.connections[index].socket, data, EventFlags::IN)?;
            if self.started {
                self.send_all(index);
            }
            return Ok(());
        }
        match connection.receive(self.load, self.answer_len, &mut self.buffer) {
            Received::Answers(answers) => (0..answers).try_for_each(|_| self.on_answer(index)),
            Received::Broken => {
                self.errors += 1;
                if self.load.kind == Kind::Udp {
                    Ok(())
                } else {
                    self.open_again(index)
                }
            }
        }
    }

    fn on_answer(&mut self, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        let since = connection.sent_at.pop_front().unwrap_or(connection.opened_at);
        let since = if self.load.kind == Kind::Connect {
            connection.opened_at
        } else {
            since
        };
        self.answered += 1;
        self.latency_ns
            .saturating_record(u64::try_from(since.elapsed().as_nanos())?);
        if self.load.kind == Kind::Connect {
            return self.open_again(index);
        }
        let next = self.next_after(index);
        self.send(next);
        Ok(())
    }

    /// Who sends when `index` has its answer.
    fn next_after(&mut self, index: usize) -> usize {
        if self.resting.is_empty() {
            return index;
        }
        let place = self.random.random_range(0..self.resting.len());
        std::mem::replace(&mut self.resting[place], index)
    }

    /// The old socket closes, and with that leaves the epoll set.
    fn open_again(&mut self, index: usize) -> Result<()> {
        let connection = Connection::open(self.load)?;
        self.watch(index, &connection)?;
        self.established -= usize::from(self.connections[index].established);
        self.connections[index] = connection;
        Ok(())
    }

    fn watch(&self, index: usize, connection: &Connection) -> Result<()> {
        let both = EventFlags::IN | EventFlags::OUT;
        let flags = if connection.established {
            EventFlags::IN
        } else {
            both
        };
        epoll::add(
            &self.epoll,
            &connection.socket,
            EventData::new_u64(index as u64),
            flags,
        )?;
        Ok(())
    }

    fn send_all(&mut self, index: usize) {
        let depth = if self.load.kind.stays() {
            self.load.depth
        } else {
            1
        };
        for _ in 0..depth {
            self.send(index);
        }
    }

    fn send(&mut self, index: usize) {
        if !self.connections[index].send(self.load, &mut self.message) {
            self.errors += 1;
        }
    }

    fn send_lost_again(&mut self, now: Instant) {
        for index in 0..self.connections.len() {
            let sent_at = &mut self.connections[index].sent_at;
            if sent_at.front().is_some_and(|&at| now - at > LOST_AFTER) {
                sent_at.clear();
                self.lost += 1;
                self.send(index);
            }
        }
    }
}
