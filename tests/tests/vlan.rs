//! A machine on a VLAN, and a station that sends it frames with tags and without, through a bridge of Linux's, which completes
//! what the machine has left to its card.

use ixion_tests::{GUEST, Namespace, Runner, Tap, artifacts, peer};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PEER_IP: [u8; 4] = [10, 77, 0, 9];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
/// The station's tap, at the other end of the bridge.
const FAR_TAP: &str = "ixv0";
/// VLAN 7, priority 0.
const TAG: [u8; 4] = [0x81, 0, 0, 7];
const ARP: [u8; 2] = [8, 6];
const IPV4: [u8; 2] = [8, 0];
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// For what has to come, on a machine that has much to do.
const LONG: Duration = Duration::from_secs(10);
/// After which silence is believed.
const SHORT: Duration = Duration::from_millis(500);

/// A network with a bridge between the machine's tap and ours.
fn bridged() -> Namespace {
    let namespace = Namespace::new().unwrap();
    for words in [
        "link add ixbr type bridge",
        &format!("tuntap add dev {FAR_TAP} mode tap"),
        &format!("link set {FAR_TAP} master ixbr"),
        &format!("link set {} master ixbr", Namespace::TAP),
        &format!("link set {FAR_TAP} up"),
        "link set ixbr up",
    ] {
        namespace.ip(words).unwrap();
    }
    namespace
}

struct Station {
    tap: Tap,
    /// Where the machine is; all stations, until it has said so.
    machine: [u8; 6],
}

impl Station {
    /// Sends a frame with this tag, if any; gives the answer's type and what follows, and has seen that it is tagged. Who asks
    /// for our address meanwhile is told.
    fn ask(&mut self, tag: &[u8], ether_type: [u8; 2], body: &[u8], patience: Duration) -> Option<Vec<u8>> {
        let frame = [&self.machine[..], &PEER_MAC, tag, &ether_type, body].concat();
        self.tap.send(&frame).unwrap();
        let end = Instant::now() + patience;
        let mut room = [0; 2048];
        while Instant::now() < end {
            match self.tap.receive(&mut room).unwrap() {
                Some(frame) if frame[..6] == PEER_MAC => {
                    assert_eq!(frame[12..16], TAG, "{frame:02x?}");
                    self.machine = frame[6..12].try_into().unwrap();
                    let answer = frame[16..].to_vec();
                    if answer[..2] != ARP || answer[9] != 1 {
                        return Some(answer);
                    }
                    let reply = [&self.machine[..], &PEER_MAC, &TAG, &ARP, &arp(2)].concat();
                    self.tap.send(&reply).unwrap();
                }
                Some(_) => {}
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        None
    }

    /// What the machine answers to this, over IPv4.
    fn talk(&mut self, protocol: u8, body: &[u8]) -> Vec<u8> {
        let packet = ipv4(protocol, body);
        let answer = self.ask(&TAG, IPV4, &packet, LONG).expect("an answer");
        assert_eq!((&answer[..2], answer[2], answer[11]), (&IPV4[..], 0x45, protocol));
        let len = usize::from(u16::from_be_bytes([answer[4], answer[5]]));
        let body = &answer[22..2 + len];
        let pseudo_header = if protocol == ICMP {
            Vec::new()
        } else {
            pseudo_header(protocol, GUEST.octets(), PEER_IP, body.len())
        };
        assert_eq!(checksum(&[&pseudo_header, body].concat()), 0, "{answer:02x?}");
        body.to_vec()
    }
}

fn pseudo_header(protocol: u8, src: [u8; 4], dst: [u8; 4], len: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
    [&src[..], &dst, &[0, protocol, high, low]].concat()
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2);
    let sum = words.fold(0, |sum: u32, pair| {
        sum + u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]))
    });
    let sum = (sum >> 16) + (sum & 0xffff);
    !u16::try_from((sum >> 16) + (sum & 0xffff)).unwrap()
}

fn with_checksum(mut bytes: Vec<u8>, at: usize, before: &[u8]) -> Vec<u8> {
    let sum = checksum(&[before, &bytes].concat());
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn ipv4(protocol: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(20 + body.len()).unwrap().to_be_bytes();
    let header = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    let header = [&header[..], &PEER_IP, &GUEST.octets()].concat();
    [&with_checksum(header, 10, &[])[..], body].concat()
}

fn ping(data: &[u8]) -> Vec<u8> {
    with_checksum([&[8, 0, 0, 0, 0, 1, 0, 1][..], data].concat(), 2, &[])
}

fn datagram(data: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(8 + data.len()).unwrap().to_be_bytes();
    let datagram = [&[0x30, 0x39, 0, 7, high, low, 0, 0][..], data].concat();
    let before = pseudo_header(UDP, PEER_IP, GUEST.octets(), datagram.len());
    with_checksum(datagram, 6, &before)
}

fn syn() -> Vec<u8> {
    let header = [
        0x30, 0x39, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0,
    ];
    let before = pseudo_header(TCP, PEER_IP, GUEST.octets(), header.len());
    with_checksum(header.to_vec(), 16, &before)
}

/// We tell the machine our address, and ask for its (1) or do not (2).
fn arp(operation: u8) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, operation];
    [&head[..], &PEER_MAC, &PEER_IP, &[0; 6], &GUEST.octets()].concat()
}

/// Whether its card inserts the tags and takes them off is what comes out.
fn on_a_vlan(options: &[&str]) -> bool {
    let namespace = bridged();
    let run = Runner::new(artifacts::echo())
        .on(&namespace)
        .options(&["--vlan", "7"])
        .options(options)
        .start();
    run.wait_for("echo: tcp and udp port 7");
    let mut station = Station {
        tap: namespace.enter(|| Tap::open(FAR_TAP)).unwrap(),
        machine: [0xff; 6],
    };

    // The stack's, or the card's that takes off tags.
    let not_ours = |stats: &BTreeMap<String, u64>| {
        let counts = ["rx_vlan_not_ours", "nic.rx_vlan_not_ours"];
        counts.iter().filter_map(|name| stats.get(*name)).sum::<u64>()
    };
    let before = not_ours(&run.stats());
    let others: [&[u8]; 3] = [&[], &[0x81, 0, 0, 8], &[0x81, 0, 0xe0, 0]];
    for tag in others {
        assert_eq!(station.ask(tag, ARP, &arp(1), SHORT), None, "{tag:02x?}");
    }
    run.wait_for_stats("frames of other VLANs are counted", |stats| {
        not_ours(stats) >= before + 3
    });

    let answer = station.ask(&TAG, ARP, &arp(1), LONG).expect("an answer");
    assert_eq!((&answer[..2], &answer[16..20]), (&ARP[..], &GUEST.octets()[..]));
    let data = peer::pattern(1, 1472);
    assert_eq!(station.talk(ICMP, &ping(&data))[8..], data);
    let data = peer::pattern(2, 1400);
    assert_eq!(station.talk(UDP, &datagram(&data))[8..], data);
    let syn_ack = station.talk(TCP, &syn());
    assert_eq!((&syn_ack[8..12], syn_ack[13]), (&[0, 0, 0, 2][..], 0x12));
    let by_card = run.stat("nic.offload_vlan");
    run.stop().assert_code(0);
    by_card > 0
}

#[test]
fn virtio_net_is_on_a_vlan() {
    assert!(!on_a_vlan(&["--nic", "virtio-net"]));
}

#[test]
fn e1000e_is_on_a_vlan() {
    assert!(on_a_vlan(&["--nic", "e1000e"]));
}

#[test]
fn e1000_is_on_a_vlan() {
    assert!(on_a_vlan(&["--nic", "e1000"]));
}

#[test]
fn vmxnet3_is_on_a_vlan() {
    assert!(on_a_vlan(&["--nic", "vmxnet3"]));
}

#[test]
fn tags_can_be_the_stacks_own_on_a_card_that_knows_them() {
    for nic in ["e1000e", "e1000", "vmxnet3"] {
        assert!(!on_a_vlan(&["--nic", nic, "--offload", "vlan=off"]));
    }
}

#[test]
fn two_cores_with_a_queue_each_are_on_a_vlan_that_the_card_sees_to() {
    assert!(on_a_vlan(&["--nic", "e1000e", "--cores", "2"]));
}

#[test]
fn several_cores_are_on_the_vlan_of_their_card() {
    assert!(!on_a_vlan(&["--cores", "2"]));
}

#[test]
fn checksums_of_tagged_frames_can_be_the_stacks_own() {
    for vlan in ["vlan=on", "vlan=off"] {
        let offload = format!("txcsum=off,tso=off,{vlan}");
        for nic in ["e1000", "vmxnet3"] {
            on_a_vlan(&["--nic", nic, "--offload", &offload]);
        }
    }
}
