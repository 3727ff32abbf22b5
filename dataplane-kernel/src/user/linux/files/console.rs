use super::super::{Answer, Args};
use super::transfer::IOV_MAX;
use crate::arch::tsc;
use crate::host;
use crate::mem::UserVirt;
use crate::user::process::Process;
use ix_abi::host::Stream;
use syscalls::{Errno, Sysno};

/// App output is copied out in pieces of this size.
const PIECE_BYTES: usize = 512;

/// Time between two tries of a write for which the launcher has no room.
const FULL_CONSOLE_NS: u64 = 200_000;

impl Process {
    /// Output. While the launcher has room for nothing, because nobody reads what it has, the thread waits and the network
    /// goes on; as soon as there is room for a part, the part is written.
    pub(super) fn write_output(&mut self, stream: Stream, call: Sysno, a: Args) -> Result<Answer, Errno> {
        let written = match call {
            Sysno::write => self.write_out(stream, a[1], a[2]),
            Sysno::writev => self.writev_out(stream, a),
            _ => return Err(Errno::ESPIPE),
        };
        Ok(match written {
            Err(Errno::EAGAIN) => Answer::Repeat {
                at_ns: tsc::now_ns().saturating_add(FULL_CONSOLE_NS),
            },
            other => Answer::Return(other),
        })
    }

    /// The pieces are read as they are written, so what another thread changes meanwhile may show, as in Linux.
    fn writev_out(&self, stream: Stream, [_, pieces, count, ..]: Args) -> Result<u64, Errno> {
        if count > IOV_MAX {
            return Err(Errno::EINVAL);
        }
        let mut total: u64 = 0;
        for piece in 0..count {
            let address = pieces.wrapping_add(piece * 16);
            let Some([from, len]) = self.memory.read::<[u64; 2]>(UserVirt(address)) else {
                return if total == 0 { Err(Errno::EFAULT) } else { Ok(total) };
            };
            match self.write_out(stream, from, len) {
                Ok(bytes) => {
                    total = total.saturating_add(bytes);
                    if bytes < len {
                        break;
                    }
                }
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(total)
    }

    /// How many bytes the launcher had room for, from the front; EAGAIN if it had none.
    fn write_out(&self, stream: Stream, from: u64, len: u64) -> Result<u64, Errno> {
        if len == 0 {
            return Ok(0);
        }
        self.memory.pointer(UserVirt(from), len).ok_or(Errno::EFAULT)?;
        let mut piece = [0; PIECE_BYTES];
        let mut done = 0;
        while done < len {
            let count = usize::try_from(len - done).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            let bytes = piece.get_mut(..count).ok_or(Errno::EFAULT)?;
            self.memory
                .copy_in(UserVirt(from + done), bytes)
                .ok_or(Errno::EFAULT)?;
            let taken = host::console_write(stream, bytes);
            done += taken as u64;
            if taken < count {
                break;
            }
        }
        if done == 0 { Err(Errno::EAGAIN) } else { Ok(done) }
    }
}
