//! ARP for IPv4 over Ethernet (RFC 826).

use super::ethernet::MacAddr;
use super::{be16, put};
use core::net::Ipv4Addr;

/// Bytes of a packet.
pub const PACKET_LEN: usize = 28;

/// Hardware type Ethernet, protocol type IPv4, address lengths 6 and 4.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target's protocol address?
    Request,
    /// The sender has.
    Reply,
}

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Request or reply.
    pub operation: Operation,
    /// Hardware address of the sender; unicast in a parsed packet.
    pub sender_mac: MacAddr,
    /// Protocol address of the sender; unspecified in a probe (RFC 5227).
    pub sender_ip: Ipv4Addr,
    /// Hardware address of the target; means nothing in a request.
    pub target_mac: MacAddr,
    /// Protocol address of the target.
    pub target_ip: Ipv4Addr,
}

impl Packet {
    /// Reads a packet; `None` if it is short, not for Ethernet and IPv4, of an unknown operation, or if its sender
    /// claims an address that no station or host can have.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Packet> {
        let (p, _padding) = bytes.split_first_chunk::<PACKET_LEN>()?;
        if p[..6] != ETHERNET_IPV4 {
            return None;
        }
        let operation = match be16(p, 6) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return None,
        };
        let packet = Packet {
            operation,
            sender_mac: MacAddr([p[8], p[9], p[10], p[11], p[12], p[13]]),
            sender_ip: Ipv4Addr::new(p[14], p[15], p[16], p[17]),
            target_mac: MacAddr([p[18], p[19], p[20], p[21], p[22], p[23]]),
            target_ip: Ipv4Addr::new(p[24], p[25], p[26], p[27]),
        };
        let sender = packet.sender_ip;
        let possible = packet.sender_mac.is_unicast() && !sender.is_multicast() && !sender.is_broadcast();
        possible.then_some(packet)
    }

    /// Writes the packet.
    pub fn emit(&self, out: &mut [u8; PACKET_LEN]) {
        let operation: u16 = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        put(out, 0, ETHERNET_IPV4);
        put(out, 6, operation.to_be_bytes());
        put(out, 8, self.sender_mac.0);
        put(out, 14, self.sender_ip.octets());
        put(out, 18, self.target_mac.0);
        put(out, 24, self.target_ip.octets());
    }
}
