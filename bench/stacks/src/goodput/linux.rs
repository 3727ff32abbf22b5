//! Linux' ends of connections, a thread for each.

use anyhow::Result;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, spawn};

/// As long as the connections that it takes.
type Counts = Arc<Mutex<Vec<Arc<AtomicU64>>>>;

/// Takes connections, and counts what comes on each.
pub(super) struct Receiver(Counts);

impl Receiver {
    /// Listens here, in the network that this thread is in.
    pub(super) fn listen(at: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(at)?;
        let counts = Counts::default();
        let list = Arc::clone(&counts);
        // Both kinds of threads end with the process: their namespace is gone before, and nobody waits for them.
        spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::new(AtomicU64::new(0));
                list.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Arc::clone(&count));
                spawn(move || take_in(stream, &count));
            }
        });
        Ok(Receiver(counts))
    }

    /// Bytes so far, by connection.
    pub(super) fn counts(&self) -> Vec<u64> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

fn take_in(mut stream: impl Read, count: &AtomicU64) {
    let mut room = vec![0; 1 << 18];
    while let Ok(len @ 1..) = stream.read(&mut room) {
        count.fetch_add(len as u64, Ordering::Relaxed);
    }
}

/// Connections that send all the time, until it is dropped.
pub(super) struct Sender {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Sender {
    /// So many connections to `to`, governed by CUBIC, from the network that this thread is in.
    pub(super) fn start(to: SocketAddr, flows: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let threads = (0..flows)
            .map(|_| {
                let over = Arc::clone(&over);
                spawn(move || {
                    if let Err(error) = send_all_the_time(to, &over)
                        && !over.load(Ordering::Relaxed)
                    {
                        eprintln!("a connection to {to}: {error}");
                    }
                })
            })
            .collect();
        Sender { over, threads }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It has said itself what went wrong.
            let _ = thread.join();
        }
    }
}

fn send_all_the_time(to: SocketAddr, over: &AtomicBool) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_tcp_congestion(b"cubic")?;
    socket.connect(&to.into())?;
    // Nobody carries its frames once the measurement is over.
    socket.set_write_timeout(Some(std::time::Duration::from_secs(1)))?;
    let bytes = vec![0x5a; 1 << 16];
    while !over.load(Ordering::Relaxed) {
        match (&socket).write(&bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
