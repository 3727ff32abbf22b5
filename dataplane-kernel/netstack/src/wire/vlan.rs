//! IEEE 802.1Q tags: four bytes between the hardware addresses and the type of a frame, which say what VLAN it belongs to.

use super::ethernet::{self, EtherType};
use super::{be16, put};

/// Bytes of a tag.
pub const TAG_LEN: usize = 4;

/// What stands where an untagged frame has its type (IEEE 802.1Q-2018 table 9-1).
const TPID: u16 = 0x8100;

/// Of a tag's second half, the VLAN; the rest is a priority and a mark (section 9.6).
const ID_BITS: u16 = 0x0fff;

/// Bytes of the hardware addresses.
const ADDRESSES_LEN: usize = 12;

/// The number of a VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanId(u16);

impl VlanId {
    /// One of 1 to 4094: no other is a VLAN's (IEEE 802.1Q-2018 table 9-2).
    #[must_use]
    pub const fn new(number: u16) -> Option<VlanId> {
        match number {
            1..=4094 => Some(VlanId(number)),
            _ => None,
        }
    }

    /// What a tag of it says behind its type, with priority 0.
    #[must_use]
    pub const fn control(self) -> u16 {
        self.0
    }

    /// A tag that says this behind its type is one of it.
    #[inline]
    #[must_use]
    pub const fn is_of(self, control: u16) -> bool {
        control & ID_BITS == self.0
    }

    /// Tags the frame that begins [`TAG_LEN`] bytes into `room`, with priority 0: now it begins where `room` does. One without
    /// addresses stays as it is.
    #[inline]
    pub fn tag(self, room: &mut [u8]) {
        if let Some(front) = room.first_chunk_mut::<{ ADDRESSES_LEN + TAG_LEN }>() {
            front.copy_within(TAG_LEN.., 0);
            put(front, ADDRESSES_LEN, TPID.to_be_bytes());
            put(front, ADDRESSES_LEN + 2, self.0.to_be_bytes());
        }
    }
}

/// What a frame carries, behind its tag if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carried<'a> {
    pub(crate) ether_type: EtherType,
    pub(crate) payload: &'a [u8],
    /// Bytes of the tag.
    pub(crate) tag_len: usize,
}

/// Why a frame is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It ends within its tag.
    Short,
    /// It belongs to another VLAN, or to none where it should.
    OtherVlan,
}

/// Takes the tag off what follows the hardware addresses. `ours`: the VLAN that a frame must belong to; without one it must
/// belong to none, and a tag may say its priority alone (IEEE 802.1Q-2018 table 9-2, VID 0).
#[inline]
pub(crate) fn untag<'a>(
    ours: Option<VlanId>,
    ether: &[u8; ethernet::HEADER_LEN],
    payload: &'a [u8],
) -> Result<Carried<'a>, Refused> {
    let ether_type = be16(ether, ADDRESSES_LEN);
    if ether_type != TPID {
        return match ours {
            Some(_) => Err(Refused::OtherVlan),
            None => Ok(Carried {
                ether_type: ether_type.into(),
                payload,
                tag_len: 0,
            }),
        };
    }
    let (rest_of_tag, payload) = payload.split_first_chunk::<TAG_LEN>().ok_or(Refused::Short)?;
    if be16(rest_of_tag, 0) & ID_BITS != ours.map_or(0, |VlanId(number)| number) {
        return Err(Refused::OtherVlan);
    }
    Ok(Carried {
        ether_type: be16(rest_of_tag, 2).into(),
        payload,
        tag_len: TAG_LEN,
    })
}

#[cfg(test)]
mod tests {
    use super::{Carried, EtherType, Refused, TAG_LEN, VlanId, untag};
    use std::vec::Vec;

    /// A frame from its header on, and what comes behind.
    fn split(frame: &[u8]) -> (&[u8; 14], &[u8]) {
        frame.split_first_chunk().unwrap()
    }

    #[test]
    fn twelve_bits_without_their_ends_are_numbers() {
        assert_eq!([0, 4095, 4096, u16::MAX].map(VlanId::new), [None; 4]);
        assert!((1..=4094).all(|number| VlanId::new(number).is_some()));
    }

    #[test]
    fn a_tag_goes_on_and_comes_off() {
        let frame: Vec<u8> = (0..12).chain([0x86, 0xdd, 40, 41, 42]).collect();
        for number in [1, 7, 4094] {
            let ours = VlanId::new(number);
            let mut room = [&[0; TAG_LEN][..], &frame].concat();
            ours.unwrap().tag(&mut room);
            assert_eq!((&room[..12], &room[16..]), (&frame[..12], &frame[12..]));
            let (ether, payload) = split(&room);
            let carried = Carried {
                ether_type: EtherType::Ipv6,
                payload: &[40, 41, 42],
                tag_len: TAG_LEN,
            };
            assert_eq!(untag(ours, ether, payload), Ok(carried));
            for others in [None, VlanId::new(8)] {
                assert_eq!(untag(others, ether, payload), Err(Refused::OtherVlan));
            }
        }
    }

    #[test]
    fn what_is_too_short_for_a_tag_is_left_alone() {
        let mut room = [1; 15];
        VlanId(1).tag(&mut room);
        assert_eq!(room, [1; 15]);
        let frame = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 0, 1, 8];
        let (ether, payload) = split(&frame);
        assert_eq!(untag(Some(VlanId(1)), ether, payload), Err(Refused::Short));
    }
}
