//! Interrupts of functions of ours: messages that KVM sends to the guest's CPUs when an `EventFd` is signalled, without a thread of
//! this process (`KVM_IRQFD`, `KVM_SET_GSI_ROUTING`).

use super::virtio::{Interrupts, Message};
use kvm_bindings::{KVM_IRQ_ROUTING_MSI, KvmIrqRouting, kvm_irq_routing_entry};
use kvm_ioctls::VmFd;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use vmm_sys_util::eventfd::EventFd;

/// What is sent by which number of KVM's, for the whole machine: KVM wants to be told all at once.
#[derive(Clone)]
pub(super) struct Messages {
    vm: Arc<VmFd>,
    routes: Arc<Mutex<BTreeMap<u32, Message>>>,
}

impl Messages {
    pub(super) fn new(vm: &Arc<VmFd>) -> Self {
        Self {
            vm: Arc::clone(vm),
            routes: Arc::default(),
        }
    }

    /// For a function that has the numbers from this one on.
    pub(super) fn from(&self, first: u32) -> Box<dyn Interrupts> {
        Box::new(Numbered {
            all: self.clone(),
            first,
        })
    }
}

struct Numbered {
    all: Messages,
    first: u32,
}

impl Interrupts for Numbered {
    fn connect(&self, line: u16, call: &EventFd, message: Message) -> io::Result<()> {
        let number = self.first + u32::from(line);
        let mut routes = self.all.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.insert(number, message);
        let entries: Vec<_> = routes
            .iter()
            .map(|(&number, &message)| entry(number, message))
            .collect();
        let table = KvmIrqRouting::from_entries(&entries).map_err(|_| io::ErrorKind::InvalidInput)?;
        if let Err(error) = self.all.vm.set_gsi_routing(&table) {
            // As it was, for the others.
            routes.remove(&number);
            return Err(error.into());
        }
        Ok(self.all.vm.register_irqfd(call, number)?)
    }

    fn disconnect(&self, line: u16, call: &EventFd) -> io::Result<()> {
        Ok(self.all.vm.unregister_irqfd(call, self.first + u32::from(line))?)
    }
}

fn entry(number: u32, message: Message) -> kvm_irq_routing_entry {
    let mut entry = kvm_irq_routing_entry {
        gsi: number,
        type_: KVM_IRQ_ROUTING_MSI,
        ..kvm_irq_routing_entry::default()
    };
    let [low, high] = message.address;
    entry.u.msi.address_lo = low;
    entry.u.msi.address_hi = high;
    entry.u.msi.data = message.data;
    entry
}
