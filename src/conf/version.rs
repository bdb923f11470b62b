//! Spark versions: which release's defaults and rules a run follows. Only the feature release matters (`3.5`); the
//! patch level is kept to show what the user wrote. Vendor builds (`3.5.0-amzn-1`) count as the release they name.

use std::fmt;

/// A Spark release, ordered as releases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SparkVersion {
    /// The 4 in 4.1.4.
    pub major: u16,
    /// The 1 in 4.1.4.
    pub minor: u16,
    /// The last 4 in 4.1.4; 0 when not given.
    pub patch: u16,
}

/// The text is no version, or one whose rules are not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionError {
    /// What was given.
    pub text: String,
}

impl SparkVersion {
    /// Oldest release whose rules are modelled (the last with the legacy memory manager).
    pub const OLDEST: Self = Self::new(2, 4);
    /// Newest release whose rules are modelled.
    pub const NEWEST: Self = Self::new(4, 1);
    /// What a run follows when nothing says otherwise.
    pub const DEFAULT: Self = Self::NEWEST;

    /// First patch of a feature release.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor, patch: 0 }
    }

    /// Parses `4.1`, `3.5.9` or `3.5.0-amzn-1`; a version outside [`Self::OLDEST`] ..= [`Self::NEWEST`] is refused.
    ///
    /// # Errors
    /// Text that is no version, and versions whose rules are not modelled.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError { text: text.to_owned() };
        let release = text.trim().split(['-', '+', '_']).next().unwrap_or_default();
        let mut numbers = release.split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if digits { part.parse::<u16>().ok() } else { None }
        });
        let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
            return Err(error());
        };
        let patch = match numbers.next() {
            None => 0,
            Some(Some(patch)) => patch,
            Some(None) => return Err(error()),
        };
        // Vendors append further numbers (3.3.2.3.3.7190.0-91); they say nothing about Spark's rules.
        if numbers.any(|number| number.is_none()) {
            return Err(error());
        }
        let version = Self { major, minor, patch };
        if version.is_supported() { Ok(version) } else { Err(error()) }
    }

    /// Whether this release's rules are modelled.
    pub fn is_supported(self) -> bool {
        self.at_least(Self::OLDEST.major, Self::OLDEST.minor)
            && (self.major, self.minor) <= (Self::NEWEST.major, Self::NEWEST.minor)
    }

    /// Whether this is release `major.minor` or a later one.
    pub const fn at_least(self, major: u16, minor: u16) -> bool {
        self.major > major || (self.major == major && self.minor >= minor)
    }
}

impl Default for SparkVersion {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for SparkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.patch == 0 {
            write!(f, "{}.{}", self.major, self.minor)
        } else {
            write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
        }
    }
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is not a Spark version known here; give one from {} to {}, such as 4.1 or 3.5.9",
            self.text,
            SparkVersion::OLDEST,
            SparkVersion::NEWEST
        )
    }
}

impl std::error::Error for VersionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse_and_show() {
        for (text, shown) in [
            ("4.1", "4.1"),
            ("3.5.9", "3.5.9"),
            ("2.4", "2.4"),
            (" 4.1.4 ", "4.1.4"),
            ("3.5.0-amzn-1", "3.5"),
            ("3.3.2.3.3.7190.0-91", "3.3.2"),
        ] {
            assert_eq!(SparkVersion::parse(text).map(|v| v.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "4", "four", "2.3", "4.2", "5.0.1", "4.1.", "4..1", "+4.1", "1.6.3"] {
            assert!(SparkVersion::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn releases_are_ordered() {
        let parse = |text| SparkVersion::parse(text).expect("a version");
        assert!(
            parse("2.4.8") < parse("3.5") && parse("3.5.9") < parse("4.1") && parse("4.1") < parse("4.1.4")
        );
        assert!(
            parse("4.1.4").at_least(4, 1) && parse("4.0").at_least(3, 5) && !parse("3.5.9").at_least(4, 0)
        );
    }
}
