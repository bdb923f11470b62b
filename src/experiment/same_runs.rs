//! Points of a study whose runs are the same, so that one simulation answers for all of them. Where nobody ever came short
//! of execution or storage memory, more of it changes nothing ([`RunRecord::ample_memory`]); nor does a container's limit
//! that was never reached. Then only what a point costs differs, and it is not simulated again. Everything else that a run
//! depends on has to be equal to the last bit.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::conf::Settings;
use crate::memory::UnifiedRegions;
use crate::record::RunRecord;
use crate::record::columns::Value;
use crate::sim::{Processes, Regions};

/// Runs that are remembered: of more, the oldest is forgotten.
const KEPT: usize = 1024;
/// Executors and hosts of all that is remembered, of some hundred bytes each: a study of any size takes little memory.
const PLACES_KEPT: usize = 1 << 15;

/// Runs that answer for others.
#[derive(Debug, Default)]
pub(super) struct SameRuns(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By fingerprint of what was run.
    known: BTreeMap<u64, Vec<Known>>,
    /// Their fingerprints, the oldest first.
    order: VecDeque<u64>,
    places: usize,
}

#[derive(Debug)]
struct Known {
    asked: Asked,
    ample: [u64; 2],
    peak_rss: u64,
    summary: Vec<Value<'static>>,
}

/// A run that is wanted: all it depends on, less the sizes that may turn out not to matter.
#[derive(Debug)]
pub(super) struct Asked {
    settings: Settings,
    processes: Processes,
    replication: u32,
    fingerprint: u64,
    /// The least of any executor, by memory mode, bytes.
    memory: [u64; 2],
    /// The least of any executor; the largest number where there is none.
    container: u64,
}

impl Asked {
    pub(super) fn new(settings: &Settings, processes: &Processes, replication: u32) -> Self {
        let mut asked = Self {
            settings: settings.clone(),
            processes: processes.clone(),
            replication,
            fingerprint: 0,
            memory: [u64::MAX; 2],
            container: u64::MAX,
        };
        let Settings { memory, container, knobs, .. } = &mut asked.settings;
        // Sizes follow from these, and are in the processes.
        (memory.fraction, memory.storage_fraction, memory.off_heap_size) = (0.0, 0.0, 0);
        // A container that may swap or holds its tasks back acts before its limit is reached.
        let limit_alone = knobs.container_swap == 0 && knobs.container_high.is_none();
        if limit_alone {
            (container.executor_overhead_mib, container.executor_factor) = (None, None);
            (container.executor_min_overhead_mib, container.kubernetes_factor) = (0, None);
            knobs.container_limit = None;
        }
        for executor in &mut asked.processes.executors {
            if let Regions::Unified(regions) = &mut executor.regions {
                let [on_heap, off_heap] = &mut asked.memory;
                *on_heap = regions.on_heap.min(*on_heap);
                *off_heap = regions.off_heap.min(*off_heap);
                *regions =
                    UnifiedRegions { on_heap: 0, on_heap_storage: 0, off_heap: 0, off_heap_storage: 0 };
            }
            if let Some(limit) = executor.container_limit.as_mut().filter(|_| limit_alone) {
                asked.container = (*limit).min(asked.container);
                *limit = 0;
            }
        }
        let Self { settings, processes, .. } = &asked;
        let mut text = Hashed(DefaultHasher::new());
        write!(text, "{settings:?} {processes:?} {replication}").expect("hashing does not fail");
        asked.fingerprint = text.0.finish();
        asked
    }

    fn is_for(&self, other: &Self) -> bool {
        self.replication == other.replication
            && self.processes == other.processes
            && self.settings == other.settings
    }

    /// Executors and hosts.
    fn places(&self) -> usize {
        self.processes.executors.len() + self.processes.hosts.len() + self.processes.memory.len()
    }

    /// Whether sizes below these did not matter in a run that found so much ample and was at most so large.
    fn is_ample(&self, ample: [u64; 2], peak_rss: u64) -> bool {
        self.memory[0] >= ample[0] && self.memory[1] >= ample[1] && self.container >= peak_rss
    }
}

impl SameRuns {
    /// The summary of a run that is the same as one that was made.
    pub(super) fn find(&self, asked: &Asked) -> Option<Vec<Value<'static>>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.known.get(&asked.fingerprint)?.iter();
        let mut same = known.filter(|known| asked.is_for(&known.asked));
        same.find(|known| asked.is_ample(known.ample, known.peak_rss)).map(|known| known.summary.clone())
    }

    /// Remembers a run if it can answer for others.
    pub(super) fn keep(&self, asked: Asked, run: &RunRecord, summary: &[Value<'static>]) {
        let (ample, peak_rss) = (run.ample_memory, run.totals.peak_rss.unwrap_or(u64::MAX));
        if !asked.is_ample(ample, peak_rss) {
            return;
        }
        let fingerprint = asked.fingerprint;
        let known = Known { asked, ample, peak_rss, summary: summary.to_vec() };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.places += known.asked.places();
        kept.known.entry(fingerprint).or_default().push(known);
        kept.order.push_back(fingerprint);
        while (kept.order.len() > KEPT || kept.places > PLACES_KEPT)
            && let Some(oldest) = kept.order.pop_front()
            && let Some(known) = kept.known.get_mut(&oldest)
        {
            let forgotten = known.remove(0);
            if known.is_empty() {
                kept.known.remove(&oldest);
            }
            kept.places -= forgotten.asked.places();
        }
    }
}

struct Hashed(DefaultHasher);

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{self, PlanInput};
    use crate::conf::{Origin, SparkConf, SparkVersion};
    use crate::units::MIB;

    fn asked(replication: u32, set: &[(&str, &str)]) -> Asked {
        let mut conf = SparkConf::new(SparkVersion::DEFAULT);
        let usual = [
            ("spark.master", "yarn"),
            ("spark.executor.memory", "4g"),
            ("spark.executor.memoryOverhead", "2g"),
            ("spark.buffer.pageSize", "4m"),
        ];
        for (key, value) in usual.iter().chain(set) {
            conf.set(key, value, Origin::CommandLine("--conf".to_owned()));
        }
        let settings = Settings::resolve(&conf).expect("a configuration");
        let plan = cluster::plan(&PlanInput { settings: &settings, hosts: &[], yarn: None, python: false });
        let processes = Processes::new(&plan, &settings, &[]).expect("executors that start");
        Asked::new(&settings, &processes, replication)
    }

    #[test]
    fn a_run_answers_for_those_that_have_more_and_no_others() {
        let same_runs = SameRuns::default();
        let mut run = RunRecord { ample_memory: [1_000 * MIB, 0], ..RunRecord::default() };
        run.totals.peak_rss = Some(5_500 * MIB);
        let found = |set: &[(&str, &str)]| same_runs.find(&asked(0, set)).is_some();
        // 759 MiB of execution and storage are less than was ample: it says nothing about others.
        same_runs.keep(asked(0, &[("spark.memory.fraction", "0.2")]), &run, &[]);
        assert!(!found(&[("spark.memory.fraction", "0.2")]) && !found(&[]));
        same_runs.keep(asked(0, &[]), &run, &[]);
        for (key, value, is_same) in [
            ("spark.memory.fraction", "0.9", true),
            ("spark.memory.fraction", "0.2", false),
            ("spark.memory.storageFraction", "0.1", true),
            ("spark.executor.memoryOverhead", "3g", true),
            ("spark.executor.memoryOverhead", "1m", false),
            ("spark.executor.memory", "5g", false),
            ("spark.buffer.pageSize", "2m", false),
            ("spark.sql.shuffle.partitions", "7", false),
        ] {
            assert_eq!(found(&[(key, value)]), is_same, "{key}={value}");
        }
        assert!(same_runs.find(&asked(1, &[])).is_none(), "another replication");
    }
}
