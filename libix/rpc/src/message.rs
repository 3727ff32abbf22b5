//! Messages to send. One lies in memory as it goes out: packet after packet, each a header and its data, so a packet is a
//! slice, and the NIC reads what the app has written.

use crate::wire::{DATA_BYTES, HEADER_BYTES, Header, MAX_MESSAGE_BYTES, packets, part_bytes};
use core::net::SocketAddr;
use core::ops::Range;
use std::iter;
use std::rc::Rc;

/// A packet's place in a message.
const STRIDE: usize = HEADER_BYTES + DATA_BYTES;
/// Buffers of one packet that are kept for messages to come.
const KEPT_BUFFERS: usize = 512;

/// A message of a fixed length, all zeros at first.
#[derive(Debug)]
pub struct Message {
    /// Nobody else has it as long as it can be written.
    bytes: Rc<[u8]>,
    length: u32,
}

/// The app wants to send more than [`MAX_MESSAGE_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Message {
    /// A message of `len` bytes.
    ///
    /// # Errors
    /// If that is too long.
    pub fn new(len: usize) -> Result<Self, TooLong> {
        let length = checked(len)?;
        let bytes = zeros(usize::from(packets(length)) * HEADER_BYTES + len);
        Ok(Message { bytes, length })
    }

    /// A message with these bytes, which are copied.
    ///
    /// # Errors
    /// If they are too many.
    pub fn copy_of(bytes: &[u8]) -> Result<Self, TooLong> {
        let mut message = Message::new(bytes.len())?;
        message.write(bytes);
        Ok(message)
    }

    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// `true` if it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The places to write to, one after the other: [`DATA_BYTES`] each, but for the last.
    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let mut left = self.len();
        self.unshared().chunks_mut(STRIDE).map_while(move |packet| {
            let data = packet.get_mut(HEADER_BYTES..)?;
            let len = left.min(data.len());
            left -= len;
            Some(&mut data[..len])
        })
    }

    /// Writes `bytes` from the beginning of the message on; what goes beyond its end is left out.
    pub fn write(&mut self, mut bytes: &[u8]) {
        for part in self.parts_mut() {
            let len = bytes.len().min(part.len());
            part[..len].copy_from_slice(&bytes[..len]);
            bytes = &bytes[len..];
        }
    }

    fn unshared(&mut self) -> &mut [u8] {
        Rc::get_mut(&mut self.bytes).expect("a message that is not sealed has one owner")
    }

    /// Completes it by its headers, like `header` but for packet and length; from then on it is not changed.
    #[inline]
    pub(crate) fn seal(mut self, mut header: Header) -> Sealed {
        let length = self.length;
        header.length = length;
        for (number, packet) in (0..packets(length)).zip(self.unshared().chunks_mut(STRIDE)) {
            header.packet = number;
            packet[..HEADER_BYTES].copy_from_slice(&header.encode());
        }
        Sealed {
            bytes: self.bytes,
            length,
        }
    }
}

fn checked(len: usize) -> Result<u32, TooLong> {
    u32::try_from(len)
        .ok()
        .filter(|_| len <= MAX_MESSAGE_BYTES)
        .ok_or(TooLong)
}

fn zeros(len: usize) -> Rc<[u8]> {
    iter::repeat_n(0, len).collect()
}

/// A message with its headers.
#[derive(Debug)]
pub(crate) struct Sealed {
    bytes: Rc<[u8]>,
    length: u32,
}

impl Sealed {
    pub(crate) fn packets(&self) -> u16 {
        packets(self.length)
    }

    pub(crate) fn len(&self) -> usize {
        self.length as usize
    }

    /// The packet `packet`, to be sent to `to`.
    #[inline]
    pub(crate) fn packet(&self, packet: u16, to: SocketAddr) -> Transmit {
        let start = usize::from(packet) * STRIDE;
        let data = part_bytes(self.length, packet).unwrap_or(0);
        Transmit {
            to,
            bytes: Rc::clone(&self.bytes),
            range: start..start + HEADER_BYTES + data,
        }
    }
}

/// A packet to send: a slice of bytes that do not change.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Who gets it.
    pub to: SocketAddr,
    /// The message it is of.
    pub bytes: Rc<[u8]>,
    /// Where in the message it is.
    pub range: Range<usize>,
}

impl Transmit {
    /// The packet's bytes.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

/// Buffers of messages that are over, for messages to come, so that short ones allocate nothing.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Vec<Rc<[u8]>>,
}

impl Pool {
    pub(crate) fn message(&mut self, len: usize) -> Result<Message, TooLong> {
        if len > DATA_BYTES {
            return Message::new(len);
        }
        let length = checked(len)?;
        let bytes = match self.free.pop() {
            Some(mut bytes) => {
                let kept = Rc::get_mut(&mut bytes).expect("only what nobody has is kept");
                kept[HEADER_BYTES..HEADER_BYTES + len].fill(0);
                bytes
            }
            None => zeros(STRIDE),
        };
        Ok(Message { bytes, length })
    }

    pub(crate) fn copy_of(&mut self, bytes: &[u8]) -> Result<Message, TooLong> {
        let mut message = self.message(bytes.len())?;
        message.write(bytes);
        Ok(message)
    }

    /// Takes the buffer of a message that is over, if it is of one packet and nothing still reads it.
    #[inline]
    pub(crate) fn recycle(&mut self, mut sealed: Sealed) {
        if sealed.bytes.len() == STRIDE
            && self.free.len() < KEPT_BUFFERS
            && Rc::get_mut(&mut sealed.bytes).is_some()
        {
            self.free.push(sealed.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, Pool};
    use crate::wire::{DATA_BYTES, Header, Kind, MAX_MESSAGE_BYTES};
    use core::net::{Ipv4Addr, SocketAddr};
    use proptest::prelude::proptest;
    use std::rc::Rc;

    const HEADER: Header = Header {
        kind: Kind::Request,
        slot: 3,
        flags: 0,
        code: 9,
        packet: 0,
        session: 1,
        source: 2,
        token: 5,
        number: 77,
        length: 0,
    };

    proptest! {
        #[test]
        fn the_packets_of_a_message_hold_it(len in 0..5 * DATA_BYTES) {
            let bytes: Vec<u8> = (0..=255).cycle().take(len).collect();
            let sealed = Message::copy_of(&bytes).expect("short enough").seal(HEADER);
            let mut joined = Vec::new();
            for number in 0..sealed.packets() {
                let transmit = sealed.packet(number, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
                let (header, data) = Header::decode(transmit.packet()).expect("well-formed");
                assert_eq!((header.packet, header.length as usize, header.number), (number, len, 77));
                joined.extend_from_slice(data);
            }
            assert_eq!(joined, bytes);
        }
    }

    #[test]
    fn a_message_can_be_too_long() {
        assert!(Message::new(MAX_MESSAGE_BYTES).is_ok());
        assert!(Message::new(MAX_MESSAGE_BYTES + 1).is_err());
    }

    #[test]
    fn a_buffer_is_used_again_when_nobody_reads_it_and_shows_nothing_of_before() {
        let mut pool = Pool::default();
        let sealed = pool.copy_of(b"secret").expect("short").seal(HEADER);
        let address = sealed.bytes.as_ptr();
        let transmit = sealed.packet(0, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        let second = super::Sealed {
            bytes: Rc::clone(&sealed.bytes),
            length: sealed.length,
        };
        pool.recycle(second);
        assert!(pool.free.is_empty(), "it is still to be sent");
        drop(transmit);
        pool.recycle(sealed);
        let mut again = pool.message(6).expect("short");
        assert_eq!(again.bytes.as_ptr(), address);
        assert_eq!(again.parts_mut().next(), Some(&mut [0; 6][..]));
    }
}
