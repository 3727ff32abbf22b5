//! What a request asks for.

use super::header::{Body, Header};
use crate::store::{Direction, Mode};

/// Whether a reply has the key in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithKey {
    Yes,
    No,
}

/// Whether a touch tells the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithValue {
    Yes,
    No,
}

/// A request's kind; quiet ones are of the same kind as their loud twins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Get { key: WithKey },
    Touch { key: WithKey, value: WithValue },
    Store { mode: Mode },
    Delete,
    Delta { direction: Direction },
    Quit,
    Flush,
    Noop,
    Version,
    Stat,
    Sasl,
}

impl Opcode {
    pub(super) fn of(number: u8) -> Option<Self> {
        let touch = |key, value| Opcode::Touch { key, value };
        Some(match number {
            0x00 | 0x09 => Opcode::Get { key: WithKey::No },
            0x0c | 0x0d => Opcode::Get { key: WithKey::Yes },
            0x01 | 0x11 => Opcode::Store { mode: Mode::Set },
            0x02 | 0x12 => Opcode::Store { mode: Mode::Add },
            0x03 | 0x13 => Opcode::Store { mode: Mode::Replace },
            0x0e | 0x19 => Opcode::Store { mode: Mode::Append },
            0x0f | 0x1a => Opcode::Store { mode: Mode::Prepend },
            0x04 | 0x14 => Opcode::Delete,
            0x05 | 0x15 => Opcode::Delta {
                direction: Direction::Up,
            },
            0x06 | 0x16 => Opcode::Delta {
                direction: Direction::Down,
            },
            0x07 | 0x17 => Opcode::Quit,
            0x08 | 0x18 => Opcode::Flush,
            0x0a => Opcode::Noop,
            0x0b => Opcode::Version,
            0x10 => Opcode::Stat,
            0x1c => touch(WithKey::No, WithValue::No),
            0x1d | 0x1e => touch(WithKey::No, WithValue::Yes),
            0x23 | 0x24 => touch(WithKey::Yes, WithValue::Yes),
            0x20..=0x22 => Opcode::Sasl,
            _ => return None,
        })
    }

    /// Whether the parts of the body are those that it asks for.
    pub(super) fn fits(self, body: &Body<'_>) -> bool {
        let (extras, key, value) = (body.extras.len(), body.key.len(), body.value_len);
        match self {
            Opcode::Get { .. } | Opcode::Delete => extras == 0 && key > 0 && value == 0,
            Opcode::Touch { .. } => extras == 4 && key > 0 && value == 0,
            Opcode::Store {
                mode: Mode::Append | Mode::Prepend,
            } => extras == 0 && key > 0,
            Opcode::Store { .. } => extras == 8 && key > 0,
            Opcode::Delta { .. } => extras == 20 && key > 0 && value == 0,
            Opcode::Flush => (extras == 0 || extras == 4) && key == 0 && value == 0,
            Opcode::Stat => extras == 0 && value == 0,
            Opcode::Quit | Opcode::Noop | Opcode::Version => extras + key + value == 0,
            Opcode::Sasl => extras == 0,
        }
    }
}

impl Header {
    /// Whether nothing is to be said if all goes well, or, of a get, if nothing is found.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.opcode, 0x09 | 0x0d | 0x11..=0x1a | 0x1e | 0x24)
    }
}

#[cfg(test)]
mod tests {
    use super::Opcode;

    #[test]
    fn a_quiet_request_is_of_its_twins_kind() {
        let twins = [
            (0x00, 0x09),
            (0x0c, 0x0d),
            (0x01, 0x11),
            (0x02, 0x12),
            (0x03, 0x13),
            (0x04, 0x14),
            (0x05, 0x15),
            (0x06, 0x16),
            (0x07, 0x17),
            (0x08, 0x18),
            (0x0e, 0x19),
            (0x0f, 0x1a),
            (0x1d, 0x1e),
            (0x23, 0x24),
        ];
        for (loud, quiet) in twins {
            assert!(Opcode::of(loud).is_some());
            assert_eq!(Opcode::of(loud), Opcode::of(quiet));
        }
        assert_eq!(
            Opcode::of(0x1b),
            None,
            "verbosity is not served by memcached either"
        );
    }
}
