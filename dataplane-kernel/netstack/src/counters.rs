//! What the stack counts.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters, and at the end gauges. Each received frame ends in exactly one of those whose name begins with
        /// `rx_`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// All of them by name.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

counters! {
    /// TCP segments that belong to a flow or a listener.
    rx_tcp,
    /// Datagrams queued for the app.
    rx_udp,
    /// ICMP messages.
    rx_icmp,
    /// ICMPv6 messages, neighbour discovery's apart.
    rx_icmpv6,
    /// IGMP messages.
    rx_igmp,
    /// ARP packets.
    rx_arp,
    /// Messages of neighbour discovery.
    rx_nd,
    /// Messages of DHCP servers.
    rx_dhcp,
    /// Packets for another host, given to who forwards them.
    rx_forward,
    /// Dropped: packets for another host, of which too many wait.
    rx_forward_no_room,
    /// Dropped: shorter than an Ethernet header, with its tag if it has one.
    rx_ethernet_short,
    /// Dropped: over several buffers, not TCP's, and no large buffer free in which it could be put together.
    rx_parts_no_room,
    /// Dropped: with the tag of another VLAN than ours, or without one where we are on a VLAN.
    rx_vlan_not_ours,
    /// Dropped: for another station.
    rx_ethernet_not_ours,
    /// Dropped: of no type that is taken.
    rx_ethernet_unknown_type,
    /// Dropped: not an ARP packet for Ethernet and IPv4, or an impossible one.
    rx_arp_malformed,
    /// Dropped: IPv4 header malformed.
    rx_ipv4_malformed,
    /// Dropped: IPv4 header checksum wrong.
    rx_ipv4_checksum,
    /// Dropped: for another host.
    rx_ipv4_not_ours,
    /// Dropped: from an address that no host can have.
    rx_ipv4_bad_source,
    /// Dropped: a protocol that nobody takes.
    rx_ipv4_unknown_protocol,
    /// Dropped: IPv6 header malformed, or extension headers that contradict each other or are too many.
    rx_ipv6_malformed,
    /// Dropped: for another host.
    rx_ipv6_not_ours,
    /// Dropped: from an address that no host can have.
    rx_ipv6_bad_source,
    /// Dropped: an option or a routing header that wants it so; answered by ICMPv6 where that is right.
    rx_ipv6_refused,
    /// Dropped: a protocol that nobody takes; answered by ICMPv6.
    rx_ipv6_unknown_protocol,
    /// Dropped: ICMPv6 message malformed.
    rx_icmpv6_malformed,
    /// Dropped: a message of neighbour discovery that RFC 4861 calls invalid, or from beyond the link.
    rx_nd_invalid,
    /// Fragments kept until the rest of their packet comes; the last one counts as what the packet turns out to be.
    rx_fragment,
    /// Dropped: a fragment that overlaps another, or whose packet had such.
    rx_fragment_overlap,
    /// Dropped: a fragment that cannot be a part of any packet, or of its own.
    rx_fragment_impossible,
    /// Dropped: a fragment for which there was no memory.
    rx_fragment_no_room,
    /// Dropped: IGMP message malformed.
    rx_igmp_malformed,
    /// Dropped: ICMP message malformed.
    rx_icmp_malformed,
    /// Dropped: UDP header malformed.
    rx_udp_malformed,
    /// Dropped: UDP checksum wrong.
    rx_udp_checksum,
    /// Dropped: to the DHCP client's port, but malformed, or not what it waits for.
    rx_dhcp_ignored,
    /// Dropped: no such UDP port; answered by ICMP.
    rx_udp_no_port,
    /// Dropped: the app has too many datagrams waiting, or too many buffers.
    rx_udp_no_room,
    /// Dropped: TCP header malformed.
    rx_tcp_malformed,
    /// Dropped: TCP checksum wrong.
    rx_tcp_checksum,
    /// Dropped: no flow and no listener; answered by a reset where that is right.
    rx_tcp_no_flow,
    /// Dropped: a SYN while the listener's backlog or the flow table was full.
    rx_tcp_backlog_full,

    /// TCP segments sent, retransmissions included.
    tx_tcp,
    /// Of these, segments for the device to cut.
    tx_tcp_to_cut,
    /// Datagrams sent.
    tx_udp,
    /// ICMP and ICMPv6 messages sent, neighbour discovery's apart.
    tx_icmp,
    /// Messages of neighbour discovery sent.
    tx_nd,
    /// Reports to routers of the groups that are listened to.
    tx_reports,
    /// ARP packets sent.
    tx_arp,
    /// Messages to DHCP servers sent.
    tx_dhcp,
    /// Stateless answers (reset, ICMP, ARP) not sent because the transmit ring was full.
    tx_answer_dropped,

    /// Packets of others sent on by route.
    forwarded,
    /// Frames of others sent on as they are.
    bridged,
    /// Dropped instead of forwarded: gone too many hops. The sender is told.
    forward_hop_limit,
    /// Dropped instead of forwarded: no route. The sender is told.
    forward_no_route,
    /// Dropped instead of forwarded: the next hop does not answer. The sender is told, unless too many wait for it.
    forward_unreached,
    /// Dropped instead of forwarded: longer than the next link carries. The sender is told.
    forward_too_long,
    /// Dropped instead of forwarded: no room in the transmit ring.
    forward_ring_full,
    /// Dropped instead of forwarded: no packet, or its checksum was left to us where none can be.
    forward_malformed,

    /// Packets put together of fragments.
    reassembled,
    /// Packets given up since fragments did not come in time.
    reassembly_timeouts,
    /// Packets given up since others needed the room.
    reassembly_evicted,
    /// Ways found to carry less than the link, or less than before.
    path_mtus_lowered,
    /// Datagrams that a host refused, of which the app is told.
    udp_refused,

    /// Another station claims our address.
    arp_conflicts,

    /// Another station has, or wants, an IPv6 address of ours.
    nd_conflicts,

    /// Flows opened by a peer.
    tcp_opened_passive,
    /// Flows opened by the app.
    tcp_opened_active,
    /// Flows that ended in order.
    tcp_closed,
    /// Flows ended by the peer's reset.
    tcp_reset_by_peer,
    /// Flows ended by our reset.
    tcp_aborted,
    /// Flows given up: no answer.
    tcp_timed_out,
    /// Resets sent.
    tcp_resets_sent,
    /// Flows ended because their IPv4 address is ours no more.
    tcp_address_lost,
    /// Segments of the predicted form.
    tcp_predicted,
    /// Of these, such as continued the segment before in their batch.
    tcp_merged,
    /// Data segments kept for reassembly.
    tcp_out_of_order,
    /// Data segments that brought nothing new.
    tcp_duplicate,
    /// Data dropped for lack of buffers, or beyond the window.
    tcp_data_dropped,
    /// Segments dropped because of an old timestamp.
    tcp_paws_dropped,
    /// Segments outside of the window, answered by an ACK.
    tcp_out_of_window,
    /// Challenge ACKs sent.
    tcp_challenge_acks,
    /// Challenge ACKs not sent: too many.
    tcp_challenge_acks_limited,
    /// Segments retransmitted.
    tcp_retransmits,
    /// Retransmission timeouts.
    tcp_timeouts,
    /// Losses found before a timeout, and repaired as one.
    tcp_fast_retransmits,
    /// Probes sent because the end of a flight was not acknowledged (RFC 8985).
    tcp_tail_probes,
    /// Losses that turned out to be none (RFC 4015).
    tcp_spurious,
    /// Data segments that a router has marked (RFC 3168).
    tcp_ecn_marked,
    /// Windows reduced since the peer told of such marks.
    tcp_ecn_reductions,
    /// Ways on which longer segments vanish, and shorter ones do not (RFC 4821).
    tcp_black_holes,
    /// Zero-window probes sent.
    tcp_zero_window_probes,
    /// Keepalive probes sent.
    tcp_keepalive_probes,
    /// Acknowledgements that waited for the delay to end.
    tcp_delayed_acks,
    /// SYNs answered without keeping anything.
    tcp_syn_cookies_sent,
    /// Flows opened by the ACK of such an answer; `rx_tcp` counts it.
    tcp_syn_cookies_taken,
    /// Half-open flows given up.
    tcp_half_open_expired,
    /// Flows in TIME-WAIT that made way.
    tcp_time_wait_recycled,

    /// Gauge: flows in the table.
    flows,
    /// Gauge: of these, in TIME-WAIT.
    flows_time_wait,
    /// Gauge: receive buffers of flows that wait for the app.
    buffers_queued,
    /// Gauge: bytes by which receive windows may still grow, all together.
    window_room,
    /// Gauge: receive buffers of flows that the app holds.
    buffers_lent,
    /// Gauge: receive buffers of datagrams, waiting for the app or held by it.
    buffers_udp,
    /// Gauge: packets being put together.
    reassemblies,
    /// Gauge: pairs of IPv6 addresses of flows.
    ipv6_pairs,
    /// Gauge: pieces of app memory queued for sending.
    send_spans,
    /// Gauge: connections whose data leaves spread over time.
    paced_flows,
    /// Gauge: connections that keep track of their data on its way.
    loss_boards,
    /// Gauge: the ranges they know.
    loss_ranges,
}
