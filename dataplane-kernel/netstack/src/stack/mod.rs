//! The stack of one core, whole: its tables, and the calls of its driver.

/// Memory for the frames to come.
mod look_ahead;

/// Frames in.
mod ingress;

/// Segments that continue the one before.
mod run;

/// Their tags.
mod tags;

/// Frames over several buffers.
mod parts;
pub use parts::{Gathered, RxPart};

/// IPv6 packets in.
mod ingress_v6;

/// Complaints about packets of ours.
mod icmp_errors;

/// Packets of others.
mod forwarding;

/// Groups.
mod groups;

/// Fragments in.
mod fragments;
pub use fragments::WholePacket;

/// Our address from a server.
mod dhcp;

/// Neighbour discovery.
mod discovery;

/// Frames out.
mod egress;

/// Events out.
mod events;

/// Calls of the app about TCP.
mod tcp_calls;

/// Calls of the app about the rest.
mod calls;

/// Several stacks on one host.
mod host;

/// Time.
mod timers;

/// Handshakes without memory.
mod syn_cookies;

/// Flows come and go.
mod lifecycle;

use crate::dhcp::{Client, Role};
use crate::forwarding::Transits;
use crate::fragmentation::Identifications;
use crate::icmp::ErrorLimit;
use crate::interface::{Interface, TxChecksum};
use crate::ipv6::Ipv6;
use crate::neighbor::Neighbors;
use crate::path_mtus::PathMtus;
use crate::reassembly::Reassembly;
use crate::ring::Ring;
use crate::route::Route;
use crate::rss::Home;
use crate::rx_buffers::RxBuffers;
use crate::tcp::flow_table::FlowTable;
use crate::tcp::pacing::Paces;
use crate::tcp::pairs::Pairs;
use crate::tcp::right_sizing;
use crate::tcp::{Shared, Tuning};
use crate::timer_wheel::TimerWheel;
use crate::udp::{Limits, Udp};
use crate::wire::ethernet::{EtherType, MacAddr};
use crate::wire::vlan::VlanId;
use crate::{Config, Counters, Instant, Ipv4Config, Medium};
use calls::AppTimers;

/// No frame is of this type.
const NO_TYPE: u32 = u32::MAX;

/// What most frames carry that have no tag.
fn common_type(route: &Route, vlan: Option<VlanId>) -> u32 {
    if route.has_address() && vlan.is_none() {
        u16::from(EtherType::Ipv4).into()
    } else {
        NO_TYPE
    }
}

/// One TCP/IP stack. See the [crate] for how it is driven.
pub struct Stack {
    flows: FlowTable,
    shared: Shared,
    udp: Udp,
    timers: AppTimers,
    icmp_errors: ErrorLimit,
    reassembly: Reassembly,
    /// No fragment is too late before.
    reassembly_ends: Instant,
    /// The flow whose events are being told; it is off the ring of the ready already.
    telling: Option<u32>,
    /// Events since timers and UDP were asked first.
    events_in_turn: u8,
    trusts_rx_checksum: bool,
    /// Segments that continue the one before are taken in the short way.
    merges: bool,
    /// Slot of the flow that had a segment last.
    last_flow: u32,
    /// The VLAN that frames must belong to.
    vlan: Option<VlanId>,
    /// What most frames carry: IPv4, once we have an address, where they have no tag.
    common_type: u32,
    /// Where our IPv4 address comes from, if it is not fixed.
    dhcp: Option<Role>,
    /// Largest IP packet of the link, whatever a server says, in bytes.
    link_mtu: u16,
    /// We have had an address before, and: the app is to be told of another.
    had_address: bool,
    address_is_news: bool,
    home: Option<Home>,
    /// Packets for others, where somebody forwards them.
    transits: Option<Transits>,
    /// Our hardware address, as [`ingress::station`] makes it.
    station: u64,
}

impl Stack {
    /// A stack with nothing open. All its memory is allocated here.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        let mac = MacAddr(config.mac);
        let (route, dhcp) = match config.ipv4 {
            None => (Route::NONE, None),
            Some(Ipv4Config::Dhcp) => {
                let home = config.home.as_ref().map(|home| (home.core, &home.lease));
                (Route::NONE, Some(Role::new(Client::new(mac, now), home)))
            }
            Some(Ipv4Config::Fixed {
                address,
                prefix,
                gateway,
            }) => match config.medium {
                Medium::Ethernet => (Route::new(address, prefix, gateway), None),
                Medium::Loopback => (Route::loopback(address), None),
            },
        };
        let tx_checksum = if config.tx_checksum {
            TxChecksum::Device
        } else {
            TxChecksum::Software
        };
        let unreserved = config.rx_buffers.saturating_sub(config.rx_reserve);
        let udp_held_buffers = config.udp_held_buffers.min(unreserved / 4);
        let tuning = Tuning::new(&config);
        let mut shared = Shared {
            boards: crate::tcp::board::boards(&tuning),
            paces: Paces::new(config.max_paced_flows),
            tuning,
            counters: Counters::default(),
            rx: RxBuffers::new(config.rx_buffers, unreserved - udp_held_buffers),
            spans: crate::tcp::span_slab(config.max_send_spans),
            wheel: TimerWheel::new(config.max_flows, now),
            ready: Ring::new(config.max_flows),
            dirty: Ring::new(config.max_flows),
            unresolved: Ring::new(config.max_flows),
            held: Ring::new(config.max_flows),
            time_wait: Ring::new(config.max_flows),
            interface: Interface {
                mac,
                route,
                mtu: config.mtu,
                tx_checksum,
            },
            neighbors: Neighbors::new(mac, route.address(), now),
            ipv6: Ipv6::of(&config, now),
            pairs: Pairs::new(config.ipv6.as_ref().map_or(0, |_| config.max_ipv6_pairs)),
            static_routes: config.static_routes,
            path_mtus: PathMtus::EMPTY,
            neighbor_epoch: 1,
            neighbor_epoch_ends: now,
            secrets: crate::tcp::secrets::Secrets::new(config.secret),
            listeners: crate::tcp::listener::Listeners::new(config.max_listeners),
            window_room: right_sizing::room_in(unreserved - udp_held_buffers),
            cookies_until: now,
            challenges: crate::tcp::challenge_limit(config.tcp.challenge_acks_per_second, now),
        };
        if config.medium == Medium::Loopback {
            shared.neighbors.know_ourselves();
        }
        let limits = Limits {
            sockets: u16::try_from(config.max_udp_sockets).unwrap_or(u16::MAX),
            sends: config.udp_sends,
            held_buffers: udp_held_buffers,
        };
        let [first, second, third, fourth, fifth, sixth, ..] = shared.secrets.random().to_le_bytes();
        let identifications = Identifications::new(u32::from_le_bytes([third, fourth, fifth, sixth]));
        Stack {
            flows: FlowTable::new(config.max_flows),
            udp: Udp::new(limits, u16::from_le_bytes([first, second]), identifications),
            timers: AppTimers::new(config.max_timers, now),
            icmp_errors: ErrorLimit::new(now),
            reassembly: Reassembly::new(),
            reassembly_ends: Instant::FAR,
            telling: None,
            events_in_turn: 0,
            trusts_rx_checksum: config.rx_checksum,
            merges: config.merge_segments && config.max_flows > 0,
            last_flow: 0,
            vlan: config.vlan,
            common_type: common_type(&route, config.vlan),
            dhcp,
            link_mtu: config.mtu,
            had_address: route.has_address(),
            address_is_news: false,
            home: config.home,
            transits: None,
            station: ingress::station_of(mac),
            shared,
        }
    }

    /// It answers who asks for our addresses, and probes them: of several stacks of an interface, one does.
    fn speaks_for_host(&self) -> bool {
        self.home.as_ref().is_none_or(|home| home.core == 0)
    }

    /// What it has counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let rx = &self.shared.rx;
        Counters {
            flows: self.flows.len() as u64,
            buffers_queued: u64::from(rx.queued()),
            window_room: u64::from(self.shared.window_room),
            buffers_lent: u64::from(rx.lent()),
            buffers_udp: u64::from(self.udp.held_buffers()),
            reassemblies: self.reassembly.len() as u64,
            ipv6_pairs: self.shared.pairs.used() as u64,
            send_spans: u64::from(self.shared.spans.used()),
            paced_flows: self.shared.paces.used() as u64,
            loss_boards: u64::from(self.shared.boards.used()),
            loss_ranges: u64::from(self.shared.boards.records.used()),
            ..self.shared.counters
        }
    }
}
