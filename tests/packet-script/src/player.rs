//! Plays the peer of a script, and checks what the subject sends.

use crate::frame::{Other, Read, Stations, payload, read};
use crate::script::{Script, Step};
use crate::segment::{Segment, TcpOption, flag};
use std::collections::HashMap;
use std::time::Duration;

/// How long a frame is worth waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hope {
    /// One has to come: as long as it may take.
    Sure,
    /// None has to come: until it would have.
    Faint,
}

/// What is tested.
pub trait Subject {
    /// A frame arrives at it.
    fn inject(&mut self, frame: &[u8]);

    /// The next frame it has sent; a subject that works in real time is waited for.
    fn next_frame(&mut self, hope: Hope) -> Option<Vec<u8>>;

    /// Time passes.
    fn wait(&mut self, duration: Duration);

    /// Its app acts, or is told something.
    ///
    /// # Errors
    /// What came instead.
    fn app(&mut self, words: &[&str]) -> Result<(), String>;

    /// One of its counters.
    ///
    /// # Errors
    /// If there is none of that name.
    fn counter(&mut self, name: &str) -> Result<u64, String>;
}

/// Initial sequence numbers of a connection, and the last timestamp of ours.
#[derive(Clone, Copy, Default)]
struct Numbers {
    peer: u32,
    ours: u32,
    our_stamp: u32,
}

/// The peer.
pub struct Player {
    stations: Stations,
    /// Initial sequence number of the peer's.
    isn: u32,
    numbers: HashMap<u16, Numbers>,
    /// The last segment we sent, as a frame, and our initial number in it.
    last_of_ours: (Vec<u8>, u32),
    /// ARP requests are answered without being asked for by the script.
    answers_arp: bool,
}

impl Player {
    /// A peer that begins each connection at `isn`.
    #[must_use]
    pub fn new(stations: Stations, isn: u32) -> Self {
        Player {
            stations,
            isn,
            numbers: HashMap::new(),
            last_of_ours: (vec![0; 64], 0),
            answers_arp: true,
        }
    }

    /// Plays the script to its end, where nothing may be left to be said.
    ///
    /// # Errors
    /// Which line was not true, and what was instead.
    pub fn play(&mut self, script: &Script, subject: &mut impl Subject) -> Result<(), String> {
        let speaks_arp = |step: &Step| matches!(step, Step::UsOther(Other::ArpRequest));
        self.answers_arp = !script.steps.iter().any(|(_, step)| speaks_arp(step));
        for (line, step) in &script.steps {
            self.step(step, subject)
                .map_err(|error| format!("line {line}: {error}"))?;
        }
        self.nothing(subject)
            .map_err(|error| format!("at the end: {error}"))
    }

    fn step(&mut self, step: &Step, subject: &mut impl Subject) -> Result<(), String> {
        match step {
            Step::Peer(segment, envelope) => {
                let absolute = self.absolute(segment);
                let frame = self.stations.encode(&absolute, first_byte(segment), envelope);
                subject.inject(&frame);
            }
            Step::PeerOther(other, envelope) => {
                let frame = self.stations.encode_other(other, &self.last_of_ours, envelope);
                subject.inject(&frame);
            }
            Step::Us(wanted) => return self.expect(wanted, subject),
            Step::UsOther(wanted) => return self.expect_other(wanted, subject),
            Step::Nothing => return self.nothing(subject),
            Step::Anything => while self.next(subject, Hope::Faint)?.is_some() {},
            Step::Wait(duration) => subject.wait(*duration),
            Step::App(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                return subject.app(&words);
            }
            Step::Count(name, wanted) => {
                let got = subject.counter(name)?;
                if got != *wanted {
                    return Err(format!("{name} is {got}"));
                }
            }
        }
        Ok(())
    }

    fn numbers(&mut self, port: u16) -> &mut Numbers {
        let isn = self.isn;
        self.numbers.entry(port).or_insert(Numbers {
            peer: isn,
            ..Numbers::default()
        })
    }

    fn absolute(&mut self, segment: &Segment) -> Segment {
        let numbers = *self.numbers(segment.port);
        let mut absolute = segment.clone();
        absolute.seq = segment.seq.wrapping_add(numbers.peer);
        absolute.ack = segment.ack.map(|ack| ack.wrapping_add(numbers.ours));
        for option in absolute.options.iter_mut().flatten() {
            match option {
                TcpOption::Timestamps(_, echo) => *echo = Some(echo.unwrap_or(numbers.our_stamp)),
                TcpOption::Sack(blocks) => {
                    for (from, to) in blocks {
                        *from = from.wrapping_add(numbers.ours);
                        *to = to.wrapping_add(numbers.ours);
                    }
                }
                _ => {}
            }
        }
        absolute
    }

    /// The next frame that a dialogue speaks about, relative.
    fn next(&mut self, subject: &mut impl Subject, hope: Hope) -> Result<Option<Said>, String> {
        while let Some(frame) = subject.next_frame(hope) {
            match read(&frame).map_err(|error| format!("{error}: {frame:02x?}"))? {
                Read::Foreign => {}
                Read::Other(Other::ArpRequest) if self.answers_arp => {
                    let reply =
                        self.stations
                            .encode_other(&Other::ArpReply, &self.last_of_ours, &Default::default());
                    subject.inject(&reply);
                }
                Read::Other(other) => return Ok(Some(Said::Other(other))),
                Read::Tcp(port, segment, bytes) => {
                    let port = port.wrapping_sub(self.stations.peer_port);
                    let relative = self.relative(port, segment);
                    self.last_of_ours = (frame, self.numbers(port).ours);
                    if bytes != payload(first_byte(&relative), relative.len) {
                        return Err(format!("wrong bytes in {relative}"));
                    }
                    return Ok(Some(Said::Segment(relative)));
                }
            }
        }
        Ok(None)
    }

    fn relative(&mut self, port: u16, mut segment: Segment) -> Segment {
        let numbers = self.numbers(port);
        if segment.flags & flag::SYN != 0 {
            numbers.ours = segment.seq;
        }
        segment.port = port;
        segment.seq = segment.seq.wrapping_sub(numbers.ours);
        segment.ack = segment.ack.map(|ack| ack.wrapping_sub(numbers.peer));
        for option in segment.options.iter_mut().flatten() {
            match option {
                TcpOption::Timestamps(Some(value), _) => numbers.our_stamp = *value,
                TcpOption::Sack(blocks) => {
                    for (from, to) in blocks {
                        *from = from.wrapping_sub(numbers.peer);
                        *to = to.wrapping_sub(numbers.peer);
                    }
                }
                _ => {}
            }
        }
        segment
    }

    fn expect(&mut self, wanted: &Segment, subject: &mut impl Subject) -> Result<(), String> {
        match self.next(subject, Hope::Sure)? {
            Some(Said::Segment(got)) if wanted.matches(&got) => Ok(()),
            got => Err(format!("\nwanted {wanted}\n   got {}", Said::text(got.as_ref()))),
        }
    }

    fn expect_other(&mut self, wanted: &Other, subject: &mut impl Subject) -> Result<(), String> {
        match self.next(subject, Hope::Sure)? {
            Some(Said::Other(got)) if got == *wanted => Ok(()),
            got => Err(format!(
                "\nwanted {wanted:?}\n   got {}",
                Said::text(got.as_ref())
            )),
        }
    }

    fn nothing(&mut self, subject: &mut impl Subject) -> Result<(), String> {
        match self.next(subject, Hope::Faint)? {
            None => Ok(()),
            got => Err(format!("wanted silence, got {}", Said::text(got.as_ref()))),
        }
    }
}

/// The relative number of its first byte.
fn first_byte(segment: &Segment) -> u32 {
    segment
        .seq
        .wrapping_add(u32::from(segment.flags & flag::SYN != 0))
}

enum Said {
    Segment(Segment),
    Other(Other),
}

impl Said {
    fn text(said: Option<&Said>) -> String {
        match said {
            None => "silence".into(),
            Some(Said::Segment(segment)) => segment.to_string(),
            Some(Said::Other(other)) => format!("{other:?}"),
        }
    }
}
