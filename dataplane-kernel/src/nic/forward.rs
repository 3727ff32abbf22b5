//! What wraps a card is one itself, and most of what it does is what the card does.

/// Methods of [`super::Nic`], for a wrapper whose card is its field `nic`: those named, or all that are said of the device as a
/// whole and of its state (`device`), or of frames on their way out (`transmit`). `queues` are those that a driver has of its queues, its fields `rx` and `tx`.
macro_rules! forward {
    ($($method:ident),+) => { $(forward!(@ $method);)+ };
    (@ device) => { forward!(mac, medium, mtu, link_up, set_table, stop_merging, hear_all_stations, disarm); };
    (@ transmit) => { forward!(tx_done, tx_idle, kick); };
    (@ queues) => {
        #[inline]
        fn refill(&mut self, pool: &mut $crate::mem::mbuf::Pool) {
            self.rx.refill(pool);
        }

        #[inline]
        fn begin_tx(&mut self) -> Option<&mut [u8]> {
            self.tx.begin()
        }

        #[inline]
        fn commit_tx(
            &mut self,
            header_len: usize,
            payload: &[netstack::Span],
            offload: netstack::TxOffload,
        ) -> netstack::TxTicket {
            self.tx.commit(header_len, payload, offload)
        }

        #[inline]
        fn tx_done(&self, ticket: netstack::TxTicket) -> bool {
            self.tx.is_done(ticket)
        }

        fn tx_idle(&self) -> bool {
            self.tx.is_idle()
        }

        #[inline]
        fn reclaim_tx(&mut self) {
            self.tx.reclaim();
        }
    };
    (@ mac) => {
        fn mac(&self) -> [u8; 6] {
            self.nic.mac()
        }
    };
    (@ medium) => {
        fn medium(&self) -> netstack::Medium {
            self.nic.medium()
        }
    };
    (@ mtu) => {
        fn mtu(&self) -> u16 {
            self.nic.mtu()
        }
    };
    (@ offloads) => {
        fn offloads(&self) -> $crate::nic::Offloads {
            self.nic.offloads()
        }
    };
    (@ link_up) => {
        fn link_up(&self) -> bool {
            self.nic.link_up()
        }
    };
    (@ set_table) => {
        fn set_table(&mut self, key: &netstack::rss::Key, table: &netstack::rss::Table) -> bool {
            self.nic.set_table(key, table)
        }
    };
    (@ stop_merging) => {
        fn stop_merging(&mut self) -> bool {
            self.nic.stop_merging()
        }
    };
    (@ hear_all_stations) => {
        fn hear_all_stations(&mut self) -> bool {
            self.nic.hear_all_stations()
        }
    };
    (@ poll_rx) => {
        #[inline]
        fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut($crate::nic::RxFrame)) -> usize {
            self.nic.poll_rx(budget, sink)
        }
    };
    (@ refill) => {
        #[inline]
        fn refill(&mut self, pool: &mut $crate::mem::mbuf::Pool) {
            self.nic.refill(pool);
        }
    };
    (@ begin_tx) => {
        #[inline]
        fn begin_tx(&mut self) -> Option<&mut [u8]> {
            self.nic.begin_tx()
        }
    };
    (@ commit_tx) => {
        #[inline]
        fn commit_tx(
            &mut self,
            header_len: usize,
            payload: &[netstack::Span],
            offload: netstack::TxOffload,
        ) -> netstack::TxTicket {
            self.nic.commit_tx(header_len, payload, offload)
        }
    };
    (@ tx_done) => {
        #[inline]
        fn tx_done(&self, ticket: netstack::TxTicket) -> bool {
            self.nic.tx_done(ticket)
        }
    };
    (@ tx_idle) => {
        fn tx_idle(&self) -> bool {
            self.nic.tx_idle()
        }
    };
    (@ reclaim_tx) => {
        #[inline]
        fn reclaim_tx(&mut self) {
            self.nic.reclaim_tx();
        }
    };
    (@ kick) => {
        #[inline]
        fn kick(&mut self) {
            self.nic.kick();
        }
    };
    (@ arm) => {
        fn arm(&mut self) -> $crate::nic::Alarm {
            self.nic.arm()
        }
    };
    (@ disarm) => {
        fn disarm(&mut self) {
            self.nic.disarm();
        }
    };
    (@ check) => {
        fn check(&mut self) -> $crate::nic::Health {
            self.nic.check()
        }
    };
    (@ stop) => {
        fn stop(&mut self) {
            self.nic.stop();
        }
    };
    (@ counters) => {
        fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
            self.nic.counters()
        }
    };
}
pub(super) use forward;
