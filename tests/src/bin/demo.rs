//! `make run`: boots `apps/echo` on its own kernel through `ix run` and plays a Linux client against it.
//!
//! With the rights for it, this happens on a tap in a network namespace of its own, which vanishes with us;
//! otherwise over QEMU's user networking with two forwarded ports, where there is no ping.

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

/// The app's port, TCP and UDP.
const PORT: u16 = 7;
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const PATIENCE: Duration = Duration::from_secs(5);
/// Time for the machine to boot; one with two busy cores takes a second or two.
const BOOT_TIME: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match demonstrate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate() -> Result<()> {
    let inside = std::env::args().nth(1).as_deref() == Some("--in-namespace");
    if !inside && may_make_namespaces() {
        // A namespace without a name: nothing is left behind, however we end.
        let this = std::env::current_exe()?;
        let status = Command::new("unshare")
            .arg("--net")
            .arg(this)
            .arg("--in-namespace")
            .status()?;
        std::process::exit(status.code().unwrap_or(1));
    }
    let way = if inside { Way::tap() } else { Way::user()? };
    println!("\n{}\n", way.description);
    let mut dataplane = Dataplane::start(&way)?;
    let booted = dataplane.wait_until_up(way.tcp)?;
    println!(
        "\n  up          {:.1} s after the start, first connection included",
        booted.as_secs_f64()
    );
    println!(
        "  {:<11} {:>13}  {:>6} / {:>6} / {:>6}",
        "", "", "least", "median", "most"
    );
    if let Some(guest) = way.ping {
        for size in [56, 1472] {
            report(&format!("ping {size} B"), "", ping(guest, size)?);
        }
    }
    for size in [64, 1472] {
        report(&format!("UDP {size} B"), "", udp_echo(way.udp, size)?);
    }
    report("TCP 64 B", "1 connection", tcp_echo(way.tcp, 64)?);
    report("TCP 64 B", "8 connections at once", at_once(way.tcp, 8)?);
    let mib = tcp_bulk(way.tcp, 1 << 20)?;
    println!("  TCP 1 MiB   there and back, every byte compared: {mib:.1} MiB/s");
    let status = dataplane.stop()?;
    println!("  stopped     by SIGTERM; ix ended with {status}\n");
    ensure!(status.success(), "the app did not finish by itself");
    Ok(())
}

fn may_make_namespaces() -> bool {
    let try_it = "ip link set lo up && test -w /dev/net/tun";
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", try_it])
        .output();
    output.is_ok_and(|output| output.status.success())
}

/// How the client reaches the app.
struct Way {
    description: &'static str,
    options: Vec<String>,
    tcp: SocketAddrV4,
    udp: SocketAddrV4,
    ping: Option<Ipv4Addr>,
}

impl Way {
    fn tap() -> Self {
        let options = [
            "--net",
            "tap:ix0",
            "--ip",
            "10.77.0.2/24",
            "--gateway",
            "10.77.0.1",
        ];
        let app = SocketAddrV4::new(GUEST, PORT);
        Self {
            description: "A Linux client in a network namespace, a tap, and apps/echo on its own kernel:",
            options: options.map(str::to_owned).into(),
            tcp: app,
            udp: app,
            ping: Some(GUEST),
        }
    }

    fn user() -> Result<Self> {
        // Ports that are free now; if someone takes one before QEMU does, ix says so.
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let forwards = [
            "--forward".to_owned(),
            format!("tcp:{tcp}:{PORT}"),
            "--forward".to_owned(),
        ];
        Ok(Self {
            description: "A Linux client, QEMU's user networking (as root there would be a tap), and apps/echo \
                          on its own kernel:",
            options: forwards
                .into_iter()
                .chain([format!("udp:{udp}:{PORT}")])
                .collect(),
            tcp: SocketAddrV4::new(Ipv4Addr::LOCALHOST, tcp),
            udp: SocketAddrV4::new(Ipv4Addr::LOCALHOST, udp),
            ping: None,
        })
    }
}

/// A running `ix run`, killed when dropped.
struct Dataplane {
    ix: Child,
    started: Instant,
}

impl Dataplane {
    fn start(way: &Way) -> Result<Self> {
        let beside = |name: &str| -> Result<PathBuf> { Ok(std::env::current_exe()?.with_file_name(name)) };
        let mut args: Vec<OsString> = ["run", "--log", "info"].map(OsString::from).into();
        args.extend(way.options.iter().map(OsString::from));
        args.push(beside("echo")?.into());
        args.extend(["--", "--port", &PORT.to_string()].map(OsString::from));
        let words: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
        println!("$ ix {}", words.join(" "));
        // If we are killed, ix is asked to stop.
        let ix = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(beside("ix")?)
            .args(args)
            .spawn();
        Ok(Self {
            ix: ix.context("cannot start ix; build it first")?,
            started: Instant::now(),
        })
    }

    /// Connects until the app echoes; returns how long that took from the start.
    fn wait_until_up(&mut self, app: SocketAddrV4) -> Result<Duration> {
        while self.started.elapsed() < BOOT_TIME {
            if let Some(status) = self.ix.try_wait()? {
                bail!("ix ended with {status} before the app was reachable");
            }
            if tcp_once(app).is_ok() {
                return Ok(self.started.elapsed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the app cannot be reached after {} s", BOOT_TIME.as_secs())
    }

    fn stop(&mut self) -> Result<ExitStatus> {
        kill(Pid::from_raw(self.ix.id().try_into()?), Signal::SIGTERM).context("ix is gone already")?;
        Ok(self.ix.wait()?)
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        // SIGTERM lets ix clean up, and ix bounds the time that takes itself.
        if !matches!(self.ix.try_wait(), Ok(Some(_))) && self.stop().is_err() {
            let _ = self.ix.kill();
        }
    }
}

/// Prints smallest, median and largest of the round-trip times.
fn report(what: &str, how: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let ms = |at: usize| times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    let [least, median, most] = [ms(0), ms(times.len() / 2), ms(times.len().saturating_sub(1))];
    let count = times.len();
    println!("  {what:<11} {count:>4} answered  {least:6.3} / {median:6.3} / {most:6.3} ms  {how}");
}

fn ping(guest: Ipv4Addr, size: usize) -> Result<Vec<Duration>> {
    const COUNT: usize = 10;
    let mut command = Command::new("ping");
    command.args([
        "-n",
        "-i",
        "0.05",
        "-W",
        "2",
        "-c",
        &COUNT.to_string(),
        "-s",
        &size.to_string(),
    ]);
    let output = command.arg(guest.to_string()).env("LC_ALL", "C").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let times = text
        .split("time=")
        .skip(1)
        .filter_map(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    let times: Vec<Duration> = times.map(|ms| Duration::from_secs_f64(ms / 1e3)).collect();
    ensure!(
        times.len() == COUNT,
        "{} of {COUNT} pings of {size} bytes were answered",
        times.len()
    );
    Ok(times)
}

fn udp_echo(app: SocketAddrV4, size: usize) -> Result<Vec<Duration>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(app)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut answer = vec![0; size + 1];
    let once = |round: u8| {
        let datagram = pattern(size, round);
        let sent = Instant::now();
        socket.send(&datagram)?;
        let count = socket.recv(&mut answer).context("a datagram was not answered")?;
        let time = sent.elapsed();
        ensure!(answer[..count] == datagram, "a datagram came back changed");
        Ok(time)
    };
    (0..100).map(once).collect()
}

fn connect(app: SocketAddrV4) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&app.into(), PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn tcp_once(app: SocketAddrV4) -> Result<()> {
    exchange(&mut connect(app)?, 0, 1).map(drop)
}

fn exchange(stream: &mut TcpStream, round: u8, size: usize) -> Result<Duration> {
    let message = pattern(size, round);
    let mut answer = vec![0; size];
    let sent = Instant::now();
    stream.write_all(&message)?;
    stream
        .read_exact(&mut answer)
        .context("a message was not answered")?;
    let time = sent.elapsed();
    ensure!(answer == message, "a message came back changed");
    Ok(time)
}

fn tcp_echo(app: SocketAddrV4, size: usize) -> Result<Vec<Duration>> {
    let mut stream = connect(app)?;
    (0..200).map(|round| exchange(&mut stream, round, size)).collect()
}

fn at_once(app: SocketAddrV4, connections: usize) -> Result<Vec<Duration>> {
    let clients: Vec<_> = (0..connections)
        .map(|_| std::thread::spawn(move || tcp_echo(app, 64)))
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(
            client
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))??,
        );
    }
    Ok(times)
}

/// Sends from one thread, receives in the other; returns the rate in MiB/s.
fn tcp_bulk(app: SocketAddrV4, size: usize) -> Result<f64> {
    let mut stream = connect(app)?;
    let mut sender = stream.try_clone()?;
    let message = pattern(size, 1);
    let copy = message.clone();
    let sent = Instant::now();
    let sending = std::thread::spawn(move || sender.write_all(&copy));
    let mut answer = vec![0; size];
    stream
        .read_exact(&mut answer)
        .context("not all bytes came back")?;
    let time = sent.elapsed();
    sending
        .join()
        .map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    ensure!(answer == message, "bytes came back changed");
    Ok((size >> 20) as f64 / time.as_secs_f64())
}

/// Bytes that tell their place and the round.
fn pattern(size: usize, round: u8) -> Vec<u8> {
    (0..=u8::MAX)
        .cycle()
        .map(|byte| byte.wrapping_mul(31) ^ round)
        .take(size)
        .collect()
}
