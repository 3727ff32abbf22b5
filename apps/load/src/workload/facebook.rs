//! Two of Facebook's memcached pools, as Atikoglu and others describe them ("Workload Analysis of a Large-Scale Key-Value
//! Store", SIGMETRICS 2012, sections 3 and 5).

use crate::distribution::{GeneralizedExtremeValue, GeneralizedPareto, bytes};
use rand::RngExt;
use rand::rngs::SmallRng;

/// memcached's longest key, and the longest value it takes by default, in bytes.
const MAX_KEY_BYTES: u32 = 250;
const MAX_VALUE_BYTES: u32 = 1_000_000;

/// ETC: lengths of keys.
const ETC_KEY: GeneralizedExtremeValue = GeneralizedExtremeValue {
    location: 30.798_4,
    scale: 8.204_49,
    shape: 0.078_688,
};

/// ETC: lengths of values from 15 bytes up.
const ETC_VALUE: GeneralizedPareto = GeneralizedPareto {
    location: 15.0,
    scale: 214.476,
    shape: 0.348_238,
};

/// ETC: shares of the values of 0 to 14 bytes.
const ETC_SHORT_VALUES: [f64; 15] = [
    0.005_36, 0.000_47, 0.178_20, 0.092_39, 0.000_18, 0.027_40, 0.000_65, 0.006_06, 0.000_23, 0.008_37,
    0.008_37, 0.089_89, 0.000_92, 0.003_26, 0.019_80,
];

/// ETC: thirty gets to a set.
const ETC_SETS: f64 = 1.0 / 31.0;

/// USR: keys are of one of two lengths (how many of each the paper does not say: as many here), values of one.
const USR_KEY_BYTES: [usize; 2] = [16, 21];
const USR_VALUE_BYTES: usize = 2;
const USR_SETS: f64 = 0.002;

/// Which pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// The most general one.
    Etc,
    /// Of user accounts' states: small, and nearly only read.
    Usr,
}

impl Mix {
    /// The length of a record's key.
    pub fn key_len(self, random: &mut SmallRng) -> usize {
        match self {
            Mix::Etc => bytes(ETC_KEY.sample(random), 1, MAX_KEY_BYTES),
            Mix::Usr => USR_KEY_BYTES[usize::from(random.random::<bool>())],
        }
    }

    /// The length of a value.
    pub fn value_len(self, random: &mut SmallRng) -> usize {
        if self == Mix::Usr {
            return USR_VALUE_BYTES;
        }
        let mut place: f64 = random.random();
        for (len, share) in ETC_SHORT_VALUES.into_iter().enumerate() {
            if place < share {
                return len;
            }
            place -= share;
        }
        bytes(ETC_VALUE.sample(random), 15, MAX_VALUE_BYTES)
    }

    /// Whether the next request is a set.
    pub fn is_set(self, random: &mut SmallRng) -> bool {
        let share = match self {
            Mix::Etc => ETC_SETS,
            Mix::Usr => USR_SETS,
        };
        random.random::<f64>() < share
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "statistics")]
mod tests {
    use super::{ETC_SHORT_VALUES, Mix};
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    const COUNT: usize = 300_000;

    fn share(sample: impl FnMut(usize) -> bool) -> f64 {
        let mut sample = sample;
        (0..COUNT).filter(|&place| sample(place)).count() as f64 / COUNT as f64
    }

    #[test]
    fn etc_has_the_published_shares() {
        let mut random = SmallRng::seed_from_u64(3);
        let lens: Vec<usize> = (0..COUNT).map(|_| Mix::Etc.value_len(&mut random)).collect();
        for (len, wanted) in ETC_SHORT_VALUES.into_iter().enumerate() {
            let found = share(|place| lens[place] == len);
            assert!(
                (found - wanted).abs() < 0.002,
                "{len} bytes: {found}, not {wanted}"
            );
        }
        let short: f64 = ETC_SHORT_VALUES.iter().sum();
        assert!((share(|place| lens[place] < 15) - short).abs() < 0.003);
        assert!(share(|place| lens[place] <= 500) > 0.8, "most values are short");
        assert!(lens.iter().all(|&len| len <= 1_000_000));
        let keys: Vec<usize> = (0..COUNT).map(|_| Mix::Etc.key_len(&mut random)).collect();
        assert!(
            share(|place| (20..=70).contains(&keys[place])) > 0.9,
            "most keys are of 20 to 70 bytes"
        );
        assert!(keys.iter().all(|&len| (1..=250).contains(&len)));
        assert!((share(|_| Mix::Etc.is_set(&mut random)) - 1.0 / 31.0).abs() < 0.002);
    }

    #[test]
    fn usr_is_small_and_nearly_only_read() {
        let mut random = SmallRng::seed_from_u64(4);
        let long = share(|_| match Mix::Usr.key_len(&mut random) {
            16 => false,
            21 => true,
            other => panic!("a key of {other} bytes"),
        });
        assert!((long - 0.5).abs() < 0.01);
        assert_eq!(Mix::Usr.value_len(&mut random), 2);
        assert!((share(|_| Mix::Usr.is_set(&mut random)) - 0.002).abs() < 0.001);
    }
}
