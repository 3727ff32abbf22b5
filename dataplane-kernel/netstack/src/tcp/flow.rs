//! The transmission control block: all that is kept of one connection. What a segment or a send touches comes first.

use super::congestion::{Algorithm, Congestion};
use super::rtt::RttEstimator;
use super::scoreboard::{NONE, Stamp};
use super::span_queue::SpanQueue;
use super::template::Template;
use super::tuple::Tuple;
use crate::rx_buffers::BufList;
use crate::seq::SeqNum;
use crate::wire::tcp_options::SackBlock;
use crate::{Error, Id, Instant, TxTicket};

/// RFC 9293 section 3.3.2. LISTEN is a [`super::listener::Listener`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// The slot is free, or its connection is over and the app has not been told yet.
    Closed,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

impl State {
    /// The app may still give data to be sent.
    #[inline]
    pub(crate) fn may_queue(self) -> bool {
        matches!(
            self,
            State::Established | State::CloseWait | State::SynSent | State::SynReceived
        )
    }

    /// The handshake is not over.
    #[inline]
    pub(crate) fn is_opening(self) -> bool {
        matches!(self, State::SynSent | State::SynReceived)
    }

    /// Data may still come in.
    #[inline]
    pub(crate) fn may_receive(self) -> bool {
        matches!(self, State::Established | State::FinWait1 | State::FinWait2)
    }
}

/// Yes-or-no facts of a flow, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u64);

macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident = $bit:literal,)*) => {
        impl Marks {
            $($(#[$doc])* pub(crate) const $name: Marks = Marks(1 << $bit);)*
        }
    };
}

marks! {
    /// Timestamps were agreed on.
    TIMESTAMPS = 0,
    /// The peer reads SACK.
    SACK = 1,
    /// Opened by the peer.
    PASSIVE = 2,
    /// An ACK has to go out with the next flush.
    ACK_NOW = 3,
    /// An ACK may wait for data to ride on.
    ACK_DELAYED = 4,
    /// The app will send no more: FIN follows the queued data.
    FIN_QUEUED = 5,
    /// SND.NXT is behind the FIN.
    FIN_SENT = 6,
    /// `fin_seq` holds where the peer's FIN stands, and data before it is missing.
    FIN_AHEAD = 7,
    /// Send a tail loss probe.
    PROBE_TAIL = 8,
    /// Send a probe: a byte beyond the peer's window, or nothing new, for keepalive.
    PROBE_WINDOW = 9,
    /// See `PROBE_WINDOW`.
    PROBE_ALIVE = 10,
    /// The timer waits for the peer's window to open.
    PERSIST = 11,
    /// Something that is out was sent more than once, and there is no board to say what (RFC 6298 section 3).
    AMBIGUOUS = 12,
    /// `repeat_ticket` is of a retransmission that may still stand in the transmit ring.
    REPEATED = 13,
    /// Data was put into the transmit ring, and the device was not seen to let go of it: `data_ticket` and `mark_ticket`
    /// hold.
    DATA_SENT = 14,
    /// The app has to be told: knock, or connected.
    TELL_OPEN = 15,
    /// The app knows the flow: accepted, or connected.
    ATTACHED = 16,
    /// The app has to be told: the peer's FIN.
    TELL_EOF = 17,
    /// The app has to be told: it is over.
    TELL_DEAD = 18,
    /// The app has closed: it wants no more data.
    CLOSED_BY_APP = 19,
    /// The handle names nothing any more.
    DETACHED = 20,
    /// It counts against its listener's backlog.
    IN_BACKLOG = 21,
    /// The slot stands in the ring of those with events.
    ON_READY = 22,
    /// The slot stands in the ring of those with something to send.
    ON_DIRTY = 23,
    /// The slot stands in the ring of those that wait for a neighbour's address.
    ON_UNRESOLVED = 24,
    /// The slot stands in the ring of those whose memory the device still reads.
    ON_HELD = 25,
    /// The slot stands in the ring of TIME-WAIT.
    ON_TIME_WAIT = 26,
    /// The slot is in use.
    LIVE = 27,
    /// Window scaling was agreed on.
    SCALED = 28,
    /// The app was told of the knock.
    OFFERED = 29,
    /// Data within the window was dropped for lack of buffers.
    STARVED = 30,
    /// The retransmission timer stands at the probe timeout, before the retransmission timeout.
    PROBE_TIMEOUT = 31,
    /// `twice` holds data that came once more than it was needed.
    TWICE = 32,
    /// The way was found to be narrow.
    NARROWED = 40,
    /// Both sides know ECN (RFC 3168). This mark and two others stand where their bits stand in headers: see
    /// [`super::ecn`].
    ECN = 33,
    /// Open, and it counts against its listener's backlog until it is accepted.
    AWAITS_ACCEPT = 34,
    /// The app wants ECN, or our SYN has asked for it.
    ASKS_ECN = 35,
    /// Data leaves spread over time.
    PACED = 36,
    /// Shorter segments are tried, as longer ones have had no answer.
    SUSPECTS = 37,
    /// A router has marked data, and the peer is told.
    ECHO = 38,
    /// The congestion window was reduced because of a mark, and the peer has yet to be told.
    REDUCED = 39,
}

impl Marks {
    /// Bits 32 to 39.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "eight of them are meant")]
    pub(crate) const fn upper_bits(self) -> u8 {
        (self.0 >> 32) as u8
    }

    /// Survive the flow: they say where the slot stands.
    const OF_THE_SLOT: Marks = Marks(
        Marks::ON_READY.0
            | Marks::ON_DIRTY.0
            | Marks::ON_UNRESOLVED.0
            | Marks::ON_HELD.0
            | Marks::ON_TIME_WAIT.0,
    );

    #[inline]
    pub(crate) const fn or(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// All of `marks` are set.
    #[inline]
    pub(crate) const fn has(self, marks: Marks) -> bool {
        self.0 & marks.0 == marks.0
    }

    /// Any of `marks` is set.
    #[inline]
    pub(crate) const fn has_any(self, marks: Marks) -> bool {
        self.0 & marks.0 != 0
    }

    #[inline]
    pub(crate) fn set(&mut self, marks: Marks) {
        self.0 |= marks.0;
    }

    #[inline]
    pub(crate) fn clear(&mut self, marks: Marks) {
        self.0 &= !marks.0;
    }

    /// Clears `marks`; tells whether any was set.
    #[inline]
    pub(crate) fn take(&mut self, marks: Marks) -> bool {
        let any = self.has_any(marks);
        self.clear(marks);
        any
    }

    /// Those of the slot only.
    pub(crate) fn of_the_slot(self) -> Marks {
        Marks(self.0 & Self::OF_THE_SLOT.0)
    }
}

/// One connection. The names of the variables are those of RFC 9293 section 3.3.1.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Flow {
    pub(crate) tuple: Tuple,
    pub(crate) marks: Marks,
    pub(crate) state: State,
    /// Shift of the windows the peer announces.
    pub(crate) snd_shift: u8,
    /// Shift of the windows we announce.
    pub(crate) rcv_shift: u8,
    /// Retransmissions or probes in a row that nothing came back for.
    pub(crate) unanswered: u8,
    pub(crate) index: u32,
    pub(crate) rcv_nxt: SeqNum,
    /// RCV.NXT + RCV.WND, as announced: never moves back.
    pub(crate) rcv_edge: SeqNum,
    /// RCV.NXT as last announced (RFC 7323: Last.ACK.sent).
    pub(crate) ack_sent: SeqNum,
    pub(crate) snd_una: SeqNum,
    pub(crate) snd_nxt: SeqNum,
    /// The highest SND.NXT there was; it falls back for retransmissions.
    pub(crate) snd_max: SeqNum,
    /// After the last byte queued.
    pub(crate) snd_end: SeqNum,
    pub(crate) snd_wnd: u32,

    /// SND.WL1. WL2 is not needed: it never is beyond SND.UNA, and older ACKs are no update.
    pub(crate) snd_wl1: SeqNum,
    /// TS.Recent.
    pub(crate) ts_recent: u32,
    /// Largest payload of a segment to the peer, options deducted.
    pub(crate) mss: u16,
    /// Expiries of the retransmission timer in a row, for its doubling.
    pub(crate) backoff: u8,
    pub(crate) end_reason: EndReason,
    /// Largest window the peer has announced.
    pub(crate) snd_wnd_max: u32,
    /// In-order bytes that wait for the app, or that it holds.
    pub(crate) held_bytes: u32,
    /// The buffers they are in.
    pub(crate) held_buffers: u32,
    /// The receive window, as far as there is room for it.
    pub(crate) window_bytes: u32,
    /// Where the peer cannot be before a round trip has passed since `measured_at`.
    pub(crate) measured_to: SeqNum,
    /// In-order buffers the app has not seen.
    pub(crate) received: BufList,
    pub(crate) send: SpanQueue,

    /// Acknowledged bytes the app has not been told of.
    pub(crate) sent_untold: u32,
    /// Bytes in flight when data was last sent.
    pub(crate) flight_peak: u32,
    pub(crate) congestion: Congestion,
    pub(crate) rtt: RttEstimator,
    /// SND.NXT when a mark last reduced the window.
    pub(crate) marked_until: SeqNum,
    /// Its [`super::board::Board`], or none.
    pub(crate) board: u32,
    /// When the wheel comes back to this flow: no later than any deadline below.
    pub(crate) wheel_at: Instant,
    /// Retransmission, or the next window probe.
    pub(crate) rto_at: Instant,
    pub(crate) delayed_ack_at: Instant,
    /// When the peer was last heard of.
    pub(crate) heard_at: Instant,
    /// When data was last sent.
    pub(crate) sent_at: Instant,
    pub(crate) cookie: u64,

    pub(crate) template: Template,
    /// When the template's hardware address was looked up, in [`super::Shared::neighbor_epoch`]s.
    pub(crate) neighbor_epoch: u32,
    pub(crate) generation: u32,
    pub(crate) data_ticket: TxTicket,
    pub(crate) repeat_ticket: TxTicket,
    /// Data before this the device has let go of: an acknowledgement of it can be believed.
    pub(crate) gone_seq: SeqNum,
    /// With the frame of this ticket it will have let go of what lies before `mark_seq`.
    pub(crate) mark_ticket: TxTicket,
    pub(crate) mark_seq: SeqNum,

    /// Segments beyond a gap, by sequence number.
    pub(crate) beyond: BufList,
    pub(crate) beyond_buffers: u16,
    /// What `mss` was when the connection was opened.
    pub(crate) agreed_mss: u16,
    /// In the range that came last: the first block of SACK.
    pub(crate) beyond_latest: SeqNum,
    /// The D-SACK to be sent (RFC 2883).
    pub(crate) twice: SackBlock,
    /// When TIME-WAIT, FIN-WAIT-2 or a silent peer ends.
    pub(crate) linger_at: Instant,
    pub(crate) measured_at: Stamp,
    /// The round-trip time as the receiver sees it, in units of 2^10 ns; 0: not known.
    pub(crate) receive_rtt: u32,
    /// How long data may stay unacknowledged before the flow is given up, in milliseconds (RFC 5482); 0: until it was sent
    /// too often.
    pub(crate) user_timeout_ms: u32,
    /// Since when nothing has come back; means something while `unanswered` is not 0.
    pub(crate) silent_since: Stamp,
    /// Idle time before keepalive probes, in milliseconds; 0: none.
    pub(crate) keepalive_ms: u32,
    /// Its place among those that are paced, or none.
    pub(crate) pace: u32,
    pub(crate) keepalive_at: Instant,
    /// When `ts_recent` was taken.
    pub(crate) ts_recent_at: Instant,
    pub(crate) ts_offset: u32,
    pub(crate) iss: SeqNum,
    pub(crate) irs: SeqNum,
    pub(crate) fin_seq: SeqNum,
    /// Slot of the listener it came through.
    pub(crate) listener: u32,
    pub(crate) listener_generation: u32,
}

// Seven cache lines: one more, and an idle flow with its share of all tables would take more than 512 bytes.
const _: () = assert!(size_of::<Flow>() <= 448);

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndReason {
    InOrder,
    Because(Error),
}

impl EndReason {
    pub(crate) fn result(self) -> Result<(), Error> {
        match self {
            EndReason::InOrder => Ok(()),
            EndReason::Because(error) => Err(error),
        }
    }
}

impl Flow {
    /// An unused slot.
    pub(crate) fn vacant(index: u32) -> Self {
        Flow {
            tuple: Tuple::NONE,
            marks: Marks::default(),
            state: State::Closed,
            snd_shift: 0,
            rcv_shift: 0,
            unanswered: 0,
            index,
            rcv_nxt: SeqNum(0),
            rcv_edge: SeqNum(0),
            ack_sent: SeqNum(0),
            snd_una: SeqNum(0),
            snd_nxt: SeqNum(0),
            snd_max: SeqNum(0),
            snd_end: SeqNum(0),
            snd_wnd: 0,
            snd_wl1: SeqNum(0),
            ts_recent: 0,
            mss: 0,
            backoff: 0,
            end_reason: EndReason::InOrder,
            snd_wnd_max: 0,
            held_bytes: 0,
            held_buffers: 0,
            window_bytes: 0,
            measured_to: SeqNum(0),
            received: BufList::EMPTY,
            send: SpanQueue::EMPTY,
            sent_untold: 0,
            flight_peak: 0,
            congestion: Congestion::new(0, Algorithm::NewReno),
            rtt: RttEstimator::new(0),
            marked_until: SeqNum(0),
            board: NONE,
            wheel_at: Instant::FAR,
            rto_at: Instant::FAR,
            delayed_ack_at: Instant::FAR,
            heard_at: Instant(0),
            sent_at: Instant(0),
            cookie: 0,
            template: Template::EMPTY,
            neighbor_epoch: 0,
            generation: 0,
            data_ticket: TxTicket(0),
            repeat_ticket: TxTicket(0),
            gone_seq: SeqNum(0),
            mark_ticket: TxTicket(0),
            mark_seq: SeqNum(0),
            beyond: BufList::EMPTY,
            beyond_buffers: 0,
            agreed_mss: 0,
            beyond_latest: SeqNum(0),
            twice: SackBlock::default(),
            linger_at: Instant::FAR,
            measured_at: Stamp::default(),
            receive_rtt: 0,
            user_timeout_ms: 0,
            silent_since: Stamp::default(),
            keepalive_ms: 0,
            keepalive_at: Instant::FAR,
            ts_recent_at: Instant(0),
            ts_offset: 0,
            pace: NONE,
            iss: SeqNum(0),
            irs: SeqNum(0),
            fin_seq: SeqNum(0),
            listener: 0,
            listener_generation: 0,
        }
    }

    /// What the app calls it.
    #[inline]
    pub(crate) fn id(&self) -> Id {
        Id {
            index: self.index,
            generation: self.generation,
        }
    }

    /// Bytes sent and not acknowledged, SYN and FIN included.
    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        self.snd_una.distance_to(self.snd_nxt)
    }

    /// Bytes queued and not acknowledged; one more before our SYN is.
    #[inline]
    pub(crate) fn queued_bytes(&self) -> u32 {
        u32::try_from(self.snd_una.signed_distance_to(self.snd_end)).unwrap_or(0)
    }
}
