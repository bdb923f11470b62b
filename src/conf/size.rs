//! Size strings (`4g`, `512m`, `1024`), parsed as Spark's `JavaUtils.byteStringAs` and `ByteUnit` do (CONF-1..4), with
//! the errors and the wrap-around of the original. What a bare number means depends on the key; the caller says.

use std::fmt;

/// Unit of a bare number, and of the result. All are powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ByteUnit {
    /// Bytes.
    Byte,
    /// 1024 bytes.
    Kib,
    /// 1024² bytes.
    Mib,
    /// 1024³ bytes.
    Gib,
    /// 1024⁴ bytes.
    Tib,
    /// 1024⁵ bytes.
    Pib,
}

impl ByteUnit {
    /// Bytes in one of this unit.
    pub const fn bytes(self) -> i64 {
        1 << (10 * self as u32)
    }

    /// Name in Spark's messages ("bytes in MiB").
    pub const fn name(self) -> &'static str {
        match self {
            Self::Byte => "BYTE",
            Self::Kib => "KiB",
            Self::Mib => "MiB",
            Self::Gib => "GiB",
            Self::Tib => "TiB",
            Self::Pib => "PiB",
        }
    }

    /// The suffix that Spark echoes a value with (`-1b`, `512m`).
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Byte => "b",
            Self::Kib => "k",
            Self::Mib => "m",
            Self::Gib => "g",
            Self::Tib => "t",
            Self::Pib => "p",
        }
    }

    fn from_suffix(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "b" => Self::Byte,
            "k" | "kb" => Self::Kib,
            "m" | "mb" => Self::Mib,
            "g" | "gb" => Self::Gib,
            "t" | "tb" => Self::Tib,
            "p" | "pb" => Self::Pib,
            _ => return None,
        })
    }
}

/// Why a size string is refused; each kind is one Java exception class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SizeError {
    /// `NumberFormatException`: no size at all (CONF-3); the reason in Spark's manner.
    Format(String),
    /// `IllegalArgumentException`: too large for a 64-bit count of the unit; the reason in Spark's manner.
    Overflow(String),
}

impl SizeError {
    /// Java class that Spark throws, without package.
    pub fn java_class(&self) -> &'static str {
        match self {
            Self::Format(_) => "NumberFormatException",
            Self::Overflow(_) => "IllegalArgumentException",
        }
    }
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(reason) => write!(
                f,
                "Size must be specified as bytes (b), kibibytes (k), mebibytes (m), gibibytes (g), tebibytes (t), \
                 or pebibytes(p). E.g. 50b, 100k, or 250m. {reason}"
            ),
            Self::Overflow(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for SizeError {}

/// Parses `text` into whole `unit`s; a bare number is already in `unit` (`JavaUtils.byteStringAs`).
///
/// # Errors
/// Text that is no size (CONF-3), and sizes beyond 64 bits.
pub fn byte_string_as(text: &str, unit: ByteUnit) -> Result<i64, SizeError> {
    let lower = text.to_lowercase();
    // Java's trim: every character up to the blank.
    let lower = lower.trim_matches(|c: char| c <= ' ');
    let digits = lower.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = lower.split_at(digits);
    if number.is_empty() || !suffix.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err(SizeError::Format(if is_fraction(lower) {
            format!("Fractional values are not supported. Input was: {lower}")
        } else {
            format!("Failed to parse byte string: {text}")
        }));
    }
    let count: i64 =
        number.parse().map_err(|_| SizeError::Format(format!("For input string: \"{number}\"")))?;
    let given = if suffix.is_empty() {
        unit
    } else {
        ByteUnit::from_suffix(suffix)
            .ok_or_else(|| SizeError::Format(format!("Invalid suffix: \"{suffix}\"")))?
    };
    convert(count, given, unit)
}

/// Parses into bytes; a bare number is bytes.
///
/// # Errors
/// Text that is no size (CONF-3), and sizes beyond 64 bits.
pub fn byte_string_as_bytes(text: &str) -> Result<i64, SizeError> {
    byte_string_as(text, ByteUnit::Byte)
}

/// Parses into KiB; a bare number is KiB.
///
/// # Errors
/// Text that is no size (CONF-3), and sizes beyond 64 bits.
pub fn byte_string_as_kib(text: &str) -> Result<i64, SizeError> {
    byte_string_as(text, ByteUnit::Kib)
}

/// Parses into MiB; a bare number is MiB.
///
/// # Errors
/// Text that is no size (CONF-3), and sizes beyond 64 bits.
pub fn byte_string_as_mib(text: &str) -> Result<i64, SizeError> {
    byte_string_as(text, ByteUnit::Mib)
}

/// Parses into GiB; a bare number is GiB.
///
/// # Errors
/// Text that is no size (CONF-3), and sizes beyond 64 bits.
pub fn byte_string_as_gib(text: &str) -> Result<i64, SizeError> {
    byte_string_as(text, ByteUnit::Gib)
}

/// `Utils.memoryStringToMb`: bytes, then whole MiB, then cut to a JVM int, which wraps. Standalone and `local-cluster`
/// read `spark.executor.memory` with it (CONF-13).
///
/// # Errors
/// Text that is no size (CONF-3), and sizes beyond 64 bits.
pub fn memory_string_to_mb(text: &str) -> Result<i32, SizeError> {
    byte_string_as_bytes(text).map(|bytes| (bytes / ByteUnit::Mib.bytes()) as i32)
}

/// Parses the value of a key read through a config entry: as [`byte_string_as`], with a leading `-` allowed (CONF-4).
///
/// # Errors
/// Text that is no size (CONF-3), and sizes beyond 64 bits.
pub fn conf_entry_size(text: &str, unit: ByteUnit) -> Result<i64, SizeError> {
    match text.strip_prefix('-') {
        Some(rest) => byte_string_as(rest, unit).map(|value| -value),
        None => byte_string_as(text, unit),
    }
}

/// Whether `text` is digits, a point, digits and perhaps letters.
fn is_fraction(text: &str) -> bool {
    let Some((whole, rest)) = text.split_once('.') else { return false };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    !whole.is_empty()
        && whole.bytes().all(|b| b.is_ascii_digit())
        && digits > 0
        && rest[digits..].bytes().all(|b| b.is_ascii_lowercase())
}

/// `ByteUnit.convertTo`: multiplying up may overflow, dividing down truncates (CONF-2).
fn convert(count: i64, from: ByteUnit, to: ByteUnit) -> Result<i64, SizeError> {
    if from <= to {
        return Ok(count / (to.bytes() / from.bytes()));
    }
    let ratio = from.bytes() / to.bytes();
    count.checked_mul(ratio).ok_or_else(|| {
        SizeError::Overflow(format!(
            "Conversion of {count} exceeds Long.MAX_VALUE in {}. Try a larger unit (e.g. MiB instead of KiB)",
            from.name()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conf_1_suffixes_are_binary_and_case_free() {
        for (text, bytes) in
            [("4g", 4 << 30), ("512M", 512 << 20), (" 2Gb ", 2 << 30), ("1p", 1 << 50), ("7b", 7)]
        {
            assert_eq!(byte_string_as_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn conf_2_bare_numbers_take_the_unit_and_coarsening_truncates() {
        assert_eq!(byte_string_as_mib("1024"), Ok(1024));
        assert_eq!(byte_string_as_mib("1023k"), Ok(0));
        assert_eq!(byte_string_as_mib("1b"), Ok(0));
        assert_eq!(memory_string_to_mb("1024"), Ok(0));
        assert_eq!(memory_string_to_mb("8191pb"), Ok(-1_073_741_824));
    }

    #[test]
    fn conf_3_what_is_no_size() {
        for text in ["1.5g", "", "2 g", "1mib", "abc", "+5m", "-5m", "1e", "9223372036854775808"] {
            let error = byte_string_as_bytes(text).expect_err(text);
            assert_eq!(error.java_class(), "NumberFormatException", "{text}");
        }
        let fraction = byte_string_as_bytes("1.5g").expect_err("a fraction").to_string();
        assert!(fraction.contains("Fractional values are not supported"), "{fraction}");
        let overflow = byte_string_as_bytes("9999999p").expect_err("too large");
        assert_eq!(overflow.java_class(), "IllegalArgumentException");
    }

    #[test]
    fn conf_4_config_entries_accept_a_sign() {
        assert_eq!(conf_entry_size("-1", ByteUnit::Mib), Ok(-1));
        assert_eq!(conf_entry_size("-512m", ByteUnit::Byte), Ok(-(512 << 20)));
        assert!(conf_entry_size("--1", ByteUnit::Mib).is_err());
        assert!(conf_entry_size(" -1", ByteUnit::Mib).is_err());
    }
}
