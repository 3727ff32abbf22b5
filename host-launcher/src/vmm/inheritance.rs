//! What the launcher left open for the machine.

use super::devices::Prepared;
use super::{Blueprint, MachineError};
use crate::sys::{Inherited, MachineArea};
use std::fs::File;
use std::os::unix::net::UnixStream;

/// The descriptors of a blueprint, taken over.
pub(super) struct Inheritance {
    /// The kernel's log.
    pub(super) log: UnixStream,
    /// The doorbell, from the launcher's side.
    pub(super) doorbell: UnixStream,
    /// The doorbell, to the launcher: it wakes a reader, and who does not read is awake, so a write does not wait.
    pub(super) bell: UnixStream,
    /// The table of counters.
    pub(super) area: MachineArea,
    /// The memory file.
    pub(super) memory: Inherited,
    /// What the devices are made of.
    pub(super) devices: Vec<Prepared>,
}

impl Inheritance {
    /// Takes all of them over, before this process opens anything of its own.
    pub(super) fn claim(blueprint: &Blueprint) -> Result<Self, MachineError> {
        let log = claim(blueprint.wires.log)?;
        let doorbell = claim(blueprint.wires.doorbell)?;
        let area = claim(blueprint.wires.area)?;
        let memory = claim(blueprint.memory.fd)?;
        let devices = blueprint
            .devices
            .iter()
            .map(Prepared::new)
            .collect::<Result<_, _>>()?;

        let doorbell = UnixStream::from(doorbell.into_owned());
        let bell = doorbell.try_clone().map_err(MachineError::Thread)?;
        bell.set_nonblocking(true).map_err(MachineError::Thread)?;
        Ok(Self {
            log: log.into_owned().into(),
            doorbell,
            bell,
            area: MachineArea::map(File::from(area.into_owned())).map_err(MachineError::Area)?,
            memory,
            devices,
        })
    }
}

/// Takes one over.
pub(super) fn claim(number: i32) -> Result<Inherited, MachineError> {
    Inherited::claim(number).map_err(|errno| MachineError::NotInherited(number, errno))
}
