//! What a run's end means: the exit status of `ix run`, or what went wrong.

use super::RunError;
use crate::backend::Kind;
use ix_abi::host::area::Outcome;
use ix_abi::host::exit::{self, status};
use nix::libc::SIGSYS;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

const APP_ENDED: i32 = exit::qemu_status(exit::APP_ENDED);
const KERNEL_PANIC: i32 = exit::qemu_status(exit::KERNEL_PANIC);
const BOOT_FAILED: i32 = exit::qemu_status(exit::BOOT_FAILED);

/// Judges the end of the machine's process and the host area's word about the app. `forced_by` is the signal that made us
/// end it. Our own machine ends with QEMU's statuses.
pub(super) fn verdict(
    who: Kind,
    end: ExitStatus,
    app: Outcome,
    forced_by: Option<i32>,
    complaints: &str,
) -> Result<u8, RunError> {
    if end.code() == Some(KERNEL_PANIC) {
        return Err(RunError::KernelPanic);
    }
    if let Some(signal) = forced_by {
        return Ok(by_signal(signal));
    }
    match (end.code(), app) {
        (Some(APP_ENDED), Outcome::Exited(code)) => Ok(code),
        (Some(APP_ENDED), Outcome::Signalled(signal)) => Err(RunError::AppKilled(signal)),
        (Some(APP_ENDED), Outcome::NotExecutable) => Err(RunError::AppRefused),
        (Some(APP_ENDED), Outcome::Running) => Err(RunError::NoOutcome),
        (Some(BOOT_FAILED), _) => Err(RunError::BootFailed),
        // A reset ends the machine with 0 (QEMU: -no-reboot); the kernel never asks for one.
        (Some(0), _) => Err(RunError::Reset),
        (Some(_), _) => Err(RunError::Ended(who.name(), who.explain(complaints))),
        (None, _) if who == Kind::Kvm && end.signal() == Some(SIGSYS) => Err(RunError::Jailed),
        (None, _) => Err(RunError::Killed {
            who: who.name(),
            signal: end.signal().unwrap_or_default(),
        }),
    }
}

/// The status a shell gives for an end by signal.
pub(super) fn by_signal(signal: i32) -> u8 {
    u8::try_from(signal)
        .ok()
        .and_then(|signal| signal.checked_add(128))
        .unwrap_or(status::LAUNCHER)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Outcome, RunError, verdict};
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn status(code: i32, app: Outcome, forced_by: Option<i32>) -> u8 {
        let verdict = verdict(Kind::Kvm, ExitStatus::from_raw(code << 8), app, forced_by, "");
        verdict.unwrap_or_else(|error| error.status())
    }

    #[test]
    fn ends_and_their_statuses() {
        assert_eq!(status(33, Outcome::Exited(7), None), 7);
        assert_eq!(status(33, Outcome::Signalled(11), None), 139);
        assert_eq!(status(33, Outcome::NotExecutable, None), 126);
        assert_eq!(status(33, Outcome::Running, None), 125);
        assert_eq!(status(65, Outcome::Running, None), 123);
        assert_eq!(status(65, Outcome::Running, Some(2)), 123);
        assert_eq!(status(97, Outcome::Running, None), 124);
        assert_eq!(status(0, Outcome::Running, None), 123);
        assert_eq!(status(1, Outcome::Running, None), 125);
        assert_eq!(status(33, Outcome::Signalled(9), Some(15)), 143);
    }

    #[test]
    fn who_breaks_out_of_the_jail_is_told_so() {
        let broken_out = ExitStatus::from_raw(nix::libc::SIGSYS);
        let error = verdict(Kind::Kvm, broken_out, Outcome::Running, None, "").unwrap_err();
        assert!(matches!(error, RunError::Jailed) && error.status() == 125);
    }

    #[test]
    fn a_killed_machine_is_our_failure_unless_we_killed_it() {
        let killed = ExitStatus::from_raw(9);
        let error = verdict(Kind::Qemu, killed, Outcome::Running, None, "").unwrap_err();
        assert!(matches!(error, RunError::Killed { signal: 9, .. }) && error.status() == 125);
        assert_eq!(
            verdict(Kind::Qemu, killed, Outcome::Running, Some(2), "").unwrap(),
            130
        );
    }
}
