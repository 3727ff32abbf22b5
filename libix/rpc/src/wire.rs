//! What a packet is: a header of 32 bytes, most significant byte first, and data. `docs/rpc.md` has the tables.

/// Of the format. Kind and source keep their places in all versions, so that a packet of another one can be refused.
pub const VERSION: u8 = 1;
/// Of each packet.
pub const HEADER_BYTES: usize = 32;
/// Data of a full packet. With headers it fits an Ethernet frame, over IPv6 too: 40 + 8 + 32 + 1408 = 1488 bytes.
pub const DATA_BYTES: usize = 1408;
/// Longest message.
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;
/// Calls that one session can have under way.
pub const SLOTS: u8 = 8;
/// Packets that one session may have sent and not seen answered.
pub const CREDITS: u16 = 32;

/// [`DATA_BYTES`] as lengths on the wire are.
const DATA: u32 = 1408;
const _: () = assert!(DATA as usize == DATA_BYTES);

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Client: wants a session.
    Connect = 1,
    /// Server: come again with this cookie.
    Challenge = 2,
    /// Server: here is the session.
    Accept = 3,
    /// Server: there is none to be had.
    Refuse = 4,
    /// Client: a part of a request.
    Request = 5,
    /// Server: it has arrived, and all before it.
    Credit = 6,
    /// Server: a part of the response.
    Response = 7,
    /// Client: asks for a part of the response other than the first.
    Fetch = 8,
    /// Client: are you there?
    Ping = 9,
    /// Server: yes.
    Pong = 10,
    /// Client: wants the session no more.
    Close = 11,
    /// Server: it is gone.
    Closed = 12,
    /// Server: there is no such session.
    Reset = 13,
}

impl Kind {
    fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Kind::Connect,
            2 => Kind::Challenge,
            3 => Kind::Accept,
            4 => Kind::Refuse,
            5 => Kind::Request,
            6 => Kind::Credit,
            7 => Kind::Response,
            8 => Kind::Fetch,
            9 => Kind::Ping,
            10 => Kind::Pong,
            11 => Kind::Close,
            12 => Kind::Closed,
            13 => Kind::Reset,
            _ => return None,
        })
    }
}

/// Why a server refuses a session: the code of [`Kind::Refuse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Refusal {
    /// All sessions are taken.
    Full = 1,
    /// It speaks another version.
    Version = 2,
}

/// Flag of a response: it was not made at once, so when it comes tells nothing about the network.
pub const DELAYED: u8 = 1;

/// Codes of a response from here on are the protocol's; those below are the app's.
pub const FIRST_RESERVED_STATUS: u16 = 0xFF00;
/// The server has no memory for the request, and has not carried it out.
pub const STATUS_OVERLOADED: u16 = 0xFF00;
/// The request was carried out, but the server has no memory to keep the response in.
pub const STATUS_RESPONSE_LOST: u16 = 0xFF01;

/// The first 32 bytes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is for.
    pub kind: Kind,
    /// Of the session, below [`SLOTS`].
    pub slot: u8,
    /// [`DELAYED`] or 0.
    pub flags: u8,
    /// A request's method, a response's status, a refusal's reason.
    pub code: u16,
    /// Which part of the message, from 0.
    pub packet: u16,
    /// The receiver's number of the session.
    pub session: u32,
    /// The sender's.
    pub source: u32,
    /// What only the two ends of the session know.
    pub token: u64,
    /// Of the call, in its slot.
    pub number: u32,
    /// Of the whole message, in bytes.
    pub length: u32,
}

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Wrong in any way but the next.
    Form,
    /// A `Connect` of another version, with the sender's number and token in it.
    ConnectOfOtherVersion {
        /// The sender's number.
        source: u32,
        /// Its token.
        token: u64,
    },
}

impl Header {
    /// Of a packet of a session, by both its numbers, that is about no call.
    #[inline]
    pub(crate) fn of_session(kind: Kind, session: u32, source: u32, token: u64) -> Self {
        Header {
            kind,
            slot: 0,
            flags: 0,
            code: 0,
            packet: 0,
            session,
            source,
            token,
            number: 0,
            length: 0,
        }
    }

    /// As it is sent.
    #[inline]
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = VERSION;
        bytes[1] = self.kind as u8;
        bytes[2] = self.slot;
        bytes[3] = self.flags;
        bytes[4..6].copy_from_slice(&self.code.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.packet.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.session.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.source.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.token.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.number.to_be_bytes());
        bytes[28..32].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    /// What `datagram` begins with, and the data after it, whose length is what the header says.
    ///
    /// # Errors
    /// If it is no packet of this version.
    #[inline]
    pub fn decode(datagram: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let (bytes, data) = datagram
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(Malformed::Form)?;
        let u16_at = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) << 16 | u32::from(u16_at(at + 2));
        let header = Header {
            kind: Kind::from_u8(bytes[1]).ok_or(Malformed::Form)?,
            slot: bytes[2],
            flags: bytes[3],
            code: u16_at(4),
            packet: u16_at(6),
            session: u32_at(8),
            source: u32_at(12),
            token: u64::from(u32_at(16)) << 32 | u64::from(u32_at(20)),
            number: u32_at(24),
            length: u32_at(28),
        };
        if bytes[0] != VERSION {
            return Err(match header.kind {
                Kind::Connect => Malformed::ConnectOfOtherVersion {
                    source: header.source,
                    token: header.token,
                },
                _ => Malformed::Form,
            });
        }
        let flags = if header.kind == Kind::Response { DELAYED } else { 0 };
        if header.flags & !flags != 0 || header.slot >= SLOTS || !header.holds(data.len()) {
            return Err(Malformed::Form);
        }
        Ok((header, data))
    }

    /// Whether a packet with this header has so many bytes of data.
    #[inline]
    fn holds(&self, bytes: usize) -> bool {
        match self.kind {
            Kind::Request | Kind::Response => part_bytes(self.length, self.packet) == Some(bytes),
            Kind::Connect | Kind::Challenge | Kind::Accept => bytes == COOKIE_BYTES,
            _ => bytes == 0,
        }
    }
}

/// Data of a [`Kind::Connect`] and [`Kind::Challenge`], a cookie, and of a [`Kind::Accept`], the session's token.
pub const COOKIE_BYTES: usize = 8;

/// How many packets a message of `length` bytes takes. An empty one is a packet, too.
#[inline]
#[must_use]
pub fn packets(length: u32) -> u16 {
    u16::try_from(length.div_ceil(DATA)).unwrap_or(u16::MAX).max(1)
}

/// How many bytes of a message of `length` bytes are in its packet `packet`; `None` if it has no such packet, or is too
/// long.
#[inline]
#[must_use]
pub fn part_bytes(length: u32, packet: u16) -> Option<usize> {
    let length = usize::try_from(length)
        .ok()
        .filter(|len| *len <= MAX_MESSAGE_BYTES)?;
    let start = usize::from(packet) * DATA_BYTES;
    if start >= length {
        return (start == 0).then_some(0);
    }
    Some((length - start).min(DATA_BYTES))
}

#[cfg(test)]
mod tests {
    use super::{DATA_BYTES, Header, Kind, MAX_MESSAGE_BYTES, Malformed, packets, part_bytes};
    use proptest::prelude::{any, proptest};

    fn header(kind: Kind) -> Header {
        Header {
            kind,
            slot: 7,
            flags: 0,
            code: 0x1234,
            packet: 0,
            session: 0x0102_0304,
            source: 0x0506_0708,
            token: 0x1122_3344_5566_7788,
            number: 0xAABB_CCDD,
            length: 3,
        }
    }

    /// [`MAX_MESSAGE_BYTES`] as lengths on the wire are.
    const MOST: u32 = 8 << 20;
    const _: () = assert!(MOST as usize == MAX_MESSAGE_BYTES);

    #[test]
    fn a_header_is_laid_out_as_the_document_says() {
        let bytes = header(Kind::Request).encode();
        let expected = [
            1, 5, 7, 0, 0x12, 0x34, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
            0x88, 0xAA, 0xBB, 0xCC, 0xDD, 0, 0, 0, 3,
        ];
        assert_eq!(bytes, expected);
        let packet = [&bytes[..], b"abc"].concat();
        assert_eq!(Header::decode(&packet), Ok((header(Kind::Request), &b"abc"[..])));
    }

    #[test]
    fn data_of_another_length_than_the_header_says_is_malformed() {
        let bytes = header(Kind::Response).encode();
        for data in [&b""[..], b"ab", b"abcd"] {
            assert_eq!(Header::decode(&[&bytes[..], data].concat()), Err(Malformed::Form));
        }
        assert_eq!(
            Header::decode(&header(Kind::Connect).encode()),
            Err(Malformed::Form)
        );
        assert!(Header::decode(&header(Kind::Ping).encode()).is_ok());
    }

    #[test]
    fn a_connect_of_another_version_can_be_refused() {
        let mut bytes = header(Kind::Connect).encode();
        bytes[0] = 9;
        let malformed = Malformed::ConnectOfOtherVersion {
            source: 0x0506_0708,
            token: 0x1122_3344_5566_7788,
        };
        assert_eq!(Header::decode(&bytes), Err(malformed));
    }

    proptest! {
        #[test]
        fn the_parts_of_a_message_make_it_up(length in 0..=MOST) {
            let count = packets(length);
            let sum: usize = (0..count).map(|packet| part_bytes(length, packet).expect("a part")).sum();
            assert_eq!(sum, length as usize);
            assert_eq!(part_bytes(length, count), None);
            assert!((1..count).all(|packet| part_bytes(length, packet - 1) == Some(DATA_BYTES)));
        }

        #[test]
        fn too_long_messages_have_no_parts(beyond in 1..=u32::MAX - MOST, packet: u16) {
            assert_eq!(part_bytes(MOST + beyond, packet), None);
        }

        #[test]
        fn what_is_decoded_is_encoded_to_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok((header, data)) = Header::decode(&bytes) {
                assert_eq!([&header.encode()[..], data].concat(), bytes);
            }
        }
    }
}
