//! The packet scripts that say `runs everywhere`, from a raw station on the same network: against a virtual machine, and
//! against Linux, the oracle. Both run a server on port 7 that takes what comes and never says anything.

use ixion_tests::artifacts::{Build, guest};
use ixion_tests::{GUEST, Namespace, RawStation, Runner};
use packet_script::frame::Stations;
use packet_script::{Hope, Player, Script, Subject};
use std::fmt::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The raw station.
const PEER_IP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const OPEN_PORT: u16 = 7;
const CLOSED_PORT: u16 = 4711;
/// For what has to come, on a machine that has much to do.
const LONG: Duration = Duration::from_secs(10);
/// Ports of the peer's that a script has for itself.
const PORTS: u16 = 16;

#[test]
fn the_machine_answers_as_the_scripts_say() {
    let namespace = Namespace::new().unwrap();
    speak_ipv4_only(&namespace);
    let run = Runner::new(&guest("sink", Build::Plain)).on(&namespace).start();
    run.wait_for("sink");
    let failures = namespace.enter(|| {
        let station = RawStation::new(Namespace::TAP).unwrap();
        play_all(&station, Duration::from_millis(400), "machine")
    });
    run.stop().assert_code(0);
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn linux_answers_as_the_scripts_say_but_where_they_tell() {
    let namespace = Namespace::without_tap().unwrap();
    speak_ipv4_only(&namespace);
    for words in [
        "link add ixa type veth peer name ixb",
        &format!("address add {GUEST}/24 brd + dev ixa"),
        "link set ixa up",
        "link set ixb up",
    ] {
        namespace.ip(words).unwrap();
    }
    let failures = namespace.enter(|| {
        // Each out-of-window segment is answered, however soon after the one before.
        std::fs::write("/proc/sys/net/ipv4/tcp_invalid_ratelimit", "0").unwrap();
        let listener = TcpListener::bind((GUEST, OPEN_PORT)).unwrap();
        std::thread::scope(|scope| {
            let server = scope.spawn(|| take_connections(&listener));
            let station = RawStation::new("ixb").unwrap();
            let failures = play_all(&station, Duration::from_millis(100), "linux");
            drop(std::net::TcpStream::connect((GUEST, OPEN_PORT)));
            server.join().unwrap();
            failures
        })
    });
    assert!(failures.is_empty(), "{failures}");
}

/// These scripts are about IPv4: where Linux asked for routers meanwhile, they would not find silence.
fn speak_ipv4_only(namespace: &Namespace) {
    for interfaces in ["all", "default"] {
        let switch = format!("/proc/sys/net/ipv6/conf/{interfaces}/disable_ipv6");
        namespace.enter(|| std::fs::write(switch, "1")).unwrap();
    }
}

/// Takes what comes until somebody connects from here.
fn take_connections(listener: &TcpListener) {
    let mut streams = Vec::new();
    while let Ok((stream, peer)) = listener.accept() {
        if peer.ip() == GUEST {
            return;
        }
        streams.push(stream);
    }
}

/// The scripts, each with ports of its own; tells which went wrong, or did not though they were to.
fn play_all(station: &RawStation, patience: Duration, who: &str) -> String {
    let our_mac = ask(station).expect("an answer to ARP");
    let mut failures = String::new();
    let mut peer_port = 20_000;
    for path in scripts() {
        let script = Script::read(&std::fs::read_to_string(&path).unwrap()).unwrap();
        if !script.everywhere {
            continue;
        }
        let listens = script
            .steps
            .iter()
            .any(|(_, step)| matches!(step, packet_script::script::Step::App(words) if words == &["listen"]));
        let stations = Stations {
            our_mac,
            our_ip: GUEST,
            peer_mac: PEER_MAC,
            peer_ip: PEER_IP,
            our_port: if listens { OPEN_PORT } else { CLOSED_PORT },
            peer_port,
        };
        let mut subject = OnTheWire {
            station,
            stations,
            patience,
        };
        let played = Player::new(stations, u32::MAX - 100).play(&script, &mut subject);
        let differs = script.differs.iter().find(|(whose, _)| whose == who);
        match (played, differs) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Err(error), None) => drop(writeln!(failures, "{}: {error}", path.display())),
            (Ok(()), Some((_, reason))) => drop(writeln!(
                failures,
                "{}: does not differ: {reason}",
                path.display()
            )),
        }
        peer_port += PORTS;
    }
    assert!(
        peer_port > 20_000 + 30 * PORTS,
        "there are scripts for everywhere"
    );
    failures
}

fn scripts() -> Vec<PathBuf> {
    fn find(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                find(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "pkt") {
                found.push(path);
            }
        }
    }
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dataplane-kernel/netstack/tests/conformance");
    let mut found = Vec::new();
    find(&folder, &mut found);
    found.sort();
    found
}

/// The subject's hardware address.
fn ask(station: &RawStation) -> Option<[u8; 6]> {
    let mut request = vec![0xff; 6];
    request.extend_from_slice(&PEER_MAC);
    request.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    request.extend_from_slice(&PEER_MAC);
    request.extend_from_slice(&PEER_IP.octets());
    request.extend_from_slice(&[0; 6]);
    request.extend_from_slice(&GUEST.octets());
    for _ in 0..20 {
        station.send(&request).unwrap();
        while let Some(frame) = station.receive(Duration::from_millis(200)).unwrap() {
            let is_answer = frame.len() >= 42 && frame[12..14] == [8, 6] && frame[21] == 2;
            if is_answer && frame[28..32] == GUEST.octets() {
                return frame[22..28].try_into().ok();
            }
        }
    }
    None
}

/// What is at the other end of the wire, in real time.
struct OnTheWire<'a> {
    station: &'a RawStation,
    stations: Stations,
    /// After which silence is believed.
    patience: Duration,
}

impl OnTheWire<'_> {
    /// Somebody else's conversation, or an earlier script's.
    fn is_foreign(&self, frame: &[u8]) -> bool {
        if frame.len() < 42 || frame[6..12] != self.stations.our_mac {
            return true;
        }
        match frame[12..14] {
            [8, 6] => frame[38..42] != PEER_IP.octets(),
            [8, 0] if frame[23] == 6 => {
                let half = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
                let port = half(36).wrapping_sub(self.stations.peer_port);
                frame[30..34] != PEER_IP.octets() || port >= PORTS || half(34) != self.stations.our_port
            }
            _ => false,
        }
    }
}

impl Subject for OnTheWire<'_> {
    fn inject(&mut self, frame: &[u8]) {
        self.station.send(frame).unwrap();
    }

    fn next_frame(&mut self, hope: Hope) -> Option<Vec<u8>> {
        let patience = match hope {
            Hope::Sure => LONG,
            Hope::Faint => self.patience,
        };
        let end = std::time::Instant::now() + patience;
        loop {
            let left = end.checked_duration_since(std::time::Instant::now())?;
            let mut frame = self.station.receive(left).unwrap()?;
            if !self.is_foreign(&frame) {
                complete_checksum(&mut frame);
                return Some(frame);
            }
        }
    }

    fn wait(&mut self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn app(&mut self, _: &[&str]) -> Result<(), String> {
        // The server does what it does.
        Ok(())
    }

    fn counter(&mut self, name: &str) -> Result<u64, String> {
        Err(format!("nobody tells of {name} here"))
    }
}

/// On a wire that is none, TCP's and UDP's checksums are left to a device that does not exist: both ends trust each other.
fn complete_checksum(frame: &mut [u8]) {
    let at = match (frame[12..14] == [8, 0], frame[23]) {
        (true, 6) => 34 + 16,
        (true, 17) => 34 + 6,
        _ => return,
    };
    let end = 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    if frame[14] != 0x45 || end > frame.len() || at + 2 > end {
        return;
    }
    frame[at..at + 2].fill(0);
    let mut sum = u32::from(frame[23]) + u32::try_from(end - 34).unwrap();
    for pair in frame[26..end].chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let complement = !u16::try_from(sum).unwrap();
    frame[at..at + 2].copy_from_slice(&complement.to_be_bytes());
}
