//! Random sizes and gaps, by inversion of the distribution function.

use rand::RngExt;
use rand::rngs::SmallRng;

/// Uniform in (0, 1].
fn uniform(random: &mut SmallRng) -> f64 {
    1.0 - random.random::<f64>()
}

/// Exponential, with this mean.
pub fn exponential(random: &mut SmallRng, mean: f64) -> f64 {
    -mean * uniform(random).ln()
}

/// Generalized Pareto.
#[derive(Clone, Copy, Debug)]
pub struct GeneralizedPareto {
    /// The least value.
    pub location: f64,
    /// Above zero.
    pub scale: f64,
    /// Not zero; below one there is a mean.
    pub shape: f64,
}

impl GeneralizedPareto {
    /// One value.
    pub fn sample(&self, random: &mut SmallRng) -> f64 {
        self.location + self.scale * (uniform(random).powf(-self.shape) - 1.0) / self.shape
    }
}

/// Generalized extreme value.
#[derive(Clone, Copy, Debug)]
pub struct GeneralizedExtremeValue {
    /// Where most of it is.
    pub location: f64,
    /// Above zero.
    pub scale: f64,
    /// Not zero.
    pub shape: f64,
}

impl GeneralizedExtremeValue {
    /// One value.
    pub fn sample(&self, random: &mut SmallRng) -> f64 {
        // 1 has no logarithm but zero, and would be infinite.
        let exponent = -uniform(random).min(1.0 - f64::EPSILON).ln();
        self.location + self.scale * (exponent.powf(-self.shape) - 1.0) / self.shape
    }
}

/// A whole number of bytes, within bounds.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
pub fn bytes(size: f64, least: u32, most: u32) -> usize {
    size.clamp(least.into(), most.into()) as usize
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "statistics")]
mod tests {
    use super::{GeneralizedExtremeValue, GeneralizedPareto};
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    const COUNT: usize = 200_000;

    fn sorted(mut sample: impl FnMut(&mut SmallRng) -> f64) -> Vec<f64> {
        let mut random = SmallRng::seed_from_u64(7);
        let mut values: Vec<f64> = (0..COUNT).map(|_| sample(&mut random)).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// Compares quantiles with the inverse of the distribution function.
    fn assert_quantiles(values: &[f64], quantile: impl Fn(f64) -> f64) {
        for p in [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99] {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
            let found = values[(p * COUNT as f64) as usize];
            let wanted = quantile(p);
            assert!(
                (found - wanted).abs() <= 0.03 * wanted.abs() + 0.1,
                "at {p}: {found}, not {wanted}"
            );
        }
    }

    #[test]
    fn pareto_has_its_quantiles_and_its_mean() {
        let pareto = GeneralizedPareto {
            location: 15.0,
            scale: 214.476,
            shape: 0.348_238,
        };
        let values = sorted(|random| pareto.sample(random));
        assert!(values[0] >= 15.0);
        assert_quantiles(&values, |p| {
            15.0 + 214.476 * ((1.0 - p).powf(-0.348_238) - 1.0) / 0.348_238
        });
        let mean = values.iter().sum::<f64>() / COUNT as f64;
        let wanted = 15.0 + 214.476 / (1.0 - 0.348_238);
        assert!((mean / wanted - 1.0).abs() < 0.02, "{mean}, not {wanted}");
    }

    #[test]
    fn extreme_values_have_their_quantiles() {
        let extreme = GeneralizedExtremeValue {
            location: 30.798_4,
            scale: 8.204_49,
            shape: 0.078_688,
        };
        let values = sorted(|random| extreme.sample(random));
        assert!(values.iter().all(|value| value.is_finite()));
        assert_quantiles(&values, |p| {
            30.798_4 + 8.204_49 * ((-p.ln()).powf(-0.078_688) - 1.0) / 0.078_688
        });
    }
}
