//! Medians and percentiles.

/// The middle of `values`, of two middles their mean; 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// The smallest value that `percent` % of all do not exceed; 0 of none.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let sorted = sorted(values);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The smallest and the largest.
pub(crate) fn range(values: &[f64]) -> (f64, f64) {
    let sorted = sorted(values);
    let end = |at: Option<&f64>| at.copied().unwrap_or(0.0);
    (end(sorted.first()), end(sorted.last()))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), 3.0);
    }

    #[test]
    fn percentiles_are_values_that_were_there() {
        let values: Vec<f64> = (1..=1_000).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50), 500.0);
        assert_eq!(percentile(&values, 99), 990.0);
        assert_eq!(percentile(&values[..1], 99), 1_000.0);
        assert_eq!(percentile(&[], 50), 0.0);
        assert_eq!(range(&values), (1.0, 1_000.0));
    }
}
