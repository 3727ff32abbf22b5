//! The async level, hosted. Each test has a loopback address of its own.

use futures_util::future::{Either, join, join_all, select};
use futures_util::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use libix::task::{self, TcpListener, TcpStream, UdpSocket, sleep, spawn, timeout};
use libix::{Error, Status};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

const PORT: u16 = 7008;

fn address(host: u8) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(127, 0, 8, host).into(), PORT)
}

/// Accepts and echoes for ever.
fn echo(at: SocketAddr) -> Result<(), Status> {
    let listener = TcpListener::bind_at(at)?;
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            spawn(async move {
                while let Ok(Some(data)) = stream.recv().await {
                    stream.send_now(data)?;
                }
                Ok::<(), Status>(())
            });
        }
    });
    Ok(())
}

#[test]
fn many_clients_at_once_get_their_own_echo() {
    task::run(async {
        echo(address(1))?;
        let clients = (0..50u8).map(|number| async move {
            let stream = TcpStream::connect(address(1)).await?;
            for round in 0..20 {
                let message = vec![number; 100 + round];
                stream.send(message.clone()).await?;
                let mut got = Vec::new();
                while got.len() < message.len() {
                    got.extend_from_slice(&stream.recv().await?.expect("more"));
                }
                assert_eq!(got, message);
            }
            stream.shutdown()?;
            assert!(stream.recv().await?.is_none());
            Ok::<(), Status>(())
        });
        for ended in join_all(clients).await {
            ended?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_sent_buffer_is_acknowledged_or_the_reason_is_told() {
    task::run(async {
        let listener = TcpListener::bind_at(address(2))?;
        let connecting = spawn(TcpStream::connect(address(2)));
        let (accepted, peer) = listener.accept().await?;
        let stream = connecting.await?;
        assert!(peer.ip().is_loopback());
        stream.send("two").await?;
        assert_eq!(
            (stream.backlog(), &*accepted.recv().await?.unwrap()),
            (0, &b"two"[..])
        );
        // More than the peer takes in; then it goes away.
        let (sent, ()) = join(stream.send(vec![0; 20 << 20]), async {
            sleep(Duration::from_millis(100)).await;
            accepted.abort();
        })
        .await;
        assert_eq!(sent, Err(Status::ConnectionReset));
        assert_eq!(stream.send_now("late"), Err(Status::ConnectionReset));
        assert_eq!(stream.recv().await.err(), Some(Status::ConnectionReset));
        let refused = TcpStream::connect(address(3)).await;
        assert_eq!(refused.err(), Some(Status::ConnectionRefused));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_full_stream_is_writable_again_when_half_of_it_has_arrived() {
    task::run(async {
        let listener = TcpListener::bind_at(address(4))?;
        let (stream, accepted) = join(TcpStream::connect(address(4)), listener.accept()).await;
        let (stream, (accepted, _)) = (stream?, accepted?);
        stream.set_high_water(1 << 20);
        let mut sent = 0;
        // Linux takes some megabytes before the peer reads.
        while timeout(Duration::from_millis(100), stream.writable())
            .await
            .is_ok()
        {
            sent += 1 << 18;
            stream.send_now(vec![1; 1 << 18])?;
        }
        // From the mark on it is full until half is left.
        assert!(stream.backlog() > 1 << 19);
        let reader = spawn(async move {
            let mut count = 0;
            while let Ok(Some(data)) = accepted.recv().await {
                count += data.len();
            }
            count
        });
        stream.writable().await?;
        assert!(stream.backlog() <= 1 << 19);
        drop(stream);
        assert_eq!(reader.await, sent);
        Ok(())
    })
    .unwrap();
}

#[test]
fn sleeps_end_in_order_and_a_timeout_gives_up() {
    task::run(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let sleepers = [30, 10, 20].map(|milliseconds| {
            let order = Rc::clone(&order);
            spawn(async move {
                sleep(Duration::from_millis(milliseconds)).await;
                order.borrow_mut().push(milliseconds);
            })
        });
        let start = Instant::now();
        join_all(sleepers).await;
        assert_eq!(*order.borrow(), [10, 20, 30]);
        assert!(start.elapsed() >= Duration::from_millis(30));
        let never = timeout(Duration::from_millis(5), core::future::pending::<()>()).await;
        assert_eq!(never, Err(Status::TimedOut));
        assert_eq!(timeout(Duration::from_secs(5), async { 7 }).await, Ok(7));
        let (quick, slow) = (
            pin!(sleep(Duration::from_millis(1))),
            pin!(sleep(Duration::from_secs(9))),
        );
        assert!(matches!(select(quick, slow).await, Either::Left(_)));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_cancelled_task_is_dropped_where_it_waits() {
    task::run(async {
        struct Dropped(Rc<Cell<bool>>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let dropped = Rc::new(Cell::new(false));
        let guard = Dropped(Rc::clone(&dropped));
        let task = spawn(async move {
            let _guard = guard;
            core::future::pending::<()>().await;
        });
        task::yield_now().await;
        assert!(!dropped.get());
        task.cancel();
        assert!(dropped.get());
        Ok(())
    })
    .unwrap();
}

#[test]
fn another_thread_wakes_a_task() {
    task::run(async {
        let shared = Arc::new(Mutex::new((None, None)));
        let answer = Arc::clone(&shared);
        let start = Instant::now();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            let (value, waker): &mut (Option<i32>, Option<Waker>) = &mut answer.lock().unwrap();
            *value = Some(42);
            waker.take().expect("somebody waits").wake();
        });
        let value = poll_fn(|cx| {
            let (value, waker) = &mut *shared.lock().unwrap();
            *waker = Some(cx.waker().clone());
            value.map_or(Poll::Pending, Poll::Ready)
        });
        assert_eq!(value.await, 42);
        assert!(start.elapsed() < Duration::from_secs(5));
        Ok(())
    })
    .unwrap();
}

#[test]
fn protocol_crates_read_and_write() {
    task::run(async {
        let listener = TcpListener::bind_at(address(5))?;
        let server = spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut lines = BufReader::new(&stream).lines();
            let mut count = 0;
            while let Some(line) = futures_util::StreamExt::next(&mut lines).await {
                let line = line.expect("text");
                (&stream)
                    .write_all(format!("{count}: {line}\n").as_bytes())
                    .await
                    .expect("an open stream");
                count += 1;
            }
            (&stream).close().await.expect("an open stream");
            Ok::<i32, Status>(count)
        });
        let mut stream = TcpStream::connect(address(5)).await?;
        stream
            .write_all(b"one\ntwo\nthree\n")
            .await
            .expect("an open stream");
        stream.close().await.expect("an open stream");
        let mut all = String::new();
        stream.read_to_string(&mut all).await.expect("text");
        assert_eq!((server.await?, &*all), (3, "0: one\n1: two\n2: three\n"));
        Ok(())
    })
    .unwrap();
}

#[test]
fn datagrams_are_told_when_they_have_left() {
    task::run(async {
        let server = UdpSocket::bind_at(address(6))?;
        let client = UdpSocket::bind(0)?;
        spawn(async move {
            loop {
                let (data, peer) = server.recv_from().await;
                server.send_to_now(data, peer);
            }
        });
        assert_eq!(client.send_to("ping", address(6)).await, Ok(()));
        let (data, peer) = client.recv_from().await;
        assert_eq!((&*data, peer), (&b"ping"[..], address(6)));
        let long = client.send_to(vec![0; 70_000], address(6)).await;
        assert_eq!(long, Err(Status::MessageTooLong));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_dropped_stream_delivers_what_was_sent_and_then_ends() {
    let server = thread::spawn(|| {
        task::run(async {
            let listener = TcpListener::bind_at(address(7))?;
            let (stream, _) = listener.accept().await?;
            stream.send_now(vec![9; 3_000_000])?;
            Ok(())
        })
    });
    let mut stream = loop {
        match std::net::TcpStream::connect(address(7)) {
            Ok(stream) => break stream,
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    };
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert!(bytes == [9; 3_000_000]);
    server.join().unwrap().unwrap();
}

#[test]
fn what_the_first_future_returns_is_what_run_returns() {
    let failed = task::run(async { Err(Error::Status(Status::NotSupported)) });
    assert_eq!(failed, Err(Error::Status(Status::NotSupported)));
}

#[test]
fn a_listener_that_is_dropped_resets_whom_it_has_not_accepted() {
    task::run(async {
        let listener = TcpListener::bind_at(address(8))?;
        let stream = TcpStream::connect(address(8)).await?;
        sleep(Duration::from_millis(20)).await;
        drop(listener);
        assert_eq!(stream.recv().await.err(), Some(Status::ConnectionReset));
        let mut plain = std::net::TcpStream::connect(address(8)).err();
        assert!(plain.take().is_some(), "nobody listens");
        Ok(())
    })
    .unwrap();
}
