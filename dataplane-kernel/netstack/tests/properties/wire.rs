use netstack::RxChecksum;
use netstack::seq::SeqNum;
use netstack::wire::ethernet::{EtherType, MacAddr};
use netstack::wire::ipv6_extensions::{Content, Refusal};
use netstack::wire::tcp_options::{MAX_LEN, Options, SackBlock, SackBlocks, Timestamps};
use netstack::wire::{arp, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndp, tcp, udp};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

fn options() -> impl Strategy<Value = Options> {
    let timestamps = (any::<u32>(), any::<u32>()).prop_map(|(value, echo)| Timestamps { value, echo });
    let block = (any::<u32>(), any::<u32>()).prop_map(|(start, end)| SackBlock {
        start: SeqNum(start),
        end: SeqNum(end),
    });
    (
        prop::option::of(1u16..),
        prop::option::of(0u8..=14),
        any::<bool>(),
        prop::option::of(timestamps),
        prop::collection::vec(block, 0..5),
    )
        .prop_map(|(mss, window_scale, sack_permitted, timestamps, blocks)| {
            let mut sack = SackBlocks::default();
            blocks.into_iter().for_each(|block| sack.push(block));
            Options {
                mss,
                window_scale,
                sack_permitted,
                timestamps,
                sack,
            }
        })
}

/// The first bytes decide most: make them plausible now and then, or nothing random ever gets past the first check.
fn plausible_ipv4() -> impl Strategy<Value = Vec<u8>> {
    (bytes(200), any::<bool>(), 0u8..16).prop_map(|(mut packet, fix, ihl)| {
        if fix && packet.len() >= 20 {
            packet[0] = 0x40 | ihl;
            let len = u16::try_from(packet.len()).unwrap();
            packet[2..4].copy_from_slice(&len.to_be_bytes());
            let header_len = (usize::from(ihl) * 4).clamp(20, packet.len());
            packet[10..12].fill(0);
            let sum = netstack::checksum::checksum(&packet[..header_len]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    })
}

/// IPv6 headers whose length is right, in front of chains of headers that are nearly so.
fn plausible_ipv6() -> impl Strategy<Value = Vec<u8>> {
    let header = (0usize..8, 0u8..4, bytes(30)).prop_map(|(next, units, body)| {
        let kinds = [0, 43, 44, 60, 6, 17, 58, 59];
        let mut header = [&[kinds[next], units][..], &body].concat();
        header.resize(8 + 8 * usize::from(units), 0);
        header
    });
    let chain = prop::collection::vec(header, 0..12);
    (any::<[u8; 32]>(), 0usize..4, chain, bytes(60)).prop_map(|(addresses, first, chain, tail)| {
        let payload = [&chain.concat()[..], &tail].concat();
        let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let fixed = [0x60, 0, 0, 0, high, low, [0, 43, 44, 60][first], 255];
        [&fixed[..], &addresses, &payload].concat()
    })
}

proptest! {
    #[test]
    fn no_chain_of_headers_leads_out_of_its_packet(bytes in plausible_ipv6()) {
        let packet = ipv6::Packet::parse(&bytes).unwrap();
        match packet.content() {
            Ok(Content::Upper { offset, .. } | Content::Fragment { offset, .. }) => {
                prop_assert!(offset <= bytes.len());
                prop_assert_eq!(packet.from_offset(offset).len(), bytes.len() - offset);
            }
            Err(Refusal::Problem { pointer, .. }) => prop_assert!(usize::from(pointer) < bytes.len()),
            Err(Refusal::Malformed | Refusal::Silent) => {}
        }
        let _ = icmpv6::Quoted::parse(&bytes);
    }

    /// With a right checksum, so that what is behind it is read.
    #[test]
    fn no_message_of_icmpv6_makes_a_parser_panic(kind: u8, mut message in bytes(200), src: [u8; 16], dst: [u8; 16]) {
        let (src, dst) = (Ipv6Addr::from(src), Ipv6Addr::from(dst));
        if let Some(first) = message.first_mut() {
            *first = 128 + kind % 16;
        }
        icmpv6::set_checksum(&mut message, src, dst);
        prop_assert_eq!(icmpv6::Message::parse(&message, src, dst).is_ok(), message.len() >= 8);
        for hop_limit in [64, 255] {
            if let Some(ndp::Message::RouterAdvertisement(told)) = ndp::Message::parse(&message, src, dst, hop_limit) {
                let _ = (told.station(), told.mtu(), told.prefixes().count());
            }
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in bytes(200), src: [u8; 4], dst: [u8; 4]) {
        let (src, dst) = (Ipv4Addr::from(src), Ipv4Addr::from(dst));
        let _ = ethernet::Header::parse(&bytes);
        let _ = arp::Packet::parse(&bytes);
        let _ = icmpv4::Message::parse(&bytes);
        let _ = icmpv4::Quoted::parse(&bytes);
        let _ = Options::parse(&bytes);
        for checksum in [RxChecksum::Good, RxChecksum::Unknown] {
            let _ = udp::Datagram::parse(&bytes, src, dst, checksum);
            if let Ok(segment) = tcp::Segment::parse(&bytes, src, dst, checksum) {
                prop_assert_eq!(segment.header_len() + segment.payload.len(), bytes.len());
                prop_assert_eq!(segment.timestamps(), segment.all_options().timestamps);
            }
        }
    }

    #[test]
    fn a_packet_lies_within_its_bytes(bytes in plausible_ipv4()) {
        if let Ok(packet) = ipv4::Packet::parse(&bytes) {
            prop_assert!(packet.header_len() >= 20);
            prop_assert!(packet.bytes().len() <= bytes.len());
            prop_assert_eq!(packet.header_len() + packet.payload().len(), packet.bytes().len());
        }
    }

    #[test]
    fn ethernet_comes_back(dst: [u8; 6], src: [u8; 6], ether_type: u16, payload in bytes(50)) {
        let header = ethernet::Header { dst: MacAddr(dst), src: MacAddr(src), ether_type: EtherType::from(ether_type) };
        let mut out = [0xaa; ethernet::HEADER_LEN];
        header.emit(&mut out);
        let frame = [&out[..], &payload].concat();
        prop_assert_eq!(ethernet::Header::parse(&frame), Some((header, &payload[..])));
    }

    #[test]
    fn arp_comes_back(request: bool, macs: ([u8; 6], [u8; 6]), ips: ([u8; 4], [u8; 4])) {
        let packet = arp::Packet {
            operation: if request { arp::Operation::Request } else { arp::Operation::Reply },
            sender_mac: MacAddr(macs.0),
            sender_ip: ips.0.into(),
            target_mac: MacAddr(macs.1),
            target_ip: ips.1.into(),
        };
        let mut out = [0xaa; arp::PACKET_LEN];
        packet.emit(&mut out);
        let sane = packet.sender_mac.is_unicast() && !packet.sender_ip.is_multicast() && !packet.sender_ip.is_broadcast();
        prop_assert_eq!(arp::Packet::parse(&out), sane.then_some(packet));
    }

    #[test]
    fn ipv4_comes_back(src: [u8; 4], dst: [u8; 4], protocol: u8, ttl: u8, payload in bytes(100), padding in bytes(20)) {
        let header = ipv4::Header {
            src: src.into(),
            dst: dst.into(),
            protocol: protocol.into(),
            ttl,
            payload_len: u16::try_from(payload.len()).unwrap(),
        };
        let mut out = [0xaa; ipv4::HEADER_LEN];
        header.emit(&mut out);
        let frame = [&out[..], &payload, &padding].concat();
        let packet = ipv4::Packet::parse(&frame).unwrap();
        prop_assert_eq!((packet.src(), packet.dst()), (header.src, header.dst));
        prop_assert_eq!((packet.protocol(), packet.ttl()), (header.protocol, ttl));
        prop_assert!(!packet.is_fragment());
        prop_assert_eq!(packet.payload(), &payload[..]);
    }

    #[test]
    fn any_flipped_bit_of_a_header_is_found(src: [u8; 4], dst: [u8; 4], bit in 0usize..160) {
        let header = ipv4::Header { src: src.into(), dst: dst.into(), protocol: ipv4::Protocol::Tcp, ttl: 64, payload_len: 0 };
        let mut out = [0; ipv4::HEADER_LEN];
        header.emit(&mut out);
        out[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(ipv4::Packet::parse(&out).is_err());
    }

    #[test]
    fn udp_comes_back(src: [u8; 4], dst: [u8; 4], ports: (u16, u16), payload in bytes(300)) {
        let (src, dst) = (Ipv4Addr::from(src), Ipv4Addr::from(dst));
        let len = u16::try_from(8 + payload.len()).unwrap();
        let header = udp::Header { src_port: ports.0, dst_port: ports.1, len };
        let mut out = [0xaa; udp::HEADER_LEN];
        header.emit(&mut out);
        let mut sum = netstack::checksum::Sum::pseudo_header(src, dst, 17, len);
        sum.add_bytes(&out);
        sum.add_bytes(&payload);
        udp::set_checksum(&mut out, sum.finish_nonzero());
        let mut packet = [&out[..], &payload].concat();
        let datagram = udp::Datagram::parse(&packet, src, dst, RxChecksum::Unknown).unwrap();
        prop_assert_eq!((datagram.src_port, datagram.dst_port), ports);
        prop_assert_eq!(datagram.payload, &payload[..]);
        packet[0] ^= 0x10;
        let damaged = udp::Datagram::parse(&packet, src, dst, RxChecksum::Unknown);
        prop_assert_eq!(damaged, Err(udp::Malformed::Checksum));
    }

    #[test]
    fn tcp_comes_back(
        src: [u8; 4], dst: [u8; 4], ports: (u16, u16), seq: u32, ack: u32, window: u16, flag_bits in 0u8..64,
        options in options(), payload in bytes(300),
    ) {
        let (src, dst) = (Ipv4Addr::from(src), Ipv4Addr::from(dst));
        let all = [tcp::Flags::FIN, tcp::Flags::SYN, tcp::Flags::RST, tcp::Flags::PSH, tcp::Flags::ACK, tcp::Flags::URG];
        let flags = all.into_iter().filter(|flag| flag_bits & flag.bits() != 0).fold(tcp::Flags::NONE, |a, b| a | b);
        let header = tcp::Header {
            src_port: ports.0, dst_port: ports.1, seq: SeqNum(seq), ack: SeqNum(ack), flags, window,
        };
        let mut option_bytes = [0; MAX_LEN];
        let options_len = options.emit(&mut option_bytes);
        let mut out = [0xaa; tcp::HEADER_LEN];
        header.emit(options_len, &mut out);
        let len = tcp::HEADER_LEN + options_len + payload.len();
        let mut sum = netstack::checksum::Sum::pseudo_header(src, dst, 6, u16::try_from(len).unwrap());
        for piece in [&out[..], &option_bytes[..options_len], &payload] {
            sum.add_bytes(piece);
        }
        tcp::set_checksum(&mut out, sum.finish());
        let packet = [&out[..], &option_bytes[..options_len], &payload].concat();
        let segment = tcp::Segment::parse(&packet, src, dst, RxChecksum::Unknown).unwrap();
        prop_assert_eq!((segment.src_port, segment.dst_port), ports);
        prop_assert_eq!((segment.seq, segment.ack, segment.flags, segment.window), (header.seq, header.ack, flags, window));
        prop_assert_eq!(segment.payload, &payload[..]);
        prop_assert_eq!(segment.timestamps(), options.timestamps);
    }

    #[test]
    fn options_come_back_up_to_the_room_there_is(options in options()) {
        let mut out = [0xaa; MAX_LEN];
        let len = options.emit(&mut out);
        prop_assert!(len <= MAX_LEN && len % 4 == 0);
        let parsed = Options::parse(&out[..len]);
        prop_assert_eq!(
            (parsed.mss, parsed.window_scale, parsed.sack_permitted, parsed.timestamps),
            (options.mss, options.window_scale, options.sack_permitted, options.timestamps)
        );
        let (got, all) = (parsed.sack.as_slice(), options.sack.as_slice());
        prop_assert_eq!(got, &all[..got.len()]);
        prop_assert!(got.len() == all.len() || len > MAX_LEN - 12);
    }

    #[test]
    fn what_follows_a_malformed_option_is_not_read(options in options(), kind in 2u8.., bad_len in 0u8..2, tail in bytes(20)) {
        let mut out = [0; MAX_LEN];
        let len = options.emit(&mut out);
        let damaged = [&out[..len], &[kind, bad_len], &tail].concat();
        prop_assert_eq!(Options::parse(&damaged), Options::parse(&out[..len]));
    }

    #[test]
    fn an_echo_reply_is_the_request_with_another_type(mut request in bytes(1480)) {
        if request.len() >= icmpv4::HEADER_LEN {
            request[..4].copy_from_slice(&[8, 0, 0, 0]);
            let sum = netstack::checksum::checksum(&request);
            request[2..4].copy_from_slice(&sum.to_be_bytes());
            prop_assert_eq!(icmpv4::Message::parse(&request), Ok(icmpv4::Message::EchoRequest));
        }
        let mut reply = vec![0; request.len()];
        let done = icmpv4::echo_reply(&request, &mut reply);
        prop_assert_eq!(done.is_some(), request.len() >= icmpv4::HEADER_LEN);
        if done.is_some() {
            prop_assert_eq!(icmpv4::Message::parse(&reply), Ok(icmpv4::Message::EchoReply));
            prop_assert_eq!(&reply[4..], &request[4..]);
        }
    }
}
