use super::{Endpoint, MAX_LINKS};
use core::net::SocketAddr;

/// Most name servers that are told.
pub const MAX_NAME_SERVERS: usize = 3;

/// A link as the app is told of it: a network the dataplane is on.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct LinkInfo {
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Zero.
    pub reserved: u16,
    /// Its IPv4 address, unspecified while it has none; port 0.
    pub v4: Endpoint,
    /// The IPv6 address it was given, unspecified if none was; port 0.
    pub v6: Endpoint,
}

const _: () = assert!(size_of::<LinkInfo>() == 56);

/// What a dataplane thread is told once, at `io_setup`; read-only to ring 3.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct IoInfo {
    /// Size of this struct as the kernel knows it, in bytes; a larger one has more fields behind these.
    pub size: u32,
    /// Packets taken from the NIC per cycle, at most (IX: B).
    pub batch: u32,
    /// Address of the command array, writable.
    pub commands: u64,
    /// Its capacity, in entries.
    pub commands_capacity: u32,
    /// Capacity of the event array, in entries.
    pub events_capacity: u32,
    /// Address of the event array, read-only.
    pub events: u64,
    /// Start of the receive window, read-only: every `Recv` address lies in it.
    pub rx_window: u64,
    /// Its length in bytes.
    pub rx_window_len: u64,
    /// Ticks of the time-stamp counter per second.
    pub tsc_hz: u64,
    /// The dataplane's own address when the app started; port 0. `EventKind::Address` tells of another.
    pub local: Endpoint,
    /// The first link's Ethernet address.
    pub mac: [u8; 6],
    /// Index of the core, from 0.
    pub core: u16,
    /// How many cores the dataplane has.
    pub cores: u16,
    /// Where names are resolved, in the order to ask; behind the last, unspecified. Those of a DHCP lease change with its
    /// address, before `EventKind::Address` tells.
    pub name_servers: [Endpoint; MAX_NAME_SERVERS],
    /// How many links there are.
    pub link_count: u32,
    /// They, by their numbers; their IPv4 addresses as they are now.
    pub links: [LinkInfo; MAX_LINKS],
}

/// Size of a struct that ends with the name servers, in bytes.
const SIZE_WITH_NAME_SERVERS: u32 = 192;

impl IoInfo {
    /// Size of the struct as this crate knows it, in bytes.
    pub const SIZE: u32 = 640;

    /// The name servers that are told. None if the kernel is older than this field.
    pub fn name_servers(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let is_told = self.size >= SIZE_WITH_NAME_SERVERS;
        let told = self.name_servers.iter().filter(move |_| is_told);
        told.filter_map(Endpoint::socket_address)
    }

    /// The links. None if the kernel is older than this field, or there is no kernel of ours.
    #[must_use]
    pub fn links(&self) -> &[LinkInfo] {
        let count = usize::try_from(self.link_count).unwrap_or(0);
        match self.links.get(..count) {
            Some(links) if self.size >= Self::SIZE => links,
            _ => &[],
        }
    }
}

const _: () = assert!(size_of::<IoInfo>() == IoInfo::SIZE as usize);
