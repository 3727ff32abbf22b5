use fastrand::Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

/// Shorter frames carry no data worth losing: ARP, acknowledgements, handshakes.
const SHORT_BYTES: usize = 500;

/// An Ethernet switch in user space whose every way is long and loses data: what `tc netem` would be, where the kernel has
/// none. It moves no frame by itself: whoever owns the ports puts in what they send and takes out what has arrived.
///
/// Frames take a fixed time. Those of data are lost at random, from a seed, each flow's by a sequence of its own: how two
/// flows take turns changes nothing of what either loses.
#[derive(Debug)]
pub struct Switch {
    delay: Duration,
    loss_ppm: u32,
    seed: u64,
    ports: usize,
    stations: HashMap<[u8; 6], usize>,
    flows: HashMap<[u8; 12], Rng>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    carried: u64,
    lost: u64,
}

/// When a frame arrives, how many were sent before it, at which port it arrives, and its bytes.
type UnderWay = (Instant, u64, usize, Vec<u8>);

impl Switch {
    /// One of so many ports, where each frame takes `delay` and `loss_ppm` of a million frames of data are lost.
    #[must_use]
    pub fn new(ports: usize, delay: Duration, loss_ppm: u32, seed: u64) -> Self {
        Switch {
            delay,
            loss_ppm,
            seed,
            ports,
            stations: HashMap::new(),
            flows: HashMap::new(),
            under_way: BinaryHeap::new(),
            carried: 0,
            lost: 0,
        }
    }

    /// A frame that was sent at `port`. What is no frame, being shorter than two addresses, is dropped.
    pub fn send(&mut self, port: usize, frame: &[u8], now: Instant) {
        let (Some(to), Some(from)) = (address(frame, 0), address(frame, 6)) else {
            return;
        };
        self.stations.insert(from, port);
        if self.is_lost(frame) {
            self.lost += 1;
            return;
        }
        let known = self.stations.get(&to).copied();
        for target in 0..self.ports {
            if target != port && known.is_none_or(|known| known == target) {
                self.carried += 1;
                let entry = (now + self.delay, self.carried, target, frame.to_vec());
                self.under_way.push(Reverse(entry));
            }
        }
    }

    /// The next frame that has arrived by `now`, and at which port.
    pub fn arrived(&mut self, now: Instant) -> Option<(usize, Vec<u8>)> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, _, port, frame)) = self.under_way.pop()?;
        Some((port, frame))
    }

    /// When the next frame arrives.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse((arrival, ..))| *arrival)
    }

    /// Frames lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn is_lost(&mut self, frame: &[u8]) -> bool {
        // IPv4 addresses and the ports behind a header without options.
        let Some(flow) = frame.get(26..38).filter(|_| frame.len() >= SHORT_BYTES) else {
            return false;
        };
        let mut key = [0; 12];
        key.copy_from_slice(flow);
        let of_flow = || {
            let hash = key.iter().fold(self.seed, |hash, byte| {
                hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte)
            });
            Rng::with_seed(hash)
        };
        self.flows.entry(key).or_insert_with(of_flow).u32(0..1_000_000) < self.loss_ppm
    }
}

fn address(frame: &[u8], at: usize) -> Option<[u8; 6]> {
    frame.get(at..at + 6)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::Switch;
    use std::time::{Duration, Instant};

    const DELAY: Duration = Duration::from_millis(10);

    /// A frame of `flow` from station `from` to station `to`, told apart by `number`.
    fn frame(from: u8, to: u8, flow: u8, number: u16, len: usize) -> Vec<u8> {
        let mut frame = vec![0; len];
        (frame[5], frame[11], frame[35]) = (to, from, flow);
        frame[40..42].copy_from_slice(&number.to_be_bytes());
        frame
    }

    fn all(switch: &mut Switch, now: Instant) -> Vec<(usize, Vec<u8>)> {
        std::iter::from_fn(|| switch.arrived(now)).collect()
    }

    #[test]
    fn frames_arrive_late_in_order_and_at_the_port_of_their_station() {
        let mut switch = Switch::new(3, DELAY, 0, 1);
        let start = Instant::now();
        let (first, answer) = (frame(1, 2, 0, 0, 60), frame(2, 1, 0, 1, 60));
        switch.send(0, &first, start);
        assert_eq!(switch.next(), Some(start + DELAY));
        assert_eq!(all(&mut switch, start + DELAY / 2), []);
        // Nobody knows station 2 yet.
        assert_eq!(all(&mut switch, start + DELAY), [(1, first.clone()), (2, first)]);
        switch.send(1, &answer, start);
        assert_eq!(all(&mut switch, start + DELAY), [(0, answer)]);
        switch.send(0, &[1, 2, 3], start);
        assert_eq!(switch.next(), None);
    }

    #[test]
    fn what_a_flow_loses_does_not_depend_on_others() {
        let start = Instant::now();
        let losses = |with_other: bool| {
            let mut switch = Switch::new(2, DELAY, 50_000, 7);
            for number in 0..2000 {
                switch.send(0, &frame(1, 2, 3, number, 1000), start);
                if with_other {
                    switch.send(0, &frame(1, 2, 4, number, 1000), start);
                }
            }
            let arrived = all(&mut switch, start + DELAY).into_iter();
            let kept: Vec<_> = arrived.filter(|(_, frame)| frame[35] == 3).collect();
            (kept, switch.lost())
        };
        let ((alone, lost), (beside, lost_by_both)) = (losses(false), losses(true));
        assert_eq!(alone, beside);
        assert!(
            (70..130).contains(&lost) && lost_by_both > lost,
            "{lost} {lost_by_both}"
        );
    }

    #[test]
    fn what_carries_no_data_is_never_lost() {
        let mut switch = Switch::new(2, DELAY, 1_000_000, 1);
        let start = Instant::now();
        switch.send(0, &frame(1, 2, 0, 0, 66), start);
        switch.send(0, &frame(1, 2, 0, 1, 1514), start);
        assert_eq!(all(&mut switch, start + DELAY).len(), 1);
    }
}
