//! Calls over UDP: on the network in virtual time, with the very stack of the kernel, and over Linux sockets.

use futures_util::future::join_all;
use libix::rpc::task::{Client as TaskClient, Failure};
use libix::rpc::{
    CallError, Client, Config, Event, Message, Request, RequestId, Serve, Server, Service, wire,
};
use libix::task::{self, Executor};
use libix::testing::Network;
use libix::{Error, Handler, Io, RecvBuf, Timer, UdpPort};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

const PORT: u16 = 7100;
const ECHO: u16 = 1;
/// Echoes after a millisecond.
const LATER: u16 = 2;

/// Echoes, and counts how often it has seen each first word.
#[derive(Default)]
struct Echo {
    seen: HashMap<u64, u32>,
    waiting: HashMap<Timer, (RequestId, Message)>,
}

impl Service for Echo {
    fn on_request(&mut self, io: &mut Io, server: &mut Server, request: Request) {
        let name = request
            .body
            .first_chunk()
            .map_or(0, |name| u64::from_be_bytes(*name));
        *self.seen.entry(name).or_default() += 1;
        let response = server.message_of(&request.body).expect("as long as the request");
        if request.method == LATER {
            let timer = io.start_timer(Duration::from_millis(1)).expect("room");
            self.waiting.insert(timer, (request.id, response));
        } else {
            server
                .respond(io, request.id, 0, response)
                .expect("the client waits");
        }
    }

    fn on_timer(&mut self, io: &mut Io, server: &mut Server, timer: Timer) {
        let (id, response) = self.waiting.remove(&timer).expect("one of ours");
        server.respond(io, id, 0, response).expect("the client waits");
    }
}

/// Bytes that begin with `name`.
fn request(name: u64, len: usize) -> Vec<u8> {
    let content = (0..253_u8).cycle().take(len - 8);
    name.to_be_bytes().into_iter().chain(content).collect()
}

/// Makes calls of these lengths, all at once, and remembers the answers.
struct Caller {
    server: SocketAddr,
    lengths: Vec<usize>,
    client: Option<Client>,
    answers: HashMap<u64, Result<Vec<u8>, CallError>>,
}

impl Caller {
    fn new(server: SocketAddr, lengths: Vec<usize>) -> Self {
        Caller {
            server,
            lengths,
            client: None,
            answers: HashMap::new(),
        }
    }
}

impl Handler for Caller {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let mut client = Client::bind(io, &Config::default())?;
        let session = client.connect(io, self.server).expect("room");
        for (name, &len) in (0..).zip(&self.lengths) {
            let message = client.message_of(&request(name, len)).expect("short enough");
            let method = if name % 3 == 0 { LATER } else { ECHO };
            client.call(io, session, method, message, name).expect("few");
        }
        self.client = Some(client);
        Ok(())
    }

    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        let client = self.client.as_mut().expect("started");
        assert!(client.on_udp(io, port, peer, data).is_none());
    }

    fn on_turn(&mut self, io: &mut Io) {
        let client = self.client.as_mut().expect("started");
        client.on_turn(io);
        while let Some(event) = client.poll_event() {
            if let Event::Done { tag, result } = event {
                let answer = result.map(|response| response.body.to_vec());
                assert!(self.answers.insert(tag, answer).is_none(), "{tag} is over twice");
            }
        }
    }

    fn max_wait(&mut self, io: &Io) -> Option<Duration> {
        self.client.as_mut()?.max_wait(io)
    }
}

#[test]
fn calls_through_losses_are_carried_out_once() {
    let mut network = Network::new(11);
    network.set_loss(0.05);
    network.set_jitter(Duration::from_micros(30));
    let server = network
        .add(Serve::new(PORT, &Config::default(), Echo::default()))
        .unwrap();
    let address = SocketAddr::new(network.ip(&server), PORT);
    let lengths: Vec<usize> = (0..40).map(|number| 8 + number * number * 40).collect();
    let client = network.add(Caller::new(address, lengths.clone())).unwrap();
    let done = network.run_until(Duration::from_secs(30), |network| {
        network.app(&client).answers.len() == 40
    });
    let answers = &network.app(&client).answers;
    assert!(done, "{} are answered", answers.len());
    for (name, len) in (0..).zip(lengths) {
        assert_eq!(answers[&name], Ok(request(name, len)));
    }
    let served = network.app(&server);
    assert!(served.service().seen.values().all(|count| *count == 1) && served.service().seen.len() == 40);
    assert!(
        network
            .app(&client)
            .client
            .as_ref()
            .unwrap()
            .counters()
            .sent_again
            > 0,
        "nothing was lost"
    );
}

#[test]
fn a_partition_fails_calls_and_nobody_waits_for_ever() {
    let mut network = Network::new(12);
    let server = network
        .add(Serve::new(PORT, &Config::default(), Echo::default()))
        .unwrap();
    let address = SocketAddr::new(network.ip(&server), PORT);
    let client = network.add(Caller::new(address, vec![2 << 20; 3])).unwrap();
    network.run_for(Duration::from_millis(2));
    let alone = network.ip(&client);
    network.part(&[alone]);
    let done = network.run_until(Duration::from_secs(7), |network| {
        network.app(&client).answers.len() == 3
    });
    assert!(done);
    assert!(
        network
            .app(&client)
            .answers
            .values()
            .all(|answer| *answer == Err(CallError::Gone))
    );
    network.run_for(Duration::from_secs(2));
    assert_eq!(network.app(&server).server().unwrap().session_count(), 0);
}

/// Many tasks call at once, on one session.
async fn call_from_tasks(address: SocketAddr) -> Result<(), Error> {
    let client = TaskClient::bind(&Config::default())?;
    let session = client.connect(address).expect("room");
    let calls = (0..50_u64).map(|name| {
        let session = &session;
        async move {
            let bytes = request(name, 8 + usize::try_from(name).expect("small") * 300);
            let method = if name % 5 == 0 { LATER } else { ECHO };
            let response = session.call(method, &bytes).await.expect("answered");
            assert_eq!((response.status, &*response.body), (0, &bytes[..]));
        }
    });
    join_all(calls).await;
    let too_long = session.call(ECHO, &vec![0; wire::MAX_MESSAGE_BYTES + 1]).await;
    assert_eq!(too_long.err(), Some(Failure::TooLong));
    // One that is given up leaves the session as it is.
    {
        let mut given_up = pin!(session.call(LATER, b"12345678"));
        poll_fn(|cx| {
            assert!(given_up.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    assert!(session.call(ECHO, b"12345678").await.is_ok());
    Ok(())
}

#[test]
fn tasks_call_through_losses() {
    let mut network = Network::new(13);
    network.set_loss(0.02);
    let server = network
        .add(Serve::new(PORT, &Config::default(), Echo::default()))
        .unwrap();
    let address = SocketAddr::new(network.ip(&server), PORT);
    let client = network.add(Executor::new(call_from_tasks(address))).unwrap();
    let done = network.run_until(Duration::from_secs(30), |network| {
        network.app(&client).is_finished()
    });
    assert!(done);
    network.run_for(Duration::from_secs(6));
    assert_eq!(network.app(&server).server().unwrap().session_count(), 0);
}

#[test]
fn tasks_call_over_linux_sockets() {
    let (tell, started) = mpsc::channel();
    let server = std::thread::spawn(move || {
        /// Ends the loop when the client has gone.
        struct UntilGone(Serve<Echo>, bool);
        impl Handler for UntilGone {
            fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
                self.0.on_start(io)
            }
            fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
                self.0.on_udp(io, port, peer, data);
            }
            fn on_timer(&mut self, io: &mut Io, timer: Timer) {
                self.0.on_timer(io, timer);
            }
            fn on_turn(&mut self, io: &mut Io) {
                self.0.on_turn(io);
                let sessions = self.0.server().map_or(0, Server::session_count);
                if core::mem::replace(&mut self.1, sessions > 0) && sessions == 0 {
                    io.stop();
                }
            }
            fn max_wait(&mut self, io: &Io) -> Option<Duration> {
                self.0.max_wait(io)
            }
        }
        let mut app = UntilGone(Serve::new(PORT, &Config::default(), Echo::default()), false);
        let mut event_loop = libix::EventLoop::new().unwrap();
        app.on_start(event_loop.io()).unwrap();
        tell.send(()).unwrap();
        event_loop.run(&mut app).unwrap();
        app.0.service().seen.len()
    });
    started.recv().unwrap();
    task::run(call_from_tasks(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT))).unwrap();
    assert_eq!(server.join().unwrap(), 51);
}
