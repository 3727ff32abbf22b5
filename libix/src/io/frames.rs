//! Calls about frames for others.

use super::Io;
use crate::recv_buf::Returned;
use crate::{Frame, FramePort};
use ix_abi::app::{Command, FrameMode, Opcode, Status};

impl Io {
    /// Takes what comes by `link` for others: every frame if it is to be a port of a bridge, IP packets for other hosts if this
    /// is to be a router. [`crate::Handler::on_frame`] is given them.
    ///
    /// With several cores, each has to bind: it gets the frames that hash to it.
    ///
    /// # Errors
    /// `Invalid` if there is no such link, `Busy` if it is bound; `NotSupported` by a card that cannot do without merging the
    /// segments it receives, or, for a bridge, that cannot hear what is for other stations, or for a link whose VLAN tags the
    /// kernel sees to; and in hosted mode and under `libix::testing`.
    pub fn bind_frames(&mut self, link: u16, mode: FrameMode) -> Result<FramePort, Status> {
        self.ask(|command| {
            command.opcode = Opcode::FrameBind as u16;
            command.address = mode as u64;
            command.len = link.into();
        })
        .map(FramePort)
    }

    /// Takes them no more. Frames that are held must be dropped, and cannot be forwarded.
    pub fn unbind_frames(&mut self, port: FramePort) {
        self.handle_command(Opcode::FrameUnbind, port.0);
    }

    /// Sends a packet on as a router does: by the route to its destination, one hop older. What becomes of it is counted, and
    /// its sender is told by ICMP where a router tells. Nothing is copied.
    #[inline]
    pub fn forward(&mut self, frame: Frame) {
        self.forward_command(&frame, 0, 0);
        frame.give_away();
    }

    /// Sends a frame on as a bridge does: as it is, out of `link`. Nothing is copied.
    #[inline]
    pub fn forward_to(&mut self, frame: Frame, link: u16) {
        self.forward_command(&frame, link.into(), 0);
        frame.give_away();
    }

    /// The same, and keeps the frame, which can leave by other links, too.
    #[inline]
    pub fn forward_copy_to(&mut self, frame: &Frame, link: u16) {
        self.forward_command(frame, link.into(), Command::KEEP);
    }

    /// Frames given to be forwarded that were dropped instead, so far: for want of room in a transmit ring, of a route, of hops
    /// left. The kernel's counters tell why.
    #[must_use]
    pub fn frames_dropped(&self) -> u64 {
        self.frames_dropped
    }

    #[inline]
    fn forward_command(&mut self, frame: &Frame, link: u64, flags: u16) {
        let command = self.command();
        command.opcode = Opcode::FrameForward as u16;
        command.flags = flags;
        command.handle = frame.port().0;
        command.address = frame.address();
        command.len = link;
    }

    /// It was dropped, or refused: then its buffer was not taken either.
    #[cold]
    pub(super) fn read_forward(&mut self, result: i32, address: u64, flags: u16) {
        self.frames_dropped += 1;
        if Status::check(result).is_err() && flags & Command::KEEP == 0 {
            self.returns.push(Returned {
                opcode: Opcode::FrameDone,
                address,
            });
        }
    }
}
