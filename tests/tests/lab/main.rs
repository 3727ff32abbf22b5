//! Ixion on a machine with KVM, an IOMMU and network cards: the real path, in the lab.

/// The harness itself.
mod harness;

/// `ix nic`: which cards there are, and who has them.
mod cards;

/// What the machine's process may still do once it runs, and files for it.
mod jail;

/// Users who are not root.
mod users;
