//! A logarithmic axis of time: where a duration lies, and how it is written.

/// An axis over whole decades.
pub struct Axis {
    /// The decades of its ends: 3 is a millisecond, in microseconds.
    first: i32,
    last: i32,
    /// Where it begins, and how long it is.
    left: f64,
    width: f64,
}

impl Axis {
    /// The fewest decades that hold all the durations, which are in microseconds.
    pub fn over(durations: impl Iterator<Item = f64> + Clone, left: f64, width: f64) -> Axis {
        let decades = durations.map(|duration| duration.max(1.0).log10());
        let first = decades.clone().fold(f64::INFINITY, f64::min).floor() as i32;
        let last = decades.fold(f64::NEG_INFINITY, f64::max).ceil() as i32;
        Axis {
            first,
            last: last.max(first + 1),
            left,
            width,
        }
    }

    /// Where a duration lies.
    pub fn place(&self, microseconds: f64) -> f64 {
        let share = (microseconds.max(1.0).log10() - f64::from(self.first)) / self.decades();
        self.left + share * self.width
    }

    /// The durations at which the axis has a line: each power of ten.
    pub fn ticks(&self) -> Vec<f64> {
        (self.first..=self.last)
            .map(|decade| 10f64.powi(decade))
            .collect()
    }

    /// How many of the durations lie in each part of the axis; a decade has so many parts.
    pub fn histogram(&self, durations: &[f64], parts_per_decade: usize) -> Vec<f64> {
        let parts = (self.decades() * parts_per_decade as f64) as usize;
        let mut counts = vec![0.0; parts];
        for duration in durations {
            let share = (self.place(*duration) - self.left) / self.width;
            counts[((share * parts as f64) as usize).min(parts - 1)] += 1.0;
        }
        counts
    }

    fn decades(&self) -> f64 {
        f64::from(self.last - self.first)
    }
}

/// A duration with two digits that matter, in the unit that suits it.
pub fn duration(microseconds: f64) -> String {
    let (value, unit) = match microseconds {
        us if us < 999.5 => (us, "µs"),
        us if us < 999_500.0 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    let digits = usize::from(value < 9.95 && value.fract() != 0.0);
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis() -> Axis {
        Axis::over([150.0, 40_000.0].into_iter(), 100.0, 300.0)
    }

    #[test]
    fn the_axis_holds_all_durations_in_whole_decades() {
        assert_eq!(axis().ticks(), [100.0, 1e3, 1e4, 1e5]);
        assert_eq!(axis().place(100.0), 100.0);
        assert!((axis().place(1e4) - 300.0).abs() < 1e-9);
        assert_eq!(Axis::over([1e3].into_iter(), 0.0, 1.0).ticks(), [1e3, 1e4]);
    }

    #[test]
    fn every_duration_is_in_one_part() {
        let counts = axis().histogram(&[100.0, 150.0, 2e3, 1e5], 1);
        assert_eq!(counts, [2.0, 1.0, 1.0]);
    }

    #[test]
    fn durations_are_short() {
        let written = [1.0, 300.4, 999.9, 1_500.0, 58_300.0, 1_850_000.0].map(duration);
        assert_eq!(
            written,
            ["1 µs", "300 µs", "1.0 ms", "1.5 ms", "58 ms", "1.9 s"]
        );
    }
}
