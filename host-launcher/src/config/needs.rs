//! What of the things asked for only one of the backends can do.

use super::{Backend, Link, Network, NicChoice, NicModel, Options, Vhost};

/// The backend that the wishes leave no choice but to take, with the wish that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Either will do.
    Either,
    /// Only KVM.
    Kvm(&'static str),
    /// Only QEMU.
    Qemu(&'static str),
}

/// Why no backend can do what was asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeedsError {
    /// Two wishes, two backends.
    #[error("{kvm} needs the KVM backend, but {qemu} needs QEMU's; leave out one of the two")]
    AtOdds {
        /// The one wish.
        kvm: &'static str,
        /// The other.
        qemu: &'static str,
    },
    /// `--backend kvm` without a network that goes with it.
    #[error("user networking is QEMU's; with --backend kvm give --ip, and --net tap:NAME or --nic vfio:BDF")]
    KvmNeedsNet,
    /// `--backend kvm` with a wish that is QEMU's.
    #[error("{0} needs QEMU; leave it out, or take --backend qemu")]
    NotWithKvm(&'static str),
    /// `--backend qemu` with a wish that is KVM's.
    #[error("{0} needs KVM; leave it out, or take --backend kvm")]
    NotWithQemu(&'static str),
}

impl Needs {
    /// Goes through the wishes, and compares them with the backend asked for.
    pub(super) fn of(options: &Options, network: &Network, nic: NicChoice) -> Result<Self, NeedsError> {
        let kvm = match nic {
            NicChoice::Vfio(_) => Some("--nic vfio"),
            NicChoice::Model(_) if options.cpus.is_some() => Some("--cpus"),
            NicChoice::Model(_) => matches!(options.vhost, Some(Vhost::On | Vhost::Off)).then_some("--vhost"),
        };
        let qemu = match nic {
            NicChoice::Model(NicModel::E1000e) => Some("--nic e1000e"),
            NicChoice::Model(NicModel::E1000) => Some("--nic e1000"),
            NicChoice::Model(NicModel::Vmxnet3) => Some("--nic vmxnet3"),
            _ if !options.qemu_arg.is_empty() => Some("--qemu-arg"),
            _ => matches!(network.link, Link::User(_)).then_some(USER_NETWORKING),
        };
        match (kvm, qemu, options.backend.unwrap_or(Backend::Auto)) {
            (_, Some(USER_NETWORKING), Backend::Kvm) => Err(NeedsError::KvmNeedsNet),
            (_, Some(qemu), Backend::Kvm) => Err(NeedsError::NotWithKvm(qemu)),
            (Some(kvm), _, Backend::Qemu) => Err(NeedsError::NotWithQemu(kvm)),
            (Some(kvm), Some(qemu), Backend::Auto) => Err(NeedsError::AtOdds { kvm, qemu }),
            (Some(kvm), ..) => Ok(Self::Kvm(kvm)),
            (None, Some(qemu), _) => Ok(Self::Qemu(qemu)),
            (None, None, _) => Ok(Self::Either),
        }
    }
}

/// The wish of who says nothing of networks.
pub const USER_NETWORKING: &str = "user networking";

#[cfg(test)]
mod tests {
    use super::{Needs, NeedsError, USER_NETWORKING, Vhost};
    use crate::config::{Backend, Options, Plan, PlanError};

    fn needs(backend: Backend, words: &[(&str, &str)]) -> Result<Needs, NeedsError> {
        let mut options = Options {
            app: Some("echo".into()),
            backend: Some(backend),
            ..Options::default()
        };
        for (key, value) in words {
            match *key {
                "net" => options.net = Some(value.parse().unwrap()),
                "ip" => options.ip = Some(value.parse().unwrap()),
                "nic" => options.nic = Some(value.parse().unwrap()),
                "cpus" => options.cpus = Some(value.parse().unwrap()),
                "vhost" => options.vhost = Some(Vhost::On),
                _ => options.qemu_arg.push((*value).to_owned()),
            }
        }
        match Plan::new(options) {
            Ok(plan) => Ok(plan.needs),
            Err(PlanError::Needs(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    const TAP: [(&str, &str); 2] = [("net", "tap:t0"), ("ip", "10.1.0.2/24")];
    const CARD: [(&str, &str); 2] = [("nic", "vfio:01:00.0"), ("ip", "10.1.0.2/24")];

    #[test]
    fn wishes_decide_where_they_must() {
        assert_eq!(needs(Backend::Auto, &[]), Ok(Needs::Qemu(USER_NETWORKING)));
        assert_eq!(needs(Backend::Auto, &TAP), Ok(Needs::Either));
        assert_eq!(needs(Backend::Kvm, &TAP), Ok(Needs::Either));
        assert_eq!(needs(Backend::Auto, &CARD), Ok(Needs::Kvm("--nic vfio")));
        let pinned = [&TAP[..], &[("cpus", "2,3")]].concat();
        assert_eq!(needs(Backend::Auto, &pinned), Ok(Needs::Kvm("--cpus")));
        let vhost = [&TAP[..], &[("vhost", "on")]].concat();
        assert_eq!(needs(Backend::Auto, &vhost), Ok(Needs::Kvm("--vhost")));
        let intel = [&TAP[..], &[("nic", "e1000e")]].concat();
        assert_eq!(needs(Backend::Auto, &intel), Ok(Needs::Qemu("--nic e1000e")));
    }

    #[test]
    fn wishes_that_do_not_go_together_are_refused() {
        assert_eq!(needs(Backend::Kvm, &[]), Err(NeedsError::KvmNeedsNet));
        assert_eq!(
            needs(Backend::Qemu, &CARD),
            Err(NeedsError::NotWithQemu("--nic vfio"))
        );
        let (kvm, qemu) = ("--cpus", USER_NETWORKING);
        assert_eq!(
            needs(Backend::Auto, &[("cpus", "2")]),
            Err(NeedsError::AtOdds { kvm, qemu })
        );
        let more = [&TAP[..], &[("qemu-arg", "-S")]].concat();
        assert_eq!(
            needs(Backend::Kvm, &more),
            Err(NeedsError::NotWithKvm("--qemu-arg"))
        );
    }
}
