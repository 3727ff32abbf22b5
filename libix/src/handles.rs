use crate::slab::Key;
use core::fmt;
use ix_abi::app::Handle;

/// A TCP connection. Plain data: copy it, keep it, compare it. Once the connection is dead every use of it is an error.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow(pub(crate) Key);

impl Flow {
    /// A small number, unique among the flows alive: an index into a table of the app's own (see also
    /// [`crate::FlowMap`]).
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        self.0.index()
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flow {}.{}", self.0.index(), self.0.generation())
    }
}

/// A port listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listener(pub(crate) Key);

/// A bound UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpPort(pub(crate) Handle);

/// A datagram on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Datagram(pub(crate) Key);

/// A timer that has not gone off yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timer(pub(crate) Handle);

/// For languages without types of ours: names as numbers. Any number may be passed for one; what it does not name is
/// `BadHandle`.
macro_rules! as_bits {
    ($name:ident, $to:expr, $from:expr) => {
        impl $name {
            /// The name as a number.
            #[must_use]
            pub fn to_bits(self) -> u64 {
                $to(self.0)
            }

            /// The name that a number is. One that is none, or stale, is refused where it is used.
            #[must_use]
            pub fn from_bits(bits: u64) -> Self {
                $name($from(bits))
            }
        }
    };
}

as_bits!(Flow, Key::cookie, Key::from_cookie);
as_bits!(Listener, Key::cookie, Key::from_cookie);
as_bits!(UdpPort, |handle: Handle| handle.0, Handle);
as_bits!(Timer, |handle: Handle| handle.0, Handle);
