const WORDS: usize = 13;

/// Bytes a [`FileStatus`] takes in an answer.
pub const FILE_STATUS_BYTES: usize = 8 * WORDS;

/// What `stat(2)` tells of a file, as far as it means something to the program: owners are the host's affair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStatus {
    /// Device and number: two files are one if both agree.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Type and permissions, as `st_mode`.
    pub mode: u64,
    /// Names it has.
    pub links: u64,
    /// Size in bytes.
    pub size: u64,
    /// Size of the pieces in which it is best read.
    pub block_bytes: u64,
    /// Units of 512 bytes it takes.
    pub blocks: u64,
    /// When it was last read, changed, and had its status changed: seconds since 1970 (two's complement) and nanoseconds.
    pub times: [[u64; 2]; 3],
}

impl FileStatus {
    /// As it stands in an answer.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; FILE_STATUS_BYTES] {
        let [accessed, modified, changed] = self.times;
        let words: [u64; WORDS] = [
            self.device,
            self.inode,
            self.mode,
            self.links,
            self.size,
            self.block_bytes,
            self.blocks,
            accessed[0],
            accessed[1],
            modified[0],
            modified[1],
            changed[0],
            changed[1],
        ];
        let mut bytes = [0; FILE_STATUS_BYTES];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// From an answer.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; FILE_STATUS_BYTES]) -> Self {
        let mut words = [0; WORDS];
        for (word, place) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*place);
        }
        let [device, inode, mode, links, size, block_bytes, blocks, times @ ..] = words;
        let [a, b, c, d, e, f] = times;
        FileStatus {
            device,
            inode,
            mode,
            links,
            size,
            block_bytes,
            blocks,
            times: [[a, b], [c, d], [e, f]],
        }
    }
}
