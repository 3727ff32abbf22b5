//! What libix promises, one behaviour after the other, against the peer of `tests/tests/api.rs` at the addresses given.
//! Each prints one line of what came of it; the lines must be the same on Ixion's kernel and on Linux sockets.

use libix::{
    Answer, CongestionControl, EventLoop, Flow, Handler, Io, Knock, RecvBuf, Status, Timer, UdpPort,
};
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The peer's services.
const ECHO: u16 = 9001;
const SUMMARY: u16 = 9002;
const RESET: u16 = 9003;
const WITNESS: u16 = 9004;
const CALL_BACK: u16 = 9005;
const CLOSED: u16 = 9009;

/// Where the peer calls back.
const OWN: u16 = 7007;

const PATIENCE: Duration = Duration::from_secs(15);

/// What has been told.
#[derive(Default)]
struct Seen {
    connected: Vec<(Flow, Result<(), Status>)>,
    knocks: Vec<Flow>,
    received: Vec<(Flow, RecvBuf)>,
    sent: usize,
    eof: Vec<Flow>,
    dead: Vec<(Flow, Result<(), Status>)>,
    timers: Vec<Timer>,
    datagrams: Vec<(SocketAddr, RecvBuf)>,
    datagrams_sent: Vec<Result<(), Status>>,
    refused_by: Vec<SocketAddr>,
    rejects: bool,
    echoes: bool,
}

impl Handler for Seen {
    fn on_knock(&mut self, _: &mut Io, flow: Flow, _: Knock) -> Answer {
        self.knocks.push(flow);
        if self.rejects {
            Answer::Reject
        } else {
            Answer::Accept
        }
    }

    fn on_connected(&mut self, _: &mut Io, flow: Flow, result: Result<(), Status>) {
        self.connected.push((flow, result));
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        if self.echoes {
            io.send(flow, data).expect("an open flow");
        } else {
            self.received.push((flow, data));
        }
    }

    fn on_sent(&mut self, _: &mut Io, _: Flow, count: usize) {
        self.sent += count;
    }

    fn on_eof(&mut self, io: &mut Io, flow: Flow) {
        self.eof.push(flow);
        if self.echoes {
            io.close(flow).expect("an open flow");
        }
    }

    fn on_dead(&mut self, _: &mut Io, flow: Flow, reason: Result<(), Status>) {
        self.dead.push((flow, reason));
    }

    fn on_timer(&mut self, _: &mut Io, timer: Timer) {
        self.timers.push(timer);
    }

    fn on_udp(&mut self, _: &mut Io, _: UdpPort, peer: SocketAddr, data: RecvBuf) {
        self.datagrams.push((peer, data));
    }

    fn on_udp_sent(&mut self, _: &mut Io, _: UdpPort, result: Result<(), Status>) {
        self.datagrams_sent.push(result);
    }

    fn on_udp_refused(&mut self, _: &mut Io, _: UdpPort, peer: SocketAddr) {
        self.refused_by.push(peer);
    }
}

impl Seen {
    fn bytes(&self) -> usize {
        self.received.iter().map(|(_, data)| data.len()).sum()
    }

    fn text(&self) -> Vec<u8> {
        self.received.iter().flat_map(|(_, data)| data.to_vec()).collect()
    }
}

struct Tour {
    event_loop: EventLoop,
    seen: Seen,
    peer: IpAddr,
}

fn say(name: &str, what: impl Debug) {
    println!("{name}: {what:?}");
}

fn pattern(len: usize) -> Vec<u8> {
    (0..=250u8).cycle().take(len).collect()
}

impl Tour {
    fn io(&mut self) -> &mut Io {
        self.event_loop.io()
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.peer, port)
    }

    /// Begins the next behaviour: forgets what has been told.
    fn begin(&mut self) {
        self.seen = Seen::default();
    }

    fn turn(&mut self, wait: Duration) {
        self.event_loop
            .turn(&mut self.seen, Some(wait))
            .expect("a loop that goes on");
    }

    /// Turns until `done`; what that takes is bounded.
    fn until(&mut self, what: &str, done: impl Fn(&Seen) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(&self.seen) {
            if Instant::now() > until {
                println!("NEVER: {what}");
                return;
            }
            self.turn(Duration::from_millis(20));
        }
    }

    fn turn_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.turn(Duration::from_millis(20));
        }
    }

    fn connect(&mut self, port: u16) -> Flow {
        let to = self.at(port);
        self.io().connect(to).expect("a way to the peer")
    }

    /// One whole exchange, from SYN to the last FIN.
    fn exchange(&mut self, name: &str) {
        self.begin();
        let flow = self.connect(ECHO);
        self.io().send(flow, "sent before the handshake is done").unwrap();
        self.until("echo", |seen| seen.bytes() == 33);
        self.until("acknowledged", |seen| seen.sent == 33);
        let backlog = self.io().backlog(flow);
        self.io().shutdown(flow).unwrap();
        self.until("dead", |seen| !seen.dead.is_empty());
        let seen = &self.seen;
        let (connected, dead) = (seen.connected[0].1, seen.dead[0].1);
        say(
            name,
            (
                connected,
                seen.text().len(),
                backlog,
                seen.eof.len(),
                dead,
                seen.dead.len(),
            ),
        );
    }

    fn refused(&mut self) {
        self.begin();
        self.connect(CLOSED);
        self.until("an outcome", |seen| !seen.connected.is_empty());
        self.turn_for(Duration::from_millis(50));
        say("a closed port", (self.seen.connected[0].1, self.seen.dead.len()));
    }

    fn long_stream(&mut self) {
        self.begin();
        let flow = self.connect(ECHO);
        let bytes = pattern(1 << 20);
        for piece in bytes.chunks(50_000) {
            self.io().send(flow, piece.to_vec()).unwrap();
        }
        self.until("the first of it", |seen| seen.bytes() > 0);
        let mut echoed = Vec::new();
        let until = Instant::now() + PATIENCE;
        while echoed.len() < bytes.len() && Instant::now() < until {
            echoed.extend(self.seen.text());
            self.seen.received.clear();
            self.turn(Duration::from_millis(20));
        }
        self.until("all acknowledged", |seen| seen.sent == 1 << 20);
        self.io().close(flow).unwrap();
        self.until("dead", |seen| !seen.dead.is_empty());
        say(
            "a mebibyte there and back",
            (echoed == bytes, self.seen.sent, self.seen.dead[0].1),
        );
    }

    fn half_close(&mut self) {
        self.begin();
        let flow = self.connect(SUMMARY);
        self.io().send(flow, vec![1; 100_000]).unwrap();
        self.io().send(flow, "and this").unwrap();
        self.until("connected", |seen| !seen.connected.is_empty());
        self.io().shutdown(flow).unwrap();
        let after = (self.io().send(flow, "late"), self.io().shutdown(flow));
        self.until("dead", |seen| !seen.dead.is_empty());
        let text = String::from_utf8(self.seen.text());
        say(
            "half a close",
            (text, self.seen.eof.len(), self.seen.dead[0].1, after),
        );
    }

    fn close_with_more_to_come(&mut self) {
        self.begin();
        // It answers when it has seen our FIN.
        let flow = self.connect(SUMMARY);
        self.io().send(flow, vec![1; 1_000]).unwrap();
        self.until("connected", |seen| !seen.connected.is_empty());
        self.io().close(flow).unwrap();
        let after = (self.io().send(flow, "late"), self.io().close(flow));
        self.until("dead", |seen| !seen.dead.is_empty());
        let seen = &self.seen;
        say(
            "a close before the answer",
            (seen.sent, seen.bytes(), seen.eof.len(), seen.dead[0].1, after),
        );
    }

    /// What became of the peer's last connection at `WITNESS`, by its own words.
    fn testimony(&mut self) -> String {
        self.begin();
        let flow = self.connect(WITNESS);
        self.io().send(flow, "?").unwrap();
        self.until("testimony", |seen| !seen.eof.is_empty());
        let text = String::from_utf8(self.seen.text()).expect("words");
        self.io().close(flow).unwrap();
        self.until("dead", |seen| !seen.dead.is_empty());
        text
    }

    fn abort(&mut self) {
        self.begin();
        let flow = self.connect(WITNESS);
        self.io().send(flow, "!").unwrap();
        self.until("it is there", |seen| seen.sent == 1);
        self.io().abort(flow).unwrap();
        self.until("dead", |seen| !seen.dead.is_empty());
        let dead = self.seen.dead[0].1;
        let (send, close) = (self.io().send(flow, "late"), self.io().close(flow));
        say("an abort", (dead, send, close, self.testimony()));
    }

    fn peer_resets(&mut self) {
        self.begin();
        let flow = self.connect(RESET);
        self.io().send(flow, "x").unwrap();
        self.until("dead", |seen| !seen.dead.is_empty());
        say("a reset by the peer", (self.seen.dead[0].1, self.seen.eof.len()));
    }

    /// Has the peer connect to us and do `what`; the flow that it tells the outcome on.
    fn call_back(&mut self, what: &str) -> Flow {
        let flow = self.connect(CALL_BACK);
        self.io().send(flow, format!("{OWN} {what}\n")).unwrap();
        flow
    }

    fn listens(&mut self) {
        self.begin();
        let listener = self.io().listen(OWN).expect("a free port");
        let again = self.io().listen(OWN).err();
        self.seen.echoes = true;
        self.call_back("echo");
        self.until("both are dead", |seen| seen.dead.len() == 2);
        say(
            "a peer is served",
            (again, self.seen.knocks.len(), self.seen.dead[0].1),
        );

        self.begin();
        self.seen.rejects = true;
        let flow = self.call_back("read");
        self.until("it ends", |seen| !seen.eof.is_empty());
        let text = String::from_utf8(self.seen.text());
        say("a peer is rejected", (text, self.seen.knocks.len()));
        self.io().close(flow).unwrap();
        self.until("dead", |seen| !seen.dead.is_empty());

        self.begin();
        self.io().unlisten(listener);
        let flow = self.call_back("connect");
        self.until("it ends", |seen| !seen.eof.is_empty());
        let text = String::from_utf8(self.seen.text());
        let listener = self.io().listen(OWN);
        say("nobody listens any more", (text, listener.is_ok()));
        self.io().close(flow).unwrap();
        self.until("dead", |seen| !seen.dead.is_empty());
    }

    fn back_pressure(&mut self) {
        self.begin();
        self.call_back("flood");
        self.until("the first bytes", |seen| seen.bytes() > 0);
        self.turn_for(Duration::from_millis(700));
        let held = self.seen.bytes();
        self.turn_for(Duration::from_millis(200));
        let stopped = held == self.seen.bytes() && held <= 1 << 18;
        let mut total = 0;
        let until = Instant::now() + PATIENCE;
        while total < 3_000_000 && Instant::now() < until {
            total += self.seen.bytes();
            self.seen.received.clear();
            self.turn(Duration::from_millis(20));
        }
        let flow = self.seen.knocks[0];
        self.io().close(flow).unwrap();
        self.until("dead", |seen| seen.dead.iter().any(|(dead, _)| *dead == flow));
        say("an app that keeps what it gets", (stopped, total));
    }

    fn timers(&mut self) {
        self.begin();
        let start = Instant::now();
        let delays = [40, 3, 15].map(Duration::from_millis);
        let timers = delays.map(|delay| self.io().start_timer(delay).expect("a timer"));
        let cancelled = self.io().start_timer(Duration::from_millis(5)).expect("a timer");
        self.io().cancel_timer(cancelled);
        self.until("three timers", |seen| seen.timers.len() == 3);
        let late = start.elapsed() >= delays[0];
        self.turn_for(Duration::from_millis(10));
        let order = self.seen.timers == [timers[1], timers[2], timers[0]];
        say("timers", (order, late));
    }

    fn datagrams(&mut self, name: &str) {
        self.begin();
        let (echo, closed) = (self.at(ECHO), self.at(CLOSED));
        let port = self.io().udp_bind(0).expect("a free port");
        let mut lengths = Vec::new();
        for len in [0, 1, 1_400, 5_000] {
            self.io().udp_send(port, echo, pattern(len));
            self.until("an echo", |seen| !seen.datagrams.is_empty());
            for (from, data) in core::mem::take(&mut self.seen.datagrams) {
                lengths.push((from == echo, *data == *pattern(len)));
            }
        }
        self.io().udp_send(port, closed, "anyone?");
        self.until("a refusal", |seen| !seen.refused_by.is_empty());
        let refused = self.seen.refused_by.first() == Some(&closed);
        self.io().udp_send(port, echo, vec![0; 66_000]);
        self.until("six outcomes", |seen| seen.datagrams_sent.len() == 6);
        say(
            name,
            (lengths, refused, core::mem::take(&mut self.seen.datagrams_sent)),
        );

        self.io().udp_unbind(port);
        self.io().udp_send(port, echo, "stale");
        self.until("an outcome", |seen| !seen.datagrams_sent.is_empty());
        let stale = self.seen.datagrams_sent[0];
        let first = self.io().udp_bind(OWN).expect("a free port");
        let second = self.io().udp_bind(OWN).err();
        self.io().udp_unbind(first);
        let third = self.io().udp_bind(OWN).map(|port| self.io().udp_unbind(port));
        say("UDP ports", (stale, second, third));
    }

    fn groups(&mut self, group: &str) {
        let group: IpAddr = group.parse().expect("an address");
        let peer = self.peer;
        let io = self.io();
        let port = io.udp_bind(0).expect("a free port");
        let joins = [group, group, peer].map(|group| io.udp_join(port, group));
        let leaves = [group, group].map(|group| io.udp_leave(port, group));
        io.udp_unbind(port);
        say("groups", (joins, leaves, io.udp_join(port, group)));
    }

    fn options(&mut self) {
        self.begin();
        let flow = self.connect(ECHO);
        self.until("connected", |seen| !seen.connected.is_empty());
        let io = self.io();
        let set = [
            io.congestion_control(flow, CongestionControl::NewReno),
            io.congestion_control(flow, CongestionControl::Cubic),
            io.user_timeout(flow, Some(Duration::from_secs(5))),
            io.user_timeout(flow, None),
            io.keepalive(flow, Some(Duration::from_secs(30))),
            io.keepalive(flow, None),
        ];
        io.send(flow, "still there").unwrap();
        self.until("echo", |seen| seen.bytes() == 11);
        self.io().abort(flow).unwrap();
        self.until("dead", |seen| !seen.dead.is_empty());
        let stale = self.io().keepalive(flow, None);
        say("options", (set.iter().all(Result::is_ok), stale));
    }

    fn own_port(&mut self) {
        self.begin();
        let from = SocketAddr::new(
            if self.peer.is_ipv4() {
                [0; 4].into()
            } else {
                [0; 16].into()
            },
            5_555,
        );
        let to = self.at(CALL_BACK);
        let flow = self.io().connect_from(from, to).expect("a free port");
        self.io().send(flow, "0 who\n").unwrap();
        self.until("an answer", |seen| !seen.eof.is_empty());
        say("a port of its own choice", String::from_utf8(self.seen.text()));
        self.io().abort(flow).unwrap();
        self.until("dead", |seen| !seen.dead.is_empty());
    }
}

fn main() {
    let peers: Vec<IpAddr> = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("an address of the peer"))
        .collect();
    let mut tour = Tour {
        event_loop: EventLoop::new().expect("a loop"),
        seen: Seen::default(),
        peer: peers[0],
    };
    tour.exchange("an exchange");
    tour.refused();
    tour.long_stream();
    tour.half_close();
    tour.close_with_more_to_come();
    tour.abort();
    tour.peer_resets();
    tour.listens();
    tour.back_pressure();
    tour.timers();
    tour.datagrams("datagrams");
    tour.groups("239.7.7.7");
    tour.options();
    tour.own_port();
    tour.peer = peers[1];
    tour.exchange("an exchange by IPv6");
    tour.refused();
    tour.datagrams("datagrams by IPv6");
    tour.groups("ff15::7");
    tour.begin();
    tour.io().stop();
    tour.event_loop.run(&mut tour.seen).expect("an end");
    say("flows left", tour.event_loop.io().flow_count());
}
