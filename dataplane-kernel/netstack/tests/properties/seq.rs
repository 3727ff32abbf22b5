use netstack::seq::SeqNum;
use proptest::prelude::*;

proptest! {
    #[test]
    fn numbers_less_than_half_a_circle_on_are_after(start: u32, step in 1u32..1 << 31) {
        let (a, b) = (SeqNum(start), SeqNum(start) + step);
        prop_assert!(a.before(b) && a.at_or_before(b) && b.after(a) && b.at_or_after(a));
        prop_assert!(!b.before(a) && !b.at_or_before(a) && !a.after(b) && !a.at_or_after(b));
        prop_assert_eq!(a.later_of(b), b);
        prop_assert_eq!(b.later_of(a), b);
        prop_assert_eq!(a.earlier_of(b), a);
        prop_assert_eq!(b.earlier_of(a), a);
    }

    #[test]
    fn equal_is_neither_before_nor_after(number: u32) {
        let a = SeqNum(number);
        prop_assert!(!a.before(a) && !a.after(a) && a.at_or_before(a) && a.at_or_after(a));
    }

    #[test]
    fn adding_is_undone_and_measured(start: u32, step: u32) {
        let a = SeqNum(start);
        prop_assert_eq!(a + step - step, a);
        prop_assert_eq!(a.distance_to(a + step), step);
        prop_assert_eq!(a.signed_distance_to(a + step), step.cast_signed());
    }

    #[test]
    fn a_window_holds_its_numbers_and_no_other(start: u32, len in 0u32..1 << 31, step: u32) {
        prop_assert_eq!((SeqNum(start) + step).is_within(SeqNum(start), len), step < len);
    }
}
