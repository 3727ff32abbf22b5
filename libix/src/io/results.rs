//! What the kernel made of the commands.

use super::{Io, Notice};
use crate::flow::Output;
use crate::slab::Key;
use crate::{Datagram, Flow};
use ix_abi::app::{Opcode, Status};

const SEND: u16 = Opcode::TcpSend as u16;
const SENDV: u16 = Opcode::TcpSendv as u16;
const ACCEPT: u16 = Opcode::TcpAccept as u16;
const UDP_SEND: u16 = Opcode::UdpSend as u16;
const FRAME_FORWARD: u16 = Opcode::FrameForward as u16;

impl Io {
    /// Looks through the first `count` commands just carried out. With `follow_up`, flows whose send was taken whole and
    /// that have more are listed. Adds no command: it would overwrite what is being read.
    #[inline]
    pub(super) fn read_results(&mut self, count: usize, follow_up: bool) {
        for place in 0..count {
            let answer = self.batch.answered(place);
            let (opcode, result, cookie) = (answer.opcode, answer.result, answer.cookie);
            match opcode {
                SEND if !follow_up && u64::try_from(result) == Ok(answer.len) => {}
                SEND | SENDV => self.read_send(Flow(Key::from_cookie(cookie)), result),
                ACCEPT | UDP_SEND if result < 0 => self.read_failure(opcode, cookie, result),
                FRAME_FORWARD if result != 0 => {
                    let (address, flags) = (answer.address, answer.flags);
                    self.read_forward(result, address, flags);
                }
                _ => {}
            }
        }
    }

    fn read_send(&mut self, flow: Flow, result: i32) {
        let Some(state) = self.flows.get_mut(flow.0) else {
            return;
        };
        let taken = match Status::check(result) {
            Ok(bytes) => bytes as usize,
            Err(Status::Again | Status::NoMemory | Status::NoBuffers) => 0,
            Err(_) => {
                // The flow is dying, and an event will say so, or it lost bytes and cannot go on.
                state.queue.take_back(state.offered);
                state.queue.forget_waiting();
                state.output = Output::AbortWanted.max(state.output);
                self.list(flow);
                return;
            }
        };
        state.queue.take_back(state.offered.saturating_sub(taken));
        if taken >= state.offered {
            if state.has_more() {
                self.list(flow);
            }
        } else if state.queue.lent() == 0 {
            // Nothing is on its way, so no `Sent` will tell of new room.
            self.retry.push(flow);
        }
    }

    #[cold]
    fn read_failure(&mut self, opcode: u16, cookie: u64, result: i32) {
        let status = Status::check(result).err().unwrap_or(Status::Invalid);
        let key = Key::from_cookie(cookie);
        if opcode == ACCEPT {
            if self.flows.remove(key).is_some() {
                self.notices.push(Notice::Dead(Flow(key), status));
            }
        } else if let Some((port, _)) = self.datagrams.remove(key) {
            self.notices.push(Notice::UdpSent(port, Datagram(key), status));
        }
    }
}
