//! Which card there is: the first on PCI that one of the drivers is for.

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

/// The first, and where it is.
pub fn first(all: &[Function]) -> Option<(Address, Card)> {
    all.iter()
        .find_map(|function| Some((function.at, Card::of(function)?)))
}

#[cfg(test)]
mod tests {
    use super::{Card, first};
    use crate::hw::pci::fake::{FakeConfig, at};
    use crate::hw::pci::scan::scan;
    use crate::nic::e1000e::Model;

    #[test]
    fn the_first_card_with_a_driver_is_taken() {
        let mut config = FakeConfig::default();
        config.endpoint(at(0, 1, 0), 0x10ec, 0x8139);
        assert_eq!(first(&scan(&mut config)), None);
        config.endpoint(at(0, 4, 0), 0x15ad, 0x07b0);
        assert_eq!(first(&scan(&mut config)), Some((at(0, 4, 0), Card::Vmxnet3)));
        config.endpoint(at(0, 3, 0), 0x1af4, 0x1041);
        assert_eq!(first(&scan(&mut config)), Some((at(0, 3, 0), Card::VirtioNet)));
        config.endpoint(at(0, 2, 0), 0x8086, 0x100e);
        let card = Card::E1000e(Model::I82540em);
        assert_eq!(first(&scan(&mut config)), Some((at(0, 2, 0), card)));
    }
}
