//! `ix doctor`: whether `ix run` works here, with which backend, and what keeps it from working better; each finding with
//! its cure.

/// What is found.
mod finding;
pub use finding::{Finding, Verdict};

/// What is tried out.
mod trials;
pub use trials::Trials;

/// The processor and what runs machines on it.
mod backends;

/// Pages, and the right to lock them.
mod memory;

/// Cores that nobody else uses, and how far they are from the cards.
mod cores;

/// The IOMMU, VFIO, and the cards.
mod cards;

/// Taps and what moves packets over them.
mod taps;

/// What this process may do.
mod rights;

#[cfg(test)]
mod tests;

use crate::host::Host;
use crate::nic::Nic;
use serde::Serialize;

/// Everything found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether `ix run` works.
    pub runs: bool,
    /// The backend that `--backend auto` takes for what both can do.
    pub backend: Option<&'static str>,
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Examines `host`.
    #[must_use]
    pub fn of(host: &Host, trials: &Trials) -> Self {
        let nics = Nic::all(host);
        let mut findings = vec![
            backends::kernel(&trials.kernel),
            backends::cpu(host),
            backends::kvm(&trials.kvm),
            backends::qemu(&trials.qemu),
            memory::hugepages(host),
            memory::memlock(host),
            cores::isolated(host),
            cards::iommu(host),
            cards::vfio(host),
            cards::usable(&nics),
        ];
        findings.extend(cores::distances(host, &nics));
        findings.extend([taps::tap(host), taps::vhost_net(host)]);
        let backend = match (&trials.kvm, &trials.qemu) {
            (Ok(()), _) => Some("kvm"),
            (Err(_), Ok(_)) => Some("qemu"),
            (Err(_), Err(_)) => None,
        };
        Self {
            runs: backend.is_some() && trials.kernel.is_ok(),
            backend,
            findings,
        }
    }
}
