use super::{Kind, Load};
use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// One connection, or one UDP socket bound to the server's address.
pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    /// The handshake is done; UDP sockets are born so.
    pub(super) established: bool,
    /// When each outstanding request was sent, oldest first.
    pub(super) sent_at: VecDeque<Instant>,
    /// When `connect` was called.
    pub(super) opened_at: Instant,
    /// Bytes received of the oldest request's answer.
    received: usize,
    /// UDP: number of the datagram awaited.
    sequence: u32,
}

/// What became of a look at the socket.
pub(super) enum Received {
    /// This many answers are complete.
    Answers(u32),
    /// The peer closed, or an error.
    Broken,
}

impl Connection {
    /// Starts to connect. The socket will close with a reset, so that no port is left waiting.
    pub(super) fn open(load: &Load) -> Result<Self> {
        let kind = if load.kind == Kind::Udp {
            SocketType::DGRAM
        } else {
            SocketType::STREAM
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, kind, flags, None)
            .context("cannot open a socket")?;
        if load.kind != Kind::Udp {
            sockopt::set_tcp_nodelay(&socket, true)?;
            sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        }
        let opened_at = Instant::now();
        match rustix::net::connect(&socket, &load.to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno).with_context(|| format!("cannot connect to {}", load.to)),
        }
        Ok(Self {
            socket,
            established: load.kind == Kind::Udp,
            sent_at: VecDeque::with_capacity(load.depth as usize),
            opened_at,
            received: 0,
            sequence: 0,
        })
    }

    /// Sends one request; false if the socket did not take it whole.
    pub(super) fn send(&mut self, load: &Load, message: &mut [u8]) -> bool {
        if load.kind == Kind::Udp {
            self.sequence = self.sequence.wrapping_add(1);
            message[..4].copy_from_slice(&self.sequence.to_ne_bytes());
        }
        self.sent_at.push_back(Instant::now());
        rustix::net::send(&self.socket, message, SendFlags::NOSIGNAL) == Ok(message.len())
    }

    /// Takes what has arrived. An answer to a datagram given up on counts for nothing.
    pub(super) fn receive(&mut self, load: &Load, answer_len: usize, buffer: &mut [u8]) -> Received {
        let got = match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Received::Broken,
            Ok((got, _)) => got,
            Err(Errno::AGAIN | Errno::INTR) => return Received::Answers(0),
            Err(_) => return Received::Broken,
        };
        if load.kind == Kind::Udp {
            let awaited = buffer[..got].starts_with(&self.sequence.to_ne_bytes());
            return Received::Answers(u32::from(awaited));
        }
        self.received += got;
        let mut answers = 0;
        while self.received >= answer_len {
            self.received -= answer_len;
            answers += 1;
        }
        Received::Answers(answers)
    }
}
