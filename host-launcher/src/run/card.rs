//! The cards of the host's that a run has, and what earlier runs left behind.

use crate::config::{Link, Plan};
use crate::host::Host;
use crate::nic::{self, NicError, TakenNic};

/// Takes the plan's cards. If one cannot be had, those before go back as they are dropped.
pub(super) fn take(plan: &Plan, host: &Host) -> Result<Vec<TakenNic>, NicError> {
    let cables = plan.links.iter().filter_map(|link| match link.network.link {
        Link::Cable(bdf) => Some(bdf),
        Link::User(_) | Link::Tap(_) | Link::Loopback => None,
    });
    cables.map(|bdf| nic::take(host, bdf)).collect()
}

/// Gives it back, once the machine is gone; what cannot be done is said.
pub(super) fn give_back(card: TakenNic) -> Option<String> {
    let bdf = card.bdf();
    let error = card.give_back().err()?;
    let cause = std::error::Error::source(&error).map(|cause| format!(" [{cause}]"));
    let cause = cause.unwrap_or_default();
    Some(format!(
        "{bdf} did not go back to its driver: {error}{cause}; try: ix nic unbind {bdf}"
    ))
}

/// Gives back what was left by an `ix` that was killed, and says so.
pub(super) fn repair(host: &Host) -> Vec<String> {
    let repaired = nic::repair(host).into_iter();
    repaired
        .map(|(bdf, result)| match result {
            Ok(driver) => {
                let driver = driver.as_deref().unwrap_or("no driver, as before");
                format!("{bdf} was left behind by an ix that was killed; it is back at {driver}")
            }
            Err(error) => {
                format!("{bdf} was left behind by an ix that was killed, and cannot go back: {error}")
            }
        })
        .collect()
}

/// What is not as it should be with the card.
pub(super) fn advice(card: &TakenNic) -> Option<String> {
    let bdf = card.bdf();
    let resets = card.folder().join("reset").exists();
    (!resets).then(|| format!("{bdf} cannot be reset; it starts as its last user left it"))
}
