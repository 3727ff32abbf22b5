//! Stack to event array. Events are pulled, so what finds no room stays in the stack and holds its peer's window.

use super::Core;
use super::lease::servers_of;
use crate::host;
use crate::nic::Nic;
use core::sync::atomic::Ordering;
use ix_abi::app::{Event as AbiEvent, EventKind, layout};
use netstack::{Event, Instant};

impl<N: Nic> Core<N> {
    /// Fills the event array from its start; returns how many entries, at most `room`.
    #[inline]
    pub(super) fn deliver(&mut self, room: u32, time: Instant) -> u32 {
        let mut count = u32::from(self.tell_stop());
        let Core {
            number,
            links,
            pool,
            io,
            ..
        } = self;
        let region = pool.region();
        for link in links {
            let (stack, mut wire) = link.ends(pool);
            while count < room {
                let Some(event) = stack.poll_event(&mut wire, time) else {
                    break;
                };
                if let Event::Address { ip } = event {
                    if *number == 0 {
                        log::warn!("our IPv4 address is {ip:?} now");
                    }
                    io.lease_name_servers(servers_of(stack.lease()));
                }
                // Buffers become addresses in the receive window.
                run_io::write(event, io.event(count), |buf, offset| {
                    layout::RX_WINDOW + region.window_offset(buf.0) + u64::from(offset)
                });
                count += 1;
            }
        }
        while count < room
            && let Some(told) = self.frames.poll(region)
        {
            let event = io.event(count);
            event.kind = EventKind::FrameRecv as u16;
            (event.handle, event.cookie) = (told.handle, told.cookie);
            (event.address, event.len) = (told.address, told.len);
            count += 1;
        }
        self.tally.events += u64::from(count);
        count
    }

    /// Puts the launcher's wish that the app finish in front of the events, once.
    #[inline]
    fn tell_stop(&mut self) -> bool {
        let told = !self.stop_told && host::area().is_some_and(|area| area.stop.load(Ordering::Relaxed) != 0);
        if told {
            self.stop_told = true;
            *self.io.event(0) = AbiEvent {
                kind: EventKind::Stop as u16,
                ..AbiEvent::default()
            };
        }
        told
    }
}
