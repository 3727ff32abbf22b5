//! Who is the machine: the choice between the backends, and each one's way to start it.

/// QEMU, with an emulated CPU.
pub mod qemu;

use crate::config::{Backend, Needs, Plan};

/// The backend taken, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The reason in words, if it was our choice.
    pub reason: Option<String>,
}

/// Why none can be taken.
#[derive(Debug, thiserror::Error)]
pub enum NoBackend {
    /// KVM was asked for.
    #[error("the KVM backend is not there yet; leave out {0}")]
    Kvm(&'static str),
}

/// Chooses the backend for `plan`.
pub fn choose(plan: &Plan) -> Result<Choice, NoBackend> {
    match (plan.backend, plan.needs) {
        (_, Needs::Kvm(wish)) => Err(NoBackend::Kvm(wish)),
        (Backend::Kvm, _) => Err(NoBackend::Kvm("--backend kvm")),
        (Backend::Qemu, _) => Ok(Choice { reason: None }),
        (Backend::Auto, _) => Ok(Choice {
            reason: Some("qemu with an emulated CPU, the only one so far (KVM is not there yet)".to_owned()),
        }),
    }
}
