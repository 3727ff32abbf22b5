mod fake;

/// What the list says.
mod list;

/// Who has the card when.
mod moves;

/// After a crash.
mod crash;

const I82574L: (u16, u16) = (0x8086, 0x10d3);
