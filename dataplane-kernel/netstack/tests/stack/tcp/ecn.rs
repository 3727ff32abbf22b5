//! Marks of routers, as far as scripts cannot say it: RFC 3168 in IPv6, and what an app chooses. The rest stands in
//! `conformance/rfc3168` and `rfc8257`.

use crate::harness::dialogue::Dialogue;
use crate::harness::segment::{ACK, CWR, ECE, SYN, Segment, ack, data, syn, syn_ack};
use netstack::{CongestionControl, Error};

/// The ECN field of a frame of IPv6.
fn ecn_v6(frame: &[u8]) -> u8 {
    (frame[15] >> 4) & 3
}

fn setup(segment: Segment, flags: u8) -> Segment {
    Segment { flags, ..segment }
}

#[test]
fn ipv6_has_it_in_the_traffic_class() {
    let mut t = Dialogue::new_v6();
    t.listen();
    t.send(setup(syn().mss(1000), SYN | ECE | CWR));
    t.expect(setup(syn_ack(), SYN | ACK | ECE));
    t.send(ack(1, 1));
    let flow = t.knock();
    t.take(flow);
    let mut marked = t.encode(&data(1, 1, "abc"));
    marked[15] |= 3 << 4;
    t.inject(&marked);
    let told = t.next_frame().unwrap();
    assert_eq!(ecn_v6(&told), 0);
    assert_eq!(Segment::decode(&told).unwrap().flags, ACK | ECE);
    assert_eq!(t.stack.counters().tcp_ecn_marked, 1);
    t.read(flow, "abc");
    t.write(flow, "xyz");
    assert_eq!(ecn_v6(&t.next_frame().unwrap()), 2);
    t.send(setup(ack(4, 4), ACK | CWR));
    t.expect_sent(flow, 3);
    t.end();
}

#[test]
fn a_flow_asks_for_it_before_its_syn_has_left() {
    for dctcp in [false, true] {
        let mut t = Dialogue::new();
        let to = t.peer(40000);
        let (stack, driver) = (&mut t.stack, &mut t.driver);
        let flow = stack
            .tcp_connect(driver, t.now, to, None, Some(80), crate::harness::dialogue::FLOW)
            .unwrap();
        if dctcp {
            stack
                .tcp_congestion_control(flow, CongestionControl::Dctcp)
                .unwrap();
        } else {
            stack.tcp_ask_for_ecn(flow).unwrap();
        }
        t.turn();
        t.expect(setup(ack(0, 0), SYN | ECE | CWR));
        assert_eq!(t.stack.tcp_ask_for_ecn(flow), Err(Error::Invalid));
        t.send(setup(syn_ack().mss(1000), SYN | ACK | ECE));
        t.expect(ack(1, 1));
        t.expect_connected(flow, Ok(()));
        t.abort(flow);
        while t.next_segment().is_some() {}
        t.expect_dead(flow, Err(Error::Aborted));
        t.end();
    }
}
