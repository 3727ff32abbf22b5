//! A stand-in for QEMU, with which the launcher's tests see how `ix` meets whatever a machine can do, without a
//! machine. It takes QEMU's command line and plays the app's arguments, one after the other:
//!
//! | word | what the machine does |
//! |---|---|
//! | `out:TEXT`, `err:TEXT` | the app writes a line |
//! | `flood:BYTES` | the app writes so many bytes, as fast as they are read |
//! | `log:TEXT` | the kernel logs a line |
//! | `env` | the app writes the kernel's command line |
//! | `stopped` | waits until it is asked to stop |
//! | `ended` | waits until it is told to end |
//! | `hang` | does nothing for a minute |
//! | `exit:N`, `signal:N`, `refuse` | the app ends |
//! | `status:N` | QEMU exits |
//! | `complain:TEXT` | QEMU writes to its standard error |

use host_launcher::sys::GuestRam;
use ix_abi::host::area::Outcome;
use ix_abi::host::{Stream, cmdline, exit};
use std::io::Write;
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

struct Machine {
    ram: GuestRam,
    log: UnixStream,
    doorbell: UnixStream,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let socket = |id: &str| {
        let word = args
            .iter()
            .find(|word| word.contains(&format!("id={id},fd=")))
            .expect("a chardev");
        let fd = word
            .rsplit('=')
            .next()
            .and_then(|digits| digits.parse().ok())
            .expect("a number");
        // SAFETY: the launcher hands this descriptor to us, and nothing else here uses it.
        unsafe { UnixStream::from_raw_fd(fd) }
    };
    let memory = args
        .iter()
        .find_map(|word| word.split_once("mem-path="))
        .expect("a memory file")
        .1;
    let memory = memory.split(',').next().expect("split gives at least one");
    let append = args
        .iter()
        .skip_while(|word| *word != "-append")
        .nth(1)
        .expect("a command line");
    let mut machine = Machine {
        ram: GuestRam::open(Path::new(memory)).expect("memory"),
        log: socket("log"),
        doorbell: socket("doorbell"),
    };
    machine.ram.area().stage.store(1, Ordering::Release);
    let (_, words) = append.split_once(" -- ").expect("the app's arguments");
    for word in words.split(' ').skip(1) {
        let word = String::from_utf8(cmdline::unescape(word).collect()).expect("text");
        machine.play(word.split_once(':').unwrap_or((&word, "")), append);
    }
}

impl Machine {
    fn play(&mut self, (action, text): (&str, &str), append: &str) {
        let number = || text.parse::<i32>().expect("a number");
        let byte = || u8::try_from(number()).expect("a byte");
        match action {
            "out" => self.write(Stream::Stdout, format!("{text}\n").as_bytes()),
            "err" => self.write(Stream::Stderr, format!("{text}\n").as_bytes()),
            "env" => self.write(Stream::Stdout, append.as_bytes()),
            "flood" => {
                let bytes: Vec<u8> = (0..number()).map(|i| i.to_le_bytes()[0]).collect();
                self.write(Stream::Stdout, &bytes);
            }
            "log" => writeln!(self.log, "{text}\r").expect("the launcher reads"),
            "complain" => eprintln!("qemu-system-x86_64: {text}"),
            "stopped" => self.wait_for_stop(1),
            "ended" => self.wait_for_stop(2),
            "hang" => std::thread::sleep(Duration::from_secs(60)),
            "exit" => self.end(Outcome::Exited(byte())),
            "signal" => self.end(Outcome::Signalled(byte())),
            "refuse" => self.end(Outcome::NotExecutable),
            "status" => std::process::exit(number()),
            _ => panic!("no such action: {action}"),
        }
    }

    fn write(&mut self, stream: Stream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = self.ram.area().console.push(stream, bytes);
            bytes = &bytes[count..];
            fence(Ordering::SeqCst);
            if self.ram.area().wants_doorbell.load(Ordering::SeqCst) != 0 {
                self.doorbell.write_all(b"!").expect("the launcher listens");
            }
            if count == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn wait_for_stop(&self, word: u32) {
        while self.ram.area().stop.load(Ordering::Acquire) < word {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn end(&self, outcome: Outcome) {
        self.ram.area().set_outcome(outcome);
        std::process::exit(exit::qemu_status(exit::APP_ENDED));
    }
}
