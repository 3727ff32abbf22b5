//! kv against the clients of its field, in a machine and on plain Linux sockets.

use ixion_tests::{Namespace, Run, Runner, artifacts, peer};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const PORT: u16 = 11211;

/// Where kv runs.
enum Server {
    Machine(Run),
    Linux(Process),
}

/// Ends with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    fn in_a_machine(namespace: &Namespace, args: &[&str]) -> Self {
        Self::in_a_machine_of("1", namespace, args)
    }

    fn in_a_machine_of(cores: &str, namespace: &Namespace, args: &[&str]) -> Self {
        let run = Runner::new(artifacts::kv())
            .on(namespace)
            .options(&["--cores", cores])
            .args(args)
            .start();
        run.wait_for("kv: tcp port 11211");
        Server::Machine(run)
    }

    fn on_linux(namespace: &Namespace, args: &[&str]) -> Self {
        let program = artifacts::kv().to_str().expect("a plain path");
        let mut command = namespace.command(program);
        let mut child = command.args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("kv: tcp port 11211"), "{line}");
        Server::Linux(Process(child))
    }

    fn address(&self) -> SocketAddr {
        match self {
            Server::Machine(_) => peer::guest(PORT),
            Server::Linux(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)),
        }
    }

    fn ip(&self) -> IpAddr {
        self.address().ip()
    }

    fn stop(self) {
        match self {
            Server::Machine(run) => {
                run.stop().assert_code(0);
            }
            Server::Linux(process) => drop(process),
        }
    }
}

/// Does `test` with both.
fn in_both_worlds(args: &[&str], test: impl Fn(&Namespace, &Server)) {
    let namespace = Namespace::new().unwrap();
    let one = [&["-t", "1"], args].concat();
    for start in [Server::on_linux, Server::in_a_machine] {
        let server = start(&namespace, &one);
        test(&namespace, &server);
        server.stop();
    }
}

/// Does `test` with both on several cores: four threads of Linux', and two cores of a machine.
fn in_both_worlds_on_several_cores(args: &[&str], test: impl Fn(&Namespace, &Server)) {
    let namespace = Namespace::new().unwrap();
    let server = Server::on_linux(&namespace, &[&["-t", "4"], args].concat());
    test(&namespace, &server);
    server.stop();
    // There, it takes all that there are.
    let server = Server::in_a_machine_of("2", &namespace, args);
    test(&namespace, &server);
    server.stop();
}

/// Runs a program to its end; what it said.
fn said(namespace: &Namespace, program: &str, args: &[String]) -> String {
    let output = namespace.command(program).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {args:?}: {}\n{text}\n{complaint}",
        output.status
    );
    text
}

fn connect(namespace: &Namespace, server: &Server) -> TcpStream {
    peer::connect(namespace, server.address())
}

/// Says `request` and reads as much as `reply` is long; fails if it differs.
fn ask(stream: &TcpStream, request: &[u8], reply: &[u8]) {
    (&*stream).write_all(request).unwrap();
    expect(stream, reply);
}

fn expect(mut stream: &TcpStream, reply: &[u8]) {
    let mut got = vec![0; reply.len()];
    stream.read_exact(&mut got).unwrap();
    peer::assert_same(&got, reply);
}

/// A statistic of the server's own.
fn stat(stream: &TcpStream, name: &str) -> u64 {
    (&*stream).write_all(b"stats\r\n").unwrap();
    let mut value = None;
    for line in BufReader::new(stream).lines().map(Result::unwrap) {
        if line == "END" {
            break;
        }
        if let Some(text) = line.strip_prefix(&format!("STAT {name} ")) {
            value = text.parse().ok();
        }
    }
    value.unwrap_or_else(|| panic!("no statistic is named {name}"))
}

fn find_both_protocols_complete(namespace: &Namespace, server: &Server) {
    let args = [
        "-h".to_owned(),
        server.ip().to_string(),
        "-p".to_owned(),
        PORT.to_string(),
    ];
    let report = said(namespace, "memccapable", &args);
    assert!(report.contains("All tests passed"), "{report}");
    assert_eq!(report.matches("[pass]").count(), 54, "{report}");
}

#[test]
fn memccapable_finds_both_protocols_complete() {
    in_both_worlds(&[], find_both_protocols_complete);
}

#[test]
fn memccapable_finds_both_protocols_complete_on_several_cores() {
    in_both_worlds_on_several_cores(&[], find_both_protocols_complete);
}

/// A command whose reply tells no id: those differ from core to core.
fn random_command(random: &mut fastrand::Rng) -> String {
    let key = format!("key{}", random.u8(..20));
    let value = "v".repeat(random.usize(..2_000));
    let len = value.len();
    match random.u8(..16) {
        0..4 => format!("set {key} 3 0 {len}\r\n{value}\r\n"),
        4 => format!("set {key} 3 0 {len} noreply\r\n{value}\r\n"),
        5 => format!("append {key} 3 0 {len}\r\n{value}\r\n"),
        6 => format!("ms {key} {len} k Oopaque T0\r\n{value}\r\n"),
        7 => {
            let number = random.u32(..1_000).to_string();
            format!("set {key} 0 0 {}\r\n{number}\r\n", number.len())
        }
        8 => format!("incr {key} 7\r\n"),
        9 => format!("mg {key} v k f\r\n"),
        10 => format!("delete {key}\r\n"),
        11 => format!("ma {key} N0 J5 v\r\n"),
        12 if random.u8(..20) == 0 => "flush_all\r\n".to_owned(),
        _ => {
            let keys: String = (0..8).map(|_| format!(" key{}", random.u8(..20))).collect();
            format!("get{keys}\r\n")
        }
    }
}

/// What is answered to `script`, which ends with `mn`.
fn replies(stream: &TcpStream, script: &[u8]) -> Vec<u8> {
    let mut replies = Vec::new();
    let mut room = [0; 65_536];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = stream;
            stream.write_all(script).unwrap()
        });
        while !replies.ends_with(b"MN\r\n") {
            let count = {
                let mut stream = stream;
                stream.read(&mut room).unwrap()
            };
            assert!(count > 0, "the server has closed");
            replies.extend_from_slice(&room[..count]);
        }
    });
    replies
}

#[test]
fn several_cores_answer_as_memcached_does() {
    let namespace = Namespace::new().unwrap();
    let oracle_port = PORT + 1;
    let mut memcached = namespace.command("memcached");
    memcached.args(["-u", "root", "-l", "127.0.0.1", "-p", &oracle_port.to_string()]);
    let oracle = Process(memcached.spawn().unwrap());
    in_both_worlds_on_several_cores(&[], |own_namespace, server| {
        let mut random = fastrand::Rng::with_seed(6);
        let to_oracle = SocketAddr::from((Ipv4Addr::LOCALHOST, oracle_port));
        // Clients enough that every core has some, one after the other: each finds what those before it have left.
        let clients: Vec<_> = (0..12)
            .map(|_| {
                (
                    connect(own_namespace, server),
                    peer::connect(&namespace, to_oracle),
                )
            })
            .collect();
        for round in 0..4 {
            for (number, (to_kv, to_memcached)) in clients.iter().enumerate() {
                let commands: String = (0..100).map(|_| random_command(&mut random)).collect();
                let script = if round == 0 && number == 0 {
                    "flush_all\r\nmn\r\n".to_owned()
                } else {
                    commands + "mn\r\n"
                };
                let expected = replies(to_memcached, script.as_bytes());
                let got = replies(to_kv, script.as_bytes());
                assert!(
                    got == expected,
                    "client {number}, round {round}\n{}\n--- memcached\n{}\n--- script\n{}",
                    got.escape_ascii(),
                    expected.escape_ascii(),
                    script.escape_default()
                );
            }
        }
    });
    drop(oracle);
}

#[test]
fn keys_connections_and_statistics_are_of_all_cores_together() {
    in_both_worlds_on_several_cores(&["-c", "40", "-U", "11211"], |namespace, server| {
        let mut streams: Vec<_> = (0..40).map(|_| connect(namespace, server)).collect();
        for (number, stream) in streams.iter().enumerate() {
            let set = format!("set key{number} 0 0 1\r\nx\r\n");
            ask(stream, set.as_bytes(), b"STORED\r\n");
        }
        let keys: String = (0..40).map(|number| format!(" key{number}")).collect();
        let entries: String = (0..40)
            .map(|number| format!("VALUE key{number} 0 1\r\nx\r\n"))
            .collect();
        let (get, reply) = (format!("get{keys}\r\n"), format!("{entries}END\r\n"));
        for stream in &streams {
            ask(stream, get.as_bytes(), reply.as_bytes());
        }
        let mut refused = String::new();
        connect(namespace, server).read_to_string(&mut refused).unwrap();
        assert_eq!(refused, "ERROR Too many open connections\r\n");
        assert_eq!(stat(&streams[0], "curr_items"), 40);
        assert_eq!(stat(&streams[0], "curr_connections"), 40);
        assert!(stat(&streams[0], "threads") >= 2);
        // Whichever core has the client, and whichever the key.
        let reply = b"\x07\x09\0\0\0\x01\0\0VALUE key7 0 1\r\nx\r\nEND\r\n";
        for _ in 0..20 {
            let socket = namespace.enter(|| UdpSocket::bind("0.0.0.0:0").unwrap());
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            socket
                .send_to(b"\x07\x09\0\0\0\x01\0\0get key7\r\n", server.address())
                .unwrap();
            let mut room = [0; 100];
            let len = socket.recv(&mut room).unwrap();
            assert_eq!(&room[..len], reply);
        }
        streams.truncate(1);
        let until = Instant::now() + Duration::from_secs(20);
        while stat(&streams[0], "curr_connections") > 1 {
            assert!(Instant::now() < until, "closed connections still count");
        }
        ask(&connect(namespace, server), b"mn\r\n", b"MN\r\n");
    });
}

#[test]
fn libmemcacheds_tools_work() {
    in_both_worlds(&["-I", "2m"], |namespace, server| {
        let servers = format!("--servers={}:{PORT}", server.ip());
        let tool = |name: &str, args: &[&str]| {
            let args: Vec<_> = [servers.as_str()]
                .iter()
                .chain(args)
                .map(|arg| (*arg).to_owned())
                .collect();
            said(namespace, name, &args)
        };
        let folder = ixion_tests::Folder::new();
        let file = folder.join("a-file");
        let content = peer::pattern(1, 1 << 20);
        std::fs::write(&file, &content).unwrap();
        tool("memcping", &[]);
        for protocol in ["--tcp-nodelay", "--binary"] {
            tool("memccp", &[protocol, file.to_str().unwrap()]);
            let copy = folder.join("copy");
            tool("memccat", &[protocol, "--file", copy.to_str().unwrap(), "a-file"]);
            peer::assert_same(&std::fs::read(&copy).unwrap(), &content);
            tool("memcexist", &[protocol, "a-file"]);
            tool("memctouch", &[protocol, "--expire=100", "a-file"]);
            tool("memcrm", &[protocol, "a-file"]);
            tool("memcflush", &["--binary"]);
        }
        assert!(tool("memcstat", &[]).contains("curr_items"));
        for args in [
            &["--test=set"][..],
            &["--test=get"],
            &["--test=mget"],
            &["--test=get", "--binary"],
        ] {
            let all = [
                &["--execute-number=200", "--initial-load=200", "--concurrency=4"],
                args,
            ]
            .concat();
            tool("memcslap", &all);
        }
    });
}

#[test]
fn python_clients_work() {
    in_both_worlds(&[], |namespace, server| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kv/clients.py").to_owned();
        let args = [script, server.ip().to_string(), PORT.to_string()];
        // Debian's, which has Debian's packages.
        assert!(said(namespace, "/usr/bin/python3", &args).contains("done"));
    });
}

#[test]
fn a_rust_client_works() {
    in_both_worlds(&[], |namespace, server| {
        namespace.enter(|| {
            for protocol in ["ascii", "binary"] {
                let url = format!("memcache://{}:{PORT}?timeout=20&protocol={protocol}", server.ip());
                let client = memcache::connect(url).unwrap();
                client.flush().unwrap();
                client.set("key", "value", 0).unwrap();
                assert_eq!(client.get::<String>("key").unwrap().unwrap(), "value");
                // Whether that worked, this client tells in one of the protocols only.
                let _ = client.add("key", "other", 0);
                client.append("key", " end").unwrap();
                let (value, _, cas): (Vec<u8>, u32, Option<u64>) =
                    client.gets(&["key"]).unwrap().remove("key").unwrap();
                assert_eq!(value, b"value end");
                assert!(client.cas("key", "swapped", 0, cas.unwrap()).unwrap());
                assert!(!client.cas("key", "late", 0, cas.unwrap()).unwrap());
                client.set("number", 40, 0).unwrap();
                assert_eq!(client.increment("number", 2).unwrap(), 42);
                assert_eq!(client.decrement("number", 50).unwrap(), 0);
                assert!(client.touch("number", 50).unwrap());
                for number in 0..50 {
                    client.set(&format!("many{number}"), number, 0).unwrap();
                }
                let keys: Vec<_> = (0..60).map(|number| format!("many{number}")).collect();
                let keys: Vec<_> = keys.iter().map(String::as_str).collect();
                assert_eq!(client.gets::<i32>(&keys).unwrap().len(), 50);
                assert!(client.delete("key").unwrap());
                assert!(client.get::<String>("key").unwrap().is_none());
                assert_eq!(client.stats().unwrap().len(), 1);
            }
        });
    });
}

#[test]
fn a_value_stays_as_it_was_while_it_is_sent() {
    in_both_worlds(&["-I", "2m"], |namespace, server| {
        let slow = connect(namespace, server);
        let other = connect(namespace, server);
        let size = 1 << 20;
        let set = |version: u64| {
            let value = peer::pattern(version, size);
            [format!("set large 0 0 {size}\r\n").as_bytes(), &value, b"\r\n"].concat()
        };
        let reply = |version: u64| {
            let value = peer::pattern(version, size);
            [
                format!("VALUE large 0 {size}\r\n").as_bytes(),
                &value,
                b"\r\nEND\r\n",
            ]
            .concat()
        };
        ask(&other, &set(0), b"STORED\r\n");
        // Far more than fits into windows and buffers; the server has no more than a part of it under way.
        (&slow).write_all(&b"get large\r\n".repeat(20)).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        for version in 1..=60 {
            ask(&other, &set(version), b"STORED\r\n");
        }
        // What is under way is the first version whole; each later reply is one version whole.
        expect(&slow, &reply(0));
        let mut last = 0;
        for _ in 1..20 {
            let mut got = vec![0; reply(0).len()];
            (&slow).read_exact(&mut got).unwrap();
            let version = (last..=60).find(|version| got == reply(*version));
            last = version.expect("a reply is made of one version");
        }
        assert_eq!(stat(&other, "evictions"), 0);
        assert_eq!(stat(&other, "curr_items"), 1);
    });
}

#[test]
fn commands_come_in_any_pieces_and_all_at_once() {
    in_both_worlds(&[], |namespace, server| {
        let stream = connect(namespace, server);
        let script = b"set a 0 0 5\r\nhello\r\nget a\r\n";
        let reply = b"STORED\r\nVALUE a 0 5\r\nhello\r\nEND\r\n";
        for byte in script {
            (&stream).write_all(&[*byte]).unwrap();
            std::thread::sleep(Duration::from_millis(3));
        }
        expect(&stream, reply);
        let keys: String = (0..100).map(|key| format!(" key{key}")).collect();
        let sets: String = (0..100)
            .map(|key| format!("set key{key} 0 0 10 noreply\r\n0123456789\r\n"))
            .collect();
        let entries: String = (0..100)
            .map(|key| format!("VALUE key{key} 0 10\r\n0123456789\r\n"))
            .collect();
        let request = format!("{sets}get{keys}\r\nget nothing{keys}\r\nmn\r\n");
        ask(
            &stream,
            request.as_bytes(),
            format!("{entries}END\r\n{entries}END\r\nMN\r\n").as_bytes(),
        );
        let gets = b"get key7\r\n".repeat(3_000);
        let reply = b"VALUE key7 0 10\r\n0123456789\r\nEND\r\n".repeat(3_000);
        std::thread::scope(|scope| {
            scope.spawn(|| (&stream).write_all(&gets).unwrap());
            expect(&stream, &reply);
        });
        // What comes before FIN is answered, then the server finishes, too.
        (&stream).write_all(b"get key7\r\nmn\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        (&stream).read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"VALUE key7 0 10\r\n0123456789\r\nEND\r\nMN\r\n");
    });
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    in_both_worlds(&["-c", "3"], |namespace, server| {
        let mut streams: Vec<_> = (0..3).map(|_| connect(namespace, server)).collect();
        for stream in &streams {
            ask(stream, b"mn\r\n", b"MN\r\n");
        }
        let mut refused = String::new();
        connect(namespace, server).read_to_string(&mut refused).unwrap();
        assert_eq!(refused, "ERROR Too many open connections\r\n");
        drop(streams.pop());
        let until = Instant::now() + Duration::from_secs(10);
        while stat(&streams[0], "curr_connections") > 2 {
            assert!(Instant::now() < until, "a closed connection still counts");
        }
        ask(&connect(namespace, server), b"mn\r\n", b"MN\r\n");
        assert_eq!(stat(&streams[0], "rejected_connections"), 1);
    });
}

#[test]
fn datagrams_are_answered() {
    in_both_worlds(&["-U", "11211"], |namespace, server| {
        let stream = connect(namespace, server);
        let value = peer::pattern(3, 4_000);
        let set = [&b"set key 0 0 4000\r\n"[..], &value, b"\r\n"].concat();
        ask(&stream, &set, b"STORED\r\n");
        let socket = namespace.enter(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut buffer = [0; 2_000];
        let mut ask = |request: &[u8], count: u8| {
            socket.send_to(request, server.address()).unwrap();
            let mut reply = Vec::new();
            for number in 0..count {
                let len = socket.recv(&mut buffer).unwrap();
                assert_eq!(buffer[..8], [7, 9, 0, number, 0, count, 0, 0]);
                reply.extend_from_slice(&buffer[8..len]);
            }
            reply
        };
        let reply = [&b"VALUE key 0 4000\r\n"[..], &value, b"\r\nEND\r\n"].concat();
        peer::assert_same(&ask(b"\x07\x09\0\0\0\x01\0\0get key\r\n", 3), &reply);
        assert_eq!(
            ask(b"\x07\x09\0\0\0\x01\0\0get none\r\nmn\r\n", 1),
            b"END\r\nMN\r\n"
        );
        let refusal = ask(b"\x07\x09\0\0\0\x02\0\0get key\r\n", 1);
        assert_eq!(refusal, b"SERVER_ERROR multi-packet request not supported\r\n");
        socket.send_to(b"short", server.address()).unwrap();
        assert_eq!(ask(b"\x07\x09\0\0\0\x01\0\0mn\r\n", 1), b"MN\r\n");
    });
}

#[test]
fn nothing_is_left_of_clients_that_vanish() {
    let namespace = Namespace::new().unwrap();
    let run = Runner::new(artifacts::kv()).on(&namespace).start();
    run.wait_for("kv: tcp port 11211");
    let server = Server::Machine(run);
    let watch = connect(&namespace, &server);
    ask(&watch, b"set key 0 0 100000\r\n", b"");
    ask(&watch, &[&[b'x'; 100_000][..], b"\r\n"].concat(), b"STORED\r\n");
    let used = stat(&watch, "bytes");
    for _ in 0..30 {
        let stream = connect(&namespace, &server);
        // A value that never ends, and replies that nobody reads.
        (&stream).write_all(&b"get key\r\n".repeat(20)).unwrap();
        (&stream)
            .write_all(b"set other 0 0 500000\r\nthe beginning")
            .unwrap();
        drop(stream);
    }
    let until = Instant::now() + Duration::from_secs(20);
    while stat(&watch, "curr_connections") > 1 {
        assert!(Instant::now() < until, "they still count");
        std::thread::sleep(Duration::from_millis(50));
    }
    let left = stat(&watch, "bytes");
    assert!(left <= used + 10 * 600_000, "{left} bytes in use, {used} before");
    for _ in 0..100 {
        ask(&watch, b"set other 0 0 500000\r\n", b"");
        ask(&watch, &[&[b'y'; 500_000][..], b"\r\n"].concat(), b"STORED\r\n");
    }
    assert_eq!(stat(&watch, "evictions"), 0);
    drop(watch);
    server.stop();
}
