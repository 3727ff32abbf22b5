//! Headers, and what follows them.

/// First byte of a request; no text command begins with it.
pub(crate) const REQUEST: u8 = 0x80;

const RESPONSE: u8 = 0x81;

/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = 24;

/// The header of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(super) opcode: u8,
    pub(super) key_len: u16,
    pub(super) extras_len: u8,
    pub(super) body_len: u32,
    /// Comes back as it is.
    opaque: [u8; 4],
    pub(super) cas: u64,
}

/// What a reply says became of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Status {
    Ok = 0,
    NotFound = 1,
    Exists = 2,
    TooLarge = 3,
    InvalidArguments = 4,
    NotStored = 5,
    NonNumeric = 6,
    UnknownCommand = 0x81,
    NoMemory = 0x82,
}

impl Status {
    /// memcached's words.
    pub(super) fn message(self) -> &'static [u8] {
        match self {
            Status::Ok => b"",
            Status::NotFound => b"Not found",
            Status::Exists => b"Data exists for key.",
            Status::TooLarge => b"Too large.",
            Status::InvalidArguments => b"Invalid arguments",
            Status::NotStored => b"Not stored.",
            Status::NonNumeric => b"Non-numeric server-side value for incr or decr",
            Status::UnknownCommand => b"Unknown command",
            Status::NoMemory => b"Out of memory allocating item",
        }
    }
}

impl Header {
    /// That of a request; `None` if it is none.
    pub(crate) fn parse(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let word = |place| [bytes[place], bytes[place + 1]];
        let long = |place| [bytes[place], bytes[place + 1], bytes[place + 2], bytes[place + 3]];
        let [a, b, c, d, e, f, g, h] = <[u8; 8]>::try_from(&bytes[16..]).ok()?;
        (bytes[0] == REQUEST).then_some(Header {
            opcode: bytes[1],
            key_len: u16::from_be_bytes(word(2)),
            extras_len: bytes[4],
            body_len: u32::from_be_bytes(long(8)),
            opaque: long(12),
            cas: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        })
    }

    /// Bytes of extras and key.
    pub(crate) fn fields_len(&self) -> usize {
        usize::from(self.extras_len) + usize::from(self.key_len)
    }

    /// As it came.
    pub(super) fn request(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = REQUEST;
        self.write(&mut bytes, self.key_len, self.extras_len, self.body_len, self.cas);
        bytes
    }

    /// The header of its reply. Lengths in bytes; that of the body is that of all that follows.
    pub(super) fn reply(
        &self,
        status: Status,
        extras_len: u8,
        key_len: usize,
        body_len: usize,
        cas: u64,
    ) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = RESPONSE;
        bytes[6..8].copy_from_slice(&(status as u16).to_be_bytes());
        let key_len = u16::try_from(key_len).unwrap_or(u16::MAX);
        let body_len = u32::try_from(body_len).unwrap_or(u32::MAX);
        self.write(&mut bytes, key_len, extras_len, body_len, cas);
        bytes
    }

    fn write(&self, bytes: &mut [u8; HEADER_LEN], key_len: u16, extras_len: u8, body_len: u32, cas: u64) {
        bytes[1] = self.opcode;
        bytes[2..4].copy_from_slice(&key_len.to_be_bytes());
        bytes[4] = extras_len;
        bytes[8..12].copy_from_slice(&body_len.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.opaque);
        bytes[16..].copy_from_slice(&cas.to_be_bytes());
    }
}

/// What follows a header; the value is still to come.
pub(super) struct Body<'a> {
    pub(super) extras: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) value_len: usize,
}

impl Body<'_> {
    /// The 32-bit number at `place` of the extras; 0 if there is none.
    pub(super) fn extra_u32(&self, place: usize) -> u32 {
        let bytes = self.extras.get(place..place + 4);
        bytes.map_or(0, |bytes| {
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | u32::from(*byte))
        })
    }

    /// The 64-bit number at `place` of the extras; 0 if there is none.
    pub(super) fn extra_u64(&self, place: usize) -> u64 {
        u64::from(self.extra_u32(place)) << 32 | u64::from(self.extra_u32(place + 4))
    }
}
