//! Time strings (`120s`, `30min`, `500`), parsed as Spark's `JavaUtils.timeStringAs` does (CONF-8). What a bare number
//! means depends on the key; the caller says.

use std::fmt;

/// Unit of a bare number, and of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Milliseconds.
    Ms,
    /// Seconds.
    Sec,
}

impl TimeUnit {
    /// Nanoseconds in one of this unit.
    pub const fn nanos(self) -> i64 {
        match self {
            Self::Ms => 1_000_000,
            Self::Sec => 1_000_000_000,
        }
    }

    /// Name in Spark's messages ("time in MILLISECONDS").
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ms => "MILLISECONDS",
            Self::Sec => "SECONDS",
        }
    }

    /// The suffix that Spark echoes a value with.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::Sec => "s",
        }
    }
}

/// `NumberFormatException`: the text is no time; the reason in Spark's manner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeError(pub String);

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Time must be specified as seconds (s), milliseconds (ms), microseconds (us), minutes (m or min), hour \
             (h), or day (d). E.g. 50s, 100ms, or 250us. {}",
            self.0
        )
    }
}

impl std::error::Error for TimeError {}

/// Parses `text` into whole `unit`s; a bare number is already in `unit`. Coarsening truncates toward zero, and what does
/// not fit 64 bits becomes the largest number, as `TimeUnit.convert` does in Java.
///
/// # Errors
/// Text that is no time.
pub fn time_string_as(text: &str, unit: TimeUnit) -> Result<i64, TimeError> {
    let lower = text.to_lowercase();
    let lower = lower.trim_matches(|c: char| c <= ' ');
    let sign = usize::from(lower.starts_with('-'));
    let digits = lower[sign..].bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = lower.split_at(sign + digits);
    if digits == 0 || !suffix.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err(TimeError(format!("Failed to parse time string: {text}")));
    }
    let count: i64 = number.parse().map_err(|_| TimeError(format!("For input string: \"{number}\"")))?;
    let nanos_each: i64 = match suffix {
        "" => unit.nanos(),
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return Err(TimeError(format!("Invalid suffix: \"{suffix}\""))),
    };
    let exact = i128::from(count) * i128::from(nanos_each) / i128::from(unit.nanos());
    Ok(exact.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conf_8_units_and_truncation() {
        for (text, ms) in [
            ("500", 500),
            ("3s", 3_000),
            ("30min", 1_800_000),
            ("30m", 1_800_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("1999us", 1),
            ("-1s", -1_000),
            (" 10S ", 10_000),
            ("9223372036854775807d", i64::MAX),
        ] {
            assert_eq!(time_string_as(text, TimeUnit::Ms), Ok(ms), "{text}");
        }
        assert_eq!(time_string_as("1999ms", TimeUnit::Sec), Ok(1));
        assert_eq!(time_string_as("120", TimeUnit::Sec), Ok(120));
    }

    #[test]
    fn conf_8_what_is_no_time() {
        for text in ["", "s", "1.5s", "5 s", "5w", "--5", "99999999999999999999"] {
            assert!(time_string_as(text, TimeUnit::Ms).is_err(), "{text}");
        }
    }
}
