//! Sums over figures: median, percentiles, Jain's index.

/// The values in rising order.
pub fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The middle of sorted values; of an even number, the mean of the two in the middle.
pub fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// The value below which `share` of the sorted ones lie, as the benchmark programs reckon it; 0 of none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((share * last) as usize).copied().unwrap_or(0.0)
}

/// Jain's index of fairness: 1 when all have as much, 1/n when one of n has everything; 0 when none has anything.
pub fn jain(amounts: &[f64]) -> f64 {
    let sum: f64 = amounts.iter().sum();
    let squares: f64 = amounts.iter().map(|amount| amount * amount).sum();
    if squares == 0.0 {
        return 0.0;
    }
    sum * sum / (amounts.len() as f64 * squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values = sorted((0..=100).rev().map(f64::from));
        assert_eq!(percentile(&values, 0.5), 50.0);
        assert_eq!(percentile(&values, 0.99), 99.0);
        assert_eq!(percentile(&values, 1.0), 100.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }

    #[test]
    fn jain_tells_equal_shares_from_a_monopoly() {
        assert_eq!(jain(&[7.0; 16]), 1.0);
        assert_eq!(jain(&[0.0, 0.0, 5.0, 0.0]), 0.25);
        assert_eq!(jain(&[3.0, 1.0]), 0.8);
        assert_eq!(jain(&[0.0, 0.0]), 0.0);
    }
}
