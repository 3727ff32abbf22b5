//! The memory calls with wild arguments, then proof that the heap still works.

use ixion_guests::call;

fn main() {
    let words = [
        0,
        1,
        4095,
        4096,
        u64::MAX,
        u64::MAX - 4095,
        0xffff_ffff_8010_0000,
        0xffff_8000_0000_0000,
        1 << 47,
        1 << 63,
    ];
    for &address in &words[6..] {
        for &len in &words {
            for number in [11, 10, 28, 25] {
                let result = call(number, [address, len, 3, 0, 0, 0]);
                assert!(
                    result <= 0,
                    "call {number} on {address:#x}, {len:#x} gave {result:#x}"
                );
            }
        }
    }
    for &len in &words {
        for flags in [0, 0x10, 0x22, 0x32, 0x0010_0022, u64::MAX] {
            for address in [
                0xffff_ffff_8010_0000,
                0xffff_8000_0000_0000,
                0x2000_0000_0000,
                0x3000_0000_0000,
            ] {
                let result = call(9, [address, len, 7, flags, u64::MAX, 0]);
                let kept_away = !(0x2000_0000_0000..0x4000_0000_0000).contains(&result);
                assert!(
                    kept_away && result >> 47 <= 0,
                    "mmap of {len:#x} at {address:#x} gave {result:#x}"
                );
            }
        }
    }
    // Writable and executable at once, in one step and in two.
    let both = call(9, [0, 4096, 7, 0x22, u64::MAX, 0]);
    assert!(both < 0, "a page both writable and executable: {both:#x}");
    let page = call(9, [0, 4096, 3, 0x22, u64::MAX, 0]);
    assert!(page > 0);
    assert!(
        call(10, [page.cast_unsigned(), 4096, 7, 0, 0, 0]) < 0,
        "made executable while writable"
    );
    let block = vec![3u8; 3 << 20];
    assert_eq!(block.iter().filter(|&&byte| byte == 3).count(), 3 << 20);
    println!("the heap is whole");
}
