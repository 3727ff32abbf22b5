//! Clients of the service, on a network in virtual time.

use crate::server::{PATIENCE, PORT, serve};
use libix::task::{Executor, TcpStream};
use libix::testing::Network;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Says `pieces`, one after the other; what is answered until the server has no more to say, and when that is.
fn answers(pieces: &'static [&'static str]) -> (String, Duration) {
    let mut network = Network::new(1);
    network.set_loss(0.05);
    let server = network.add(Executor::new(serve())).unwrap();
    let server = SocketAddr::new(network.ip(&server), PORT);
    let answers = Rc::new(RefCell::new(String::new()));
    let heard = Rc::clone(&answers);
    let client = Executor::new(async move {
        let stream = TcpStream::connect(server).await?;
        for piece in pieces {
            // Until it has been acknowledged: the next is a packet of its own.
            stream.send(*piece).await?;
        }
        while let Ok(Some(data)) = stream.recv().await {
            heard.borrow_mut().push_str(&String::from_utf8_lossy(&data));
        }
        Ok(())
    });
    let client = network.add(client).unwrap();
    let limit = PATIENCE * 2;
    assert!(network.run_until(limit, |network| network.app(&client).is_finished()));
    (answers.take(), network.now())
}

// ANCHOR: silence
#[test]
fn a_client_that_says_no_more_is_told_so_after_half_a_minute() {
    let (answers, at) = answers(&["one two ", "three\r\n\nfo", "ur\n"]);
    assert_eq!(answers, "3\n0\n1\nyou are silent\n");
    assert!(at >= PATIENCE, "{at:?}");
}
// ANCHOR_END: silence

#[test]
fn a_line_that_never_ends_ends_the_connection() {
    const PIECE: &str = match core::str::from_utf8(&[b'x'; 5_000]) {
        Ok(piece) => piece,
        Err(_) => panic!(),
    };
    let (answers, at) = answers(&[PIECE]);
    assert_eq!(answers, "");
    assert!(at < PATIENCE, "{at:?}");
}
