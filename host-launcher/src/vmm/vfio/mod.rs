//! Passthrough: a card of the host's, lent by VFIO, becomes a function on the guest's bus. The guest drives its registers
//! without us, its DMA reaches guest RAM and nothing else (the IOMMU sees to that), and its configuration space stays with
//! us.

/// What is needed of a card.
mod hardware;

/// The card's own capabilities.
mod capability;

/// What configuration space the guest sees.
mod config;

/// What memory it gets without us.
mod parts;

/// The function.
mod passthrough;

/// A card that VFIO lends.
mod card;

/// What of the guest's memory it reaches.
mod dma;
pub use dma::DmaError;

/// How it comes to us.
mod open;
pub use open::{OpenError, Vfio};

#[cfg(test)]
mod tests;
