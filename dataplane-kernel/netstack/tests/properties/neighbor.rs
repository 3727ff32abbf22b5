use netstack::Instant;
use netstack::neighbor::{Lookup, Neighbors};
use netstack::wire::arp::{Operation, Packet};
use netstack::wire::ethernet::MacAddr;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OUR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SECOND: u64 = 1_000_000_000;

fn claim(operation: Operation, ip: Ipv4Addr, mac: MacAddr) -> Packet {
    Packet {
        operation,
        sender_mac: mac,
        sender_ip: ip,
        target_mac: OUR_MAC,
        target_ip: OUR_IP,
    }
}

proptest! {
    /// Who was asked for and answered stays, whatever strangers claim.
    #[test]
    fn a_flood_of_claims_evicts_nobody_reachable(
        friends in prop::collection::hash_set(2u32..60_000, 1..40),
        strangers in prop::collection::vec((60_000u32..16_000_000, any::<bool>()), 0..3000),
    ) {
        let now = Instant(0);
        let mut neighbors = Neighbors::new(OUR_MAC, OUR_IP, now);
        let base = u32::from(OUR_IP) & 0xff00_0000;
        let mut known = Vec::new();
        for friend in friends {
            let (ip, mac) = (Ipv4Addr::from(base | friend), MacAddr([2, 1, 0, 0, 0, 1]));
            if neighbors.lookup(ip, now) == Lookup::Pending {
                neighbors.receive(&claim(Operation::Reply, ip, mac), true, now);
                known.push((ip, mac));
            }
        }
        known.retain(|(ip, mac)| neighbors.lookup(*ip, now) == Lookup::Known(*mac));
        while neighbors.poll_request(now).is_some() {}
        for (stranger, request) in strangers {
            let operation = if request { Operation::Request } else { Operation::Reply };
            let ip = Ipv4Addr::from(base | stranger);
            neighbors.receive(&claim(operation, ip, MacAddr([2, 6, 6, 6, 6, 6])), true, now);
        }
        for (ip, mac) in known {
            prop_assert_eq!(neighbors.lookup(ip, now), Lookup::Known(mac));
        }
        prop_assert!(!neighbors.wants_to_ask());
    }

    /// However often somebody asks: at most one request per second, then one failure, then it starts over.
    #[test]
    fn asks_once_a_second_and_gives_up(lookups in prop::collection::vec(0u64..400_000_000, 1..100)) {
        let mut now = Instant(0);
        let mut neighbors = Neighbors::new(OUR_MAC, OUR_IP, now);
        let target = Ipv4Addr::new(10, 0, 0, 9);
        let (mut last, mut since_failure) = (None::<Instant>, 0);
        for step in lookups {
            now = now.after_ns(step);
            neighbors.on_timer(now);
            while let Some(failed) = neighbors.poll_failure() {
                prop_assert_eq!((failed, since_failure), (target, 3));
                since_failure = 0;
            }
            prop_assert_eq!(neighbors.lookup(target, now), Lookup::Pending);
            while let Some(request) = neighbors.poll_request(now) {
                prop_assert_eq!((request.target, request.dst), (target, MacAddr::BROADCAST));
                if let Some(last) = last {
                    prop_assert!(now.ns_since(last) >= SECOND);
                }
                last = Some(now);
                since_failure += 1;
                prop_assert!(since_failure <= 3);
            }
        }
    }
}
