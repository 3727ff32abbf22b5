//! Cards in their slots are opened, each as the link wants it that it is of.

use super::{Parts, StartError};
use crate::hw::pci::config::{Address, ConfigSpace};
use crate::hw::pci::scan::Function;
use crate::mem::mbuf::Region;
use crate::nic::card::{AnyNic, Card};
use crate::nic::e1000e::pci::PciE1000e;
use crate::nic::either::Either;
use crate::nic::loopback::Loopback;
use crate::nic::virtio_net::pci::PciVirtioNet;
use crate::nic::vmxnet3::pci::PciVmxnet3;
use crate::nic::{Wanted, e1000e, virtio_net, vmxnet3};
use crate::settings::{CardChoice, SelfTest};
use alloc::vec::Vec;

/// All functions on PCI, and what cards need besides.
pub(super) struct Slots<'a, C> {
    config: &'a mut C,
    all: &'a [Function],
    region: Region,
    parts: &'a mut Parts,
}

impl<'a, C: ConfigSpace> Slots<'a, C> {
    pub(super) fn new(config: &'a mut C, all: &'a [Function], parts: &'a mut Parts) -> Self {
        let region = match parts.settings.self_test {
            Some(SelfTest::ForeignDma(at)) => parts.pool.region().misplaced(at),
            _ => parts.pool.region(),
        };
        Slots {
            config,
            all,
            region,
            parts,
        }
    }

    /// The queues of a link's card of whatever kind, the next of these if it is one of them.
    pub(super) fn any(
        &mut self,
        cards: &mut impl Iterator<Item = (Address, Card)>,
        link: usize,
    ) -> Result<Vec<AnyNic>, StartError> {
        let settings = self.parts.settings.links.get(link);
        if settings.is_some_and(|link| link.card == CardChoice::Loopback) {
            let nic = Loopback::new(self.region, &self.wanted(link));
            log::info!("link {link} leads back: {nic}");
            return Ok(Vec::from([Either::Right(Either::Right(Either::Right(nic)))]));
        }
        let (at, card) = cards.next().ok_or(StartError::NoNic)?;
        log::info!("link {link} is at {at}");
        Ok(match card {
            Card::VirtioNet => {
                let queues = self.virtio_net(at, link)?.into_iter();
                queues.map(Either::Left).collect()
            }
            Card::E1000e(model) => {
                let queues = self.e1000e((at, model), link)?.into_iter();
                queues.map(Either::Left).map(Either::Right).collect()
            }
            Card::Vmxnet3 => {
                let queues = self.vmxnet3(at, link)?.into_iter();
                let queues = queues.map(Either::Left).map(Either::Right);
                queues.map(Either::Right).collect()
            }
        })
    }

    pub(super) fn virtio_net(&mut self, at: Address, link: usize) -> Result<Vec<PciVirtioNet>, StartError> {
        let wanted = self.wanted(link);
        let mut entropy = [0; 8];
        self.parts.random.fill(&mut entropy);
        let memory = (self.region, u64::from_le_bytes(entropy));
        let frames = &mut self.parts.frames;
        virtio_net::pci::open(self.config, self.all, at, frames, memory, &wanted)
            .map_err(StartError::VirtioNet)
    }

    pub(super) fn e1000e(
        &mut self,
        card: (Address, e1000e::Model),
        link: usize,
    ) -> Result<Vec<PciE1000e>, StartError> {
        let wanted = self.wanted(link);
        let frames = &mut self.parts.frames;
        e1000e::pci::open(self.config, self.all, card, frames, self.region, &wanted)
            .map_err(StartError::E1000e)
    }

    pub(super) fn vmxnet3(&mut self, at: Address, link: usize) -> Result<Vec<PciVmxnet3>, StartError> {
        let wanted = self.wanted(link);
        let frames = &mut self.parts.frames;
        vmxnet3::pci::open(self.config, self.all, at, frames, self.region, &wanted)
            .map_err(StartError::Vmxnet3)
    }

    fn wanted(&self, link: usize) -> Wanted {
        let settings = &self.parts.settings;
        let link = settings.links.get(link);
        link.map_or_else(Wanted::default, |link| settings.wanted(link))
    }
}
