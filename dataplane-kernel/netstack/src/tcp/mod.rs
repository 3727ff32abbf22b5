//! TCP (RFC 9293), in the order in which a connection meets it.
//!
//! A [`flow::Flow`] is one connection; its methods are spread over these modules by what the RFCs call things. They work on
//! the flow and on [`Shared`], what all flows of a core have in common, and never on another flow; what concerns several
//! (finding, creating, ending them) is done by [`crate::Stack`]. Nothing is sent while a segment is taken in: a flow with
//! something to send is put on the *dirty* ring, and [`flow::Flow::transmit`] sees to it at the next flush, so that one
//! segment answers a whole batch.

/// Addresses and ports.
pub(crate) mod tuple;

/// IPv6 addresses by number.
pub(crate) mod pairs;

/// What must not be foreseen.
pub(crate) mod secrets;

/// Hash to slot.
mod hash_index;

/// Tuple to flow.
pub(crate) mod flow_table;

/// The transmission control block.
pub(crate) mod flow;

/// LISTEN.
pub(crate) mod listener;

/// The handshake.
pub(crate) mod open;

/// The handshake without memory.
pub(crate) mod syn_cookie;

/// A segment arrives.
pub(crate) mod receive;

/// All steps of that.
mod arrives;

/// Its text and its FIN.
mod text;

/// Resets and SYNs that may be forged.
mod challenge;

/// Marks of routers.
mod ecn;

/// What a segment acknowledges.
mod acknowledge;

/// Data out of order.
mod reassembly;

/// The receive window.
mod window;

/// How large it should be.
pub(crate) mod right_sizing;

/// Events for the app.
pub(crate) mod tell;

/// The queue of what the app sends.
pub(crate) mod span_queue;

/// The app sends.
mod send;

/// Segments leave.
pub(crate) mod output;

/// Several at once.
mod segmentation;

/// The first ones.
mod handshake;

/// What has come beyond a gap.
mod sack;

/// A segment becomes a frame.
mod emit;

/// Headers.
mod template;

/// Not all at once.
pub(crate) mod pacing;

/// Segments leave again.
mod retransmit;

/// What is lost, and what follows.
mod recovery;

/// Losses, by time.
mod rack;

/// Losses at the end of a flight.
mod tail_probe;

/// What a flow in trouble needs.
pub(crate) mod board;

/// The data on its way, range by range.
mod scoreboard;

/// Round-trip times.
pub(crate) mod rtt;

/// The congestion window.
pub(crate) mod congestion;

/// Its way is narrower.
mod path_mtu;

/// Deadlines.
mod timers;

/// The end.
pub(crate) mod close;

use crate::config::{EcnPolicy, TcpConfig};
use crate::ends::Ends;
use crate::interface::Interface;
use crate::ipv6::Ipv6;
use crate::neighbor::Neighbors;
use crate::path_mtus::PathMtus;
use crate::ring::Ring;
use crate::route::NextHop;
use crate::rx_buffers::RxBuffers;
use crate::timer_wheel::TimerWheel;
use crate::{Config, Counters, Instant, StaticRoutes};
use board::Boards;
use challenge::ChallengeLimit;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use listener::Listeners;
use pacing::Paces;
use pairs::{Pair, Pairs};
use rtt::RtoBounds;
use secrets::Secrets;
use span_queue::SpanSlab;
use tuple::{Ports, Tuple};

/// What all flows of a core have in common, and the rest of the stack that they need.
pub(crate) struct Shared {
    pub(crate) tuning: Tuning,
    pub(crate) counters: Counters,
    pub(crate) rx: RxBuffers,
    pub(crate) spans: SpanSlab,
    pub(crate) boards: Boards,
    pub(crate) paces: Paces,
    pub(crate) wheel: TimerWheel,
    /// Flows with something to tell.
    pub(crate) ready: Ring,
    /// Flows with something to send.
    pub(crate) dirty: Ring,
    /// Flows that wait for a neighbour's address.
    pub(crate) unresolved: Ring,
    /// Flows that cannot tell yet, because a frame in the transmit ring refers to the app's memory.
    pub(crate) held: Ring,
    /// Flows in TIME-WAIT, the oldest first.
    pub(crate) time_wait: Ring,
    pub(crate) interface: Interface,
    pub(crate) static_routes: StaticRoutes,
    pub(crate) neighbors: Neighbors,
    pub(crate) ipv6: Option<Ipv6>,
    pub(crate) pairs: Pairs,
    pub(crate) path_mtus: PathMtus,
    /// Counts on each second, and with each ARP packet: then flows look their neighbour up again.
    pub(crate) neighbor_epoch: u32,
    pub(crate) neighbor_epoch_ends: Instant,
    pub(crate) secrets: Secrets,
    pub(crate) listeners: Listeners,
    pub(crate) challenges: ChallengeLimit,
    /// By how many bytes windows may still grow, all together.
    pub(crate) window_room: u32,
    /// Until then ACKs may come that bring SYN cookies back.
    pub(crate) cookies_until: Instant,
}

impl Shared {
    /// The addresses a tuple stands for.
    pub(crate) fn ends(&self, tuple: &Tuple) -> Ends {
        match tuple.pair() {
            Some(pair) => self.pairs.get(pair).into(),
            None => Ends::V4 {
                local: tuple.local,
                remote: tuple.remote,
            },
        }
    }

    /// The tuple of a connection between these ends, if there may be one.
    pub(crate) fn tuple(&self, ends: &Ends, ports: Ports) -> Option<Tuple> {
        match *ends {
            Ends::V4 { local, remote } => Some(Tuple::of_v4(local, remote, ports)),
            Ends::V6 { local, remote } => {
                let pair = Pair { local, remote };
                let pair = self.pairs.find(self.secrets.place_pair(&pair), &pair)?;
                Some(Tuple::of_pair(pair, ports))
            }
        }
    }

    /// A tuple for one more connection between these ends; `None` if there are too many. [`Shared::unname`] ends it.
    pub(crate) fn name(&mut self, ends: &Ends, ports: Ports) -> Option<Tuple> {
        match *ends {
            Ends::V4 { local, remote } => Some(Tuple::of_v4(local, remote, ports)),
            Ends::V6 { local, remote } => {
                let pair = Pair { local, remote };
                let pair = self.pairs.hold(self.secrets.place_pair(&pair), pair)?;
                Some(Tuple::of_pair(pair, ports))
            }
        }
    }

    /// The connection of a tuple is gone, or came to nothing.
    pub(crate) fn unname(&mut self, tuple: &Tuple) {
        if let Some(pair) = tuple.pair() {
            self.pairs.release(pair);
        }
    }

    /// The neighbour that takes the segments of a connection on.
    pub(crate) fn next_hop(&self, tuple: &Tuple, now: Instant) -> Option<IpAddr> {
        match self.ends(tuple) {
            Ends::V4 { remote, .. } => match self.next_hop_v4(remote) {
                NextHop::Neighbor(ip) => Some(ip.into()),
                NextHop::Broadcast | NextHop::Unreachable => None,
            },
            Ends::V6 { remote, .. } => {
                let ip = self.ipv6.as_ref()?.next_hop(remote, now)?;
                Some(ip.into())
            }
        }
    }

    /// Who takes a packet to `dst` on.
    pub(crate) fn next_hop_v4(&self, dst: Ipv4Addr) -> NextHop {
        self.interface.route.next_hop(dst, &self.static_routes)
    }

    /// The largest packet between these ends.
    pub(crate) fn path_mtu(&self, ends: &Ends, now: Instant) -> u16 {
        let link = match (ends, &self.ipv6) {
            (Ends::V6 { .. }, Some(ipv6)) => ipv6.mtu,
            _ => self.interface.mtu,
        };
        self.path_mtus.get(ends.remote(), now).unwrap_or(link).min(link)
    }

    /// The largest payload of a segment that we send, options not deducted.
    pub(crate) fn send_limit(&self, tuple: &Tuple, now: Instant) -> u16 {
        let headers = if tuple.is_v6() {
            HEADERS_LEN_V6
        } else {
            HEADERS_LEN
        };
        let path = self.path_mtu(&self.ends(tuple), now).saturating_sub(headers);
        self.max_segment(tuple).min(path)
    }

    /// The largest payload that we take of a segment between these ends, options not deducted.
    pub(crate) fn announced_segment(&self, ends: &Ends) -> u16 {
        let limit = self.tuning.max_segment;
        match (ends, &self.ipv6) {
            (Ends::V6 { .. }, Some(ipv6)) => limit
                .min(ipv6.mtu.saturating_sub(HEADERS_LEN_V6))
                .max(MIN_SEGMENT),
            _ => limit.min(self.interface.mtu.saturating_sub(HEADERS_LEN)),
        }
    }

    /// The largest payload of a segment on the way of this tuple that we take, options not deducted.
    pub(crate) fn max_segment(&self, tuple: &Tuple) -> u16 {
        self.announced_segment(&self.ends(tuple))
    }

    /// Flows have to look their neighbours up again; 0 stands for "never looked up".
    pub(crate) fn new_neighbor_epoch(&mut self) {
        self.neighbor_epoch = self.neighbor_epoch.wrapping_add(1).max(1);
    }
}

/// [`TcpConfig`] in the units of the code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    pub(crate) send_queue_bytes: u32,
    /// The window of a flow at first, and at most.
    pub(crate) window_bytes: u32,
    pub(crate) window_most: u32,
    /// A window of which less was used needs not be opened yet.
    pub(crate) window_slack: u32,
    /// Smallest shift by which the largest window fits its field.
    pub(crate) window_shift: u8,
    /// Largest payload, options not deducted.
    pub(crate) max_segment: u16,
    pub(crate) device_checksum: bool,
    pub(crate) device_segments: bool,
    /// More than a segment is one send, whoever cuts it.
    pub(crate) several_at_once: bool,
    pub(crate) offer_options: bool,
    pub(crate) ecn: EcnPolicy,
    pub(crate) default_backlog: u32,
    pub(crate) congestion: congestion::Algorithm,
    pub(crate) syn_cookies: bool,
    pub(crate) max_boards: u32,
    pub(crate) max_records: u32,
    pub(crate) rto_initial_ns: u64,
    pub(crate) rto_bounds: RtoBounds,
    pub(crate) max_retransmits: u8,
    pub(crate) max_syn_retransmits: u8,
    pub(crate) max_orphan_retransmits: u8,
    pub(crate) delayed_ack_ns: u64,
    pub(crate) time_wait_ns: u64,
    pub(crate) max_time_wait: u32,
    pub(crate) fin_wait_2_ns: u64,
    pub(crate) keepalive_interval_ns: u64,
    pub(crate) keepalive_probes: u8,
}

/// IPv4 and TCP headers without options.
const HEADERS_LEN: u16 = 40;
/// The same of IPv6.
const HEADERS_LEN_V6: u16 = 60;
/// The least MTU an Internet host may have is 576; less than this is not worth a frame.
pub(crate) const MIN_SEGMENT: u16 = 88;

impl Tuning {
    /// The window in a SYN and ACK, which is not scaled (RFC 7323 section 2.2).
    pub(crate) fn first_window(&self) -> u16 {
        u16::try_from(self.window_bytes).unwrap_or(u16::MAX)
    }

    pub(crate) fn new(config: &Config) -> Self {
        let tcp: &TcpConfig = &config.tcp;
        let window_bytes = tcp.receive_window_bytes.clamp(4096, 1 << 30);
        let window_most = tcp.receive_window_max_bytes.clamp(window_bytes, 1 << 30);
        let shift = (0..14).find(|shift| window_most >> shift <= 0xffff).unwrap_or(14);
        let limit = if tcp.max_segment == 0 {
            u16::MAX
        } else {
            tcp.max_segment
        };
        let rto_min_ns = ns(tcp.rto_min);
        let max_segment = config.mtu.saturating_sub(HEADERS_LEN).min(limit).max(MIN_SEGMENT);
        Tuning {
            send_queue_bytes: tcp.send_queue_bytes.clamp(1, 1 << 30),
            window_bytes,
            window_most,
            window_slack: (2 * u32::from(max_segment)).min(window_bytes / 4),
            window_shift: shift,
            max_segment,
            device_checksum: config.tx_checksum,
            device_segments: config.tx_checksum && config.tx_segments,
            several_at_once: config.tx_checksum && config.tx_segments || config.cut_segments,
            offer_options: tcp.offer_options,
            ecn: tcp.ecn,
            default_backlog: tcp.default_backlog.max(1),
            congestion: tcp.congestion,
            syn_cookies: tcp.syn_cookies,
            max_boards: config.max_loss_boards,
            max_records: config.max_loss_ranges,
            rto_initial_ns: ns(tcp.rto_initial),
            rto_bounds: RtoBounds {
                min_ns: rto_min_ns,
                max_ns: ns(tcp.rto_max).max(rto_min_ns),
            },
            max_retransmits: tcp.max_retransmits,
            max_syn_retransmits: tcp.max_syn_retransmits,
            max_orphan_retransmits: tcp.max_orphan_retransmits,
            delayed_ack_ns: ns(tcp.delayed_ack),
            time_wait_ns: ns(tcp.time_wait),
            max_time_wait: tcp.max_time_wait,
            fin_wait_2_ns: ns(tcp.fin_wait_2),
            keepalive_interval_ns: ns(tcp.keepalive_interval),
            keepalive_probes: tcp.keepalive_probes,
        }
    }
}

pub(crate) fn span_slab(capacity: u32) -> SpanSlab {
    SpanSlab::new(capacity)
}

pub(crate) fn challenge_limit(per_second: u32, now: Instant) -> ChallengeLimit {
    ChallengeLimit::new(per_second, now)
}

/// Binary logarithm of the window that a buffer takes at least, in bytes: half of its size.
pub(crate) const BUFFER_SHARE_SHIFT: u32 = 10;

pub(crate) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The clock of our timestamps (RFC 7323 section 5.4): 2^20 ns, so about a millisecond.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "a clock that wraps")]
pub(crate) fn timestamp_clock(now: Instant) -> u32 {
    (now.0 >> 20) as u32
}
