//! The bus with fake functions on it, driven as a guest would, well and badly.

use super::config_space::{BarWidth, ConfigSpace, Identity, command};
use super::{Bdf, DecodeError, DecodedBar, ECAM, Function, PlaceError, Root, Windows};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

const WINDOWS: Windows = Windows {
    low: 0xe000_0000..0xf000_0000,
    high: 0x1_4000_0000..0x10_0000_0000,
};

/// What the fake functions were told, in order.
type Journal = Arc<Mutex<Vec<(u8, Vec<DecodedBar>)>>>;

/// The last write a fake function got: BAR, offset, bytes.
type Written = Arc<Mutex<Option<(u8, u64, Vec<u8>)>>>;

/// Answers reads with its name and the low byte of the offset, and remembers the last write.
struct Fake {
    name: u8,
    config: ConfigSpace,
    journal: Journal,
    written: Written,
}

impl Function for Fake {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.config.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.config.write(offset, data);
    }

    fn decoded(&self) -> Vec<DecodedBar> {
        self.config.decoded()
    }

    fn on_decode(&mut self, now: &[DecodedBar]) -> Result<(), DecodeError> {
        self.journal.lock().unwrap().push((self.name, now.to_vec()));
        Ok(())
    }

    fn read(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        data[0] = self.name << 4 | bar;
        if let Some(byte) = data.get_mut(1) {
            *byte = offset.to_le_bytes()[0];
        }
    }

    fn write(&mut self, bar: u8, offset: u64, data: &[u8]) {
        *self.written.lock().unwrap() = Some((bar, offset, data.to_vec()));
    }
}

struct Bench {
    root: Root,
    journal: Journal,
    written: Vec<Written>,
}

impl Bench {
    /// A bus with one function per list of BARs: (index, length, width).
    fn new(functions: &[&[(u8, u64, BarWidth)]]) -> Self {
        let mut bench = Self {
            root: Root::new(WINDOWS),
            journal: Journal::default(),
            written: Vec::new(),
        };
        for (name, bars) in (1..).zip(functions) {
            let mut config = ConfigSpace::new(Identity {
                vendor: 0x1af4,
                device: 0x1041,
                subsystem: (0, 0),
                class: [2, 0, 0],
                revision: 1,
            });
            for &(index, len, width) in *bars {
                config.add_bar(index, len, width);
            }
            let written = Arc::default();
            bench.written.push(Arc::clone(&written));
            let fake = Fake {
                name,
                config,
                journal: Arc::clone(&bench.journal),
                written,
            };
            bench.root.add(Box::new(fake)).unwrap();
        }
        bench
    }

    fn told(&self) -> Vec<(u8, Vec<DecodedBar>)> {
        std::mem::take(&mut self.journal.lock().unwrap())
    }

    fn select(&mut self, at: u32, register: u32) {
        let word = 1 << 31 | at << 11 | register;
        self.root.port_write(0xcf8, &word.to_le_bytes()).unwrap();
    }

    fn port<const N: usize>(&mut self, port: u16) -> [u8; N] {
        let mut data = [0; N];
        self.root.port_read(port, &mut data);
        data
    }

    fn memory<const N: usize>(&mut self, address: u64) -> [u8; N] {
        let mut data = [0; N];
        self.root.memory_read(address, &mut data);
        data
    }

    fn config_write(&mut self, device: u8, offset: u16, data: &[u8]) {
        let at = Bdf::new(device).unwrap();
        self.root.config_write(at, offset, data).unwrap();
    }

    fn place(&mut self, device: u8, index: u8, base: u32) {
        self.config_write(device, 0x10 + 4 * u16::from(index), &base.to_le_bytes());
    }

    fn switch(&mut self, device: u8, bits: u16) {
        self.config_write(device, 4, &bits.to_le_bytes());
    }
}

use BarWidth::{Bits32, Bits64};

#[test]
fn ports_and_memory_show_the_same_configuration_space() {
    let mut bench = Bench::new(&[&[(0, 0x1000, Bits32)]]);
    for (device, register) in [(0, 0), (0, 8), (1, 0), (1, 4), (1, 0x10), (1, 0x3c)] {
        bench.select(device, register);
        let at = ECAM.start + u64::from(device << 15 | register);
        let word: [u8; 4] = bench.port(0xcfc);
        assert_eq!(bench.memory::<4>(at), word);
        for i in [0, 2] {
            assert_eq!(bench.port::<2>(0xcfc + i), word[usize::from(i)..][..2]);
            assert_eq!(bench.memory::<2>(at + u64::from(i)), word[usize::from(i)..][..2]);
        }
        for i in 0..4 {
            assert_eq!(bench.port::<1>(0xcfc + i), [word[usize::from(i)]]);
        }
    }
    bench.select(1, 0x3c);
    bench.root.port_write(0xcfc, &[0x2a]).unwrap();
    assert_eq!(bench.memory::<1>(ECAM.start + (1 << 15) + 0x3c), [0x2a]);
    bench
        .root
        .memory_write(ECAM.start + (1 << 15) + 0x10, &[0xff; 4])
        .unwrap();
    bench.select(1, 0x10);
    assert_eq!(bench.port::<4>(0xcfc), 0xffff_f000_u32.to_le_bytes());
}

#[test]
fn where_no_function_is_reads_are_all_ones() {
    let mut bench = Bench::new(&[&[]]);
    bench.select(2, 0);
    assert_eq!(bench.port::<4>(0xcfc), [0xff; 4]);
    let word: u32 = 1 << 31 | 1 << 16 | 1 << 11;
    for wrong in [1_u32 << 11, word, 1 << 31 | 1 << 11 | 1 << 8] {
        bench.root.port_write(0xcf8, &wrong.to_le_bytes()).unwrap();
        assert_eq!(bench.port::<4>(0xcfc), [0xff; 4], "{wrong:#x}");
    }
    for offset in [
        2 << 15,
        1 << 15 | 1 << 12,
        1 << 20,
        (1 << 28) - 4,
        1 << 15 | 0x100,
    ] {
        assert_eq!(bench.memory::<4>(ECAM.start + offset), [0xff; 4], "{offset:#x}");
    }
    assert_eq!(bench.root.counters().unclaimed, 0);
    assert_eq!(bench.memory::<8>(0xe000_0000), [0xff; 8]);
    assert_eq!(bench.root.counters().unclaimed, 1);
}

#[test]
fn widths_and_alignments_that_do_not_exist_touch_nothing() {
    let mut bench = Bench::new(&[&[]]);
    bench.select(1, 0);
    assert_eq!(bench.port::<2>(0xcfd), [0xff; 2]);
    assert_eq!(bench.port::<2>(0xcf8), [0xff; 2]);
    assert_eq!(bench.port::<3>(0xcfc), [0xff; 3]);
    assert_eq!(bench.memory::<8>(ECAM.start + (1 << 15)), [0xff; 8]);
    assert_eq!(bench.memory::<4>(ECAM.start + (1 << 15) + 2), [0xff; 4]);
    bench.root.port_write(0xcf8, &[0; 2]).unwrap();
    bench.root.port_write(0xcf9, &[6]).unwrap();
    assert_eq!(bench.port::<2>(0xcfc), [0xf4, 0x1a], "the address is as it was");
    assert_eq!(bench.root.counters().malformed, 4);
}

#[test]
fn bars_are_placed_as_firmware_would() {
    let mut bench = Bench::new(&[
        &[(0, 0x1000, Bits32), (2, 1 << 32, Bits64)],
        &[(0, 0x4000, Bits64), (5, 0x10, Bits32)],
        &[(1, 0x200_0000, Bits32)],
    ]);
    bench.root.place_bars().unwrap();
    assert_eq!(bench.told(), [], "all is still switched off");
    for device in 1..=3 {
        bench.switch(device, command::MEMORY);
    }
    let bar = |index, base, len| DecodedBar { index, base, len };
    let expected = [
        (
            1,
            vec![bar(0, 0xe200_4000, 0x1000), bar(2, 0x2_0000_0000, 1 << 32)],
        ),
        (2, vec![bar(0, 0xe200_0000, 0x4000), bar(5, 0xe200_5000, 0x10)]),
        (3, vec![bar(1, 0xe000_0000, 0x200_0000)]),
    ];
    assert_eq!(bench.told(), expected);
    assert_eq!(bench.root.counters().refused_bars, 0);
}

#[test]
fn a_bar_without_room_is_an_error_that_names_it() {
    let mut bench = Bench::new(&[
        &[(0, 1 << 27, Bits32)],
        &[(0, 1 << 27, Bits32)],
        &[(1, 0x10, Bits32)],
    ]);
    let error = bench.root.place_bars().unwrap_err();
    assert!(
        matches!(
            error,
            PlaceError::NoRoom {
                index: 1,
                len: 16,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("BAR 1 of 00:03.0"), "{error}");
}

#[test]
fn memory_leads_to_the_function_that_decodes_it_while_it_is_on() {
    let mut bench = Bench::new(&[&[(0, 0x1000, Bits32)], &[(1, 0x1000, Bits32)]]);
    bench.root.place_bars().unwrap();
    assert_eq!(bench.memory::<2>(0xe000_0010), [0xff; 2]);
    bench.switch(1, command::MEMORY);
    bench.switch(2, command::MEMORY);
    assert_eq!(bench.memory::<2>(0xe000_0010), [0x10, 0x10]);
    assert_eq!(bench.memory::<2>(0xe000_1020), [0x21, 0x20]);
    assert_eq!(bench.memory::<2>(0xe000_0fff), [0xff; 2], "across two functions");
    bench.root.memory_write(0xe000_1ffc, &[1, 2, 3, 4]).unwrap();
    assert_eq!(
        bench.written[1].lock().unwrap().take(),
        Some((1, 0xffc, vec![1, 2, 3, 4]))
    );
    bench.switch(2, 0);
    assert_eq!(bench.memory::<2>(0xe000_1020), [0xff; 2]);
    bench.root.memory_write(0xe000_1ffc, &[1]).unwrap();
    assert_eq!(*bench.written[1].lock().unwrap(), None);
}

#[test]
fn a_bar_on_ram_on_configuration_space_or_on_another_is_not_there() {
    let mut bench = Bench::new(&[&[(0, 0x1000, Bits32)], &[(0, 0x1000, Bits32)]]);
    bench.root.place_bars().unwrap();
    bench.switch(1, command::MEMORY);
    bench.switch(2, command::MEMORY);
    bench.told();
    for wrong in [
        0,
        0x10_0000,
        0xd000_0000,
        0xdfff_f000,
        0xf000_0000,
        0xfee0_0000,
        0xe000_1000,
    ] {
        bench.place(1, 0, wrong);
        assert_eq!(
            bench.memory::<2>(0xe000_1020),
            [0x20, 0x20],
            "{wrong:#x}: the other stays"
        );
        assert_eq!(
            bench.memory::<2>(0xe000_0020),
            [0xff; 2],
            "{wrong:#x}: its old place is empty"
        );
    }
    assert_eq!(bench.told(), [(1, vec![])], "told once that it is nowhere");
    let base = 0xe000_1000;
    bench.switch(2, 0);
    let bar = DecodedBar {
        index: 0,
        base,
        len: 0x1000,
    };
    assert_eq!(
        bench.told(),
        [(2, vec![]), (1, vec![bar])],
        "a place that falls free goes to who waits for it"
    );
}

#[test]
fn the_bus_is_full_with_32_devices() {
    let mut bench = Bench::new(&[&[] as &[_]; 31]);
    let config = ConfigSpace::new(Identity {
        vendor: 1,
        device: 1,
        subsystem: (0, 0),
        class: [2, 0, 0],
        revision: 1,
    });
    let one_more = Fake {
        name: 0,
        config,
        journal: Journal::default(),
        written: Arc::default(),
    };
    assert!(bench.root.add(Box::new(one_more)).is_err());
    assert_ne!(bench.memory::<4>(ECAM.start + (31 << 15)), [0xff; 4]);
}

/// One access of a guest, wherever it likes.
#[derive(Clone, Debug)]
enum Access {
    Port {
        port: u16,
        write: bool,
        data: Vec<u8>,
    },
    Memory {
        address: u64,
        write: bool,
        data: Vec<u8>,
    },
}

fn access() -> impl Strategy<Value = Access> {
    let data = prop::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 1..=8);
    let selection =
        (0..5_u32, 0..64_u32).prop_map(|(device, register)| 1 << 31 | device << 11 | register << 2);
    let select = selection.prop_map(|word| Access::Port {
        port: 0xcf8,
        write: true,
        data: word.to_le_bytes().to_vec(),
    });
    let port = (0xcf8..=0xcff_u16, any::<bool>(), data.clone());
    let interesting = prop_oneof![
        ECAM.start..ECAM.start + (5 << 15),
        0xdfff_ff00..0xe000_8000_u64,
        0xefff_ff00..0xf000_0100_u64,
        any::<u64>(),
    ];
    let registers = (
        0..5_u64,
        prop_oneof![Just(4_u64), (4..10_u64).prop_map(|r| 4 * r)],
    )
        .prop_map(|(device, register)| ECAM.start + (device << 15) + register);
    let words = prop_oneof![
        Just(2_u32),
        (0..16_u32).prop_map(|page| 0xe000_0000 + page * 0x800),
        any::<u32>()
    ];
    let configure = (registers, words).prop_map(|(address, word)| Access::Memory {
        address,
        write: true,
        data: word.to_le_bytes().to_vec(),
    });
    prop_oneof![
        select,
        port.prop_map(|(port, write, data)| Access::Port { port, write, data }),
        (interesting, any::<bool>(), data).prop_map(|(address, write, data)| Access::Memory {
            address,
            write,
            data
        }),
        configure,
    ]
}

proptest! {
    /// Whatever a guest does, no BAR is honoured outside the windows, and no two in one place.
    #[test]
    fn no_access_leads_where_it_must_not(accesses in prop::collection::vec(access(), 1..200)) {
        let mut bench = Bench::new(&[
            &[(0, 0x1000, Bits32), (1, 0x800, Bits32)],
            &[(0, 0x4000, Bits64), (2, 0x2000, Bits32)],
            &[(4, 1 << 34, Bits64)],
        ]);
        bench.root.place_bars().unwrap();
        let mut honoured = [const { Vec::new() }; 4];
        for access in accesses {
            match access {
                Access::Port { port, write: true, data } => bench.root.port_write(port, &data).unwrap(),
                Access::Port { port, write: false, mut data } => bench.root.port_read(port, &mut data),
                Access::Memory { address, write: true, data } => bench.root.memory_write(address, &data).unwrap(),
                Access::Memory { address, write: false, mut data } => bench.root.memory_read(address, &mut data),
            }
            for (name, bars) in bench.told() {
                honoured[usize::from(name)] = bars;
            }
            let mut bars: Vec<_> = honoured.iter().flatten().collect();
            bars.sort_by_key(|bar| bar.base);
            for bar in &bars {
                let end = bar.base + bar.len;
                let within = |window: &std::ops::Range<u64>| window.start <= bar.base && end <= window.end;
                prop_assert!(within(&WINDOWS.low) || within(&WINDOWS.high), "{bar:x?}");
            }
            for pair in bars.windows(2) {
                prop_assert!(pair[0].base + pair[0].len <= pair[1].base, "{pair:x?}");
            }
        }
    }
}
