//! Command array to stack. Each command is copied once, then checked, then carried out ([`run_io::execute`]); a bad one gets its
//! error and the rest of the batch runs.

use super::frames::{self, Around};
use super::link::Link;
use super::transmit::Wire;
use super::{Core, Home};
use crate::mem::io_area::IoArea;
use crate::mem::mbuf::{Pool, Region};
use crate::mem::{GuestPhys, UserVirt};
use crate::nic::Nic;
use crate::user::View;
use ix_abi::app::{Endpoint, SgEntry, Status, layout};
use netstack::{Instant, Span, Stack};
use run_io::{App, Done, Links, Request};

impl<N: Nic> Core<N> {
    /// Carries out the first `count` commands of the array.
    pub(super) fn submit(&mut self, count: u32, view: &View, time: Instant) {
        self.tally.commands += u64::from(count);
        let Core {
            links,
            pool,
            io,
            frames,
            home,
            ..
        } = self;
        let region = pool.region();
        for index in 0..count {
            let command = io.request(index);
            if frames::is_ours(command.opcode) {
                let mut around = Around {
                    links,
                    pool,
                    home: home.as_ref(),
                    time,
                };
                let done = frames.execute(&command, &mut around, self.team.cores());
                self.tally.commands_refused += u64::from(done.is_err());
                answer(io, index, done);
                continue;
            }
            let memory = Memory {
                view,
                region,
                io,
                home: home.as_ref(),
            };
            let done = if let [link] = &mut links[..] {
                let (stack, mut wire) = link.ends(pool);
                run_io::execute(stack, &mut wire, time, &memory, &command)
            } else {
                let mut all = All { links, pool };
                run_io::execute_among(&mut all, time, &memory, &command)
            };
            self.tally.commands_refused += u64::from(done.is_err());
            answer(io, index, done);
        }
    }
}

#[inline]
fn answer(io: &mut IoArea, index: u32, done: Result<Done, Status>) {
    match done {
        Ok(Done::Value(value)) => io.answer(index, i32::try_from(value).unwrap_or(i32::MAX)),
        Ok(Done::Made(made)) => io.answer_with_handle(index, made),
        Err(error) => io.answer(index, error.negated()),
    }
}

/// Several links.
struct All<'a, N> {
    links: &'a mut [Link<N>],
    pool: &'a mut Pool,
}

impl<N: Nic> Links for All<'_, N> {
    type Env<'b>
        = Wire<'b, N>
    where
        Self: 'b;

    fn count(&self) -> usize {
        self.links.len()
    }

    fn stack(&self, link: usize) -> Option<&Stack> {
        self.links.get(link).map(|link| &link.stack)
    }

    fn at(&mut self, link: usize) -> Option<(&mut Stack, Wire<'_, N>)> {
        let link = self.links.get_mut(link)?;
        Some(link.ends(self.pool))
    }
}

/// What is ring 3's: its memory, read through its page tables, and the buffers that it may have received.
struct Memory<'a> {
    view: &'a View,
    region: Region,
    io: &'a IoArea,
    home: Option<&'a Home>,
}

impl App for Memory<'_> {
    #[inline]
    fn endpoint(&self, command: &Request) -> Endpoint {
        self.io.endpoint(command)
    }

    fn endpoint_at(&self, address: u64) -> Result<Endpoint, Status> {
        self.view.read(UserVirt(address)).ok_or(Status::Fault)
    }

    fn sg_entry_at(&self, address: u64) -> Result<SgEntry, Status> {
        self.view.read(UserVirt(address)).ok_or(Status::Fault)
    }

    /// Of app memory, or of received bytes that are sent on.
    #[inline]
    fn span(&self, address: u64, len: u64) -> Result<Span, Status> {
        let short = u32::try_from(len).map_err(|_| Status::Invalid)?;
        let GuestPhys(address) = self
            .view
            .translate(UserVirt(address), len)
            .or_else(|| {
                self.region
                    .translate(address.wrapping_sub(layout::RX_WINDOW), len)
            })
            .ok_or(Status::Fault)?;
        Ok(Span { address, len: short })
    }

    #[inline]
    fn received_at(&self, address: u64) -> Result<u32, Status> {
        let offset = address.checked_sub(layout::RX_WINDOW).ok_or(Status::Fault)?;
        self.region.index_of(offset).ok_or(Status::Fault)
    }

    /// From the first socket on, flows have their cores.
    fn opens_socket(&self) {
        if let Some(home) = self.home {
            home.steering.settle();
        }
    }
}
