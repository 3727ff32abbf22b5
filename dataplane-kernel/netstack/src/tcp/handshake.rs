//! SYN and SYN-ACK leave.

use super::Shared;
use super::emit::{Cut, Outgoing};
use super::flow::{Flow, Marks, State};
use super::output::Blocked;
use crate::wire::ecn::Ecn;
use crate::wire::tcp::Flags;
use crate::wire::tcp_options::{MAX_LEN, Options, SackBlocks};
use crate::{Env, Instant};

impl Flow {
    /// SYN, or SYN and ACK (RFC 9293 section 3.5); of what is closed, nothing.
    #[cold]
    #[inline(never)]
    pub(crate) fn transmit_handshake<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if self.state == State::Closed {
            return Ok(());
        }
        if self.snd_nxt != self.iss {
            if self.marks.has(Marks::ACK_NOW) {
                self.transmit_ack(shared, env, now)?;
            }
            return Ok(());
        }
        let answers = self.state == State::SynReceived;
        let flags = if answers {
            Flags::SYN | Flags::ACK
        } else {
            Flags::SYN
        } | self.ecn_setup(shared);
        let options = self.syn_options(shared, now, answers);
        let mut bytes = [0; MAX_LEN];
        let len = options.emit(&mut bytes);
        // RFC 7323 section 2.2: the window of a SYN is not scaled.
        let shift = core::mem::take(&mut self.rcv_shift);
        let window = self.announce_window(shared);
        self.rcv_shift = shift;
        let outgoing = Outgoing {
            seq: self.iss,
            flags,
            window,
            options: bytes.get(..len).unwrap_or_default(),
            payload: &[],
            len: 0,
            ecn: Ecn::NOT_ECT,
            cut: Cut::One,
        };
        self.put_on_wire(shared, env, &outgoing, None)
            .ok_or(Blocked::RingFull)?;
        self.acknowledged_all();
        self.snd_nxt = self.iss + 1;
        if self.snd_max != self.iss {
            self.marks.set(Marks::AMBIGUOUS);
        }
        self.snd_max = self.snd_max.later_of(self.snd_nxt);
        self.sent_at = now;
        self.start_rto(shared, now);
        Ok(())
    }

    /// What a SYN of ours offers, or a SYN-ACK agrees to.
    fn syn_options(&self, shared: &Shared, now: Instant, answers: bool) -> Options {
        let offer = shared.tuning.offer_options;
        let stamps = if answers {
            self.marks.has(Marks::TIMESTAMPS)
        } else {
            offer
        };
        let scale = if answers {
            self.marks.has(Marks::SCALED)
        } else {
            offer
        };
        Options {
            mss: Some(shared.max_segment(&self.tuple)),
            window_scale: scale.then_some(shared.tuning.window_shift),
            sack_permitted: if answers {
                self.marks.has(Marks::SACK)
            } else {
                offer
            },
            timestamps: stamps.then(|| self.stamps(now)),
            sack: SackBlocks::default(),
        }
    }
}
