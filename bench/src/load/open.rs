//! An open loop: requests are due at the instants of a Poisson process, whatever the server does, and latency counts from
//! then. Instants, requests and sums are those of apps/load; only the sockets are served otherwise, since libix over Linux
//! looks again and again when it waits for less than a millisecond, and here QEMU's main loop lives on the same core.

use super::float;
use anyhow::{Result, anyhow, ensure};
use load::report::Row;
use load::sweep::{Plan, Step};
use load::workload::{Reader, Workload};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SendFlags, sockopt};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

const EVENTS: usize = 256;
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Records on their way at once while the server is filled.
const FILL_AT_ONCE: u32 = 32;
/// Beyond so many unanswered requests a step is lost, and ends early: memory would be next.
const MAX_PENDING: u64 = 500_000;

/// A load to offer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    /// The server.
    pub(crate) to: SocketAddrV4,
    /// What is asked for.
    pub(crate) workload: &'a Workload,
    /// On how many connections; each request goes over one drawn at random.
    pub(crate) connections: usize,
    /// Requests per second.
    pub(crate) rate: f64,
    /// For so long before anything counts,
    pub(crate) warm_up: Duration,
    /// and so long while it does.
    pub(crate) window: Duration,
    /// And for so long answers are waited for.
    pub(crate) drain: Duration,
    /// Of everything random.
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    /// The requests that were due in the window.
    pub(crate) row: Row,
    /// Answers within the window, per second: what the server carried, however late they were.
    pub(crate) carried_per_s: f64,
}

struct Connection {
    socket: OwnedFd,
    reader: Reader,
    /// When the requests on their way were due.
    pending: VecDeque<u64>,
    /// What the socket would not take yet.
    unsent: VecDeque<u8>,
}

struct Client<'a> {
    offer: &'a Offer<'a>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    events: Vec<Event>,
    buffer: Vec<u8>,
    random: SmallRng,
    start: Instant,
    /// The window, from and to, in nanoseconds since the start.
    window_ns: (u64, u64),
    carried: u64,
}

/// Stores what will be asked for.
pub(crate) fn fill(workload: &Workload, to: SocketAddrV4) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::V4(to), CONNECT_TIME)?;
    stream.set_read_timeout(Some(CONNECT_TIME))?;
    stream.set_nodelay(true)?;
    let mut reader = workload.reader();
    let mut buffer = [0; 4096];
    for first in (0..).step_by(FILL_AT_ONCE as usize) {
        let requests: Vec<_> = (first..first + FILL_AT_ONCE)
            .map_while(|place| workload.fill(place))
            .collect();
        if requests.is_empty() {
            break;
        }
        let bytes: Vec<&[u8]> = requests.iter().map(AsRef::as_ref).collect();
        stream.write_all(&bytes.concat())?;
        let mut awaited = requests.len();
        while awaited > 0 {
            let got = stream.read(&mut buffer)?;
            ensure!(got > 0, "the server closed while it was filled");
            each_reply(&mut reader, &buffer[..got], |_| {
                awaited = awaited.saturating_sub(1);
            })?;
        }
    }
    Ok(())
}

/// Offers the load. `at_edge` is called when the window begins and when it has ended.
pub(crate) fn offer<T>(offer: &Offer<'_>, mut at_edge: impl FnMut() -> Result<T>) -> Result<(Offered, T, T)> {
    // Without this, Linux adds up to 50 us to each wait.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let mut client = Client::open(offer)?;
    let plan = Plan {
        rates: vec![offer.rate],
        warm_up_ns: nanoseconds(offer.warm_up),
        measure_ns: nanoseconds(offer.window),
        drain_ns: nanoseconds(offer.drain),
    };
    let mut step = Step::begin(&plan, offer.rate, client.now_ns(), &mut client.random);
    client.run_until(&mut step, client.window_ns.0)?;
    let before = at_edge()?;
    client.run_until(&mut step, client.window_ns.1)?;
    let after = at_edge()?;
    client.run_until(&mut step, u64::MAX)?;
    let now_ns = client.now_ns();
    for due_ns in client.connections.iter().flat_map(|c| &c.pending) {
        step.on_loss(*due_ns, now_ns);
    }
    let offered = Offered {
        row: step.row(),
        carried_per_s: float(client.carried) / offer.window.as_secs_f64(),
    };
    Ok((offered, before, after))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn each_reply(
    reader: &mut Reader,
    mut input: &[u8],
    mut on_reply: impl FnMut(load::workload::Reply),
) -> Result<()> {
    while !input.is_empty() {
        let (count, reply) = reader
            .advance(input)
            .map_err(|_| anyhow!("what came is no answer"))?;
        input = &input[count..];
        reply.into_iter().for_each(&mut on_reply);
    }
    Ok(())
}

impl<'a> Client<'a> {
    fn open(offer: &'a Offer<'a>) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(offer.connections);
        for index in 0..offer.connections {
            let connection = Connection::open(offer)?;
            let data = EventData::new_u64(index as u64);
            epoll::add(&epoll, &connection.socket, data, EventFlags::IN)?;
            connections.push(connection);
        }
        let from_ns = nanoseconds(offer.warm_up);
        Ok(Self {
            offer,
            epoll,
            connections,
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; 1 << 16],
            random: SmallRng::seed_from_u64(offer.seed),
            start: Instant::now(),
            window_ns: (from_ns, from_ns + nanoseconds(offer.window)),
            carried: 0,
        })
    }

    fn now_ns(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }

    /// Sends what is due and takes what comes until then, or all is over.
    fn run_until(&mut self, step: &mut Step, until_ns: u64) -> Result<()> {
        loop {
            let now_ns = self.now_ns();
            while let Some(due_ns) = step.due(now_ns, &mut self.random) {
                self.send(due_ns)?;
            }
            if now_ns >= until_ns
                || (until_ns == u64::MAX && step.is_over(now_ns))
                || step.pending() > MAX_PENDING
            {
                return Ok(());
            }
            self.turn(step, step.next_ns().min(until_ns).saturating_sub(now_ns))?;
        }
    }

    fn send(&mut self, due_ns: u64) -> Result<()> {
        let index = self.random.random_range(0..self.connections.len());
        let request = self.offer.workload.request(&mut self.random);
        let connection = &mut self.connections[index];
        connection.pending.push_back(due_ns);
        let all_sent = connection.unsent.is_empty();
        connection.send(request.as_ref())?;
        if all_sent && !connection.unsent.is_empty() {
            self.watch(index, EventFlags::IN | EventFlags::OUT)?;
        }
        Ok(())
    }

    fn watch(&self, index: usize, flags: EventFlags) -> Result<()> {
        let data = EventData::new_u64(index as u64);
        epoll::modify(&self.epoll, &self.connections[index].socket, data, flags)?;
        Ok(())
    }

    fn turn(&mut self, step: &mut Step, wait_ns: u64) -> Result<()> {
        let wait = Timespec::try_from(Duration::from_nanos(wait_ns))?;
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            Some(&wait),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let events = std::mem::take(&mut self.events);
        for event in &events {
            let index = usize::try_from(event.data.u64())?;
            let flags = event.flags;
            if flags.contains(EventFlags::OUT) && self.connections[index].flush()? {
                self.watch(index, EventFlags::IN)?;
            }
            self.receive(step, index)?;
        }
        self.events = events;
        Ok(())
    }

    fn receive(&mut self, step: &mut Step, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        let got = match rustix::net::recv(
            &connection.socket,
            &mut *self.buffer,
            rustix::net::RecvFlags::empty(),
        ) {
            Ok((0, _)) => return Err(anyhow!("the server has closed a connection")),
            Ok((got, _)) => got,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        let now_ns = nanoseconds(self.start.elapsed());
        let in_window = (self.window_ns.0..self.window_ns.1).contains(&now_ns);
        let Connection { reader, pending, .. } = connection;
        let mut unasked = false;
        each_reply(reader, &self.buffer[..got], |reply| match pending.pop_front() {
            Some(due_ns) => {
                self.carried += u64::from(in_window);
                step.on_reply(due_ns, now_ns, reply);
            }
            None => unasked = true,
        })?;
        ensure!(!unasked, "an answer that nobody asked for");
        Ok(())
    }
}

impl Connection {
    /// The socket will close with a reset, and take with it what the server has not answered.
    fn open(offer: &Offer<'_>) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::V4(offer.to), CONNECT_TIME)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
        Ok(Self {
            socket: stream.into(),
            reader: offer.workload.reader(),
            pending: VecDeque::new(),
            unsent: VecDeque::new(),
        })
    }

    fn send(&mut self, request: &[u8]) -> Result<()> {
        let taken = if self.unsent.is_empty() {
            self.try_send(request)?
        } else {
            0
        };
        self.unsent.extend(&request[taken..]);
        Ok(())
    }

    /// `true` if nothing is left.
    fn flush(&mut self) -> Result<bool> {
        while !self.unsent.is_empty() {
            let taken = self.try_send(self.unsent.as_slices().0)?;
            if taken == 0 {
                return Ok(false);
            }
            self.unsent.drain(..taken);
        }
        Ok(true)
    }

    fn try_send(&self, bytes: &[u8]) -> Result<usize> {
        match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            other => Ok(other?),
        }
    }
}
