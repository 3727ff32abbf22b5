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
}

impl FlowOption {
    /// Checked decoding of a number written by ring 3.
    #[must_use]
    pub const fn from_u64(number: u64) -> Option<Self> {
        Some(match number {
            1 => FlowOption::CongestionControl,
            2 => FlowOption::UserTimeout,
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
}

impl CongestionControl {
    /// Checked decoding of a number written by ring 3.
    #[must_use]
    pub const fn from_u64(number: u64) -> Option<Self> {
        Some(match number {
            1 => CongestionControl::NewReno,
            2 => CongestionControl::Cubic,
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
            assert_eq!(option, (1..=2).contains(&number).then_some(number));
            let control = CongestionControl::from_u64(number).map(|control| control as u64);
            assert_eq!(control, (1..=2).contains(&number).then_some(number));
        }
    }
}
