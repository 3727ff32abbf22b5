//! Apps in a network in virtual time.

use libix::task::{self, Executor, TcpListener, TcpStream, UdpSocket, sleep};
use libix::testing::{Host, Network};
use libix::{Error, Flow, Handler, Io, RecvBuf, Status};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

struct Echo;

impl Handler for Echo {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        io.listen(7)?;
        Ok(())
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        let _ = io.send(flow, data);
    }
}

struct Client {
    server: SocketAddr,
    message: Vec<u8>,
    flow: Option<Flow>,
    echoed: Vec<u8>,
    ended: Option<(Duration, Result<(), Status>)>,
}

impl Client {
    fn new(server: SocketAddr, len: usize) -> Self {
        Client {
            server,
            message: (0..=250u8).cycle().take(len).collect(),
            flow: None,
            echoed: Vec::new(),
            ended: None,
        }
    }

    fn is_done(&self) -> bool {
        self.echoed == self.message
    }
}

impl Handler for Client {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let flow = io.connect(self.server)?;
        io.send(flow, self.message.clone())?;
        self.flow = Some(flow);
        Ok(())
    }

    fn on_recv(&mut self, _: &mut Io, _: Flow, data: RecvBuf) {
        self.echoed.extend_from_slice(&data);
    }

    fn on_connected(&mut self, io: &mut Io, _: Flow, result: Result<(), Status>) {
        if result.is_err() {
            self.ended = Some((io.now(), result));
        }
    }

    fn on_dead(&mut self, io: &mut Io, _: Flow, reason: Result<(), Status>) {
        self.ended = Some((io.now(), reason));
    }
}

fn echo_and_client(network: &mut Network, len: usize) -> (Host<Echo>, Host<Client>) {
    let server = network.add(Echo).unwrap();
    let at = SocketAddr::new(network.ip(&server), 7);
    let client = network.add(Client::new(at, len)).unwrap();
    (server, client)
}

/// How long an echo of a megabyte takes.
fn echo_under_loss(seed: u64, loss: f64) -> Duration {
    let mut network = Network::new(seed);
    network.set_loss(loss);
    network.set_delay(Duration::from_millis(5));
    let (_, client) = echo_and_client(&mut network, 1_000_000);
    let done = network.run_until(Duration::from_secs(600), |network| network.app(&client).is_done());
    assert!(done, "{} bytes came back", network.app(&client).echoed.len());
    network.now()
}

#[test]
fn an_echo_survives_the_loss_of_every_tenth_frame_and_takes_the_same_time_again() {
    let clean = echo_under_loss(1, 0.0);
    let lossy = echo_under_loss(1, 0.1);
    assert!(lossy > clean, "{lossy:?} with loss, {clean:?} without");
    assert_eq!(echo_under_loss(1, 0.1), lossy);
    assert_ne!(echo_under_loss(2, 0.1), lossy);
}

#[test]
fn a_network_that_was_parted_goes_on_where_it_was() {
    let mut network = Network::new(3);
    network.set_delay(Duration::from_millis(5));
    let (server, client) = echo_and_client(&mut network, 3_000_000);
    network.run_for(Duration::from_millis(60));
    let before = network.app(&client).echoed.len();
    assert!(before > 0 && !network.app(&client).is_done());
    network.part(&[network.ip(&server)]);
    network.run_for(Duration::from_secs(20));
    let parted = network.app(&client).echoed.len();
    network.run_for(Duration::from_secs(5));
    assert_eq!(network.app(&client).echoed.len(), parted);
    network.heal();
    let done = network.run_until(Duration::from_secs(120), |network| network.app(&client).is_done());
    assert!(done && network.app(&client).ended.is_none());
}

#[test]
fn a_connection_into_nowhere_is_given_up_after_its_time_and_not_ours() {
    let mut network = Network::new(4);
    let client = network
        .add(Client::new("10.0.0.99:7".parse().unwrap(), 1))
        .unwrap();
    let done = network.run_until(Duration::from_secs(600), |network| {
        network.app(&client).ended.is_some()
    });
    let (after, result) = network.app(&client).ended.unwrap();
    assert!(done && after >= Duration::from_secs(1), "{after:?}");
    assert_eq!(result, Err(Status::Unreachable));
}

#[test]
fn a_user_timeout_ends_a_connection_that_was_cut_off() {
    let mut network = Network::new(5);
    let (server, client) = echo_and_client(&mut network, 10);
    network.run_for(Duration::from_secs(1));
    network.part(&[network.ip(&server)]);
    let start = network.now();
    let (app, event_loop) = network.app_mut(&client);
    let flow = app.flow.unwrap();
    event_loop
        .io()
        .user_timeout(flow, Some(Duration::from_secs(7)))
        .unwrap();
    event_loop.io().send(flow, "anyone?").unwrap();
    assert!(network.run_until(Duration::from_secs(60), |network| {
        network.app(&client).ended.is_some()
    }));
    let (at, reason) = network.app(&client).ended.unwrap();
    assert_eq!(reason, Err(Status::TimedOut));
    assert!((7..9).contains(&(at - start).as_secs()), "{:?}", at - start);
}

#[test]
fn async_apps_talk_over_frames_that_overtake_each_other() {
    let mut network = Network::new(6);
    network.set_jitter(Duration::from_millis(3));
    let server = network
        .add(Executor::new(async {
            let listener = TcpListener::bind(7)?;
            let clock = UdpSocket::bind(7)?;
            task::spawn(async move {
                loop {
                    let (data, peer) = clock.recv_from().await;
                    clock.send_to_now(data, peer);
                }
            });
            while let Ok((stream, _)) = listener.accept().await {
                task::spawn(async move {
                    while let Ok(Some(data)) = stream.recv().await {
                        stream.send_now(data)?;
                    }
                    Ok::<(), Status>(())
                });
            }
            Ok(())
        }))
        .unwrap();
    let at = SocketAddr::new(network.ip(&server), 7);
    let said = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&said);
    let client = network
        .add(Executor::new(async move {
            sleep(Duration::from_secs(3600)).await;
            log.borrow_mut().push("an hour later".to_owned());
            let stream = TcpStream::connect(at).await?;
            stream.send(vec![7; 200_000]).await?;
            stream.shutdown()?;
            let mut count = 0;
            while let Some(data) = stream.recv().await? {
                count += data.len();
            }
            log.borrow_mut().push(format!("{count} bytes"));
            let socket = UdpSocket::bind(0)?;
            // In parts, on this network.
            socket.send_to(vec![1; 20_000], at).await?;
            let (data, _) = socket.recv_from().await;
            log.borrow_mut().push(format!("a datagram of {}", data.len()));
            Ok(())
        }))
        .unwrap();
    assert!(network.run_until(Duration::from_secs(4000), |network| network.is_over(&client)));
    assert_eq!(
        *said.borrow(),
        ["an hour later", "200000 bytes", "a datagram of 20000"]
    );
    assert!(network.app(&client).is_finished());
    network.stop(&server);
    assert!(network.run_until(Duration::from_secs(5), |network| network.is_over(&server)));
}

#[test]
fn what_an_app_sends_when_a_timer_goes_off_leaves_at_that_moment() {
    let mut network = Network::new(8);
    let server = network
        .add(Executor::new(async {
            let (stream, _) = TcpListener::bind(7)?.accept().await?;
            sleep(Duration::from_secs(5)).await;
            stream.send_now("late")?;
            stream.recv().await?;
            Ok(())
        }))
        .unwrap();
    let at = SocketAddr::new(network.ip(&server), 7);
    let client = network
        .add(Executor::new(async move {
            let stream = TcpStream::connect(at).await?;
            assert_eq!(&*stream.recv().await?.expect("a word"), b"late");
            Ok(())
        }))
        .unwrap();
    assert!(network.run_until(Duration::from_secs(60), |network| {
        network.app(&client).is_finished()
    }));
    assert!(network.now() < Duration::from_secs(6), "{:?}", network.now());
}

#[test]
fn hundreds_of_clients_leave_nothing_behind() {
    let mut network = Network::new(7);
    network.set_loss(0.02);
    let server = network.add(Echo).unwrap();
    let at = SocketAddr::new(network.ip(&server), 7);
    let client = network
        .add(Executor::new(async move {
            let clients: Vec<_> = (0..300)
                .map(|_| {
                    task::spawn(async move {
                        let stream = TcpStream::connect(at).await?;
                        stream.send("hello").await?;
                        assert_eq!(&*stream.recv().await?.expect("an echo"), b"hello");
                        stream.shutdown()?;
                        assert!(stream.recv().await?.is_none());
                        Ok::<(), Status>(())
                    })
                })
                .collect();
            for client in clients {
                client.await?;
            }
            Ok(())
        }))
        .unwrap();
    assert!(network.run_until(Duration::from_secs(600), |network| network.is_over(&client)));
    network.run_for(Duration::from_secs(120));
    let (_, event_loop) = network.app_mut(&server);
    assert_eq!(event_loop.io().flow_count(), 0);
}

/// Sends as fast as the flow is writable, and closes at the end.
struct Producer {
    receiver: SocketAddr,
    left: usize,
    most_on_its_way: usize,
    times_writable: usize,
}

const HIGH_WATER: usize = 64 << 10;
const PIECE: usize = 10_000;

impl Producer {
    fn produce(&mut self, io: &mut Io, flow: Flow) {
        while self.left > 0 && io.is_writable(flow) {
            self.left -= PIECE;
            let backlog = io.send(flow, vec![7; PIECE]).unwrap();
            self.most_on_its_way = self.most_on_its_way.max(backlog);
        }
        if self.left == 0 {
            io.close(flow).unwrap();
        }
    }
}

impl Handler for Producer {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let flow = io.connect(self.receiver)?;
        io.set_high_water(flow, HIGH_WATER)?;
        Ok(())
    }

    fn on_connected(&mut self, io: &mut Io, flow: Flow, result: Result<(), Status>) {
        result.unwrap();
        self.produce(io, flow);
    }

    fn on_writable(&mut self, io: &mut Io, flow: Flow) {
        self.times_writable += 1;
        self.produce(io, flow);
    }
}

/// Takes what has come only when it is allowed to.
#[derive(Default)]
struct SlowReader {
    is_awake: bool,
    kept: Vec<RecvBuf>,
    received: usize,
}

impl Handler for SlowReader {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        io.listen(7)?;
        Ok(())
    }

    fn on_recv(&mut self, _: &mut Io, _: Flow, data: RecvBuf) {
        self.received += data.len();
        self.kept.push(data);
        if self.is_awake {
            self.kept.clear();
        }
    }
}

#[test]
fn a_producer_that_heeds_the_high_water_mark_keeps_little_on_its_way_and_goes_on_when_told() {
    let mut network = Network::new(21);
    network.set_loss(0.01);
    let reader = network.add(SlowReader::default()).unwrap();
    let receiver = SocketAddr::new(network.ip(&reader), 7);
    let producer = network
        .add(Producer {
            receiver,
            left: 500 * PIECE,
            most_on_its_way: 0,
            times_writable: 0,
        })
        .unwrap();
    network.run_for(Duration::from_secs(5));
    // The reader's window is closed: the producer has stopped, with most of it still to make.
    let stopped_at = network.app(&producer).left;
    assert!(stopped_at > 100 * PIECE, "{stopped_at}");
    network.run_for(Duration::from_secs(5));
    assert_eq!(network.app(&producer).left, stopped_at);

    let (app, _) = network.app_mut(&reader);
    app.is_awake = true;
    app.kept.clear();
    let done = network.run_until(Duration::from_secs(60), |network| {
        network.app(&reader).received == 500 * PIECE
    });
    assert!(done);
    let app = network.app(&producer);
    assert!(
        app.most_on_its_way < HIGH_WATER + PIECE,
        "{}",
        app.most_on_its_way
    );
    assert!(app.times_writable > 10, "{}", app.times_writable);
}
