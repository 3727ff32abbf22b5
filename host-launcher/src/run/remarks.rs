//! What a user may want to know about a run that starts: what was chosen for it, and what could be better.

use super::machine::Machine;
use crate::backend::{Choice, Kind};
use crate::config::{Link, LogLevel, Plan, Vhost};
use crate::jail::Landlock;
use crate::sys::PageKind;
use crate::vmm::DataPlane;
use crate::{memory, tap};

const NO_LANDLOCK: &str = "this kernel has no Landlock (CONFIG_SECURITY_LANDLOCK, lsm=landlock); filters of system calls hold \
                           ix alone";

/// One line each.
pub(super) fn on(plan: &Plan, backend: &Choice, machine: &Machine, landlock: Landlock) -> Vec<String> {
    let reason = backend.reason.as_ref().map(|reason| format!("backend {reason}"));
    let small_pages = backend.kind == Kind::Kvm && machine.pages == PageKind::Transparent;
    let pages = small_pages.then(|| memory::advice(plan.mem));
    let mover = machine
        .data_plane
        .filter(|_| plan.vhost == Vhost::Auto)
        .map(|data_plane| {
            match data_plane {
                DataPlane::VhostNet => "the tap's packets are moved by vhost-net",
                DataPlane::Own => {
                    "the tap's packets are moved by a thread of ix, because /dev/vhost-net cannot be used"
                }
            }
            .to_owned()
        });
    let host_cores = super::host_cores();
    let shared_cores = (plan.active_cores > host_cores).then(|| {
        format!(
            "{} cores share the host's {host_cores}, and each of them polls",
            plan.active_cores
        )
    });
    let unheld = landlock == Landlock::Missing && plan.log >= LogLevel::Info;
    let unheld = unheld.then(|| NO_LANDLOCK.to_owned());
    [reason, pages, mover, shared_cores, unheld]
        .into_iter()
        .flatten()
        .chain(taps_down(plan))
        .collect()
}

fn taps_down(plan: &Plan) -> impl Iterator<Item = String> + '_ {
    plan.links.iter().filter_map(|link| match &link.network.link {
        Link::Tap(name) if tap::is_down(name) => Some(format!(
            "tap {name} is down; bring it up with: ip link set {name} up"
        )),
        _ => None,
    })
}
