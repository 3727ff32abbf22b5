//! The server on libix: packets in, packets out, and the clock.

mod client;

mod clock;

mod timeouts;

use crate::connection::{Now, Waits};
use crate::deadlines::Deadlines;
use crate::request::Limits;
use crate::site::{Job, Loader, News, Site};
use client::{Client, Phase};
use clock::Clock;
use libix::{Answer, Error, Flow, FlowMap, Handler, Io, Knock, Listener, RecvBuf, Status, Timer};
use rustls::ServerConfig;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at what the loader has done, while it has something to do.
const LOADER_POLL: Duration = Duration::from_micros(200);

/// What clients may do, and for how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// TCP port.
    pub port: u16,
    /// Of each request.
    pub limits: Limits,
    /// At once.
    pub max_connections: usize,
    /// On each connection.
    pub max_requests: u32,
    /// Bytes of memory for what clients have sent and what is made for them, all together.
    pub max_held_bytes: usize,
    /// From a head's first byte to its last; also until the first.
    pub head_timeout: Duration,
    /// From a head to the end of the body.
    pub body_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// For some KiB of a response to be acknowledged.
    pub send_timeout: Duration,
    /// For everything, once the server is to stop.
    pub drain_timeout: Duration,
    /// With it, TLS.
    pub tls: Option<Arc<ServerConfig>>,
}

/// The server: give it to [`libix::run`].
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    site: Site,
    loader: Loader,
    clients: FlowMap<Client>,
    /// Bytes of memory that they hold.
    held: usize,
    /// Who waits for a file.
    waiting: HashMap<String, Vec<Flow>>,
    /// Who waits for a piece of one, by the job's token.
    reading: HashMap<u64, Flow>,
    next_token: u64,
    clock: Clock,
    /// All clients, by when something must have happened.
    deadlines: Deadlines<Flow>,
    /// Ticks, while there are clients.
    ticker: Option<Timer>,
    /// Looks at the loader, while that has something to do.
    poller: Option<Timer>,
    listener: Option<Listener>,
    /// The tick when what is under way is given up; the server is to stop.
    drained_by: Option<u64>,
}

impl Server {
    /// Serves `site` with what `loader` reads.
    #[must_use]
    pub fn new(settings: Settings, site: Site, loader: Loader) -> Self {
        Server {
            settings,
            site,
            loader,
            clients: FlowMap::new(),
            held: 0,
            waiting: HashMap::new(),
            reading: HashMap::new(),
            next_token: 0,
            clock: Clock::start(),
            deadlines: Deadlines::new(),
            ticker: None,
            poller: None,
            listener: None,
            drained_by: None,
        }
    }

    /// Carries a client as far as it gets: what it has sent is read, what is to be said is sent, and what it waits for
    /// then is noted.
    fn pump(&mut self, io: &mut Io, flow: Flow) {
        let Some(client) = self.clients.get_mut(flow) else {
            return;
        };
        let now = Now {
            ms: self.clock.ms(),
            date: self.clock.date(),
        };
        loop {
            let awaited = client.connection.awaited().is_some();
            let read = client.read(&mut self.site, now);
            if !awaited && let Some(name) = client.connection.awaited() {
                self.waiting.entry(name.to_owned()).or_default().push(flow);
            }
            let sent = client.write(io, flow);
            if let Some((file, offset, len)) = client.wants_piece() {
                let token = self.next_token;
                self.next_token += 1;
                self.reading.insert(token, flow);
                self.site.order(Job::Read {
                    token,
                    file,
                    offset,
                    len,
                });
            }
            if !read && !sent {
                break;
            }
        }
        client.finish_if_done(io, flow);
        self.weigh(io, flow);
        self.note_phase(io, flow);
        self.consult_loader(io);
    }

    /// Keeps the account of memory. Who overdraws it is let go: others have asked before.
    fn weigh(&mut self, io: &mut Io, flow: Flow) {
        let Some(client) = self.clients.get_mut(flow) else {
            return;
        };
        let others = self.held - client.held;
        let mut held = client.weigh(io, flow);
        if held > client.held && others + held > self.settings.max_held_bytes {
            self.site.counters.shed += 1;
            client.abort(io, flow);
            held = client.weigh(io, flow);
        }
        client.held = held;
        self.held = others + held;
    }

    /// Gives the loader what has come up, and sees to it that its news are heard.
    fn consult_loader(&mut self, io: &mut Io) {
        for job in self.site.take_jobs() {
            self.loader.ask(job);
        }
        if self.loader.is_busy() && self.poller.is_none() {
            // Without room for a timer, the next tick looks.
            self.poller = io.start_timer(LOADER_POLL).ok();
        }
    }

    fn hear_loader(&mut self, io: &mut Io) {
        while let Some(news) = self.loader.news() {
            match news {
                News::Loaded { name, outcome } => {
                    let loaded = self.site.learn(&name, outcome, self.clock.ms());
                    for flow in self.waiting.remove(&name).unwrap_or_default() {
                        let now = Now {
                            ms: self.clock.ms(),
                            date: self.clock.date(),
                        };
                        if let Some(client) = self.clients.get_mut(flow)
                            && client.connection.awaited() == Some(&name)
                        {
                            client.connection.on_loaded(&mut self.site, &loaded, now);
                            self.pump(io, flow);
                        }
                    }
                }
                News::Read { token, piece } => {
                    let Some(flow) = self.reading.remove(&token) else {
                        continue;
                    };
                    if let Some(client) = self.clients.get_mut(flow) {
                        client.on_piece(io, flow, piece);
                        self.pump(io, flow);
                    }
                }
            }
        }
        self.consult_loader(io);
    }

    fn take(&mut self, flow: Flow) -> Result<(), rustls::Error> {
        let client = Client::new(&self.settings)?;
        self.clients.insert(flow, client);
        self.site.counters.connections += 1;
        self.site.counters.connections_open += 1;
        Ok(())
    }
}

impl Handler for Server {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let port = self.settings.port;
        self.listener = Some(io.listen(port)?);
        let protocol = if self.settings.tls.is_some() {
            "https"
        } else {
            "http"
        };
        match io.local_ip() {
            Some(ip) => println!("http: {protocol} on port {port} of {ip}"),
            None => println!("http: {protocol} on port {port}"),
        }
        Ok(())
    }

    fn on_knock(&mut self, io: &mut Io, flow: Flow, _: Knock) -> Answer {
        let full = self.site.counters.connections_open >= self.settings.max_connections;
        if full || self.drained_by.is_some() || self.take(flow).is_err() {
            self.site.counters.connections_refused += 1;
            return Answer::Reject;
        }
        self.keep_ticking(io);
        self.begin_phase(flow, Phase::Waits(Waits::ForHead));
        if let Some(client) = self.clients.get(flow) {
            self.deadlines.insert(flow, client.deadline);
        }
        Answer::Accept
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        if let Some(client) = self.clients.get_mut(flow) {
            client.inbox.push_back(data);
            self.pump(io, flow);
        }
    }

    fn on_sent(&mut self, io: &mut Io, flow: Flow, count: usize) {
        if let Some(client) = self.clients.get_mut(flow) {
            client.acknowledged += count;
            self.pump(io, flow);
        }
    }

    fn on_eof(&mut self, io: &mut Io, flow: Flow) {
        if let Some(client) = self.clients.get_mut(flow) {
            client.has_ended = true;
            self.pump(io, flow);
        }
    }

    fn on_dead(&mut self, io: &mut Io, flow: Flow, _: Result<(), Status>) {
        if let Some(client) = self.clients.remove(flow) {
            self.held -= client.held;
            self.site.counters.connections_open -= 1;
        }
        if self.drained_by.is_some() && self.site.counters.connections_open == 0 {
            io.stop();
        }
    }

    fn on_timer(&mut self, io: &mut Io, timer: Timer) {
        if self.poller == Some(timer) {
            self.poller = None;
            self.hear_loader(io);
        } else if self.ticker == Some(timer) {
            self.ticker = None;
            self.on_tick(io);
        }
    }

    fn on_stop(&mut self, io: &mut Io) {
        self.drain(io);
    }
}
