//! Clients of the service, on a network in virtual time.

use crate::server::{Echo, PORT};
use libix::task::{Executor, TcpStream, UdpSocket};
use libix::testing::Network;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

// ANCHOR: test
#[test]
fn what_is_sent_comes_back_although_every_tenth_frame_is_lost() {
    let mut network = Network::new(1);
    network.set_loss(0.1);
    let server = network.add(Echo).unwrap();
    let server = SocketAddr::new(network.ip(&server), PORT);

    let echoed = Rc::new(Cell::new(0));
    let count = Rc::clone(&echoed);
    let client = Executor::new(async move {
        let stream = TcpStream::connect(server).await?;
        stream.send_now(vec![7; 100_000])?;
        while count.get() < 100_000
            && let Some(data) = stream.recv().await?
        {
            assert!(data.iter().all(|byte| *byte == 7));
            count.set(count.get() + data.len());
        }
        Ok(())
    });
    let client = network.add(client).unwrap();

    // A minute of the network's time; it takes no time of yours.
    let limit = Duration::from_secs(60);
    assert!(network.run_until(limit, |network| network.app(&client).is_finished()));
    assert_eq!(echoed.get(), 100_000);
}
// ANCHOR_END: test

#[test]
fn a_datagram_comes_back() {
    let mut network = Network::new(1);
    let server = network.add(Echo).unwrap();
    let server = SocketAddr::new(network.ip(&server), PORT);
    let echoed = Rc::new(Cell::new(false));
    let heard = Rc::clone(&echoed);
    let client = Executor::new(async move {
        let socket = UdpSocket::bind(0)?;
        socket.send_to("hello", server).await?;
        let (data, from) = socket.recv_from().await;
        heard.set((&*data, from) == (b"hello", server));
        Ok(())
    });
    network.add(client).unwrap();
    let limit = Duration::from_secs(1);
    assert!(network.run_until(limit, |_| echoed.get()));
}
