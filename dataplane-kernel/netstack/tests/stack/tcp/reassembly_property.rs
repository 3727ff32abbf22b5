//! Whatever pieces of a stream arrive in whatever order: the app reads the stream.

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::segment::{data, syn};
use netstack::{BufId, Event, Id};
use proptest::prelude::*;

const LEN: usize = 6000;

/// Reads what there is; now and then keeps the buffers for a while.
fn read_all(t: &mut Dialogue, flow: Id, got: &mut Vec<u8>, held: &mut Vec<BufId>) {
    while let Some(event) = t.event() {
        let Event::Recv {
            flow: of,
            buf,
            offset,
            len,
            ..
        } = event
        else {
            panic!("{event:?}")
        };
        assert_eq!(of, flow);
        got.extend_from_slice(t.driver.view(&buf, offset, len));
        held.push(buf);
    }
    if held.len() > 7 {
        held.drain(..).for_each(|buf| t.give_back(buf));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_pieces_in_any_order_make_the_stream(
        pieces in prop::collection::vec((0..LEN, 1..1460usize), 0..60),
        window in 1000u32..20_000,
        sack: bool,
        batch in 1..5usize,
    ) {
        let mut t = Dialogue::with(|config| config.tcp.receive_window_bytes = window);
        let open = syn().mss(1460);
        let flow = t.accepted_with(if sack { open.sack_permitted() } else { open });
        let stream = pattern(1, LEN);
        let (mut got, mut held) = (Vec::new(), Vec::new());
        let piece = |start: usize, len: usize| {
            let end = (start + len).min(LEN);
            data(u32::try_from(1 + start).unwrap(), 1, &stream[start..end])
        };
        for batch in pieces.chunks(batch) {
            t.send_all(batch.iter().map(|(start, len)| piece(*start, *len)));
            read_all(&mut t, flow, &mut got, &mut held);
            prop_assert_eq!(&got[..], &stream[..got.len()]);
        }
        // In the end the peer repeats what was not acknowledged.
        let mut acknowledged = 0;
        for _ in 0..200 {
            t.advance_ms(20);
            while let Some(segment) = t.next_segment() {
                acknowledged = acknowledged.max(segment.ack as usize - 1);
            }
            if acknowledged == LEN {
                break;
            }
            t.send(piece(acknowledged, 700));
            read_all(&mut t, flow, &mut got, &mut held);
            held.drain(..).for_each(|buf| t.give_back(buf));
        }
        while let Some(segment) = t.next_segment() {
            acknowledged = acknowledged.max(segment.ack as usize - 1);
        }
        prop_assert_eq!(acknowledged, LEN);
        prop_assert_eq!(got, stream);
        held.drain(..).for_each(|buf| t.give_back(buf));
        while t.next_segment().is_some() {}
        t.end();
    }
}
