//! What the tests stand on: a driver of vectors, segments as one writes them down, and a dialogue between the stack and a
//! peer that the test plays, in virtual time.

pub(crate) mod dialogue;
pub(crate) mod driver;
pub(crate) mod frames;
pub(crate) mod frames_v6;
pub(crate) mod parts;
pub(crate) mod random;
pub(crate) mod segment;

use netstack::wire::ethernet::MacAddr;
use std::net::Ipv4Addr;

pub(crate) const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(crate) const OUR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub(crate) const PEER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
