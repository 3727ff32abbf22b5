//! Which cards there are: those on PCI that one of the drivers is for.

use super::e1000e::pci::PciE1000e;
use super::either::Either;
use super::loopback::Loopback;
use super::virtio_net::pci::PciVirtioNet;
use super::vmxnet3::pci::PciVmxnet3;
use super::{e1000e, virtio_net, vmxnet3};
use crate::hw::pci::config::Address;
use crate::hw::pci::scan::Function;

/// A card, by the driver that is for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    /// [`virtio_net`].
    VirtioNet,
    /// [`e1000e`].
    E1000e(e1000e::Model),
    /// [`vmxnet3`].
    Vmxnet3,
}

/// A queue pair of any of them, or of the one that needs none.
pub type AnyNic = Either<PciVirtioNet, Either<PciE1000e, Either<PciVmxnet3, Loopback>>>;

impl Card {
    fn of(function: &Function) -> Option<Self> {
        if virtio_net::pci::is_ours(function) {
            return Some(Card::VirtioNet);
        }
        if vmxnet3::pci::is_ours(function) {
            return Some(Card::Vmxnet3);
        }
        e1000e::pci::model(function).map(Card::E1000e)
    }
}

/// All of them and where they are, in the order of [`crate::hw::pci::scan::scan`]: by address on each bus.
pub fn all(functions: &[Function]) -> impl Iterator<Item = (Address, Card)> + '_ {
    functions
        .iter()
        .filter_map(|function| Some((function.at, Card::of(function)?)))
}

#[cfg(test)]
mod tests {
    use super::{Card, all};
    use crate::hw::pci::fake::{FakeConfig, at};
    use crate::hw::pci::scan::scan;
    use crate::nic::e1000e::Model;
    use std::vec::Vec;

    #[test]
    fn cards_with_a_driver_are_taken_in_the_order_of_their_slots() {
        let mut config = FakeConfig::default();
        config.endpoint(at(0, 1, 0), 0x10ec, 0x8139);
        assert_eq!(all(&scan(&mut config)).next(), None);
        config.endpoint(at(0, 4, 0), 0x15ad, 0x07b0);
        config.endpoint(at(0, 3, 0), 0x1af4, 0x1041);
        config.endpoint(at(0, 2, 0), 0x8086, 0x100e);
        let found: Vec<_> = all(&scan(&mut config)).collect();
        let card = Card::E1000e(Model::I82540em);
        let expected = [
            (at(0, 2, 0), card),
            (at(0, 3, 0), Card::VirtioNet),
            (at(0, 4, 0), Card::Vmxnet3),
        ];
        assert_eq!(found, expected);
    }
}
