//! `--nic`: the machine's network card.

use super::bdf::{Bdf, BdfError};
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// A card that is modelled in software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicModel {
    /// Made for virtual machines.
    VirtioNet,
    /// Intel 82574L.
    E1000e,
    /// Intel 82540EM.
    E1000,
    /// VMware's.
    Vmxnet3,
    /// None at all: what is sent comes back.
    Loopback,
}

impl NicModel {
    const ALL: [Self; 5] = [
        Self::VirtioNet,
        Self::E1000e,
        Self::E1000,
        Self::Vmxnet3,
        Self::Loopback,
    ];
}

/// Which card the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum NicChoice {
    /// One in software.
    Model(NicModel),
    /// One of the host's own, passed through.
    Vfio(Bdf),
}

/// Why a text names no card.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NicError {
    /// No such model.
    #[error(
        "`{0}` is no network card; write virtio-net, e1000e, e1000, vmxnet3, loopback, or vfio:BDF such as vfio:0000:01:00.0"
    )]
    Unknown(String),
    /// Nothing a PCI bus could have.
    #[error(transparent)]
    Bdf(#[from] BdfError),
}

impl FromStr for NicChoice {
    type Err = NicError;

    fn from_str(text: &str) -> Result<Self, NicError> {
        if let Some(bdf) = text.strip_prefix("vfio:") {
            return Ok(Self::Vfio(bdf.parse()?));
        }
        NicModel::ALL
            .into_iter()
            .find(|model| model.to_string() == text)
            .map(Self::Model)
            .ok_or_else(|| NicError::Unknown(text.to_owned()))
    }
}

impl TryFrom<String> for NicChoice {
    type Error = NicError;

    fn try_from(text: String) -> Result<Self, NicError> {
        text.parse()
    }
}

impl fmt::Display for NicModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VirtioNet => "virtio-net",
            Self::E1000e => "e1000e",
            Self::E1000 => "e1000",
            Self::Vmxnet3 => "vmxnet3",
            Self::Loopback => "loopback",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{NicChoice, NicError, NicModel};

    #[test]
    fn cards_are_models_or_addresses() {
        assert_eq!("virtio-net".parse(), Ok(NicChoice::Model(NicModel::VirtioNet)));
        assert_eq!("vmxnet3".parse(), Ok(NicChoice::Model(NicModel::Vmxnet3)));
        assert_eq!("loopback".parse(), Ok(NicChoice::Model(NicModel::Loopback)));
        let passed = "0000:01:00.0".parse().map(NicChoice::Vfio).unwrap();
        assert_eq!("vfio:1:0.0".parse(), Ok(passed));
        for text in ["", "E1000", "vfio", "virtio"] {
            assert_eq!(text.parse::<NicChoice>(), Err(NicError::Unknown(text.to_owned())));
        }
        assert!(matches!("vfio:eth0".parse::<NicChoice>(), Err(NicError::Bdf(_))));
    }
}
