//! [`SparkConf`]: property texts with where each came from, and the precedence of `spark-submit`: flags over the
//! properties file over the scenario or event log over defaults. Meaning and validity are [`super::settings`]'s.

use std::collections::BTreeMap;
use std::fmt;

use super::property::{self, Fallback, Support};
use super::version::SparkVersion;

/// Where a value came from; a later variant of this list wins over an earlier one, the scenario and the log being equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built into Spark, or what this program assumes.
    Default,
    /// A line of the scenario file, from 1.
    Scenario(u32),
    /// The event log that is being replayed.
    EventLog,
    /// A properties file: its path and a line in it, from 1.
    PropertiesFile(String, u32),
    /// A flag, as typed.
    CommandLine(String),
}

impl Origin {
    fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Scenario(_) | Self::EventLog => 1,
            Self::PropertiesFile(..) => 2,
            Self::CommandLine(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Scenario(line) => write!(f, "scenario, line {line}"),
            Self::EventLog => f.write_str("event log"),
            Self::PropertiesFile(path, line) => write!(f, "{path}:{line}"),
            Self::CommandLine(flag) => f.write_str(flag),
        }
    }
}

/// The value of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As written.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Property texts by key. Reading and writing cost O(log keys).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparkConf {
    version: SparkVersion,
    /// A key without value was unset, which also has an origin.
    entries: BTreeMap<String, (Option<String>, Origin)>,
}

impl SparkConf {
    /// No property set, defaults of `version`.
    pub fn new(version: SparkVersion) -> Self {
        Self { version, entries: BTreeMap::new() }
    }

    /// Version whose defaults and rules hold.
    pub fn version(&self) -> SparkVersion {
        self.version
    }

    /// Changes the version whose defaults and rules hold; the properties stay.
    pub fn set_version(&mut self, version: SparkVersion) {
        self.version = version;
    }

    /// Sets `key`, unless something of higher precedence has set or unset it already; of equals the last wins.
    pub fn set(&mut self, key: &str, value: &str, origin: Origin) {
        self.put(key, Some(value.to_owned()), origin);
    }

    /// Removes `key`, so that its default holds, with the same precedence as [`Self::set`].
    pub fn unset(&mut self, key: &str, origin: Origin) {
        self.put(key, None, origin);
    }

    /// The value of `key` if it is set, under this name or an older one that Spark still reads (CONF-15).
    pub fn get(&self, key: &str) -> Option<&str> {
        self.lookup(key).map(|(_, value, _)| value)
    }

    /// The value of `key` with its origin, as [`Self::get`].
    pub fn entry(&self, key: &str) -> Option<Entry> {
        self.lookup(key).map(|(_, value, origin)| Entry { value: value.to_owned(), origin: origin.clone() })
    }

    /// Whether `key` is set.
    pub fn contains(&self, key: &str) -> bool {
        self.lookup(key).is_some()
    }

    /// What Spark would use for `key`: the value if set, else the default of the version, else nothing.
    pub fn effective(&self, key: &str) -> Option<Entry> {
        let found = property::find(key);
        let read = found.is_none_or(|property| property.exists_in(self.version));
        if let Some(entry) = self.entry(key).filter(|_| read) {
            return Some(entry);
        }
        match found?.default_in(self.version) {
            Fallback::Unset => None,
            Fallback::Value(text) => Some(Entry { value: text.to_owned(), origin: Origin::Default }),
            Fallback::Key(other) => self.effective(other),
        }
    }

    /// The set keys in alphabetical order, with value and origin.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Origin)> {
        self.entries
            .iter()
            .filter_map(|(key, (value, origin))| Some((key.as_str(), value.as_deref()?, origin)))
    }

    /// Set keys that could change a real run and change nothing here, unknown ones included.
    pub fn not_modelled(&self) -> Vec<&str> {
        let ignored = |key: &&str| property::support(key, self.version) == Support::NotModelled;
        self.iter().map(|(key, ..)| key).filter(ignored).collect()
    }

    /// Set keys under names that Spark has replaced: old name, new name.
    pub fn deprecated(&self) -> Vec<(&str, String)> {
        self.iter().filter_map(|(key, ..)| property::new_name(key).map(|new| (key, new))).collect()
    }

    /// The name under which `key` is set, its value and origin.
    pub(super) fn lookup(&self, key: &str) -> Option<(&str, &str, &Origin)> {
        let direct = |name: &str| {
            let (name, (value, origin)) = self.entries.get_key_value(name)?;
            Some((name.as_str(), value.as_deref()?, origin))
        };
        direct(key).or_else(|| property::old_names(key).iter().find_map(|old| direct(old)))
    }

    fn put(&mut self, key: &str, value: Option<String>, origin: Origin) {
        let outranked = self.entries.get(key).is_some_and(|(_, held)| held.rank() > origin.rank());
        if !outranked {
            self.entries.insert(key.to_owned(), (value, origin));
        }
    }
}

impl Default for SparkConf {
    fn default() -> Self {
        Self::new(SparkVersion::DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag() -> Origin {
        Origin::CommandLine("--conf".to_owned())
    }

    fn file(line: u32) -> Origin {
        Origin::PropertiesFile("spark-defaults.conf".to_owned(), line)
    }

    #[test]
    fn flags_beat_files_beat_scenarios_in_any_order() {
        let origins = [flag(), file(3), Origin::Scenario(9), Origin::Default];
        for first in 0..origins.len() {
            let mut conf = SparkConf::default();
            for step in 0..origins.len() {
                let index = (first + step) % origins.len();
                conf.set("spark.executor.memory", &index.to_string(), origins[index].clone());
            }
            assert_eq!(conf.get("spark.executor.memory"), Some("0"));
        }
    }

    #[test]
    fn of_equals_the_last_wins() {
        let mut conf = SparkConf::default();
        conf.set("spark.task.cpus", "1", file(1));
        conf.set("spark.task.cpus", "2", file(2));
        assert_eq!(conf.entry("spark.task.cpus"), Some(Entry { value: "2".to_owned(), origin: file(2) }));
    }

    #[test]
    fn unset_brings_the_default_back_and_outranks() {
        let mut conf = SparkConf::default();
        conf.set("spark.executor.memory", "8g", Origin::Scenario(1));
        conf.unset("spark.executor.memory", flag());
        conf.set("spark.executor.memory", "4g", file(1));
        assert!(!conf.contains("spark.executor.memory"));
        let entry = conf.effective("spark.executor.memory");
        assert_eq!(entry, Some(Entry { value: "1g".to_owned(), origin: Origin::Default }));
        assert_eq!(conf.iter().count(), 0);
    }

    #[test]
    fn conf_15_old_names_are_read_and_new_ones_win() {
        let mut conf = SparkConf::default();
        conf.set("spark.yarn.executor.memoryOverhead", "700", Origin::EventLog);
        assert_eq!(conf.get("spark.executor.memoryOverhead"), Some("700"));
        conf.set("spark.executor.memoryOverhead", "800", Origin::EventLog);
        assert_eq!(conf.get("spark.executor.memoryOverhead"), Some("800"));
        let new = "spark.executor.memoryOverhead".to_owned();
        assert_eq!(conf.deprecated(), [("spark.yarn.executor.memoryOverhead", new)]);
    }

    #[test]
    fn effective_values_follow_other_keys_and_the_version() {
        let mut conf = SparkConf::new(SparkVersion::new(3, 5));
        conf.set("spark.locality.wait", "1s", flag());
        assert_eq!(conf.effective("spark.locality.wait.node").map(|e| e.value).as_deref(), Some("1s"));
        // 3.5 does not read the key, so setting it has no effect.
        conf.set("spark.executor.minMemoryOverhead", "1g", flag());
        assert_eq!(
            conf.effective("spark.executor.minMemoryOverhead").map(|e| e.value).as_deref(),
            Some("384m")
        );
    }

    #[test]
    fn conf_16_unknown_keys_are_kept_and_listed() {
        let mut conf = SparkConf::default();
        for key in ["spark.my.own", "spark.app.name", "spark.executor.memory", "spark.speculation.max"] {
            conf.set(key, "1", Origin::Scenario(1));
        }
        assert_eq!(conf.get("spark.my.own"), Some("1"));
        assert_eq!(conf.not_modelled(), ["spark.my.own", "spark.speculation.max"]);
    }
}
