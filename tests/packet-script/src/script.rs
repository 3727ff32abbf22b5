//! A script and its steps.
//!
//! | line | means |
//! |---|---|
//! | `# ...` | a comment; the first says what is shown, with the RFC's section |
//! | `runs everywhere` | also against the virtual machine and Linux (else against the crate only) |
//! | `differs linux: REASON` | Linux is known to answer otherwise |
//! | `set NAME VALUE` | a setting of the stack, before anything else |
//! | `peer SEGMENT [MODIFIERS]` | the peer sends TCP; see [`crate::segment`] |
//! | `peer udp FROM > TO +LEN`, `peer icmp echo ID SEQ +LEN`, `peer arp request`, `peer arp reply`, `peer frame HEX` | ... or something else |
//! | `peer icmp unreachable CODE [mtu N] [seq N]`, `peer icmp error TYPE CODE ...` | an error about our last segment |
//! | `peer v6 ...`, `us v6 ...` | IPv6; see [`crate::v6`] |
//! | `... part=FROM..TO id=N` | of that packet only the fragment with these bytes of its payload, `FROM..` to its end; of packet N |
//! | `us SEGMENT` | we send this next, and nothing before it |
//! | `us udp FROM > TO +LEN`, `us icmp reply ID SEQ +LEN`, `us icmp unreachable CODE`, `us arp request`, `us arp reply` | ... or this |
//! | `us nothing` | nothing was sent |
//! | `us anything` | what we send next does not matter, and may be nothing |
//! | `+10ms` | time passes (`us`, `ms`, `s`) |
//! | `app WORDS` | the app acts, or is told; see the subject |
//! | `count NAME VALUE` | a counter of the stack's |

use crate::frame::Other;
use crate::segment::Segment;
use std::time::Duration;

/// A dialogue.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The first comment.
    pub title: String,
    /// Also against the virtual machine and Linux.
    pub everywhere: bool,
    /// Who is known to answer otherwise, and why.
    pub differs: Vec<(String, String)>,
    /// Settings, in order.
    pub settings: Vec<(String, String)>,
    /// What happens, with the number of its line.
    pub steps: Vec<(usize, Step)>,
}

/// One line.
#[derive(Clone, Debug)]
pub enum Step {
    /// The peer sends a segment.
    Peer(Segment, Envelope),
    /// The peer sends something else.
    PeerOther(Other, Envelope),
    /// We send a segment.
    Us(Segment),
    /// We send something else.
    UsOther(Other),
    /// We are silent.
    Nothing,
    /// Whatever we send.
    Anything,
    /// Time passes.
    Wait(Duration),
    /// The app.
    App(Vec<String>),
    /// A counter.
    Count(String, u64),
}

/// How a frame of the peer's is wrapped; by default as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// TCP's or UDP's checksum is wrong.
    pub bad_sum: bool,
    /// IPv4's is.
    pub bad_ip_sum: bool,
    /// Sent to all stations.
    pub broadcast_mac: bool,
    /// Sent to somebody else's station.
    pub foreign_mac: bool,
    /// From this host on our network, instead of the peer.
    pub from: Option<u8>,
    /// To this host on our network, instead of us.
    pub to: Option<u8>,
    /// IPv4's ECN field; a segment says it itself.
    pub ecn: u8,
    /// "More fragments" is set.
    pub fragment: bool,
    /// Only this part of the packet, as a fragment.
    pub part: Option<Part>,
    /// What the fragments of one packet have in common.
    pub id: u16,
    /// The last bytes are missing.
    pub cut: usize,
    /// IPv6's hop limit.
    pub hop: Option<u8>,
}

/// The bytes of a packet's payload that a fragment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    from: u16,
    /// To the end if there is none.
    to: Option<u16>,
}

impl Part {
    fn read(word: &str) -> Result<Self, String> {
        let (from, to) = word.split_once("..").ok_or("a part is FROM..TO")?;
        Ok(Part {
            from: number_of(from)?,
            to: (!to.is_empty()).then(|| number_of(to)).transpose()?,
        })
    }

    /// Where it begins, in units of 8 bytes; whether more follow; the bytes.
    pub(crate) fn of(self, payload: &[u8]) -> (u16, bool, &[u8]) {
        let to = self.to.map_or(payload.len(), usize::from);
        (
            self.from / 8,
            to < payload.len(),
            &payload[usize::from(self.from)..to],
        )
    }
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// What is wrong, and in which line.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut script = Script::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(comment) = line.strip_prefix('#') {
                if script.title.is_empty() {
                    comment.trim().clone_into(&mut script.title);
                }
            } else if !line.is_empty() {
                // A comment may follow what is said.
                let said = line.split(" # ").next().unwrap_or(line);
                script
                    .take(index + 1, said)
                    .map_err(|error| format!("line {}: {error}: {line}", index + 1))?;
            }
        }
        if script.title.is_empty() {
            return Err("no title".into());
        }
        Ok(script)
    }

    fn take(&mut self, number: usize, line: &str) -> Result<(), String> {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let step = match words[..] {
            ["runs", "everywhere"] => {
                self.everywhere = true;
                return Ok(());
            }
            ["differs", ..] => {
                let (who, reason) = line["differs".len()..].split_once(':').ok_or("no reason")?;
                self.differs.push((who.trim().into(), reason.trim().into()));
                return Ok(());
            }
            ["set", name, value] => {
                self.settings.push((name.into(), value.into()));
                return Ok(());
            }
            ["us", "nothing"] => Step::Nothing,
            ["us", "anything"] => Step::Anything,
            ["peer", ref rest @ ..] => peer(rest)?,
            ["us", ref rest @ ..] => match Other::read(rest) {
                Some(other) => Step::UsOther(other?),
                None => Step::Us(whole(Segment::read(rest)?)?),
            },
            ["app", ref rest @ ..] => Step::App(rest.iter().map(|word| (*word).to_owned()).collect()),
            ["count", name, value] => Step::Count(name.into(), number_of(value)?),
            [time] if time.starts_with('+') => Step::Wait(duration(&time[1..])?),
            _ => return Err("not understood".into()),
        };
        self.steps.push((number, step));
        Ok(())
    }
}

fn whole((segment, rest): (Segment, Vec<String>)) -> Result<Segment, String> {
    if rest.is_empty() {
        Ok(segment)
    } else {
        Err(format!("{rest:?} cannot be expected"))
    }
}

fn peer(words: &[&str]) -> Result<Step, String> {
    let end = words.iter().position(|word| is_modifier(word));
    let (said, modifiers) = words.split_at(end.unwrap_or(words.len()));
    let envelope = envelope(modifiers)?;
    match Other::read(said) {
        Some(other) => Ok(Step::PeerOther(other?, envelope)),
        None => Ok(Step::Peer(whole(Segment::read(said)?)?, envelope)),
    }
}

fn is_modifier(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or(word);
    [
        "badsum",
        "badipsum",
        "broadcast",
        "foreign",
        "from",
        "to",
        "fragment",
        "part",
        "id",
        "cut",
        "hop",
    ]
    .contains(&name)
}

fn envelope(words: &[&str]) -> Result<Envelope, String> {
    let mut envelope = Envelope::default();
    for word in words {
        match word.split_once('=') {
            None if *word == "badsum" => envelope.bad_sum = true,
            None if *word == "badipsum" => envelope.bad_ip_sum = true,
            None if *word == "broadcast" => envelope.broadcast_mac = true,
            None if *word == "foreign" => envelope.foreign_mac = true,
            None if *word == "fragment" => envelope.fragment = true,
            Some(("from", host)) => envelope.from = Some(number_of(host)?),
            Some(("to", host)) => envelope.to = Some(number_of(host)?),
            Some(("part", part)) => envelope.part = Some(Part::read(part)?),
            Some(("id", id)) => envelope.id = number_of(id)?,
            Some(("cut", bytes)) => envelope.cut = number_of(bytes)?,
            Some(("hop", limit)) => envelope.hop = Some(number_of(limit)?),
            _ => return Err(format!("{word} is no modifier")),
        }
    }
    Ok(envelope)
}

/// Words; what stands in `<...>` is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let options = rest.starts_with('<') && rest.len() > 1 && !rest[1..].starts_with(' ');
        let end = if options {
            rest.find('>').map_or(rest.len(), |at| at + 1)
        } else {
            rest.find(char::is_whitespace).unwrap_or(rest.len())
        };
        words.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    words
}

/// A number of any width.
pub(crate) fn number_of<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}

/// `200ms`, `3s`, `50us`.
///
/// # Errors
/// If it is none of these.
pub fn duration(word: &str) -> Result<Duration, String> {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u64 = number_of(&word[..word.len() - unit.len()])?;
    match unit {
        "us" => Ok(Duration::from_micros(count)),
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        _ => Err(format!("{word} is no time")),
    }
}
