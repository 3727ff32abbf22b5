//! What hubs hand on to a core, a line from each.

use crate::mem::spsc::Consumer;
use crate::nic::RxFrame;
use alloc::vec::Vec;

/// The lines' ends.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    lines: Vec<Consumer<Option<RxFrame>>>,
    /// Frames taken.
    pub(super) frames: u64,
    /// Bytes of those.
    pub(super) bytes: u64,
}

impl Inbound {
    pub(super) fn new(lines: Vec<Consumer<Option<RxFrame>>>) -> Self {
        Inbound {
            lines,
            frames: 0,
            bytes: 0,
        }
    }

    /// As [`crate::nic::Nic::poll_rx`]: of each line a frame is passed on with all of its parts.
    #[inline]
    pub(super) fn poll(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        let mut buffers = 0;
        for line in &mut self.lines {
            let mut continues = false;
            while (buffers < budget || continues)
                && let Some(slot) = line.front()
            {
                if let Some(frame) = slot.take() {
                    self.bytes += u64::from(frame.len);
                    self.frames += u64::from(!frame.continues);
                    continues = frame.continues;
                    buffers += 1;
                    sink(frame);
                }
                line.empty();
            }
            line.publish();
        }
        buffers
    }
}
