//! Datagrams: a frame of 8 bytes, then what would be said over TCP (memcached's `doc/protocol.txt`, "UDP protocol").

/// Bytes of a frame.
const FRAME_LEN: usize = 8;

/// Longest datagram sent, in bytes, as memcached's.
const LONGEST: usize = 1400;

/// What the frame of a request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Chosen by the client.
    pub id: u16,
    /// How many datagrams the request has; only those of one are served.
    pub total: u16,
}

impl Frame {
    /// Splits a datagram; `None` if it is too short for a frame.
    #[must_use]
    pub fn split(datagram: &[u8]) -> Option<(Self, &[u8])> {
        let (frame, request) = datagram.split_first_chunk::<FRAME_LEN>()?;
        let id = u16::from_be_bytes([frame[0], frame[1]]);
        let total = u16::from_be_bytes([frame[4], frame[5]]);
        Some((Frame { id, total }, request))
    }

    /// The datagrams of a reply; none if it is longer than they can say.
    pub fn datagrams(self, reply: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
        let parts = reply.chunks(LONGEST - FRAME_LEN);
        let total = u16::try_from(parts.len()).unwrap_or(0);
        (0..total).zip(parts).map(move |(number, part)| {
            let mut datagram = Vec::with_capacity(FRAME_LEN + part.len());
            for field in [self.id, number, total, 0] {
                datagram.extend_from_slice(&field.to_be_bytes());
            }
            datagram.extend_from_slice(part);
            datagram
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;

    #[test]
    fn a_reply_is_cut_into_numbered_datagrams() {
        let reply: Vec<u8> = (0..3_000u32).map(|byte| byte.to_le_bytes()[0]).collect();
        let frame = Frame { id: 0x1234, total: 1 };
        let datagrams: Vec<_> = frame.datagrams(&reply).collect();
        let lengths: Vec<_> = datagrams.iter().map(Vec::len).collect();
        assert_eq!(lengths, [1400, 1400, 224]);
        assert_eq!(datagrams[1][..8], [0x12, 0x34, 0, 1, 0, 3, 0, 0]);
        let together: Vec<u8> = datagrams
            .iter()
            .flat_map(|datagram| &datagram[8..])
            .copied()
            .collect();
        assert_eq!(together, reply);
        assert_eq!(frame.datagrams(b"").count(), 0);
    }

    #[test]
    fn what_is_no_frame_is_none() {
        assert_eq!(Frame::split(b"1234567"), None);
        let (frame, request) = Frame::split(b"\x00\x07\x00\x00\x00\x01\x00\x00get a\r\n").unwrap();
        assert_eq!((frame, request), (Frame { id: 7, total: 1 }, &b"get a\r\n"[..]));
    }
}
