//! A driver made of vectors: a pool of receive buffers, app memory, and a transmit ring whose device reads a payload only
//! when it is told to, as a real one does.

use netstack::wire::vlan::{TAG_LEN, VlanId};
use netstack::{BufId, Env, Instant, LARGE_BYTES, Span, Stack, TxOffload, TxTicket};
use std::collections::VecDeque;

/// Where a frame begins in its buffer.
pub(crate) const FRAME_OFFSET: u16 = 12;
const BUFFER_LEN: usize = 2048;
/// Bytes of a frame that is composed whole, at most.
const LONGEST_FRAME: usize = 9018;
/// Large buffers there are.
pub(crate) const LARGE: u32 = 8;

struct Posted {
    header: Vec<u8>,
    payload: Vec<Span>,
    offload: TxOffload,
}

/// When the device takes frames off the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// As soon as they are committed.
    Prompt,
    /// When [`Driver::transmit`] is called.
    Held,
}

pub(crate) struct Driver {
    buffers: Vec<Vec<u8>>,
    free: Vec<u32>,
    /// Large buffers; their numbers follow on those of the others.
    large: Vec<Vec<u8>>,
    free_large: Vec<u32>,
    /// App memory; a span's address is an index into it.
    pub(crate) memory: Vec<u8>,
    begun: Vec<u8>,
    ring: VecDeque<Posted>,
    pub(crate) ring_len: usize,
    pub(crate) device: Device,
    /// Whose tag it gives frames.
    vlan: Option<VlanId>,
    committed: u32,
    read: u32,
    /// Frames on the wire, in order.
    pub(crate) sent: VecDeque<Vec<u8>>,
}

impl Driver {
    pub(crate) fn new(buffers: u32, ring_len: usize) -> Self {
        Self::on_vlan(buffers, ring_len, None)
    }

    pub(crate) fn on_vlan(buffers: u32, ring_len: usize, vlan: Option<VlanId>) -> Self {
        Driver {
            buffers: vec![vec![0; BUFFER_LEN]; buffers as usize],
            free: (0..buffers).rev().collect(),
            large: vec![vec![0; LARGE_BYTES]; LARGE as usize],
            free_large: (buffers..buffers + LARGE).collect(),
            memory: Vec::new(),
            begun: vec![0; LONGEST_FRAME],
            ring: VecDeque::new(),
            ring_len,
            device: Device::Prompt,
            vlan,
            committed: u32::MAX - 5, // tickets wrap in every test
            read: u32::MAX - 5,
            sent: VecDeque::new(),
        }
    }

    /// Puts a frame into a buffer of the pool; `None` if that is empty.
    pub(crate) fn fill(&mut self, frame: &[u8]) -> Option<BufId> {
        let index = self.free.pop()?;
        let start = usize::from(FRAME_OFFSET);
        let buffer = &mut self.buffers[index as usize];
        buffer.fill(0xee);
        buffer.resize(BUFFER_LEN + start, 0xee);
        buffer[start..start + frame.len()].copy_from_slice(frame);
        Some(BufId(index))
    }

    /// Buffers in the pool.
    pub(crate) fn available(&self) -> usize {
        self.free.len()
    }

    /// Frames committed so far, counted from anywhere.
    pub(crate) fn committed(&self) -> u32 {
        self.committed
    }

    /// What the app sees of a buffer it holds.
    pub(crate) fn view(&self, buf: &BufId, offset: u16, len: u16) -> &[u8] {
        let free = [&self.free, &self.free_large];
        assert!(
            !free.iter().any(|free| free.contains(&buf.0)),
            "buffer {} is free",
            buf.0
        );
        let number = buf.0 as usize;
        let buffer = self
            .buffers
            .get(number)
            .unwrap_or_else(|| &self.large[number - self.buffers.len()]);
        &buffer[usize::from(offset)..][..usize::from(len)]
    }

    /// Hands packets that were put together of fragments to the stack, as a driver does after each batch.
    pub(crate) fn receive_whole(&mut self, stack: &mut Stack, now: Instant) {
        while let Some(whole) = stack.poll_whole() {
            let bytes = self.view(whole.buf(), whole.offset(), whole.len()).to_vec();
            stack.receive_whole(self, now, whole, &bytes);
        }
    }

    /// Copies bytes into fresh app memory.
    pub(crate) fn place(&mut self, bytes: &[u8]) -> Span {
        let address = self.memory.len() as u64;
        self.memory.extend_from_slice(bytes);
        // Two pieces never touch, so that they stay two.
        self.memory.push(0xdd);
        Span {
            address,
            len: u32::try_from(bytes.len()).unwrap(),
        }
    }

    /// Lets the device read and send up to `frames` of those on the ring.
    pub(crate) fn transmit(&mut self, frames: usize) {
        for _ in 0..frames {
            let Some(posted) = self.ring.pop_front() else {
                break;
            };
            let frame = self.gather(&posted);
            match posted.offload {
                TxOffload::Complete => self.sent.push_back(frame),
                TxOffload::Partial { start, offset } => {
                    self.sent
                        .push_back(complete(frame, start.into(), (start + offset).into()));
                }
                TxOffload::Segments { ip, start, mss } => {
                    let header_len = posted.header.len();
                    self.sent
                        .extend(cut(&frame, header_len, ip.into(), start.into(), mss.into()));
                }
            }
            self.read = self.read.wrapping_add(1);
        }
    }

    fn gather(&self, posted: &Posted) -> Vec<u8> {
        let mut frame = posted.header.clone();
        for span in &posted.payload {
            frame.extend_from_slice(self.bytes(*span));
        }
        frame
    }

    /// Frames committed and not yet read by the device.
    pub(crate) fn in_flight(&self) -> usize {
        self.ring.len()
    }

    /// Buffers that are not in the pool.
    pub(crate) fn buffers_out(&self) -> usize {
        self.buffers.len() - self.free.len() + self.large.len() - self.free_large.len()
    }
}

/// Adds up what begins at `start`, the sum at `field` included, and puts the checksum there.
pub(super) fn complete(mut frame: Vec<u8>, start: usize, field: usize) -> Vec<u8> {
    let checksum = !folded(words(&frame[start..]));
    frame[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
    frame
}

pub(super) fn words(bytes: &[u8]) -> u32 {
    bytes.chunks(2).fold(0, |sum, pair| {
        sum + u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]))
    })
}

pub(super) fn folded(sum: u32) -> u16 {
    let sum = (sum >> 16) + (sum & 0xffff);
    u16::try_from((sum >> 16) + (sum & 0xffff)).unwrap()
}

/// What a device makes of a segment that is too long.
fn cut(frame: &[u8], header_len: usize, ip: usize, start: usize, mss: usize) -> Vec<Vec<u8>> {
    let (headers, data) = frame.split_at(header_len);
    assert!(data.len() > mss && data.len() <= netstack::MAX_SEGMENTS_BYTES as usize);
    let tcp_len = |data: usize| u16::try_from(header_len - start + data).unwrap();
    let count = data.len().div_ceil(mss);
    let one = |(number, piece): (usize, &[u8])| {
        let mut out = [headers, piece].concat();
        if start - ip == 20 {
            let number = u16::try_from(number).unwrap();
            let total_len = tcp_len(piece.len()) + 20;
            out[ip + 2..ip + 4].copy_from_slice(&total_len.to_be_bytes());
            out[ip + 4..ip + 6].copy_from_slice(&number.to_be_bytes());
            out[ip + 10..ip + 12].fill(0);
            let checksum = !folded(words(&out[ip..start]));
            out[ip + 10..ip + 12].copy_from_slice(&checksum.to_be_bytes());
        } else {
            assert_eq!(start - ip, 40);
            out[ip + 4..ip + 6].copy_from_slice(&tcp_len(piece.len()).to_be_bytes());
        }
        let seq = u32::from_be_bytes(out[start + 4..start + 8].try_into().unwrap());
        let seq = seq.wrapping_add(u32::try_from(number * mss).unwrap());
        out[start + 4..start + 8].copy_from_slice(&seq.to_be_bytes());
        if number + 1 < count {
            out[start + 13] &= !0x09;
        }
        let sum = u32::from(u16::from_be_bytes([out[start + 16], out[start + 17]]));
        let sum = folded(sum + u32::from(!tcp_len(data.len())) + u32::from(tcp_len(piece.len())));
        out[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
        complete(out, start, start + 16)
    };
    data.chunks(mss).enumerate().map(one).collect()
}

impl Env for Driver {
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        if self.ring.len() >= self.ring_len {
            return None;
        }
        self.begun.fill(0xcc);
        let tag_len = self.vlan.map_or(0, |_| TAG_LEN);
        Some(&mut self.begun[tag_len..])
    }

    fn commit_tx(&mut self, header_len: usize, payload: &[Span], offload: TxOffload) -> TxTicket {
        assert!(self.ring.len() < self.ring_len, "committed into a full ring");
        assert!(payload.len() <= netstack::MAX_TX_SPANS && payload.iter().all(|span| span.len > 0));
        let (header_len, offload) = match self.vlan {
            Some(vlan) => {
                vlan.tag(&mut self.begun);
                (header_len + TAG_LEN, offload.behind(4))
            }
            None => (header_len, offload),
        };
        self.ring.push_back(Posted {
            header: self.begun[..header_len].to_vec(),
            payload: payload.to_vec(),
            offload,
        });
        let ticket = TxTicket(self.committed);
        self.committed = self.committed.wrapping_add(1);
        if self.device == Device::Prompt {
            self.transmit(1);
        }
        ticket
    }

    fn tx_done(&self, ticket: TxTicket) -> bool {
        self.read.wrapping_sub(ticket.0).cast_signed() > 0
    }

    fn free_rx(&mut self, buf: BufId) {
        let is_large = buf.0 as usize >= self.buffers.len();
        let free = if is_large {
            &mut self.free_large
        } else {
            &mut self.free
        };
        assert!(!free.contains(&buf.0), "buffer {} freed twice", buf.0);
        free.push(buf.0);
    }

    fn alloc_large(&mut self) -> Option<BufId> {
        self.free_large.pop().map(BufId)
    }

    fn large(&mut self, buf: &BufId) -> &mut [u8] {
        assert!(!self.free_large.contains(&buf.0), "buffer {} is free", buf.0);
        let number = buf.0 as usize - self.buffers.len();
        &mut self.large[number]
    }

    fn bytes(&self, span: Span) -> &[u8] {
        let start = usize::try_from(span.address).unwrap();
        &self.memory[start..][..span.len as usize]
    }
}
