//! Stack to event array. Events are pulled, so what finds no room stays in the stack and holds its peer's window.

use super::Core;
use super::lease::servers_of;
use super::link::Link;
use crate::host;
use crate::mem::io_area::IoArea;
use crate::mem::mbuf::Pool;
use crate::nic::Nic;
use core::sync::atomic::Ordering;
use ix_abi::app::{Endpoint, Event as AbiEvent, EventKind, layout};
use netstack::{Event, Instant};

/// Goes on filling the array from entry `count` to `room` with what a core's link has to tell; returns how many
/// entries are full.
#[inline]
fn tell<N: Nic>(
    link: &mut Link<N>,
    (core, number): (usize, usize),
    pool: &mut Pool,
    io: &mut IoArea,
    (mut count, room): (u32, u32),
    time: Instant,
) -> u32 {
    let region = pool.region();
    let (stack, mut wire) = link.ends(pool);
    while count < room {
        let Some(event) = stack.poll_event(&mut wire, time) else {
            break;
        };
        if let Event::Address { ip } = event {
            if core == 0 {
                log::warn!("the IPv4 address of link {number} is {ip:?} now");
            }
            io.set_address(number, ip.map_or(Endpoint::UNSPECIFIED, |ip| Endpoint::v4(ip, 0)));
            io.lease_name_servers(servers_of(stack.lease()));
        }
        let entry = io.event(count);
        // Buffers become addresses in the receive window.
        run_io::write(event, entry, |buf, offset| {
            layout::RX_WINDOW + region.window_offset(buf.0) + u64::from(offset)
        });
        if number > 0 {
            run_io::mark(entry, number);
        }
        count += 1;
    }
    count
}

impl<N: Nic> Core<N> {
    /// Fills the event array from its start; returns how many entries, at most `room`.
    #[inline]
    pub(super) fn deliver(&mut self, room: u32, time: Instant) -> u32 {
        let mut count = u32::from(self.tell_stop());
        // One link must not keep the array from the others.
        self.first_to_tell = match self.first_to_tell {
            0 => self.links.len() - 1,
            number => number - 1,
        };
        let (later, first) = self.links.split_at_mut(self.first_to_tell);
        let number_of_first = later.len();
        for (number, link) in (number_of_first..).zip(first).chain((0..).zip(later)) {
            count = tell(
                link,
                (self.number, number),
                &mut self.pool,
                &mut self.io,
                (count, room),
                time,
            );
        }
        let region = self.pool.region();
        while count < room
            && let Some(told) = self.frames.poll(region)
        {
            let event = self.io.event(count);
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
