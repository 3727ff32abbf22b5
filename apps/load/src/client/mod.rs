//! The load generator on libix.

mod connection;

use crate::report::{Report, Row};
use crate::sweep::{Plan, Step};
use crate::workload::{Reply, Workload};
use connection::Connection;
use libix::{Error, Flow, FlowMap, Handler, Io, RecvBuf, Status, Timer};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Requests that prepare the server, on their way at once.
const FILL_WINDOW: u32 = 64;

/// Requests that may wait for an answer altogether. Beyond that the step is lost, and memory would be next.
const MAX_PENDING: u64 = 500_000;

/// Between two live lines.
const LIVE: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Debug)]
pub struct Settings {
    /// The server.
    pub server: SocketAddr,
    /// How many.
    pub connections: usize,
    /// What is asked for.
    pub workload: Workload,
    /// Its name, for the report.
    pub name: String,
    /// How much of it.
    pub plan: Plan,
    /// Of everything random.
    pub seed: u64,
    /// A line on standard error each second.
    pub live: bool,
}

#[derive(Debug)]
enum Phase {
    /// So many connections are not there yet.
    Connecting(usize),
    /// The next record, and how many are on their way.
    Filling {
        next: u32,
        pending: u32,
    },
    /// The step of the plan's rate at this place.
    Measuring(usize, Box<Step>),
    Done,
}

/// The load generator: give it to [`libix::run`], then ask for its [`Load::report`].
#[derive(Debug)]
pub struct Load {
    settings: Settings,
    random: SmallRng,
    start: Instant,
    phase: Phase,
    connections: FlowMap<Connection>,
    /// Those that live.
    flows: Vec<Flow>,
    rows: Vec<Row>,
    /// Goes off when the next request is due.
    timer: Option<Timer>,
    live_timer: Option<Timer>,
    /// Answers since the last live line.
    answers: u64,
    failure: Option<String>,
}

impl Load {
    /// Ready to run.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Load {
            random: SmallRng::seed_from_u64(settings.seed),
            start: Instant::now(),
            phase: Phase::Connecting(settings.connections),
            settings,
            connections: FlowMap::new(),
            flows: Vec::new(),
            rows: Vec::new(),
            timer: None,
            live_timer: None,
            answers: 0,
            failure: None,
        }
    }

    /// What came of it.
    ///
    /// # Errors
    /// Why it could not be finished.
    pub fn report(self) -> Result<Report, String> {
        match self.failure {
            Some(failure) => Err(failure),
            None if matches!(self.phase, Phase::Done) => Ok(Report {
                workload: self.settings.name,
                connections: self.settings.connections,
                seed: self.settings.seed,
                rows: self.rows,
            }),
            None => Err("stopped before the end".into()),
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn fail(&mut self, io: &mut Io, why: String) {
        self.failure.get_or_insert(why);
        io.stop();
    }

    /// Does whatever has come up.
    fn advance(&mut self, io: &mut Io) {
        if self.failure.is_some() {
            return;
        }
        match self.phase {
            Phase::Connecting(0) => {
                self.phase = Phase::Filling { next: 0, pending: 0 };
                self.fill(io);
            }
            Phase::Filling { .. } => self.fill(io),
            Phase::Measuring(..) => self.measure(io),
            Phase::Connecting(_) | Phase::Done => {}
        }
    }

    fn fill(&mut self, io: &mut Io) {
        let Phase::Filling { next, pending } = &mut self.phase else {
            return;
        };
        while *pending < FILL_WINDOW
            && let Some(request) = self.settings.workload.fill(*next)
        {
            let flow = self.flows[*next as usize % self.flows.len()];
            *next += 1;
            *pending += 1;
            if let Some(connection) = self.connections.get_mut(flow) {
                connection.send(io, flow, request, 0);
            }
        }
        if *pending == 0 {
            self.begin_step(io, 0);
        }
    }

    fn begin_step(&mut self, io: &mut Io, place: usize) {
        let Some(&rate) = self.settings.plan.rates.get(place) else {
            self.phase = Phase::Done;
            io.stop();
            return;
        };
        let now_ns = self.now_ns();
        let step = Step::begin(&self.settings.plan, rate, now_ns, &mut self.random);
        self.phase = Phase::Measuring(place, Box::new(step));
        self.measure(io);
    }

    /// Sends what is due, and sees to it that the next is not forgotten.
    fn measure(&mut self, io: &mut Io) {
        let now_ns = self.now_ns();
        let Phase::Measuring(place, step) = &mut self.phase else {
            return;
        };
        while let Some(due_ns) = step.due(now_ns, &mut self.random) {
            let flow = self.flows[self.random.random_range(0..self.flows.len())];
            if let Some(connection) = self.connections.get_mut(flow) {
                let request = self.settings.workload.request(&mut self.random);
                connection.send(io, flow, request, due_ns);
            }
        }
        if step.pending() > MAX_PENDING {
            let why = format!("the server does not keep up: {MAX_PENDING} requests wait for an answer");
            self.fail(io, why);
        } else if step.is_over(now_ns) {
            let place = *place;
            self.end_step(io, now_ns);
            self.begin_step(io, place + 1);
        } else if self.timer.is_none() {
            let wait = Duration::from_nanos(step.next_ns().saturating_sub(now_ns));
            match io.start_timer(wait) {
                Ok(timer) => self.timer = Some(timer),
                Err(status) => self.fail(io, format!("no timer: {status}")),
            }
        }
    }

    fn end_step(&mut self, io: &mut Io, now_ns: u64) {
        let Phase::Measuring(_, step) = &mut self.phase else {
            return;
        };
        for flow in &self.flows {
            if let Some(connection) = self.connections.get_mut(*flow) {
                connection.give_up(|due_ns| step.on_loss(due_ns, now_ns));
            }
        }
        self.rows.push(step.row());
        if let Some(timer) = self.timer.take() {
            io.cancel_timer(timer);
        }
    }

    fn on_reply(&mut self, due_ns: u64, now_ns: u64, reply: Reply) {
        self.answers += 1;
        match &mut self.phase {
            Phase::Filling { pending, .. } => {
                *pending -= 1;
                if reply != Reply::Good {
                    self.failure
                        .get_or_insert("the server does not store the records".into());
                }
            }
            Phase::Measuring(_, step) => step.on_reply(due_ns, now_ns, reply),
            Phase::Connecting(_) | Phase::Done => {}
        }
    }

    fn tell(&mut self, io: &mut Io) {
        let answers = core::mem::take(&mut self.answers);
        match &self.phase {
            Phase::Connecting(left) => eprintln!("load: {left} connections to come"),
            Phase::Filling { next, .. } => eprintln!("load: {next} records stored"),
            Phase::Measuring(_, step) => {
                let row = step.row();
                eprintln!(
                    "load: {:>9.0}/s offered {answers:>9}/s answered  p50 {:>8.1} us  p99 {:>8.1} us  {} pending",
                    row.offered_per_s,
                    row.p50_us,
                    row.p99_us,
                    step.pending()
                );
            }
            Phase::Done => return,
        }
        self.live_timer = io.start_timer(LIVE).ok();
    }
}

impl Handler for Load {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        for _ in 0..self.settings.connections {
            let flow = io.connect(self.settings.server)?;
            let reader = self.settings.workload.reader();
            self.connections.insert(flow, Connection::new(reader));
            self.flows.push(flow);
        }
        if self.settings.live {
            self.live_timer = io.start_timer(LIVE).ok();
        }
        Ok(())
    }

    fn on_connected(&mut self, io: &mut Io, _: Flow, result: Result<(), Status>) {
        match (result, &mut self.phase) {
            (Err(status), _) => {
                let why = format!("cannot connect to {}: {status}", self.settings.server);
                self.fail(io, why);
            }
            (Ok(()), Phase::Connecting(left)) => {
                *left -= 1;
                self.advance(io);
            }
            (Ok(()), _) => {}
        }
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        let now_ns = self.now_ns();
        let mut used = 0;
        while used < data.len() {
            let Some(connection) = self.connections.get_mut(flow) else {
                return;
            };
            match connection.receive(&data[used..]) {
                Ok((count, reply)) => {
                    used += count;
                    if let Some((due_ns, reply)) = reply {
                        self.on_reply(due_ns, now_ns, reply);
                    }
                }
                Err(_) => {
                    self.fail(
                        io,
                        format!("what comes from {} is no answer", self.settings.server),
                    );
                    return;
                }
            }
        }
        if self.failure.is_some() {
            io.stop();
        }
        self.advance(io);
    }

    fn on_eof(&mut self, io: &mut Io, flow: Flow) {
        // An error says that it is closed already; `on_dead` tells the rest.
        let _ = io.close(flow);
    }

    fn on_dead(&mut self, io: &mut Io, flow: Flow, reason: Result<(), Status>) {
        let now_ns = self.now_ns();
        self.flows.retain(|&other| other != flow);
        let Some(mut connection) = self.connections.remove(flow) else {
            return;
        };
        match &mut self.phase {
            Phase::Done => {}
            Phase::Measuring(_, step) if !self.flows.is_empty() => {
                connection.lose(|due_ns| step.on_loss(due_ns, now_ns));
            }
            _ => {
                let why = reason.err().map_or("the server has closed it", Status::message);
                self.fail(io, format!("a connection is gone: {why}"));
            }
        }
    }

    fn on_timer(&mut self, io: &mut Io, timer: Timer) {
        if self.timer == Some(timer) {
            self.timer = None;
            self.advance(io);
        } else if self.live_timer == Some(timer) {
            self.tell(io);
        }
    }
}
