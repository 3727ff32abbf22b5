//! Data given away to be sent.

use crate::RecvBuf;
use core::fmt;
use core::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// Bytes to send. They are not copied: the NIC reads them where they are, again if the network loses them, so libix
/// keeps the buffer until the peer has acknowledged it and drops it then. `From` takes what one has at hand.
pub struct SendBuf(Kind);

enum Kind {
    Static(&'static [u8]),
    Vec(Vec<u8>),
    Boxed(Box<[u8]>),
    Shared(Arc<[u8]>),
    Slice {
        bytes: Rc<[u8]>,
        start: u32,
        len: u32,
    },
    SharedSlice {
        bytes: Arc<[u8]>,
        start: u32,
        len: u32,
    },
    /// Of whatever type; it decides what happens when it is dropped.
    Owned(Box<dyn AsRef<[u8]>>),
    /// Held, it stays lent by the kernel, so it can be sent from as well.
    Received(RecvBuf),
}

impl SendBuf {
    /// The bytes of `range`, which their owner keeps: while they are being sent there is one reference more, so what keeps a
    /// value to serve it again ([`Rc::strong_count`], [`Rc::get_mut`]) sees when it may change it. Allocates nothing.
    ///
    /// # Panics
    /// If `range` is not within `bytes`, or ends beyond 4 GiB.
    #[inline]
    #[must_use]
    pub fn slice(bytes: Rc<[u8]>, range: Range<usize>) -> Self {
        let (start, len) = checked(&bytes, range);
        SendBuf(Kind::Slice { bytes, start, len })
    }

    /// The same of bytes that other threads have made or use as well.
    ///
    /// # Panics
    /// As [`SendBuf::slice`].
    #[inline]
    #[must_use]
    pub fn shared_slice(bytes: Arc<[u8]>, range: Range<usize>) -> Self {
        let (start, len) = checked(&bytes, range);
        SendBuf(Kind::SharedSlice { bytes, start, len })
    }

    /// The bytes of any owner, which is dropped when they are released: `bytes::Bytes`, a memory map, memory of another
    /// language. The owner must give the same bytes each time it is asked. Allocates; the other conversions do not.
    #[must_use]
    pub fn from_owner(owner: impl AsRef<[u8]> + 'static) -> Self {
        SendBuf(Kind::Owned(Box::new(owner)))
    }

    /// Where the bytes are, and how many. Moving the `SendBuf` does not move them.
    #[inline]
    pub(crate) fn span(&self) -> (u64, usize) {
        if let Kind::Received(bytes) = &self.0 {
            return (bytes.address(), bytes.len());
        }
        let bytes = self.bytes();
        (bytes.as_ptr() as u64, bytes.len())
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Kind::Static(bytes) => bytes,
            Kind::Vec(bytes) => bytes,
            Kind::Boxed(bytes) => bytes,
            Kind::Shared(bytes) => bytes,
            Kind::Slice { bytes, start, len } => {
                let start = *start as usize;
                &bytes[start..start + *len as usize]
            }
            Kind::SharedSlice { bytes, start, len } => {
                let start = *start as usize;
                &bytes[start..start + *len as usize]
            }
            Kind::Owned(owner) => (**owner).as_ref(),
            Kind::Received(bytes) => bytes,
        }
    }
}

/// Start and length of `range`, which must lie within `bytes` and the first 4 GiB of them.
#[inline]
fn checked(bytes: &[u8], range: Range<usize>) -> (u32, u32) {
    assert!(range.start <= range.end && range.end <= bytes.len());
    let (start, end) = (u32::try_from(range.start), u32::try_from(range.end));
    let (Ok(start), Ok(end)) = (start, end) else {
        panic!("a slice of more than 4 GiB");
    };
    (start, end - start)
}

impl AsRef<[u8]> for SendBuf {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl fmt::Debug for SendBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.bytes(), f)
    }
}

impl From<&'static [u8]> for SendBuf {
    #[inline]
    fn from(bytes: &'static [u8]) -> Self {
        SendBuf(Kind::Static(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for SendBuf {
    #[inline]
    fn from(bytes: &'static [u8; N]) -> Self {
        SendBuf(Kind::Static(bytes))
    }
}

impl From<&'static str> for SendBuf {
    #[inline]
    fn from(text: &'static str) -> Self {
        SendBuf(Kind::Static(text.as_bytes()))
    }
}

impl From<Vec<u8>> for SendBuf {
    #[inline]
    fn from(bytes: Vec<u8>) -> Self {
        SendBuf(Kind::Vec(bytes))
    }
}

impl From<String> for SendBuf {
    #[inline]
    fn from(text: String) -> Self {
        SendBuf(Kind::Vec(text.into_bytes()))
    }
}

impl From<Box<[u8]>> for SendBuf {
    #[inline]
    fn from(bytes: Box<[u8]>) -> Self {
        SendBuf(Kind::Boxed(bytes))
    }
}

impl From<Arc<[u8]>> for SendBuf {
    #[inline]
    fn from(bytes: Arc<[u8]>) -> Self {
        SendBuf(Kind::Shared(bytes))
    }
}

impl From<RecvBuf> for SendBuf {
    #[inline]
    fn from(bytes: RecvBuf) -> Self {
        SendBuf(Kind::Received(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::SendBuf;
    use std::rc::Rc;
    use std::sync::Arc;

    #[test]
    fn a_shared_slice_holds_its_bytes_until_it_is_dropped() {
        let file: Arc<[u8]> = Arc::from(*b"a file");
        let buf = SendBuf::shared_slice(Arc::clone(&file), 2..6);
        assert_eq!(buf.span(), (file[2..].as_ptr() as u64, 4));
        assert_eq!((buf.bytes(), Arc::strong_count(&file)), (&b"file"[..], 2));
        drop(buf);
        assert_eq!(Arc::strong_count(&file), 1);
    }

    #[test]
    fn a_slice_names_bytes_that_stay_their_owners() {
        let mut value: Rc<[u8]> = Rc::from(*b"a value");
        let buf = SendBuf::slice(Rc::clone(&value), 2..7);
        assert_eq!(buf.span(), (value[2..].as_ptr() as u64, 5));
        assert_eq!(buf.bytes(), b"value");
        assert!(
            Rc::get_mut(&mut value).is_none(),
            "it must not change while it is sent"
        );
        drop(buf);
        assert!(Rc::get_mut(&mut value).is_some());
    }

    #[test]
    #[should_panic(expected = "range.end <= bytes.len()")]
    fn a_slice_ends_with_its_bytes() {
        drop(SendBuf::slice(Rc::from(*b"a value"), 2..8));
    }
}
