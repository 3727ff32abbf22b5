//! One program, two worlds: what libix' API does on Ixion's kernel and on Linux sockets is the same, line by line.

use ixion_tests::artifacts::{Build, guest};
use ixion_tests::{HOST, Namespace, Runner};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

const HOST6: &str = "fd77::1";

/// Takes connections to `port` and serves each on a thread.
fn serve(port: u16, service: impl Fn(TcpStream) + Send + Sync + 'static) {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_only_v6(false).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket
        .bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())
        .unwrap();
    socket.listen(64).unwrap();
    let service = Arc::new(service);
    thread::spawn(move || {
        for stream in TcpListener::from(socket).incoming().flatten() {
            let service = Arc::clone(&service);
            thread::spawn(move || service(stream));
        }
    });
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 65_536];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}

fn summary(mut stream: TcpStream) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let _ = write!(stream, "{} bytes", bytes.len());
}

fn reset(mut stream: TcpStream) {
    stream.read_exact(&mut [0]).unwrap();
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

fn how_it_ends(stream: &mut TcpStream) -> &'static str {
    match stream.read(&mut [0; 100]) {
        Ok(0) => "it was closed",
        Ok(_) => "there is more",
        Err(_) => "it was reset",
    }
}

/// `PORT WHAT`: connects to that port of who asks, does what is asked for, and tells what came of it.
fn call_back(stream: TcpStream) {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    let (port, what) = line.trim().split_once(' ').unwrap();
    let peer = stream.peer_addr().unwrap();
    if what == "who" {
        let _ = write!(&stream, "from port {}", peer.port());
        return;
    }
    let caller = TcpStream::connect((peer.ip(), port.parse().unwrap()));
    let told = match (caller, what) {
        // Before it could be told that it was connected.
        (Err(error), _) if error.kind() == ErrorKind::ConnectionReset => "it was reset".to_owned(),
        (Err(error), _) => format!("{:?}", error.kind()),
        (Ok(_), "connect") => "connected".to_owned(),
        (Ok(mut caller), "read") => how_it_ends(&mut caller).to_owned(),
        (Ok(mut caller), "echo") => {
            caller.write_all(b"hello").unwrap();
            caller.read_exact(&mut [0; 5]).unwrap();
            caller.shutdown(Shutdown::Write).unwrap();
            how_it_ends(&mut caller).to_owned()
        }
        (Ok(mut caller), _) => {
            // Until the other side has had enough.
            let _ = caller.write_all(&vec![7; 3_000_000]);
            how_it_ends(&mut caller).to_owned()
        }
    };
    let _ = (&stream).write_all(told.as_bytes());
}

/// Everything the program talks to.
fn be_the_peer() {
    serve(9001, echo);
    serve(9002, summary);
    serve(9003, reset);
    let (end, ends) = mpsc::channel();
    let ends = Mutex::new(ends);
    serve(9004, move |mut stream| {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        if byte == *b"!" {
            end.send(how_it_ends(&mut stream)).unwrap();
        } else {
            // It may be asked for before it is there.
            let told = ends.lock().unwrap().recv_timeout(Duration::from_secs(20));
            let _ = write!(stream, "{}", told.unwrap_or("it has not ended"));
        }
    });
    serve(9005, call_back);
    let udp = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 9001)).unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok((count, from)) = udp.recv_from(&mut bytes) {
            let _ = udp.send_to(&bytes[..count], from);
        }
    });
}

/// What `program` says on both, line by line.
fn assert_same(machine: &str, on_linux: &str) {
    for (ixion, linux) in machine.lines().zip(on_linux.lines()) {
        assert_eq!(ixion, linux, "on Ixion, on Linux");
    }
    assert_eq!(machine.lines().count(), on_linux.lines().count());
}

/// What it says started by itself.
fn said_on_linux(namespace: &Namespace, program: &Path, args: &[&str]) -> String {
    let mut command = namespace.command(program.to_str().unwrap());
    let hosted = command.args(args).output().unwrap();
    let said = String::from_utf8(hosted.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&hosted.stderr);
    assert!(hosted.status.success(), "{said}{complaint}");
    println!("{said}");
    said
}

#[test]
fn several_cores_do_the_same_on_ixion_and_on_linux() {
    let namespace = Namespace::new().unwrap();
    namespace.enter(be_the_peer);
    let program = guest("cores_tour", Build::Plain);
    let peer = HOST.to_string();
    for cores in ["2", "4"] {
        let args = [cores, peer.as_str()];
        let on_linux = said_on_linux(&namespace, &program, &args);
        let machine = Runner::new(&program)
            .on(&namespace)
            .options(&["--cores", cores])
            .args(&args)
            .finish();
        machine.assert_code(0);
        assert_same(&machine.stdout, &on_linux);
        let last = cores.parse::<u16>().unwrap() - 1;
        assert!(on_linux.starts_with("run: Ok(())"), "{on_linux}");
        assert!(on_linux.contains(&format!("core {last}: (\"this is core {last}\", Ok(()))")));
    }
}

#[test]
fn the_api_does_the_same_on_ixion_and_on_linux() {
    let namespace = Namespace::new().unwrap();
    let tap = Namespace::TAP;
    namespace
        .ip(&format!("address add {HOST6}/64 dev {tap} nodad"))
        .unwrap();
    // Linux joins a group where its routes lead to it.
    namespace.ip(&format!("route add 224.0.0.0/4 dev {tap}")).unwrap();
    namespace.enter(be_the_peer);
    let program = guest("api_tour", Build::Plain);
    let peers = [IpAddr::from(HOST).to_string(), HOST6.to_owned()];

    let args = peers.each_ref().map(String::as_str);
    let on_linux = said_on_linux(&namespace, &program, &args);

    let machine = Runner::new(&program)
        .on(&namespace)
        .options(&["--ip6", "fd77::2/64"])
        .args(&args)
        .finish();
    machine.assert_code(0);
    println!("{}", machine.stdout);
    assert_same(&machine.stdout, &on_linux);
    assert!(on_linux.lines().count() > 20 && !on_linux.contains("NEVER"));
}
