use crate::config::Access;
use crate::hostcall::Volumes;
use landlock::{
    ABI, AccessFs, AccessNet, BitFlags, PathBeneath, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// The newest version whose rights we know. An older kernel enforces what it knows of them.
const VERSION: ABI = ABI::V7;

/// What came of asking the kernel for Landlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landlock {
    /// It holds us, as far as it can.
    Enforced,
    /// This kernel has none (CONFIG_SECURITY_LANDLOCK, and `lsm=` on its command line).
    Missing,
}

/// No file can be opened, no TCP connection made, no process outside signalled.
pub(super) fn no_files() -> Result<Landlock, RulesetError> {
    enforce(ruleset()?)
}

/// No file but those of the volumes can be opened, and of these none run, and nothing made but files and directories.
pub(super) fn only(volumes: &Volumes) -> Result<Landlock, RulesetError> {
    let mut ruleset = ruleset()?;
    for (directory, access) in volumes.directories() {
        ruleset = ruleset.add_rule(PathBeneath::new(directory, rights(access)))?;
    }
    enforce(ruleset)
}

fn rights(access: Access) -> BitFlags<AccessFs> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let changing = AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    match access {
        Access::ReadOnly => reading,
        Access::ReadWrite => reading | changing,
    }
}

fn ruleset() -> Result<RulesetCreated, RulesetError> {
    use landlock::Access as _;
    Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(AccessNet::from_all(VERSION))?
        .scope(Scope::from_all(VERSION))?
        .create()
}

fn enforce(ruleset: RulesetCreated) -> Result<Landlock, RulesetError> {
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => Landlock::Missing,
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Landlock::Enforced,
    })
}
