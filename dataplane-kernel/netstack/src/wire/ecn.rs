//! What routers and end points tell each other in the IP header about congestion (RFC 3168 section 5).

/// The ECN field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ecn(u8);

impl Ecn {
    /// The transport does not know about it.
    pub const NOT_ECT: Ecn = Ecn(0);
    /// It does; of two code points that say so, that for all but experiments (RFC 8311).
    pub const ECT0: Ecn = Ecn(2);
    /// Congestion experienced: a router would rather have dropped this packet.
    pub const CE: Ecn = Ecn(3);

    /// Of IPv4's type of service, or of IPv6's traffic class.
    #[inline]
    #[must_use]
    pub const fn of_class(class: u8) -> Ecn {
        Ecn(class & 3)
    }

    /// The two bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}
