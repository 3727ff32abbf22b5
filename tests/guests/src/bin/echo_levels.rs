//! The same TCP echo on each level of libix, to count what a level costs: `echo_levels raw|handler|task PORT`.

use ix_abi::app::{Command, Endpoint, Event, EventKind, Handle, Opcode, Status};
use libix::raw::Dataplane;
use libix::task::{self, TcpListener, spawn};
use libix::{Error, Flow, Handler, Io, RecvBuf};
use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

struct Echo {
    port: u16,
}

impl Handler for Echo {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        io.listen(self.port)?;
        println!("echo_levels: ready");
        Ok(())
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        // An error says that the flow is closed, and then nobody waits for the echo.
        let _ = io.send(flow, data);
    }
}

async fn echo(port: u16) -> Result<(), Error> {
    let listener = TcpListener::bind(port)?;
    println!("echo_levels: ready");
    while let Ok((stream, _)) = listener.accept().await {
        spawn(async move {
            while let Ok(Some(data)) = stream.recv().await {
                stream.send_now(data)?;
            }
            Ok::<(), Status>(())
        });
    }
    Ok(())
}

/// A connection of [`Raw`]: buffers that are being sent back, by address and bytes not acknowledged yet.
#[derive(Default)]
struct RawFlow {
    sending: VecDeque<(u64, u64)>,
}

/// The echo by commands and events.
struct Raw {
    dataplane: Dataplane,
    commands: usize,
    /// By the cookie of the flow.
    flows: Vec<RawFlow>,
    free: Vec<u64>,
    is_over: bool,
}

impl Raw {
    /// Adds a command; the batch is carried out when the array is full.
    fn command(&mut self, opcode: Opcode, handle: Handle, cookie: u64, address: u64, len: u64) {
        if self.commands == self.dataplane.info().commands_capacity as usize {
            self.submit();
        }
        *self.dataplane.command(self.commands) = Command {
            opcode: opcode as u16,
            handle,
            cookie,
            address,
            len,
            ..Command::default()
        };
        self.commands += 1;
    }

    fn submit(&mut self) {
        // SAFETY: what is sent lies in receive buffers, which are given back only when they have been acknowledged.
        let submitted = unsafe { self.dataplane.submit(self.commands) };
        submitted.expect("a batch within the array");
        self.check();
    }

    /// A send that is not taken whole ends its flow: no client of this echo has so much on its way.
    fn check(&mut self) {
        for place in 0..core::mem::take(&mut self.commands) {
            let command = *self.dataplane.command(place);
            let is_short = u64::try_from(command.result) != Ok(command.len);
            assert!(
                command.opcode != Opcode::TcpSend as u16 || !is_short,
                "the send queue is full"
            );
        }
    }

    fn turn(&mut self) {
        // SAFETY: as above.
        let count = unsafe { self.dataplane.run_io(self.commands, Duration::from_secs(3600)) };
        let count = count.expect("the kernel goes on");
        self.check();
        for place in 0..count {
            let event = *self.dataplane.event(place);
            self.on_event(&event);
        }
    }

    fn on_event(&mut self, event: &Event) {
        let (handle, cookie) = (event.handle, event.cookie);
        let flow = usize::try_from(cookie).unwrap_or(usize::MAX);
        match EventKind::from_u16(event.kind) {
            Some(EventKind::Knock) => {
                let cookie = self.free.pop().unwrap_or_else(|| {
                    self.flows.push(RawFlow::default());
                    self.flows.len() as u64 - 1
                });
                self.command(Opcode::TcpAccept, handle, cookie, 0, 0);
            }
            Some(EventKind::Recv) => {
                let (address, len) = (event.address, u64::from(event.len));
                self.flows[flow].sending.push_back((address, len));
                self.command(Opcode::TcpSend, handle, cookie, address, len);
            }
            Some(EventKind::Sent) => self.on_sent(flow, u64::from(event.len)),
            Some(EventKind::Eof) => self.command(Opcode::TcpClose, handle, 0, 0, 0),
            Some(EventKind::Dead) => {
                self.on_sent(flow, u64::MAX);
                self.free.push(cookie);
            }
            Some(EventKind::Stop) => self.is_over = true,
            _ => {}
        }
    }

    /// Gives back what has been acknowledged.
    fn on_sent(&mut self, flow: usize, mut count: u64) {
        while let Some((address, left)) = self.flows[flow].sending.front_mut() {
            if *left > count {
                *left -= count;
                return;
            }
            count -= *left;
            let address = *address;
            self.flows[flow].sending.pop_front();
            self.command(Opcode::TcpRecvDone, Handle::NONE, 0, address, 0);
        }
    }
}

fn raw(port: u16) -> Result<(), Error> {
    let mut raw = Raw {
        dataplane: Dataplane::new()?,
        commands: 0,
        flows: Vec::new(),
        free: Vec::new(),
        is_over: false,
    };
    raw.command(Opcode::TcpListen, Handle::NONE, 0, 0, 0);
    raw.dataplane.command(0).endpoint = Endpoint::any(port);
    raw.submit();
    Status::check(raw.dataplane.command(0).result)?;
    println!("echo_levels: ready");
    while !raw.is_over {
        raw.turn();
    }
    Ok(())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let port = words.get(1).and_then(|port| port.parse().ok()).unwrap_or(7);
    let result = match words.first().map(String::as_str) {
        Some("raw") => raw(port),
        Some("handler") => libix::run(&mut Echo { port }),
        Some("task") => task::run(echo(port)),
        _ => {
            eprintln!("usage: echo_levels raw|handler|task PORT");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_levels: {error}");
            ExitCode::FAILURE
        }
    }
}
