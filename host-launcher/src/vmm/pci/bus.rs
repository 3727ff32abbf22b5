//! The root: the bus with its functions, reached through configuration space and through memory.

use super::decode::{Claim, DecodeMap, Windows};
use super::host_bridge::HostBridge;
use super::{Bdf, CONFIG_BYTES, DecodeError, Function};

/// Why a function cannot be put on the bus.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room on the guest's PCI bus: it has {} devices", Bdf::DEVICES)]
pub struct BusFull;

/// What the root counts. None of it can happen with a guest that behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Accesses to memory where nothing answers: all ones, or ignored.
    pub unclaimed: u64,
    /// Accesses to configuration space of a width or alignment that does not exist: all ones, or ignored.
    pub malformed: u64,
    /// Times a BAR was not honoured where the guest put it.
    pub refused_bars: u64,
}

/// Bus 0 and all that is on it.
pub struct Root {
    functions: Vec<Box<dyn Function>>,
    windows: Windows,
    map: DecodeMap,
    claims: Vec<Claim>,
    counters: Counters,
    /// What the guest has written to the port of addresses.
    pub(super) selected: u32,
}

impl Root {
    /// A bus with nothing but the host bridge on it.
    #[must_use]
    pub fn new(windows: Windows) -> Self {
        Self {
            functions: vec![Box::new(HostBridge::new())],
            windows,
            map: DecodeMap::default(),
            claims: Vec::new(),
            counters: Counters::default(),
            selected: 0,
        }
    }

    /// Gives the function the next device number.
    ///
    /// # Errors
    /// [`BusFull`].
    pub fn add(&mut self, function: Box<dyn Function>) -> Result<Bdf, BusFull> {
        let device = u8::try_from(self.functions.len()).map_err(|_| BusFull)?;
        let at = Bdf::new(device).ok_or(BusFull)?;
        self.functions.push(function);
        Ok(at)
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn windows(&self) -> &Windows {
        &self.windows
    }

    /// All device numbers with something behind them.
    pub(super) fn all(&self) -> impl Iterator<Item = Bdf> + use<> {
        let count = self.functions.len();
        (0..Bdf::DEVICES).filter_map(Bdf::new).take(count)
    }

    fn function(&mut self, at: Bdf) -> Option<&mut dyn Function> {
        match self.functions.get_mut(usize::from(at.device())) {
            Some(function) => Some(function.as_mut()),
            None => None,
        }
    }

    fn is_well_formed(&mut self, offset: u16, len: usize) -> bool {
        let fits =
            matches!(len, 1 | 2 | 4) && usize::from(offset).is_multiple_of(len) && offset < CONFIG_BYTES;
        self.counters.malformed += u64::from(!fits);
        fits
    }

    /// Reads configuration space of the function at `at`; all ones if there is none.
    pub fn config_read(&mut self, at: Bdf, offset: u16, data: &mut [u8]) {
        data.fill(0xff);
        if self.is_well_formed(offset, data.len())
            && let Some(function) = self.function(at)
        {
            function.config_read(offset, data);
        }
    }

    /// Writes configuration space of the function at `at`, and lets BARs follow.
    ///
    /// # Errors
    /// [`DecodeError`], which ends the machine.
    pub fn config_write(&mut self, at: Bdf, offset: u16, data: &[u8]) -> Result<(), DecodeError> {
        if !self.is_well_formed(offset, data.len()) {
            return Ok(());
        }
        if let Some(function) = self.function(at) {
            function.config_write(offset, data);
            self.follow_bars()?;
        }
        Ok(())
    }

    /// Brings the map up to date with what the functions' registers say, and tells those whose BARs changed: first all
    /// that go, then all that come, so that two never meet.
    fn follow_bars(&mut self) -> Result<(), DecodeError> {
        let functions = self.all().zip(&self.functions);
        let claims: Vec<Claim> = functions
            .flat_map(|(at, function)| function.decoded().into_iter().map(move |bar| Claim { at, bar }))
            .collect();
        if claims == self.claims {
            return Ok(());
        }
        let kept = self.map.kept(&claims);
        self.change_to(kept.clone())?;
        let refused = &mut self.counters.refused_bars;
        let extended = kept.extended(&claims, &self.windows, refused);
        self.claims = claims;
        self.change_to(extended)
    }

    fn change_to(&mut self, map: DecodeMap) -> Result<(), DecodeError> {
        let before = std::mem::replace(&mut self.map, map);
        for at in self.all() {
            let now = self.map.of(at);
            if now != before.of(at)
                && let Some(function) = self.functions.get_mut(usize::from(at.device()))
            {
                function.on_decode(&now)?;
            }
        }
        Ok(())
    }

    /// Reads memory in a BAR; all ones where nothing answers.
    pub(super) fn bar_read(&mut self, address: u64, data: &mut [u8]) {
        data.fill(0xff);
        match self.map.find(address, data.len()) {
            Some((at, bar, offset)) => {
                if let Some(function) = self.function(at) {
                    function.read(bar, offset, data);
                }
            }
            None => self.counters.unclaimed += 1,
        }
    }

    /// Writes memory in a BAR; ignored where nothing answers.
    pub(super) fn bar_write(&mut self, address: u64, data: &[u8]) {
        match self.map.find(address, data.len()) {
            Some((at, bar, offset)) => {
                if let Some(function) = self.function(at) {
                    function.write(bar, offset, data);
                }
            }
            None => self.counters.unclaimed += 1,
        }
    }
}
