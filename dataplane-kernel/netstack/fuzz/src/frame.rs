//! Frames to the stack: sensible ones, from which the input bends what it likes.

use fuzzing::Input;
use netstack::checksum::checksum;

pub(crate) const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const OUR_IP: [u8; 4] = [10, 0, 0, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const PEER_IP: [u8; 4] = [10, 0, 0, 2];

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;

fn ethernet(ether_type: u16, content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + content.len());
    frame.extend_from_slice(&OUR_MAC);
    frame.extend_from_slice(&PEER_MAC);
    frame.extend_from_slice(&ether_type.to_be_bytes());
    frame.extend_from_slice(content);
    frame
}

fn ipv4(protocol: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + content.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&len.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend_from_slice(&PEER_IP);
    packet.extend_from_slice(&OUR_IP);
    packet.extend_from_slice(content);
    let mut frame = ethernet(0x0800, &packet);
    fix_header_checksum(&mut frame);
    frame
}

/// Makes the IPv4 header's checksum right, if there is a header.
fn fix_header_checksum(frame: &mut [u8]) {
    if frame.len() < 34 {
        return;
    }
    frame[24..26].fill(0);
    let len = (usize::from(frame[14] & 15) * 4).clamp(20, frame.len() - 14);
    let sum = checksum(&frame[14..14 + len]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

/// A TCP segment; its checksum is for the device to vouch for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Segment {
    pub(crate) peer_port: u16,
    pub(crate) our_port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    /// Bytes it carried.
    pub(crate) len: u32,
}

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

impl Segment {
    /// Reads one of ours.
    pub(crate) fn read(header: &[u8], len: u32) -> Option<Self> {
        if header.get(12..14)? != [8, 0] || header.get(23)? != &TCP {
            return None;
        }
        let half = |at: usize| Some(u16::from_be_bytes(header.get(at..at + 2)?.try_into().ok()?));
        let word = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
        Some(Segment {
            our_port: half(34)?,
            peer_port: half(36)?,
            seq: word(38)?,
            ack: word(42)?,
            flags: *header.get(47)?,
            len,
        })
    }

    /// What the peer would say to it, with these flags.
    pub(crate) fn answered(self, flags: u8) -> Self {
        let ghosts = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        Segment {
            seq: self.ack,
            ack: self.seq.wrapping_add(self.len).wrapping_add(ghosts),
            flags,
            len: 0,
            ..self
        }
    }

    pub(crate) fn frame(self, window: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let options = &options[..options.len().min(40)];
        let words = 5 + options.len().div_ceil(4);
        let mut content = Vec::new();
        content.extend_from_slice(&self.peer_port.to_be_bytes());
        content.extend_from_slice(&self.our_port.to_be_bytes());
        content.extend_from_slice(&self.seq.to_be_bytes());
        content.extend_from_slice(&self.ack.to_be_bytes());
        content.extend_from_slice(&[u8::try_from(words << 4).unwrap_or(0xf0), self.flags]);
        content.extend_from_slice(&window.to_be_bytes());
        content.extend_from_slice(&[0; 4]);
        content.extend_from_slice(options);
        content.resize(words * 4, 0);
        content.extend_from_slice(payload);
        ipv4(TCP, &content)
    }
}

fn datagram(input: &mut Input<'_>) -> Vec<u8> {
    let payload = input.bytes(255);
    let len = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let mut content = vec![0, 9, 0, input.one_of(&[7, 7, 7, 13])];
    content.extend_from_slice(&len.to_be_bytes());
    content.extend_from_slice(&[0; 2]);
    content.extend_from_slice(payload);
    ipv4(UDP, &content)
}

fn icmp(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut content = vec![kind, code, 0, 0];
    content.extend_from_slice(rest);
    let sum = checksum(&content);
    content[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv4(ICMP, &content)
}

/// An ICMP error that quotes a frame of ours.
pub(crate) fn icmp_error(input: &mut Input<'_>, ours: &[u8]) -> Vec<u8> {
    let mut rest = input.word().to_be_bytes().to_vec();
    rest.extend_from_slice(ours.get(14..).unwrap_or(&[]));
    rest.truncate(4 + 20 + 8 + input.below(32));
    icmp(
        input.one_of(&[3, 4, 11, 12]),
        input.one_of(&[0, 1, 2, 3, 4, 5, 13]),
        &rest,
    )
}

/// An ARP packet about anybody nearby.
pub(crate) fn arp(input: &mut Input<'_>) -> Vec<u8> {
    let mut content = vec![0, 1, 8, 0, 6, 4, 0, input.one_of(&[2, 2, 1, 3])];
    let (mac, ip) = (input.one_of(&[2, 3, 1, 0xff]), input.one_of(&[2, 2, 1, 7]));
    content.extend_from_slice(&[2, 0, 0, 0, 0, mac, 10, 0, 0, ip]);
    content.extend_from_slice(&OUR_MAC);
    content.extend_from_slice(&OUR_IP);
    ethernet(0x0806, &content)
}

/// Anything but TCP.
pub(crate) fn other(input: &mut Input<'_>) -> Vec<u8> {
    match input.below(8) {
        0 | 1 => datagram(input),
        6 => of_ipv6(input),
        7 => fragment(input),
        2 => icmp(8, 0, input.bytes(64)),
        3 => {
            let kind = input.one_of(&[0x0800, 0x0806, 0x86dd, 0x8100, 0x0842]);
            ethernet(kind, input.bytes(255))
        }
        4 => {
            let protocol = input.one_of(&[2, 2, 6, 17, 1, 47, 0, 255]);
            ipv4(protocol, input.bytes(255))
        }
        _ => arp(input),
    }
}

/// Our address on the network of IPv6; peers differ in the last byte.
pub(crate) const OUR_IP6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];

/// A packet of IPv6 with this next header, from a host.
fn ipv6(host: u8, next: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap_or(u16::MAX);
    let mut source = OUR_IP6;
    source[15] = host;
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend_from_slice(&len.to_be_bytes());
    packet.extend_from_slice(&[next, hop_limit(next)]);
    packet.extend_from_slice(&source);
    packet.extend_from_slice(&OUR_IP6);
    packet.extend_from_slice(content);
    ethernet(0x86dd, &packet)
}

/// Neighbour discovery is heeded with 255 only.
fn hop_limit(next: u8) -> u8 {
    if next == 58 { 255 } else { 64 }
}

/// A packet of IPv6 with extension headers, or neighbour discovery, or anything.
pub(crate) fn of_ipv6(input: &mut Input<'_>) -> Vec<u8> {
    let host = input.one_of(&[2, 2, 3, 1, 9]);
    let next = input.one_of(&[0, 6, 17, 43, 44, 58, 58, 59, 60, 253]);
    ipv6(host, next, input.bytes(255))
}

/// A fragment, of one of a few packets of a few hosts, so that some meet.
pub(crate) fn fragment(input: &mut Input<'_>) -> Vec<u8> {
    let (host, identification) = (input.one_of(&[2, 3, 4, 5, 6]), input.byte() & 3);
    let at = u16::from(input.byte() & 31) * input.one_of(&[1, 1, 2, 8, 184, 264]);
    let has_more = u16::from(input.byte() < 150);
    let protocol = input.one_of(&[UDP, UDP, TCP, ICMP, 58]);
    let mut data = vec![0; input.one_of(&[8, 16, 64, 512, 1472, 5, 0])];
    if at == 0 && data.len() >= 8 {
        let len = input.half().to_be_bytes();
        data[..8].copy_from_slice(&[0, 9, 0, 7, len[0], len[1], 0, 0]);
    } else if let Some(first) = data.first_mut() {
        *first = input.byte() & 1;
    }
    if input.byte() & 1 == 0 {
        let mut frame = ipv4(protocol, &data);
        frame[19] = identification;
        frame[20..22].copy_from_slice(&(at & 0x1fff | has_more << 13).to_be_bytes());
        frame[29] = host;
        fix_header_checksum(&mut frame);
        return frame;
    }
    let mut content = vec![protocol, 0];
    content.extend_from_slice(&(at << 3 | has_more).to_be_bytes());
    content.extend_from_slice(&[0, 0, 0, identification]);
    content.extend_from_slice(&data);
    ipv6(host, 44, &content)
}

/// Changes bytes here and there; mostly the header's checksum is right afterwards.
pub(crate) fn bend(frame: &mut Vec<u8>, input: &mut Input<'_>) {
    for _ in 0..input.below(5) {
        let at = usize::from(input.byte());
        match input.below(4) {
            0 => frame.truncate(at),
            1 => frame.extend_from_slice(input.bytes(64)),
            _ => {
                let value = input.byte();
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
        }
    }
    if input.byte() < 200 {
        fix_header_checksum(frame);
    }
}
