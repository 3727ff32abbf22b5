use super::calls::{self, Call};
use super::{JailError, Kind};
use nix::libc::EPERM;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};
use std::collections::BTreeMap;

/// Lets this thread make the calls of its kind, and no others.
pub(super) fn apply(kind: Kind) -> Result<(), JailError> {
    apply_filter(&program(kind)?).map_err(JailError::Filter)
}

fn program(kind: Kind) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in calls::of(kind) {
        // No rules at all for a call: whatever its arguments are.
        let of_call = rules.entry(call.number()).or_default();
        of_call.extend(alternatives(call)?);
    }
    SeccompFilter::new(rules, otherwise(kind), SeccompAction::Allow, TargetArch::x86_64)?.try_into()
}

fn alternatives(call: &Call) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let rule = |argument, operator, value| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
        SeccompRule::new(vec![condition])
    };
    match *call {
        Call::Any(_) => Ok(Vec::new()),
        Call::Only(_, argument, values) => values
            .iter()
            .map(|&value| rule(argument, SeccompCmpOp::Eq, value))
            .collect(),
        Call::Without(_, argument, bits) => Ok(vec![rule(argument, SeccompCmpOp::MaskedEq(bits), 0)?]),
    }
}

/// The machine ends at once when it does what it never does. The launcher goes on, for it has a card to give back; what it
/// is tricked into fails.
fn otherwise(kind: Kind) -> SeccompAction {
    match kind {
        Kind::Watch | Kind::Vcpu | Kind::DataPlane => SeccompAction::KillProcess,
        Kind::Files | Kind::Input => SeccompAction::Errno(EPERM.cast_unsigned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, program};

    #[test]
    fn every_filter_compiles() {
        for kind in [Kind::Watch, Kind::Vcpu, Kind::DataPlane, Kind::Files, Kind::Input] {
            let program = program(kind).unwrap();
            assert!((20..4096).contains(&program.len()), "{kind:?}: {}", program.len());
        }
    }
}
