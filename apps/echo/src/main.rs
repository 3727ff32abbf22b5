//! Echo server: sends back what it receives, from where it was received, over TCP and UDP.

mod work;

use clap::Parser;
use libix::{Error, Flow, Handler, Io, RecvBuf, UdpPort};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU16, Ordering};
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
    core: u16,
    /// Cores that do not listen yet.
    missing: &'a AtomicU16,
}

impl Handler for Echo<'_> {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let port = self.options.port;
        let udp_port = self.options.udp_port.unwrap_or(port);
        io.listen(port)?;
        let bound = io.udp_bind(udp_port)?;
        // What a group gets comes to the first core.
        if self.core == 0 {
            for group in &self.options.group {
                io.udp_join(bound, *group)?;
            }
        }
        if self.missing.fetch_sub(1, Ordering::Relaxed) > 1 {
            return Ok(());
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

impl Echo<'_> {
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
    let missing = &AtomicU16::new(cores);
    let echo = |core| Echo {
        options,
        core,
        missing,
    };
    match libix::run_on(cores, echo) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}
