use crate::Folder;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Names of its sockets: for commands, and for accesses to the machine's bus.
const MONITOR: &str = "monitor";
const BUS: &str = "bus";

/// What QEMU's monitor says when it waits for a command.
const PROMPT: &str = "(qemu) ";

/// The emulator's monitor, through which a test does to a machine what happens to real ones.
#[derive(Debug)]
pub struct Monitor {
    folder: Folder,
}

impl Monitor {
    /// Of a machine that is started with its [`Monitor::options`].
    #[must_use]
    pub fn new() -> Self {
        Monitor {
            folder: Folder::new(),
        }
    }

    /// Options of `ix run`.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let socket = |name: &str| format!("unix:{},server=on,wait=off", self.path(name).display());
        let (monitor, bus) = (socket(MONITOR), socket(BUS));
        ["-monitor", &monitor, "-qtest", &bus, "-qtest-log", "none"]
            .iter()
            .flat_map(|word| ["--qemu-arg".to_owned(), (*word).to_owned()])
            .collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn connect(&self, name: &str) -> UnixStream {
        let stream = UnixStream::connect(self.path(name)).expect("the machine has a monitor");
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).expect("a valid timeout");
        stream
    }

    /// Gives a command; returns what QEMU says to it.
    ///
    /// # Panics
    /// If there is no such machine.
    pub fn say(&self, words: &str) -> String {
        let mut stream = self.connect(MONITOR);
        let until_prompt = |stream: &mut UnixStream| {
            let (mut said, mut room) = (String::new(), [0; 4096]);
            while !said.contains(PROMPT) {
                let count = stream.read(&mut room).expect("QEMU answers");
                assert!(count > 0, "the monitor is gone: {said}");
                said += &String::from_utf8_lossy(&room[..count]);
            }
            said
        };
        until_prompt(&mut stream);
        writeln!(stream, "{words}").expect("QEMU listens");
        until_prompt(&mut stream)
    }

    /// Writes a word where the machine's processors have memory or a device's registers, as another master of the bus could.
    ///
    /// # Panics
    /// If there is no such machine, or it cannot be written there.
    pub fn write(&self, address: u32, value: u32) {
        let mut stream = self.connect(BUS);
        writeln!(stream, "writel {address:#x} {value:#x}").expect("QEMU listens");
        let mut said = String::new();
        let mut lines = BufReader::new(stream);
        lines.read_line(&mut said).expect("QEMU answers");
        assert_eq!(said, "OK\n");
    }

    /// Sets the link of the machine's card.
    pub fn set_link(&self, state: &str) {
        self.say(&format!("set_link net0 {state}"));
    }

    /// A word of the card's PCI configuration space.
    ///
    /// # Panics
    /// If QEMU does not tell it.
    #[must_use]
    pub fn config(&self, offset: u32) -> u32 {
        self.select(offset);
        let said = self.say("i/w 0xcfc");
        let value = said
            .split("= 0x")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        let value = value.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        value.unwrap_or_else(|| panic!("{said}"))
    }

    /// Writes `value` there; `size` is `b` for a byte, `w` for a word.
    pub fn set_config(&self, offset: u32, size: char, value: u32) {
        self.select(offset);
        self.say(&format!("o/{size} {:#x} {value:#x}", 0xcfc + (offset & 3)));
    }

    /// The card is device 1 of bus 0: the only one that QEMU is told to make.
    fn select(&self, offset: u32) {
        self.say(&format!("o/w 0xcf8 {:#x}", 0x8000_0800 | offset));
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Monitor::new()
    }
}
