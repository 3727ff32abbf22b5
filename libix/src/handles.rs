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
