//! What of the things asked for only one of the backends can do.

use super::{Backend, Link, LinkPlan, NicChoice, NicModel, Options, Vhost};

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
    pub(super) fn of(options: &Options, links: &[LinkPlan]) -> Result<Self, NeedsError> {
        let has_vfio = links.iter().any(|link| matches!(link.nic, NicChoice::Vfio(_)));
        let vhost = matches!(options.vhost, Some(Vhost::On | Vhost::Off));
        let kvm = first_of([
            (has_vfio, "--nic vfio"),
            (options.cpus.is_some(), "--cpus"),
            (vhost, "--vhost"),
        ]);
        let has = |model| links.iter().any(|link| link.nic == NicChoice::Model(model));
        let is_user = |link: &LinkPlan| matches!(link.network.link, Link::User(_));
        let qemu = first_of([
            (has(NicModel::E1000e), "--nic e1000e"),
            (has(NicModel::E1000), "--nic e1000"),
            (has(NicModel::Vmxnet3), "--nic vmxnet3"),
            (!options.qemu_arg.is_empty(), "--qemu-arg"),
            (links.iter().any(is_user), USER_NETWORKING),
        ]);
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

fn first_of<const N: usize>(wishes: [(bool, &'static str); N]) -> Option<&'static str> {
    wishes
        .into_iter()
        .find_map(|(is_wished, wish)| is_wished.then_some(wish))
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
                "link" => options.link.push(value.parse().unwrap()),
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
    fn each_link_has_its_wishes() {
        let with = |backend, link| needs(backend, &[&TAP[..], &[("link", link)]].concat());
        assert_eq!(with(Backend::Auto, "net=tap:t1"), Ok(Needs::Either));
        let card = "nic=vfio:01:00.0";
        assert_eq!(with(Backend::Auto, card), Ok(Needs::Kvm("--nic vfio")));
        assert_eq!(
            with(Backend::Qemu, card),
            Err(NeedsError::NotWithQemu("--nic vfio"))
        );
        let intel = "net=tap:t1,nic=e1000e";
        assert_eq!(with(Backend::Auto, intel), Ok(Needs::Qemu("--nic e1000e")));
        assert_eq!(
            with(Backend::Kvm, intel),
            Err(NeedsError::NotWithKvm("--nic e1000e"))
        );
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
