//! Reads values out of a TOML table that [`super::check`] has seen: a value that is absent, or was refused there, reads
//! as `None` and takes its default, so that one fault never hides the next.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::quantity;
use crate::memory::StorageLevel;
use crate::workload::PerTask;

/// A table with the span of its header (or of its braces).
#[derive(Clone)]
pub(super) struct View<'t> {
    table: &'t DeTable<'t>,
    pub(super) span: Range<usize>,
}

impl<'t> View<'t> {
    pub(super) fn new(table: &'t DeTable<'t>, span: Range<usize>) -> Self {
        Self { table, span }
    }

    pub(super) fn entries(
        &self,
    ) -> impl Iterator<Item = (&'t Spanned<DeString<'t>>, &'t Spanned<DeValue<'t>>)> {
        self.table.iter()
    }

    pub(super) fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Span of a key's value, or of the table when there is none.
    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        self.get(key).map_or_else(|| self.span.clone(), Spanned::span)
    }

    pub(super) fn text(&self, key: &str) -> Option<&'t str> {
        self.get(key)?.get_ref().as_str()
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)?.get_ref().as_bool()
    }

    pub(super) fn whole(&self, key: &str) -> Option<u64> {
        whole(self.get(key)?.get_ref())
    }

    pub(super) fn count(&self, key: &str) -> Option<u32> {
        self.whole(key).and_then(|number| u32::try_from(number).ok())
    }

    pub(super) fn signed(&self, key: &str) -> Option<i64> {
        signed(self.get(key)?.get_ref())
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        float(self.get(key)?.get_ref())
    }

    pub(super) fn size(&self, key: &str) -> Option<u64> {
        match self.get(key)?.get_ref() {
            DeValue::String(text) => quantity::size(text).ok(),
            value => whole(value),
        }
    }

    pub(super) fn rate(&self, key: &str) -> Option<f64> {
        match self.get(key)?.get_ref() {
            DeValue::String(text) => quantity::size(text).ok().map(|bytes| bytes as f64),
            value => float(value),
        }
    }

    pub(super) fn time(&self, key: &str) -> Option<u64> {
        quantity::time(self.text(key)?).ok()
    }

    pub(super) fn amount(&self, key: &str) -> Option<PerTask> {
        match self.get(key)?.get_ref() {
            DeValue::Array(items) => {
                Some(PerTask::Each(items.iter().filter_map(|item| whole(item.get_ref())).collect()))
            }
            value => whole(value).map(PerTask::Total),
        }
    }

    /// The whole numbers of a list with their spans.
    pub(super) fn wholes(&self, key: &str) -> Vec<(u64, Range<usize>)> {
        self.items(key).filter_map(|item| whole(item.get_ref()).map(|number| (number, item.span()))).collect()
    }

    pub(super) fn numbers(&self, key: &str) -> Vec<f64> {
        self.items(key).filter_map(|item| float(item.get_ref())).collect()
    }

    /// One name, or a list of names, with their spans.
    pub(super) fn names(&self, key: &str) -> Vec<(&'t str, Range<usize>)> {
        let one = self.get(key).filter(|value| value.get_ref().is_str());
        let all = self.items(key).chain(one);
        all.filter_map(|item| item.get_ref().as_str().map(|text| (text, item.span()))).collect()
    }

    pub(super) fn level(&self, key: &str) -> Option<StorageLevel> {
        match self.get(key)?.get_ref() {
            DeValue::String(name) => level_of(name),
            DeValue::Table(_) => {
                let flags = self.table(key)?;
                Some(StorageLevel {
                    use_disk: flags.flag("use_disk").unwrap_or(false),
                    use_memory: flags.flag("use_memory").unwrap_or(false),
                    use_off_heap: flags.flag("use_off_heap").unwrap_or(false),
                    deserialized: flags.flag("deserialized").unwrap_or(false),
                    replication: flags.whole("replication").and_then(|n| u8::try_from(n).ok()).unwrap_or(1),
                })
            }
            _ => None,
        }
    }

    pub(super) fn table(&self, key: &str) -> Option<Self> {
        let value = self.get(key)?;
        Some(Self::new(value.get_ref().as_table()?, value.span()))
    }

    pub(super) fn raw_table(&self, key: &str) -> Option<&'t DeTable<'t>> {
        self.get(key)?.get_ref().as_table()
    }

    pub(super) fn tables(&self, key: &str) -> Vec<Self> {
        self.items(key).filter_map(|item| Some(Self::new(item.get_ref().as_table()?, item.span()))).collect()
    }

    fn items(&self, key: &str) -> impl Iterator<Item = &'t Spanned<DeValue<'t>>> + use<'t> {
        self.get(key).and_then(|value| value.get_ref().as_array()).into_iter().flat_map(|items| items.iter())
    }
}

/// The number of an integer that is not negative.
pub(super) fn whole(value: &DeValue) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str().trim_start_matches('+'), integer.radix()).ok()
}

/// The number of an integer.
pub(super) fn signed(value: &DeValue) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The number of an integer or a fraction.
pub(super) fn float(value: &DeValue) -> Option<f64> {
    match value {
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::Integer(_) => whole(value).map(|n| n as f64).or_else(|| signed(value).map(|n| n as f64)),
        _ => None,
    }
}

/// The level of a name as `StorageLevel.fromString` knows it (spark-memory.md 5.4).
pub(super) fn level_of(name: &str) -> Option<StorageLevel> {
    let (base, replication) = match name.strip_suffix("_2").map(|base| (base, 2)) {
        Some(split) => split,
        None => name.strip_suffix("_3").map_or((name, 1), |base| (base, 3)),
    };
    let level = |use_disk, use_memory, deserialized| StorageLevel {
        use_disk,
        use_memory,
        use_off_heap: false,
        deserialized,
        replication,
    };
    Some(match base {
        "NONE" => level(false, false, false),
        "DISK_ONLY" => level(true, false, false),
        "MEMORY_ONLY" => level(false, true, true),
        "MEMORY_ONLY_SER" => level(false, true, false),
        "MEMORY_AND_DISK" | "MEMORY_AND_DISK_DESER" => level(true, true, true),
        "MEMORY_AND_DISK_SER" => level(true, true, false),
        "OFF_HEAP" => StorageLevel { use_off_heap: true, ..level(true, true, false) },
        _ => return None,
    })
}
