//! Clients of the service, on a network in virtual time.

use crate::server::{PORT, Server};
use crate::store::Store;
use libix::task::{Executor, TcpStream};
use libix::testing::Network;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What a server with an empty store answers to `said`, on a network that loses frames.
fn answers(said: String) -> String {
    let mut network = Network::new(1);
    network.set_loss(0.05);
    let server = network.add(Server::new(Arc::new(Store::default()))).unwrap();
    let server = SocketAddr::new(network.ip(&server), PORT);
    let answers = Rc::new(RefCell::new(String::new()));
    let heard = Rc::clone(&answers);
    let client = Executor::new(async move {
        let stream = TcpStream::connect(server).await?;
        stream.send_now(said)?;
        stream.send_now("bye\n")?;
        while !heard.borrow().ends_with("what?\n")
            && let Some(data) = stream.recv().await?
        {
            heard.borrow_mut().push_str(&String::from_utf8_lossy(&data));
        }
        Ok(())
    });
    let client = network.add(client).unwrap();
    let limit = Duration::from_secs(120);
    assert!(network.run_until(limit, |network| network.app(&client).is_finished()));
    answers.take()
}

// ANCHOR: test
#[test]
fn a_value_is_kept_until_it_is_replaced_or_deleted() {
    let said = "get a\nset a good day\r\nget a\nset a x\nget a\ndelete a\ndelete a\nget a\n";
    let answers = answers(said.to_owned());
    assert_eq!(
        answers,
        "none\nok\nvalue good day\nok\nvalue x\nok\nnone\nnone\nwhat?\n"
    );
}
// ANCHOR_END: test

#[test]
fn many_large_values_come_whole_and_in_order() {
    let value = "v".repeat(50_000);
    let said = format!("set large {value}\n{}", "get large\n".repeat(30));
    let expected = format!("ok\n{}what?\n", format!("value {value}\n").repeat(30));
    assert!(answers(said) == expected);
}
