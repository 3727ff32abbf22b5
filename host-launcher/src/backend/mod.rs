//! Who is the machine: the choice between the backends, and each one's way to start it.

/// This program itself, on KVM.
pub mod kvm;

/// QEMU, with an emulated CPU.
pub mod qemu;

/// None.
pub mod linux;

/// Whether KVM is what it says.
pub mod probe;

use crate::config::{Backend, Needs, Plan, USER_NETWORKING};
use probe::Verdict;

/// A backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This program, on KVM.
    Kvm,
    /// QEMU, with an emulated CPU.
    Qemu,
}

impl Kind {
    /// What its machine's process is called when it has gone wrong.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "the machine",
            Self::Qemu => "QEMU",
        }
    }

    /// What its machine's process complained about, in our words.
    #[must_use]
    pub fn explain(self, complaint: &str) -> String {
        match self {
            Self::Kvm => kvm::explain(complaint),
            Self::Qemu => qemu::explain(complaint),
        }
    }
}

/// The backend taken, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The backend.
    pub kind: Kind,
    /// The reason in words, if the choice was ours.
    pub reason: Option<String>,
}

/// Why none can be taken.
#[derive(Debug, thiserror::Error)]
pub enum NoBackend {
    /// None was asked for.
    #[error("with --backend linux there is no machine")]
    NoMachine,
    /// KVM was asked for, and is not usable.
    #[error("{wish} needs KVM, and {verdict}")]
    NoKvm {
        /// What asks for it.
        wish: &'static str,
        /// What is wrong with it.
        verdict: Verdict,
    },
}

/// What to say for KVM to be considered, where that is not plain.
fn cure(wish: &str) -> &'static str {
    if wish == USER_NETWORKING {
        " (for KVM: --ip, and --net tap:NAME or --nic vfio:BDF)"
    } else {
        ""
    }
}

/// Chooses the backend for `plan`, with `probe` to find out about KVM where that matters.
///
/// # Errors
/// [`NoBackend`].
pub fn choose(plan: &Plan, probe: impl FnOnce() -> Verdict) -> Result<Choice, NoBackend> {
    let ours = |kind, reason: String| Choice {
        kind,
        reason: Some(reason),
    };
    let (wish, told) = match (plan.backend, plan.needs) {
        (Backend::Qemu, _) => {
            return Ok(Choice {
                kind: Kind::Qemu,
                reason: None,
            });
        }
        (Backend::Auto, Needs::Qemu(wish)) => {
            return Ok(ours(
                Kind::Qemu,
                format!("qemu with an emulated CPU, because {wish} needs it{}", cure(wish)),
            ));
        }
        (Backend::Auto, Needs::Either) => {
            return Ok(match probe() {
                Verdict::Usable => ours(Kind::Kvm, "kvm, which runs ring 0 at full speed here".to_owned()),
                verdict => ours(
                    Kind::Qemu,
                    format!("qemu with an emulated CPU, because {verdict}"),
                ),
            });
        }
        (Backend::Linux, _) => return Err(NoBackend::NoMachine),
        (Backend::Kvm, _) => ("--backend kvm", None),
        (Backend::Auto, Needs::Kvm(wish)) => (wish, Some(format!("kvm, because {wish} needs it"))),
    };
    match probe() {
        Verdict::Usable => Ok(Choice {
            kind: Kind::Kvm,
            reason: told,
        }),
        verdict => Err(NoBackend::NoKvm { wish, verdict }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, NoBackend, Verdict, choose};
    use crate::config::{Backend, Options, Plan};

    fn plan(backend: Backend, words: &[(&str, &str)]) -> Plan {
        let mut options = Options {
            app: Some("echo".into()),
            backend: Some(backend),
            ..Options::default()
        };
        for (key, value) in words {
            match *key {
                "net" => options.net = value.parse().ok(),
                "nic" => options.nic = value.parse().ok(),
                _ => options.ip = value.parse().ok(),
            }
        }
        Plan::new(options).unwrap()
    }

    const TAP: [(&str, &str); 2] = [("net", "tap:t0"), ("ip", "10.1.0.2/24")];
    const CARD: [(&str, &str); 2] = [("nic", "vfio:01:00.0"), ("ip", "10.1.0.2/24")];

    #[test]
    fn auto_takes_kvm_where_it_runs_and_says_why() {
        let auto = plan(Backend::Auto, &TAP);
        let good = choose(&auto, || Verdict::Usable).unwrap();
        assert_eq!(good.kind, Kind::Kvm);
        assert!(good.reason.unwrap().starts_with("kvm, "));
        let bad = choose(&auto, || Verdict::NoSse).unwrap();
        assert_eq!(bad.kind, Kind::Qemu);
        assert!(bad.reason.unwrap().contains("because KVM "));
    }

    #[test]
    fn nothing_is_probed_where_nothing_is_to_choose() {
        let never = || -> Verdict { panic!("not asked for") };
        let user = choose(&plan(Backend::Auto, &[]), never).unwrap();
        assert_eq!(user.kind, Kind::Qemu);
        assert!(
            user.reason
                .unwrap()
                .contains("user networking needs it (for KVM: ")
        );
        let told = choose(&plan(Backend::Qemu, &TAP), never).unwrap();
        assert_eq!((told.kind, told.reason), (Kind::Qemu, None));
    }

    #[test]
    fn what_needs_kvm_gets_it_or_a_reason() {
        let told = choose(&plan(Backend::Kvm, &TAP), || Verdict::Usable).unwrap();
        assert_eq!((told.kind, told.reason), (Kind::Kvm, None));
        let card = choose(&plan(Backend::Auto, &CARD), || Verdict::Usable).unwrap();
        assert_eq!(card.reason.unwrap(), "kvm, because --nic vfio needs it");
        let Err(NoBackend::NoKvm { wish, .. }) = choose(&plan(Backend::Auto, &CARD), || Verdict::NoSse)
        else {
            panic!("there is no KVM")
        };
        assert_eq!(wish, "--nic vfio");
        assert!(choose(&plan(Backend::Kvm, &TAP), || Verdict::NoSse).is_err());
    }
}
