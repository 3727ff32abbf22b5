//! A stream of bytes as lines.

use libix::Status;

/// Longest line, in bytes: a client that never ends one must not fill the memory.
const LONGEST: usize = 4096;

/// What has come and is not taken yet.
pub struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    /// Nothing.
    pub fn new() -> Self {
        Lines { bytes: Vec::new() }
    }

    /// The next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next line, without its end; `MessageTooLong` if it is longer than may be.
    pub fn next(&mut self) -> Result<Option<String>, Status> {
        match self.bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) if end <= LONGEST => {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
            None if self.bytes.len() <= LONGEST => Ok(None),
            _ => Err(Status::MessageTooLong),
        }
    }
}
