use ix_abi::host::HostArea;
use std::sync::atomic::Ordering;

/// How many cores a run works on, and may.
pub struct Scaling<'a> {
    /// Where the kernel is told, and tells.
    pub area: &'a HostArea,
    /// As many as it has.
    pub most: u16,
}

impl Scaling<'_> {
    /// Tells the kernel; why not, if that is impossible.
    pub(super) fn ask(&self, cores: u16) -> Result<(), String> {
        if !(1..=self.most).contains(&cores) {
            return Err(format!(
                "it has {} cores; start it with a larger --max-cores for more",
                self.most
            ));
        }
        self.area.cores_wanted.store(cores.into(), Ordering::Release);
        Ok(())
    }

    /// As many as it works on; 0 before it has begun.
    #[must_use]
    pub fn active(&self) -> u16 {
        let active = self.area.cores_active.load(Ordering::Acquire);
        u16::try_from(active).map_or(self.most, |active| active.min(self.most))
    }
}
