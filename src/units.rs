//! Units of everything: simulated time in integer nanoseconds, sizes in bytes. Formatting for people lives here too,
//! so that a number looks the same in a table, a reason and a picture.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// 1 KiB in bytes.
pub const KIB: u64 = 1 << 10;
/// 1 MiB in bytes.
pub const MIB: u64 = 1 << 20;
/// 1 GiB in bytes.
pub const GIB: u64 = 1 << 30;

/// `value * part / whole`, rounded down; the result must fit.
pub fn share_of(value: u64, part: u64, whole: u64) -> u64 {
    // The product mostly fits 64 bits, whose division is many times faster.
    match value.checked_mul(part) {
        Some(product) => product / whole,
        None => (u128::from(value) * u128::from(part) / u128::from(whole)) as u64,
    }
}

/// A point of simulated time: nanoseconds since the application started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimTime(pub u64);

/// A span of simulated time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimDuration(pub u64);

impl SimTime {
    /// Start of the application.
    pub const ZERO: Self = Self(0);

    /// Milliseconds since the start.
    pub fn as_ms(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Time since `earlier`, zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> SimDuration {
        SimDuration(self.0.saturating_sub(earlier.0))
    }
}

impl SimDuration {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// From whole milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// From seconds; negative and not-a-number become zero.
    pub fn from_secs_f64(secs: f64) -> Self {
        Self((secs * 1e9).max(0.0) as u64)
    }

    /// In milliseconds.
    pub fn as_ms(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// In seconds.
    pub fn as_secs(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add<SimDuration> for SimTime {
    type Output = Self;
    fn add(self, rhs: SimDuration) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl Add for SimDuration {
    type Output = Self;
    fn add(self, rhs: Self) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl AddAssign for SimDuration {
    fn add_assign(&mut self, rhs: Self) {
        *self = *self + rhs;
    }
}

impl Sub for SimDuration {
    type Output = Self;
    fn sub(self, rhs: Self) -> Self {
        Self(self.0.saturating_sub(rhs.0))
    }
}

/// Shows a number of bytes in binary units with one decimal, as Spark's web UI does (`434.4 MiB`).
#[derive(Clone, Copy, Debug)]
pub struct HumanBytes(pub u64);

impl fmt::Display for HumanBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let text = if unit == 0 { format!("{} B", self.0) } else { format!("{value:.1} {}", UNITS[unit]) };
        f.pad(&text)
    }
}

/// Shows a duration as people say it (`340 ms`, `12.3 s`, `4 min 05 s`, `3 h 10 min`).
#[derive(Clone, Copy, Debug)]
pub struct HumanDuration(pub SimDuration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_ms();
        let secs = (ms / 1e3).round() as u64;
        let text = if ms < 1_000.0 {
            format!("{ms:.0} ms")
        } else if ms < 60_000.0 {
            format!("{:.1} s", ms / 1e3)
        } else if secs < 3_600 {
            format!("{} min {:02} s", secs / 60, secs % 60)
        } else {
            format!("{} h {:02} min", secs / 3_600, secs % 3_600 / 60)
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_look_as_in_the_web_ui() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (455_501_414, "434.4 MiB")] {
            assert_eq!(HumanBytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn durations_read_like_speech() {
        for (ms, text) in
            [(340, "340 ms"), (12_345, "12.3 s"), (245_000, "4 min 05 s"), (11_400_000, "3 h 10 min")]
        {
            assert_eq!(HumanDuration(SimDuration::from_ms(ms)).to_string(), text);
        }
    }
}
