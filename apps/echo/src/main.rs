//! Echo server: sends back what it receives, from where it was received, over TCP and UDP.

mod work;

use clap::Parser;
use libix::{Error, Flow, Handler, Io, RecvBuf, UdpPort};
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

    /// Cores to serve on [default: all that there are].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    cores: Option<u16>,
}

struct Echo<'a> {
    options: &'a Options,
}

impl Handler for Echo<'_> {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let (port, udp_port) = self.ports();
        io.listen(port)?;
        let bound = io.udp_bind(udp_port)?;
        // What a group gets comes to the first core.
        if io.core() == 0 {
            for group in &self.options.group {
                io.udp_join(bound, *group)?;
            }
        }
        Ok(())
    }

    fn on_ready(&mut self, io: &mut Io) {
        if io.core() != 0 {
            return;
        }
        let (port, udp_port) = self.ports();
        let ports = if port == udp_port {
            format!("tcp and udp port {port}")
        } else {
            format!("tcp port {port} and udp port {udp_port}")
        };
        match io.local_ip() {
            Some(ip) => println!("echo: {ports} on {ip}"),
            None => println!("echo: {ports}"),
        }
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

impl Echo<'_> {
    /// Of TCP, of UDP.
    fn ports(&self) -> (u16, u16) {
        let port = self.options.port;
        (port, self.options.udp_port.unwrap_or(port))
    }

    /// Thinks, if asked to.
    #[inline]
    fn work(&self) {
        if let Some(work) = self.options.work {
            work.perform();
        }
    }
}

fn main() -> ExitCode {
    let options = &Options::parse();
    let cores = options.cores.unwrap_or_else(libix::cores);
    match libix::run_on(cores, |_| Echo { options }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}
