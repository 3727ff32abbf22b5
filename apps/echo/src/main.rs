//! Echo server: sends back what it receives, from where it was received, over TCP and UDP.

mod work;

use clap::Parser;
use libix::{Error, Flow, Handler, Io, RecvBuf, Status, UdpPort};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use work::Work;

/// Echoes TCP streams and UDP datagrams.
#[derive(Parser)]
struct Options {
    /// TCP port.
    #[arg(long, default_value_t = 7)]
    port: u16,

    /// UDP port [default: the TCP port].
    #[arg(long)]
    udp_port: Option<u16>,

    /// Compute for so many microseconds before each answer: US, exponential:US (the mean), or bimodal:SHORT:LONG:SHARE.
    #[arg(long, value_name = "TIME")]
    work: Option<Work>,

    /// Take datagrams to this group in, too (repeatable).
    #[arg(long, value_name = "ADDRESS")]
    group: Vec<IpAddr>,

    /// Core to serve on; the dataplane has one so far.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=0))]
    core: u16,
}

struct Echo(Options);

impl Handler for Echo {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        if io.core() != self.0.core {
            return Err(Status::NotSupported.into());
        }
        let port = self.0.port;
        let udp_port = self.0.udp_port.unwrap_or(port);
        io.listen(port)?;
        let bound = io.udp_bind(udp_port)?;
        for group in &self.0.group {
            io.udp_join(bound, *group)?;
        }
        let ports = if port == udp_port {
            format!("tcp and udp port {port}")
        } else {
            format!("tcp port {port} and udp port {udp_port}")
        };
        match io.local_ip() {
            Some(ip) => println!("echo: {ports} on {ip}"),
            None => println!("echo: {ports}"),
        }
        Ok(())
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        self.work();
        // An error says that the flow is closed, and then nobody waits for the echo.
        let _ = io.send(flow, data);
    }

    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        self.work();
        io.udp_send(port, peer, data);
    }
}

impl Echo {
    /// Thinks, if asked to.
    #[inline]
    fn work(&self) {
        if let Some(work) = self.0.work {
            work.perform();
        }
    }
}

fn main() -> ExitCode {
    match libix::run(&mut Echo(Options::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}
