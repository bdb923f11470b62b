//! The property table: every Spark property this program knows by name, with its kind, unit, default per Spark version,
//! range and one line of what it does, and the knobs of its own (`spillcast.*`). Defaults are those of the released
//! 4.1.4 and 3.5.9 classes. Whether a property changes a simulation is part of the table, so that no setting is dropped
//! in silence. Reading values is [`super::settings`]'s work; the rows are in the modules by area.

mod process;
mod scheduling;
mod shuffle;
mod sql;
mod storage;

use super::size::ByteUnit;
use super::time::TimeUnit;
use super::version::SparkVersion;

/// What a value is, and what a bare number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A size; a bare number is in this unit.
    Size(ByteUnit),
    /// A time; a bare number is in this unit.
    Time(TimeUnit),
    /// A 32-bit whole number.
    Int,
    /// A 64-bit whole number, without suffix.
    Long,
    /// A decimal number.
    Double,
    /// `true` or `false`.
    Bool,
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
}

/// What an unset property is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing; what then happens depends on other properties.
    Unset,
    /// This text, as a user would write it.
    Value(&'static str),
    /// Whatever the other property is.
    Key(&'static str),
}

/// What setting a property does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Support {
    /// It changes the simulation.
    Modelled,
    /// It changes nothing that the simulation is about.
    Harmless,
    /// It could change a real run and is ignored here.
    NotModelled,
}

/// Which values of the right kind are accepted.
#[derive(Clone, Copy, Debug)]
pub enum Valid {
    /// All of them.
    Any,
    /// Whole numbers, in the key's unit.
    Whole {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// Who refuses and in which words.
        refusal: Refusal,
    },
    /// Decimal numbers.
    Real {
        /// Whether the value is accepted.
        accepts: fn(f64) -> bool,
        /// Who refuses and in which words.
        refusal: Refusal,
    },
}

/// Who refuses a value out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The config entry itself, with the requirement in Spark's words (CONF-6).
    Entry(&'static str),
    /// `spark-submit` or a later check of Spark, which prints these words.
    Start(&'static str),
    /// This program: Spark would accept the value and misbehave, or the key is a knob of ours.
    Ours(&'static str),
}

impl Refusal {
    /// The words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Entry(words) | Self::Start(words) | Self::Ours(words) => words,
        }
    }
}

/// One property.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Full name.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Default in the newest version.
    pub default: Fallback,
    /// Older defaults: the version from which on a newer default holds, and the default before it; oldest first.
    pub earlier: &'static [(SparkVersion, Fallback)],
    /// First version that knows it, where that is newer than [`SparkVersion::OLDEST`].
    pub since: SparkVersion,
    /// First version that no longer reads it.
    pub removed: Option<SparkVersion>,
    /// Range.
    pub valid: Valid,
    /// What setting it does here.
    pub support: Support,
    /// What it does, in one line.
    pub doc: &'static str,
}

impl Property {
    /// Default under `version`.
    pub fn default_in(&self, version: SparkVersion) -> Fallback {
        let before = self.earlier.iter().find(|(until, _)| !version.at_least(until.major, until.minor));
        before.map_or(self.default, |(_, default)| *default)
    }

    /// Whether `version` reads it.
    pub fn exists_in(&self, version: SparkVersion) -> bool {
        version.at_least(self.since.major, self.since.minor)
            && self.removed.is_none_or(|removed| !version.at_least(removed.major, removed.minor))
    }

    const fn new(
        name: &'static str,
        kind: Kind,
        default: Fallback,
        support: Support,
        doc: &'static str,
    ) -> Self {
        let since = SparkVersion::OLDEST;
        Self { name, kind, default, earlier: &[], since, removed: None, valid: Valid::Any, support, doc }
    }

    const fn since(mut self, major: u16, minor: u16) -> Self {
        self.since = SparkVersion::new(major, minor);
        self
    }

    const fn removed(mut self, major: u16, minor: u16) -> Self {
        self.removed = Some(SparkVersion::new(major, minor));
        self
    }

    const fn earlier(mut self, earlier: &'static [(SparkVersion, Fallback)]) -> Self {
        self.earlier = earlier;
        self
    }

    const fn whole(mut self, min: i64, max: i64, refusal: Refusal) -> Self {
        self.valid = Valid::Whole { min, max, refusal };
        self
    }

    const fn positive(self, refusal: Refusal) -> Self {
        self.whole(1, i64::MAX, refusal)
    }

    const fn real(mut self, accepts: fn(f64) -> bool, refusal: Refusal) -> Self {
        self.valid = Valid::Real { accepts, refusal };
        self
    }
}

/// Short names for the rows.
mod prelude {
    pub(super) use super::super::size::ByteUnit::{Byte, Kib, Mib};
    pub(super) use super::super::time::TimeUnit::{Ms, Sec};
    pub(super) use super::super::version::SparkVersion;
    pub(super) use super::Fallback::{Key, Unset, Value};
    pub(super) use super::Kind::{Bool, Choice, Double, Int, Long, Size, Text, Time};
    pub(super) use super::Property;
    pub(super) use super::Refusal::{Entry, Ours, Start};
    pub(super) use super::Support::{Harmless, Modelled, NotModelled};
    pub(super) const fn p(
        name: &'static str,
        kind: super::Kind,
        default: super::Fallback,
        support: super::Support,
        doc: &'static str,
    ) -> Property {
        Property::new(name, kind, default, support, doc)
    }
}

/// Every property, by area and in reading order.
pub fn all() -> impl Iterator<Item = &'static Property> {
    [process::ROWS, storage::ROWS, shuffle::ROWS, scheduling::ROWS, sql::ROWS].into_iter().flatten()
}

/// The property of this exact name.
pub fn find(name: &str) -> Option<&'static Property> {
    all().find(|property| property.name == name)
}

/// Old names that Spark still reads (CONF-15): old, new.
pub const ALIASES: &[(&str, &str)] = &[
    ("spark.yarn.executor.memoryOverhead", "spark.executor.memoryOverhead"),
    ("spark.yarn.driver.memoryOverhead", "spark.driver.memoryOverhead"),
    ("spark.unsafe.offHeap", "spark.memory.offHeap.enabled"),
    ("spark.storage.blockManagerSlaveTimeoutMs", "spark.storage.blockManagerHeartbeatTimeoutMs"),
];

/// Old beginnings of names that Spark still reads (CONF-15): old, new.
const ALIAS_PREFIXES: &[(&str, &str)] = &[("spark.blacklist.", "spark.excludeOnFailure.")];

/// Today's name of `name`, when it is an old one.
pub fn new_name(name: &str) -> Option<String> {
    let exact = ALIASES.iter().find(|(old, _)| *old == name).map(|(_, new)| (*new).to_owned());
    exact.or_else(|| {
        ALIAS_PREFIXES.iter().find_map(|(old, new)| name.strip_prefix(old).map(|rest| format!("{new}{rest}")))
    })
}

/// Old names under which Spark would also look for `name`.
pub fn old_names(name: &str) -> Vec<String> {
    let exact = ALIASES.iter().filter(|(_, new)| *new == name).map(|(old, _)| (*old).to_owned());
    let prefixed = ALIAS_PREFIXES
        .iter()
        .filter_map(|(old, new)| name.strip_prefix(new).map(|rest| format!("{old}{rest}")));
    exact.chain(prefixed).collect()
}

/// Families of keys that no simulation of memory depends on.
const HARMLESS_PREFIXES: &[&str] = &[
    "spark.app.",
    "spark.driver.host",
    "spark.driver.port",
    "spark.driver.bindAddress",
    "spark.driver.appUIAddress",
    "spark.executor.id",
    "spark.eventLog.",
    "spark.hadoop.",
    "spark.history.",
    "spark.home",
    "spark.logConf",
    "spark.metrics.",
    "spark.org.apache.hadoop.",
    "spark.repl.",
    "spark.serializer.objectStreamReset",
    "spark.submit.",
    "spark.sql.artifact.",
    "spark.sql.catalogImplementation",
    "spark.sql.warehouse.dir",
    "spark.ui.",
    "spark.yarn.app.",
    "spark.yarn.dist",
    "spark.yarn.historyServer.",
    "spark.yarn.submit.",
];

pub(crate) use process::STORAGE_LEVELS;

/// A knob that takes a dataset's name after this beginning.
pub const STORAGE_LEVEL_PREFIX: &str = "spillcast.storageLevel.";

/// What setting `name` under `version` does here. Names that nobody knows count as not modelled.
pub fn support(name: &str, version: SparkVersion) -> Support {
    let name = &new_name(name).unwrap_or_else(|| name.to_owned());
    match find(name) {
        // A key of another version is accepted and has no effect (CONF-16).
        Some(property) if !property.exists_in(version) => Support::Harmless,
        Some(property) => property.support,
        None if name.starts_with(STORAGE_LEVEL_PREFIX) => Support::Modelled,
        None if HARMLESS_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => Support::Harmless,
        None => Support::NotModelled,
    }
}

/// The known name nearest to `name`, if near enough to be a slip of the pen.
pub fn suggest(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    // A slip touches a few letters; a third of the word would be another word.
    let limit = (name.len() / 6).clamp(1, 4);
    let aliases = ALIASES.iter().map(|(old, _)| *old);
    all()
        .map(|property| property.name)
        .chain(aliases)
        .filter(|known| *known != name)
        .map(|known| (edit_distance(&lower, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known)
}

/// Fewest insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = vec![];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substitute = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substitute.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// A size kind, in words for messages: what a bare number means, and an example.
pub(super) fn describe(kind: Kind) -> String {
    match kind {
        Kind::Size(ByteUnit::Byte) => "a size such as 64m or 2g; a bare number is bytes".to_owned(),
        Kind::Size(unit) => format!("a size such as 512m or 2g; a bare number is {}", unit.name()),
        Kind::Time(TimeUnit::Ms) => "a time such as 500ms or 10s; a bare number is milliseconds".to_owned(),
        Kind::Time(TimeUnit::Sec) => "a time such as 120s or 30min; a bare number is seconds".to_owned(),
        Kind::Int => "a whole number from -2147483648 to 2147483647".to_owned(),
        Kind::Long => "a whole number without suffix".to_owned(),
        Kind::Double => "a number such as 0.6".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::Choice(words) => format!("one of {}", words.join(", ")),
        Kind::Text => "any text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_documented() {
        let mut names = BTreeSet::new();
        for property in all() {
            assert!(names.insert(property.name), "{} twice", property.name);
            assert!(property.doc.ends_with('.') && property.doc.len() > 10, "{}", property.name);
            if let Fallback::Key(other) = property.default {
                assert!(find(other).is_some(), "{} falls back to {other}", property.name);
            }
        }
        assert!(names.len() > 150, "{} properties", names.len());
    }

    #[test]
    fn defaults_follow_the_version() {
        let default =
            |name, version| find(name).expect(name).default_in(SparkVersion::parse(version).expect(version));
        for (name, version, text) in [
            ("spark.speculation.quantile", "4.1", "0.9"),
            ("spark.speculation.quantile", "3.5.9", "0.75"),
            ("spark.sql.adaptive.enabled", "3.1", "false"),
            ("spark.sql.adaptive.enabled", "3.2", "true"),
            ("spark.memory.fraction", "2.4", "0.6"),
        ] {
            assert_eq!(default(name, version), Fallback::Value(text), "{name} in {version}");
        }
        let minimum = find("spark.executor.minMemoryOverhead").expect("a row");
        assert!(!minimum.exists_in(SparkVersion::new(3, 5)) && minimum.exists_in(SparkVersion::new(4, 0)));
    }

    #[test]
    fn slips_of_the_pen_find_their_key() {
        for (name, meant) in [
            ("spark.executor.memry", Some("spark.executor.memory")),
            ("spark.exectuor.memory", Some("spark.executor.memory")),
            ("spark.sql.shuffle.partition", Some("spark.sql.shuffle.partitions")),
            ("spark.memory.offheap.size", Some("spark.memory.offHeap.size")),
            ("spillcast.storagelevel", Some("spillcast.storageLevel")),
            ("spark.my.own.setting", None),
        ] {
            assert_eq!(suggest(name), meant, "{name}");
        }
    }

    #[test]
    fn conf_15_old_names() {
        assert_eq!(
            new_name("spark.yarn.executor.memoryOverhead").as_deref(),
            Some("spark.executor.memoryOverhead")
        );
        assert_eq!(new_name("spark.blacklist.enabled").as_deref(), Some("spark.excludeOnFailure.enabled"));
        assert_eq!(new_name("spark.executor.memory"), None);
        assert_eq!(old_names("spark.memory.offHeap.enabled"), ["spark.unsafe.offHeap"]);
    }

    #[test]
    fn support_of_known_harmless_and_unknown_keys() {
        let v41 = SparkVersion::DEFAULT;
        assert_eq!(support("spark.executor.memory", v41), Support::Modelled);
        assert_eq!(support("spillcast.storageLevel.orders", v41), Support::Modelled);
        assert_eq!(support("spark.app.name", v41), Support::Harmless);
        assert_eq!(support("spark.storage.memoryFraction", v41), Support::Harmless);
        assert_eq!(support("spark.my.own.setting", v41), Support::NotModelled);
    }
}
