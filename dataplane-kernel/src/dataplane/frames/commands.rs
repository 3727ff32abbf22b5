//! `FrameBind`, `FrameUnbind`, `FrameForward`, `FrameDone`: each is checked, then carried out; a bad one changes nothing.

use super::{Around, Binding, Frames, MOST_WAITING, Port, handle};
use crate::nic::Nic;
use alloc::collections::VecDeque;
use ix_abi::app::{Command, FrameMode, Handle, HandleKind, Opcode, Status, layout};
use run_io::{Done, Request};

/// Of all buffers, one in so many may be held by the cores together.
const SHARE: u32 = 4;

/// Whether an opcode is for this module.
#[inline]
pub(in super::super) fn is_ours(opcode: u16) -> bool {
    opcode >= Opcode::FrameBind as u16
}

impl Frames {
    /// Carries out a command.
    ///
    /// # Errors
    /// Why it was refused.
    pub(in super::super) fn execute<N: Nic>(
        &mut self,
        command: &Request,
        around: &mut Around<'_, N>,
        cores: u32,
    ) -> Result<Done, Status> {
        let opcode = Opcode::from_u16(command.opcode).ok_or(Status::NoSuchCall)?;
        let legal_flags = if opcode == Opcode::FrameForward {
            Command::KEEP
        } else {
            0
        };
        if command.flags & !legal_flags != 0 {
            return Err(Status::Invalid);
        }
        match opcode {
            Opcode::FrameForward => self.forward(command, around).map(Done::Value),
            Opcode::FrameDone => {
                let index = received_at(command.address, around)?;
                self.buffers.give_back(index, around.pool)?;
                Ok(Done::Value(0))
            }
            Opcode::FrameBind => self.bind(command, around, cores).map(Done::Made),
            Opcode::FrameUnbind => {
                let link = self.bound(command.handle)?;
                self.unbind(link, around);
                Ok(Done::Value(0))
            }
            _ => Err(Status::NoSuchCall),
        }
    }

    fn bind<N: Nic>(
        &mut self,
        command: &Request,
        around: &mut Around<'_, N>,
        cores: u32,
    ) -> Result<Handle, Status> {
        let number = usize::try_from(command.len).map_err(|_| Status::Invalid)?;
        let mode = FrameMode::from_u64(command.address).ok_or(Status::Invalid)?;
        let link = around.links.get_mut(number).ok_or(Status::Invalid)?;
        if self.mode(number).is_some() {
            return Err(Status::Busy);
        }
        if mode == FrameMode::Bridge && link.stack.sees_tags() {
            return Err(Status::NotSupported);
        }
        let count = around.pool.region().count();
        self.buffers.prepare(count, count / SHARE / cores.max(1))?;
        let links = around.links.len();
        self.make_room(links)?;
        // The first core speaks for all to the card.
        let link = around.links.get_mut(number).ok_or(Status::Invalid)?;
        if around.home.is_none_or(|home| home.core == 0) {
            let can = link.nic.stop_merging() && (mode == FrameMode::Route || link.nic.hear_all_stations());
            if !can {
                return Err(Status::NotSupported);
            }
        }
        if mode == FrameMode::Route {
            link.stack.start_forwarding();
        }
        if let Some(home) = around.home {
            home.steering.settle();
        }
        let port = self.links.get_mut(number).ok_or(Status::Invalid)?;
        port.generation = port.generation.wrapping_add(1);
        port.binding = Some(Binding {
            mode,
            cookie: command.cookie,
        });
        Ok(handle(number, port.generation))
    }

    /// All that can ever be kept has its place from now on.
    fn make_room(&mut self, links: usize) -> Result<(), Status> {
        let most = self.buffers.most() as usize;
        let reserve = |queue: &mut VecDeque<_>, most: usize| {
            let more = most.saturating_sub(queue.len());
            queue.try_reserve_exact(more).map_err(|_| Status::NoMemory)
        };
        self.arrived
            .try_reserve_exact(most.saturating_sub(self.arrived.len()))
            .map_err(|_| Status::NoMemory)?;
        self.waiting
            .try_reserve_exact(MOST_WAITING.saturating_sub(self.waiting.len()))
            .map_err(|_| Status::NoMemory)?;
        self.links.resize_with(links.max(self.links.len()), Port::default);
        self.links
            .iter_mut()
            .try_for_each(|port| reserve(&mut port.sending, most))
    }

    /// The link that a handle is for.
    pub(super) fn bound(&self, handle: Handle) -> Result<usize, Status> {
        let number = handle.index() as usize;
        let port = self.links.get(number).ok_or(Status::BadHandle)?;
        let is_it = handle == super::handle(number, port.generation);
        if handle.is(HandleKind::Frames) && is_it && port.binding.is_some() {
            Ok(number)
        } else {
            Err(Status::BadHandle)
        }
    }

    fn unbind<N: Nic>(&mut self, number: usize, around: &mut Around<'_, N>) {
        if let Some(port) = self.links.get_mut(number) {
            port.binding = None;
        }
        if let Some(link) = around.links.get_mut(number) {
            let (stack, mut wire) = link.ends(around.pool);
            stack.stop_forwarding(&mut wire);
        }
        let buffers = &mut self.buffers;
        self.arrived.retain(|&index| {
            let is_its = buffers
                .get(index)
                .is_some_and(|record| usize::from(record.link) == number);
            if is_its {
                buffers.release(index, around.pool);
            }
            !is_its
        });
    }

    /// The app has ended: what it was given is nobody's any more, but what is on its way goes on.
    pub(in super::super) fn end<N: Nic>(&mut self, around: &mut Around<'_, N>) {
        (0..self.links.len()).for_each(|link| self.unbind(link, around));
        for index in self.buffers.all_lent() {
            self.buffers.release(index, around.pool);
        }
    }
}

/// The buffer that an address of ring 3's lies in.
pub(super) fn received_at<N>(address: u64, around: &Around<'_, N>) -> Result<u32, Status> {
    let offset = address.checked_sub(layout::RX_WINDOW).ok_or(Status::Fault)?;
    around.pool.region().index_of(offset).ok_or(Status::Fault)
}
