/// What [`super::Opcode::TcpSetOption`] sets. (Data is never held back to be sent in larger segments: there is no option for
/// that.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum FlowOption {
    /// Which algorithm governs the congestion window: a [`CongestionControl`].
    CongestionControl = 1,
    /// How long data may stay unacknowledged before the flow is given up, in nanoseconds (RFC 5482); 0: as long as the
    /// kernel says.
    UserTimeout = 2,
    /// Asks the peer for explicit congestion notification (RFC 3168); the value is 1. Only right after the connect, in the
    /// same batch: else the command fails by `Invalid`.
    AskForEcn = 3,
    /// At most so many bytes per second leave, spread over time; 0: as fast as the windows allow, [`PACE_BY_WINDOW`]: so that
    /// a congestion window takes four fifths of a round trip.
    Pacing = 4,
}

/// See [`FlowOption::Pacing`].
pub const PACE_BY_WINDOW: u64 = u64::MAX;

impl FlowOption {
    /// Checked decoding of a number written by ring 3.
    #[must_use]
    pub const fn from_u64(number: u64) -> Option<Self> {
        Some(match number {
            1 => FlowOption::CongestionControl,
            2 => FlowOption::UserTimeout,
            3 => FlowOption::AskForEcn,
            4 => FlowOption::Pacing,
            _ => return None,
        })
    }
}

/// Values of [`FlowOption::CongestionControl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum CongestionControl {
    /// RFC 5681.
    NewReno = 1,
    /// RFC 9438; what a flow begins with.
    Cubic = 2,
    /// RFC 8257: by the share of packets that routers mark. Given right after the connect it asks the peer for ECN; on a
    /// connection without that, losses alone govern it, as in `NewReno`.
    Dctcp = 3,
}

impl CongestionControl {
    /// Checked decoding of a number written by ring 3.
    #[must_use]
    pub const fn from_u64(number: u64) -> Option<Self> {
        Some(match number {
            1 => CongestionControl::NewReno,
            2 => CongestionControl::Cubic,
            3 => CongestionControl::Dctcp,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{CongestionControl, FlowOption};

    #[test]
    fn options_decode_to_themselves_and_nothing_else_does() {
        for number in (0..10).chain([u64::MAX, 1 << 32 | 1]) {
            let option = FlowOption::from_u64(number).map(|option| option as u64);
            assert_eq!(option, (1..=4).contains(&number).then_some(number));
            let control = CongestionControl::from_u64(number).map(|control| control as u64);
            assert_eq!(control, (1..=3).contains(&number).then_some(number));
        }
    }
}
