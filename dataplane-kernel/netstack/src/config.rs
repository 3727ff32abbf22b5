//! What a stack is told once, when it is made.

use crate::StaticRoutes;
use crate::rss::Home;
pub use crate::tcp::congestion::Algorithm as CongestionControl;
pub use crate::tcp::pacing::Pacing;
use crate::wire::vlan::VlanId;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

/// Addresses, table sizes and tunables. [`Config::new`] gives sane values for all but the addresses.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our Ethernet address.
    pub mac: [u8; 6],
    /// Largest IP packet of the link, in bytes.
    pub mtu: u16,
    /// The VLAN it is on: only frames with its tag are taken. The driver tags those that leave ([`VlanId::tag`]), and leaves
    /// room for that at the start of what [`crate::Env::begin_tx`] gives. `None`: frames with another tag than that of a mere
    /// priority are dropped.
    pub vlan: Option<VlanId>,

    /// What it leads to.
    pub medium: Medium,

    /// IPv4; `None`: its frames are of a type that nobody takes.
    pub ipv4: Option<Ipv4Config>,
    /// IPv6; `None`: the same.
    pub ipv6: Option<Ipv6Config>,
    /// Ways to networks beyond the link, of both families.
    pub static_routes: StaticRoutes,
    /// Most pairs of IPv6 addresses between which there are connections.
    pub max_ipv6_pairs: u32,

    /// The device tells of received checksums ([`crate::RxChecksum::Good`] may be trusted).
    pub rx_checksum: bool,
    /// The device completes checksums ([`crate::TxOffload::Partial`]).
    pub tx_checksum: bool,
    /// The device cuts segments ([`crate::TxOffload::Segments`]), of both IP versions; it must complete checksums, too.
    pub tx_segments: bool,

    /// Where the device cuts no segments, have what may leave at once looked at once, and cut by the stack.
    pub cut_segments: bool,

    /// Take TCP segments that continue the one before in their batch in a short way ([`crate::Stack::receive_next`]).
    pub merge_segments: bool,

    /// Most TCP connections at once, half-open and TIME-WAIT ones included.
    pub max_flows: u32,
    /// Most TCP listeners.
    pub max_listeners: u32,
    /// Most bound UDP ports.
    pub max_udp_sockets: u32,
    /// Most app timers.
    pub max_timers: u32,
    /// Number of receive buffers in the driver's pool: a [`crate::BufId`] is below it.
    pub rx_buffers: u32,
    /// Of these, how many the stack and the app together may never hold, so that ACKs can still be received.
    pub rx_reserve: u32,
    /// Of the others, how many UDP may hold; at most a quarter.
    pub udp_held_buffers: u32,
    /// Most datagrams on their way out.
    pub udp_sends: u32,
    /// Most pieces of app memory queued for sending, over all flows; one flow gets no more than are left for others.
    pub max_send_spans: u32,
    /// Most TCP connections at once with data of several times of sending on its way, or with losses to be repaired. The
    /// others rely on the retransmission timeout.
    pub max_loss_boards: u32,
    /// Most TCP connections at once whose data leaves spread over time ([`crate::Pacing`]).
    pub max_paced_flows: u32,
    /// Most ranges of sent data that these are told apart in, over all of them.
    pub max_loss_ranges: u32,

    /// The core of this stack, where others share its interface; `None`: it is alone.
    pub home: Option<Home>,

    /// Keys the hashes that an outsider must not foresee. Drawn at random at each start.
    pub secret: [u8; 16],
    /// How TCP behaves.
    pub tcp: TcpConfig,
}

/// What an interface leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Medium {
    /// A link with other stations.
    #[default]
    Ethernet,
    /// Back to ourselves: what we send is received. Our own addresses, which may be 127.0.0.1 and ::1, are those of our only
    /// neighbour, who has to be asked nothing, and there are no others.
    Loopback,
}

/// Where the interface gets its IPv4 address from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv4Config {
    /// It is told.
    Fixed {
        /// The address.
        address: Ipv4Addr,
        /// Length of its network prefix, in bits.
        prefix: u8,
        /// Next hop to everything beyond the prefix.
        gateway: Option<Ipv4Addr>,
    },
    /// From a DHCP server (RFC 2131), which is asked from the start on.
    Dhcp,
}

/// How the interface gets its IPv6 addresses, beside the link-local one that it always makes itself.
#[derive(Clone, Debug, Default)]
pub struct Ipv6Config {
    /// An address, and the length of its network prefix in bits.
    pub address: Option<(Ipv6Addr, u8)>,
    /// Next hop to everything beyond the link.
    pub gateway: Option<Ipv6Addr>,
    /// Heed routers: their prefixes, from which further addresses are made (RFC 4862), and themselves as gateways.
    pub autoconfigure: bool,
}

/// Explicit congestion notification (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EcnPolicy {
    /// Never.
    Off,
    /// With a peer that asks for it, and with one that a flow asks; as Linux does (`tcp_ecn` = 2).
    #[default]
    Accept,
    /// Each connection that is opened asks for it.
    Ask,
}

/// How TCP behaves. The defaults are those of the RFCs, or of Linux where these leave a choice.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// Most bytes a flow queues for sending.
    pub send_queue_bytes: u32,
    /// How many bytes a flow may receive ahead of the app at first.
    pub receive_window_bytes: u32,
    /// The same of a flow that has grown with what its way holds; at most 1 GiB. Windows grow as long as half of the receive
    /// buffers could take all that they have grown by.
    pub receive_window_max_bytes: u32,
    /// Backlog of a listener that names none.
    pub default_backlog: u32,
    /// Answer SYNs without keeping anything while a listener has its backlog of half-open connections (RFC 4987).
    pub syn_cookies: bool,
    /// Largest segment, of either side, whatever the MTU; 0: no further limit.
    pub max_segment: u16,
    /// How the congestion window of a flow that names nothing else is governed.
    pub congestion: CongestionControl,
    /// Whether routers may mark packets instead of dropping them.
    pub ecn: EcnPolicy,
    /// Offer window scaling and timestamps (RFC 7323) and selective acknowledgement (RFC 2018).
    pub offer_options: bool,
    /// First retransmission timeout (RFC 6298 section 2.1).
    pub rto_initial: Duration,
    /// Smallest retransmission timeout: 1 s by RFC 6298 section 2.4, 200 ms in practice.
    pub rto_min: Duration,
    /// Largest retransmission timeout (section 2.5).
    pub rto_max: Duration,
    /// Retransmissions of a segment before the flow is given up (RFC 9293 section 3.8.3).
    pub max_retransmits: u8,
    /// The same of SYN and SYN-ACK.
    pub max_syn_retransmits: u8,
    /// The same once the app has closed the flow.
    pub max_orphan_retransmits: u8,
    /// How long an acknowledgement may wait for data to ride on; less than 500 ms (RFC 9293 section 3.8.6.3).
    pub delayed_ack: Duration,
    /// Twice the maximum segment lifetime, in TIME-WAIT.
    pub time_wait: Duration,
    /// Most flows in TIME-WAIT; the oldest make way.
    pub max_time_wait: u32,
    /// How long a closed flow waits in FIN-WAIT-2 for the peer's FIN.
    pub fin_wait_2: Duration,
    /// Time between keepalive probes that go unanswered.
    pub keepalive_interval: Duration,
    /// Unanswered probes before the flow is given up.
    pub keepalive_probes: u8,
    /// Most challenge ACKs per second, over all flows (RFC 5961 section 7); a second may have half as many.
    pub challenge_acks_per_second: u32,
}

impl Config {
    /// The same with this next hop to everything beyond the prefix of a fixed address.
    #[must_use]
    pub fn through(mut self, next_hop: Ipv4Addr) -> Self {
        if let Some(Ipv4Config::Fixed { gateway, .. }) = &mut self.ipv4 {
            *gateway = Some(next_hop);
        }
        self
    }

    /// A stack of 16384 flows at `ip` on an Ethernet without offloads.
    #[must_use]
    pub fn new(mac: [u8; 6], ip: Ipv4Addr, prefix: u8) -> Self {
        Config {
            ipv4: Some(Ipv4Config::Fixed {
                address: ip,
                prefix,
                gateway: None,
            }),
            ..Config::without_address(mac)
        }
    }

    /// The same without an address of either family, as one to be completed.
    #[must_use]
    pub fn without_address(mac: [u8; 6]) -> Self {
        Config {
            mac,
            mtu: 1500,
            vlan: None,
            medium: Medium::Ethernet,
            ipv4: None,
            ipv6: None,
            static_routes: StaticRoutes::default(),
            max_ipv6_pairs: 4096,
            rx_checksum: false,
            tx_checksum: false,
            tx_segments: false,
            cut_segments: true,
            merge_segments: true,
            max_flows: 16384,
            max_listeners: 64,
            max_udp_sockets: 64,
            max_timers: 1024,
            rx_buffers: 8192,
            rx_reserve: 1024,
            udp_held_buffers: 2048,
            udp_sends: 2048,
            max_send_spans: 65536,
            max_loss_boards: 4096,
            max_paced_flows: 4096,
            max_loss_ranges: 32768,
            home: None,
            secret: [0; 16],
            tcp: TcpConfig::default(),
        }
    }
}

impl Default for TcpConfig {
    fn default() -> Self {
        TcpConfig {
            send_queue_bytes: 1 << 20,
            receive_window_bytes: 1 << 18,
            receive_window_max_bytes: 1 << 22,
            default_backlog: 1024,
            syn_cookies: true,
            max_segment: 0,
            congestion: CongestionControl::default(),
            ecn: EcnPolicy::default(),
            offer_options: true,
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(60),
            max_retransmits: 12,
            max_syn_retransmits: 5,
            max_orphan_retransmits: 8,
            delayed_ack: Duration::from_millis(10),
            time_wait: Duration::from_secs(60),
            max_time_wait: 4096,
            fin_wait_2: Duration::from_secs(60),
            keepalive_interval: Duration::from_secs(75),
            keepalive_probes: 9,
            challenge_acks_per_second: 100,
        }
    }
}
