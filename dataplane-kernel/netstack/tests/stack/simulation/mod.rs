//! Two stacks and a bad link between them. Whatever the link does, in the end both sides have the other's bytes, and all
//! buffers are home. Memory is overwritten as soon as `Sent` gives it back, so a byte sent from it later would be seen.

mod app;
mod bottleneck;
mod dctcp;
mod goodput;
mod link;
mod node;
mod right_sizing;

use crate::harness::random::{Random, seeds};
use app::{Plan, Side};
use link::{Link, Quality};
use netstack::Instant;
use std::net::Ipv4Addr;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);

/// One run: `flows` connections over links of this quality; gives the virtual time it took.
fn run(seed: u64, flows: u16, quality: Quality, plan: Plan) -> Instant {
    eprintln!("seed {seed}: {flows} flows, {quality:?}, {plan:?}");
    let mut random = Random::new(seed);
    let mut now = Instant(random.below(1 << 50));
    let mut client = Side::new(CLIENT, &plan, now, &mut random);
    let mut server = Side::new(SERVER, &plan, now, &mut random);
    let mut up = Link::new(quality);
    let mut down = Link::new(quality);
    server.listen(flows);
    client.connect(SERVER, flows, now);

    let end = now.after_ns(3600 * 1_000_000_000);
    let mut steps = 0;
    while !(client.is_finished() && server.is_finished()) {
        steps += 1;
        assert!(now <= end && steps < 5_000_000, "no end: {client:?} {server:?}");
        server.step(now, &mut up, &mut random);
        client.step(now, &mut down, &mut random);
        up.carry(client.sent(), now, &mut random);
        down.carry(server.sent(), now, &mut random);
        let next = [up.next(), down.next(), client.next(now), server.next(now)]
            .into_iter()
            .flatten()
            .min();
        // With nothing to come it is over, or never will be.
        now = next.unwrap_or(end).max(now.after_ns(1));
    }
    client.check(&server);
    server.check(&client);
    now
}

#[test]
fn a_perfect_link() {
    for seed in seeds(0, 10) {
        let quality = Quality {
            delay_ns: 50_000,
            jitter_ns: 0,
            loss: 0,
            duplicates: 0,
        };
        run(
            seed,
            3,
            quality,
            Plan {
                bytes: 100_000,
                slowness_us: 0,
                window_bytes: 1 << 16,
            },
        );
    }
}

#[test]
fn a_link_that_reorders() {
    for seed in seeds(100000, 20) {
        let quality = Quality {
            delay_ns: 50_000,
            jitter_ns: 500_000,
            loss: 0,
            duplicates: 0,
        };
        run(
            seed,
            3,
            quality,
            Plan {
                bytes: 50_000,
                slowness_us: 100,
                window_bytes: 1 << 18,
            },
        );
    }
}

#[test]
fn a_link_that_loses_and_repeats() {
    for seed in seeds(200000, 40) {
        let quality = Quality {
            delay_ns: 1_000_000,
            jitter_ns: 2_000_000,
            loss: 5,
            duplicates: 5,
        };
        run(
            seed,
            3,
            quality,
            Plan {
                bytes: 50_000,
                slowness_us: 1000,
                window_bytes: 1 << 16,
            },
        );
    }
}

#[test]
fn a_link_that_loses_a_third() {
    for seed in seeds(300000, 20) {
        let quality = Quality {
            delay_ns: 5_000_000,
            jitter_ns: 100_000,
            loss: 33,
            duplicates: 10,
        };
        run(
            seed,
            2,
            quality,
            Plan {
                bytes: 10_000,
                slowness_us: 100,
                window_bytes: 1 << 16,
            },
        );
    }
}

#[test]
fn slow_apps_with_small_windows() {
    for seed in seeds(400000, 20) {
        let quality = Quality {
            delay_ns: 100_000,
            jitter_ns: 100_000,
            loss: 2,
            duplicates: 1,
        };
        run(
            seed,
            4,
            quality,
            Plan {
                bytes: 30_000,
                slowness_us: 20_000,
                window_bytes: 4096,
            },
        );
    }
}

#[test]
fn all_kinds_of_links_and_apps() {
    for seed in seeds(1000000, 80) {
        let mut random = Random::new(seed);
        let quality = Quality {
            delay_ns: random.scaled(50_000_000),
            jitter_ns: random.scaled(20_000_000),
            loss: random.scaled(25),
            duplicates: random.scaled(25),
        };
        let plan = Plan {
            bytes: random.scaled(60_000),
            slowness_us: random.scaled(50_000),
            window_bytes: u32::try_from(4096 + random.scaled(1 << 20)).unwrap(),
        };
        let flows = u16::try_from(1 + random.scaled(6)).unwrap();
        run(seed, flows, quality, plan);
    }
}
