//! Packets through a machine as fast as it takes them: so many are under way, and as many more are sent as have come out on the
//! far side. Nothing has to be lost for that, and the sender does not take the time of who forwards.

use super::between::{Between, Role};
use crate::netns::CLIENT;
use crate::pin;
use anyhow::Result;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// To where packets go.
pub(super) const PORT: u16 = 9;

/// Packets under way at most: less than a tap keeps.
const UNDER_WAY: u64 = 384;
/// Packets sent between two looks.
const BURST: u64 = 32;
/// After which nothing more is to come of those that have not come.
const LOST: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_micros(50);

/// A flow of datagrams.
pub(super) struct Stream<'a> {
    between: &'a Between,
    sink: UdpSocket,
    payload: Vec<u8>,
}

/// What came of it.
pub(super) struct Flow<T> {
    /// Packets that came to the far side.
    pub(super) arrived: u64,
    pub(super) took: Duration,
    /// What was said at the beginning and at the end.
    pub(super) before: T,
    pub(super) after: T,
}

impl<'a> Stream<'a> {
    /// With so many bytes in each.
    pub(super) fn new(between: &'a Between, role: Role, payload: usize) -> Result<Self> {
        Ok(Self {
            between,
            sink: between.sink(role, PORT)?,
            payload: vec![b'x'; payload],
        })
    }

    /// Sends for so long, after a quarter of it that is not counted. To be called in the near network.
    pub(super) fn run<T>(&self, window: Duration, at_edge: impl Fn() -> Result<T>) -> Result<Flow<T>> {
        pin::client()?;
        let socket = UdpSocket::bind((CLIENT, 0))?;
        socket.connect(self.sink.local_addr()?)?;
        self.send(&socket, window / 4)?;
        let (before, start) = (at_edge()?, Instant::now());
        let arrived = self.send(&socket, window)?;
        let took = start.elapsed();
        Ok(Flow {
            arrived,
            took,
            before,
            after: at_edge()?,
        })
    }

    /// Gives how many have come meanwhile.
    fn send(&self, socket: &UdpSocket, window: Duration) -> Result<u64> {
        let (start, end) = (self.between.received()?, Instant::now() + window);
        let (mut sent, mut arrived, mut news) = (0, 0, Instant::now());
        loop {
            let now = Instant::now();
            let count = self.between.received()? - start;
            if now >= end {
                return Ok(count);
            }
            if count > arrived {
                (arrived, news) = (count, now);
            }
            if sent + BURST <= arrived + UNDER_WAY {
                for _ in 0..BURST {
                    socket.send(&self.payload)?;
                }
                sent += BURST;
            } else if now - news > LOST {
                (sent, news) = (arrived, now);
            } else {
                std::thread::sleep(PAUSE);
            }
        }
    }
}
