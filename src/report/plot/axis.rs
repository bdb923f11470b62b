//! Axes: where a value falls in pixels, and ticks that people like: binary steps of memory, round steps of time.

use crate::units::{GIB, KIB, MIB};

/// A straight axis from 0 to `max` over the pixels `from..=to` (`to` may lie before `from`).
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub(super) max: u64,
    pub(super) from: i32,
    pub(super) to: i32,
}

impl Axis {
    /// Pixel of a value; values past the end fall on the end.
    pub(super) fn at(&self, value: u64) -> i32 {
        let share = value.min(self.max) as f64 / self.max.max(1) as f64;
        self.from + (share * f64::from(self.to - self.from)).round() as i32
    }
}

/// Ticks of a memory axis up to `max` bytes: multiples of a power of two, at most seven, with labels.
pub(super) fn byte_ticks(max: u64) -> Vec<(u64, String)> {
    let mut step = 1_u64;
    while max / step > 6 {
        step *= 2;
    }
    (0..=max / step).map(|index| (index * step, bytes_label(index * step))).collect()
}

fn bytes_label(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0 => return "0".to_string(),
        GIB.. => (GIB, "GiB"),
        MIB.. => (MIB, "MiB"),
        KIB.. => (KIB, "KiB"),
        _ => (1, "B"),
    };
    // Steps are powers of two, so two decimals show every tick of a unit exactly or next to it.
    let number = format!("{:.2}", bytes as f64 / unit as f64);
    format!("{} {name}", number.trim_end_matches('0').trim_end_matches('.'))
}

/// Ticks of a time axis up to `max` nanoseconds, at most `most` + 1 of them, and the unit of their labels.
pub(super) fn time_ticks(max: u64, most: u64) -> (Vec<(u64, String)>, &'static str) {
    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MS;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const STEPS: [(u64, u64, &str); 23] = [
        (MS, MS, "ms"),
        (2 * MS, MS, "ms"),
        (5 * MS, MS, "ms"),
        (10 * MS, MS, "ms"),
        (20 * MS, MS, "ms"),
        (50 * MS, MS, "ms"),
        (100 * MS, MS, "ms"),
        (200 * MS, MS, "ms"),
        (500 * MS, SECOND, "s"),
        (SECOND, SECOND, "s"),
        (2 * SECOND, SECOND, "s"),
        (5 * SECOND, SECOND, "s"),
        (10 * SECOND, SECOND, "s"),
        (30 * SECOND, SECOND, "s"),
        (MINUTE, MINUTE, "min"),
        (2 * MINUTE, MINUTE, "min"),
        (5 * MINUTE, MINUTE, "min"),
        (10 * MINUTE, MINUTE, "min"),
        (30 * MINUTE, MINUTE, "min"),
        (HOUR, HOUR, "h"),
        (2 * HOUR, HOUR, "h"),
        (6 * HOUR, HOUR, "h"),
        (24 * HOUR, HOUR, "h"),
    ];
    let fits = |step: &&(u64, u64, &str)| max / step.0 <= most;
    let (step, unit, name) = STEPS.iter().find(fits).copied().unwrap_or_else(|| {
        let days = max / (24 * HOUR) / most.max(1) + 1;
        (days * 24 * HOUR, HOUR, "h")
    });
    let label = |time: u64| (time as f64 / unit as f64).to_string();
    ((0..=max / step).map(|index| (index * step, label(index * step))).collect(), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_ticks_are_binary() {
        let labels = |max| byte_ticks(max).into_iter().map(|tick| tick.1).collect::<Vec<_>>();
        assert_eq!(labels(2 * GIB + 9), ["0", "512 MiB", "1 GiB", "1.5 GiB", "2 GiB"]);
        assert_eq!(labels(0), ["0"]);
        assert_eq!(labels(3), ["0", "1 B", "2 B", "3 B"]);
        for max in [1, 1000, MIB * 7, GIB * 5, GIB * 1000, u64::MAX / 2] {
            assert!((1..=7).contains(&byte_ticks(max).len()), "{max}");
        }
    }

    #[test]
    fn time_ticks_are_round_and_few() {
        let ticks = |max| {
            let (ticks, unit) = time_ticks(max, 8);
            (ticks.into_iter().map(|tick| tick.1).collect::<Vec<_>>(), unit)
        };
        assert_eq!(ticks(2_300_000_000), (["0", "0.5", "1", "1.5", "2"].map(String::from).to_vec(), "s"));
        assert_eq!(ticks(45_000_000).1, "ms");
        assert_eq!(ticks(7_200_000_000_000).1, "min");
        for max in [0, 1, 1_000_000, 59_000_000_000, 86_400_000_000_000, u64::MAX / 2] {
            assert!((1..=9).contains(&time_ticks(max, 8).0.len()), "{max}");
        }
    }

    #[test]
    fn values_past_the_end_stay_on_the_axis() {
        let axis = Axis { max: 10, from: 100, to: 0 };
        assert_eq!([0, 5, 10, 99].map(|value| axis.at(value)), [100, 50, 0, 0]);
        assert_eq!(Axis { max: 0, from: 3, to: 9 }.at(0), 3);
    }
}
