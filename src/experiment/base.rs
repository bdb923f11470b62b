//! What all runs of a study share, and one run of it: the base configuration with the values of a point over it, the
//! workload of a replication, one record.
//!
//! Workloads are drawn once a replication and shared by all points; what a point means (settings, processes) is resolved
//! once and shared by its replications.

use std::sync::{Arc, Mutex, PoisonError};

use super::place::{check_tenants, place};
use super::reseed::{at_pace_of, reseed};
use super::same_runs::{Asked, SameRuns};
use super::vary::as_item;
use crate::conf::property::{self, Support};
use crate::conf::{ConfError, ErrorKind, Origin, Settings, SparkConf};
use crate::record::study::SweepRow;
use crate::record::{Outcome, RunRecord};
use crate::scenario::{ClusterSpec, Scenario};
use crate::sim::{Processes, Regions, SimOptions, simulate};
use crate::workload::{ShufflePartitions, Workload};

/// The axis whose values are names of the scenario's variants; `base` is the scenario itself.
pub const VARIANT: &str = "spillcast.variant";
/// The value of [`VARIANT`] for the scenario itself.
pub const NO_VARIANT: &str = "base";
/// Axes over the machines that are no properties: all kinds of hosts of the scenario get the value.
pub const HOST_AXES: [&str; 2] = ["spillcast.host.cores", "spillcast.host.count"];
/// What the names of all axes over the machines begin with.
const HOST_PREFIX: &str = "spillcast.host.";
/// Replications whose workloads are kept; later ones are drawn anew for each run.
const KEPT: usize = 64;

/// An application to be studied.
#[derive(Debug)]
pub struct Base {
    scenario: Scenario,
    /// The scenario's text; `None` for a log.
    text: Option<String>,
    conf: SparkConf,
    seed: u64,
    source: &'static str,
    pace_varies: bool,
    drawn: Mutex<Vec<Option<Arc<Workload>>>>,
    same_runs: SameRuns,
}

/// What a point means.
#[derive(Clone, Debug)]
pub enum Prepared {
    /// It can run.
    Ready {
        /// The meaning of its configuration.
        settings: Box<Settings>,
        /// Where it runs.
        processes: Processes,
    },
    /// Spark or the cluster manager refuses to start it, in these words.
    Refused(String),
}

impl Prepared {
    /// Bytes that the executors take: their containers, and where nothing limits them heaps and off-heap pools.
    pub fn allocated_memory(&self) -> Option<u64> {
        let Self::Ready { processes, .. } = self else { return None };
        let bytes = processes.executors.iter().map(|executor| {
            executor.container_limit.unwrap_or_else(|| {
                let off_heap = match executor.regions {
                    Regions::Unified(regions) => regions.off_heap,
                    Regions::Static(regions) => regions.off_heap,
                };
                executor.heap + off_heap
            })
        });
        Some(bytes.sum())
    }
}

impl Base {
    /// A study's application: what runs, its text where it is a scenario, its configuration and the seed of its first
    /// replication.
    pub fn new(scenario: Scenario, text: Option<String>, conf: SparkConf, seed: u64) -> Self {
        Self {
            scenario,
            text,
            conf,
            seed,
            source: "--vary",
            pace_varies: false,
            drawn: Mutex::default(),
            same_runs: SameRuns::default(),
        }
    }

    /// Says where the values of points come from, for messages; `--vary` when nothing is said.
    pub fn set_source(&mut self, source: &'static str) {
        self.source = source;
    }

    /// Says how often each point is run. Replications of an observed workload, which has no other luck, differ in pace as
    /// repeated runs do (`sim::pace`); a single run is the log's.
    pub fn set_replications(&mut self, replications: u32) {
        let varies = replications > 1 && self.scenario.workload.observed.is_some();
        if varies != self.pace_varies {
            self.pace_varies = varies;
            self.drawn.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Whether replications differ in pace as real runs of one configuration do.
    pub fn pace_varies(&self) -> bool {
        self.pace_varies
    }

    /// The configuration that all points start from.
    pub fn conf(&self) -> &SparkConf {
        &self.conf
    }

    /// What runs.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Whether the configuration decides the partitions of some shuffle.
    pub fn has_configured_shuffles(&self) -> bool {
        self.scenario.workload.shuffles.iter().any(|shuffle| shuffle.partitions == ShufflePartitions::Conf)
    }

    /// Seed of a replication.
    pub fn seed(&self, replication: u32) -> u64 {
        self.seed.wrapping_add(u64::from(replication))
    }

    /// Whether `key` can be varied.
    ///
    /// # Errors
    /// Why not, with the nearest name that can.
    pub fn check_key(&self, key: &str) -> Result<(), String> {
        if key.starts_with(HOST_PREFIX) && self.scenario.cluster.hosts.is_empty() {
            return Err(format!("{key}: the scenario has no [[host]]; add one with cores and memory"));
        }
        if let Some(dataset) = key.strip_prefix(property::STORAGE_LEVEL_PREFIX) {
            let names: Vec<&str> =
                self.scenario.workload.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
            if names.contains(&dataset) {
                return Ok(());
            }
            let valid = if names.is_empty() { "none is cached".to_owned() } else { names.join(", ") };
            return Err(format!("{key}: there is no cached dataset '{dataset}'; valid: {valid}"));
        }
        let own = [VARIANT].iter().chain(&HOST_AXES);
        if own.clone().any(|name| *name == key) || property::find(&today(key)).is_some() {
            return Ok(());
        }
        let near =
            property::suggest(key).or_else(|| own.copied().find(|name| name.eq_ignore_ascii_case(key)));
        Err(match near {
            Some(near) => format!("{key}: no property of this name is known; did you mean {near}?"),
            None => format!(
                "{key}: no property of this name is known; valid: Spark's properties, spillcast.storageLevel, \
                 spillcast.evictionPolicy, spillcast.dataScale, {VARIANT}, spillcast.host.memory, spillcast.host.swap, spillcast.host.disk, {}",
                HOST_AXES.join(", ")
            ),
        })
    }

    /// Whether varying `key` can change a simulation.
    pub fn is_modelled(&self, key: &str) -> bool {
        key == VARIANT
            || HOST_AXES.contains(&key)
            || property::support(key, self.conf.version()) == Support::Modelled
    }

    /// The configuration of a point. A key without value stays as it is.
    ///
    /// # Errors
    /// A variant that does not exist.
    pub fn conf_of(&self, keys: &[String], values: &[&str]) -> Result<SparkConf, String> {
        let mut conf = self.conf.clone();
        let given = || keys.iter().zip(values).filter(|(_, value)| !value.is_empty());
        // A variant first: what is varied beside it wins.
        for (_, name) in given().filter(|(key, name)| *key == VARIANT && **name != NO_VARIANT) {
            let variants = &self.scenario.variants;
            let Some(variant) = variants.iter().find(|variant| variant.name == *name) else {
                let names = variants.iter().map(|variant| variant.name.as_str());
                let listed = self.source == "--vary";
                let shown = |name: &str| if listed { as_item(name) } else { name.to_owned() };
                let names: Vec<String> = std::iter::once(NO_VARIANT).chain(names).map(shown).collect();
                return Err(format!(
                    "{VARIANT}={name}: there is no such variant; valid: {}",
                    names.join(", ")
                ));
            };
            for entry in &variant.conf {
                conf.set(&entry.key, &entry.value, Origin::Scenario(entry.line as u32));
            }
        }
        for (key, value) in given().filter(|(key, _)| *key != VARIANT && !HOST_AXES.contains(&key.as_str())) {
            conf.set(key, value, Origin::CommandLine(self.source.to_owned()));
        }
        Ok(conf)
    }

    fn cluster_of(&self, keys: &[String], values: &[&str]) -> Result<ClusterSpec, String> {
        let mut cluster = self.scenario.cluster.clone();
        for (key, value) in keys.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
            let Some(axis) = HOST_AXES.iter().position(|axis| axis == key) else { continue };
            let count = || match value.parse::<u32>() {
                Ok(count) if count > 0 => Ok(count),
                _ => Err(format!("{key}={value}: is no number above 0")),
            };
            for host in &mut cluster.hosts {
                match axis {
                    0 => host.cores = count()?,
                    _ => host.count = count()?,
                }
            }
        }
        Ok(cluster)
    }

    /// What a point means.
    ///
    /// # Errors
    /// Values that mean nothing, one message each. What Spark would refuse is an outcome, not an error.
    pub fn prepare(&self, keys: &[String], values: &[&str]) -> Result<Prepared, Vec<String>> {
        let one = |message| vec![message];
        let conf = self.conf_of(keys, values).map_err(one)?;
        let cluster = self.cluster_of(keys, values).map_err(one)?;
        let settings = match Settings::resolve(&conf) {
            Ok(settings) => settings,
            Err(errors) => {
                let refused = |error: &ConfError| error.by_spark && error.kind == ErrorKind::Refused;
                return match errors.iter().all(refused).then(|| errors.first()).flatten() {
                    Some(first) => Ok(Prepared::Refused(first.message.clone())),
                    None => Err(errors.iter().map(ToString::to_string).collect()),
                };
            }
        };
        check_tenants(&settings, &cluster).map_err(one)?;
        Ok(match place(&settings, &cluster, &self.scenario.workload) {
            Ok(placed) => {
                let processes = Processes { pace_varies: self.pace_varies, ..placed.processes };
                Prepared::Ready { settings: Box::new(settings), processes }
            }
            Err(words) => Prepared::Refused(words),
        })
    }

    /// The record of one run of a point, to see what is modelled in it; `None` where it does not start.
    pub fn sample(&self, keys: &[String], values: &[&str]) -> Option<RunRecord> {
        let prepared = self.prepare(keys, values).ok()?;
        matches!(prepared, Prepared::Ready { .. }).then(|| self.run(&prepared, 0, false))
    }

    /// The workload of a replication.
    pub fn workload(&self, replication: u32) -> Arc<Workload> {
        let draw = || {
            let text = self.text.as_deref();
            let own = self.scenario.seed;
            let seed = self.seed(replication);
            let mut workload = reseed(&self.scenario.workload, own, text, seed);
            if self.pace_varies {
                at_pace_of(&mut workload, seed);
            }
            Arc::new(workload)
        };
        let at = replication as usize;
        if at >= KEPT {
            return draw();
        }
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.len() <= at {
            drawn.resize(at + 1, None);
        }
        Arc::clone(drawn[at].get_or_insert_with(draw))
    }

    /// What a study keeps of a replication of a point. It is not run where another run that was made answers for it, which
    /// changes nothing but the time that it takes.
    pub fn row(&self, point: u64, prepared: &Prepared, replication: u32) -> SweepRow {
        let allocated = prepared.allocated_memory();
        let Prepared::Ready { settings, processes } = prepared else {
            return SweepRow::of(point, replication, allocated, &self.run(prepared, replication, false));
        };
        let asked = Asked::new(settings, processes, replication);
        if let Some(summary) = self.same_runs.find(&asked) {
            return SweepRow { point, replication, allocated_memory: allocated, summary };
        }
        let run = self.run(prepared, replication, false);
        let row = SweepRow::of(point, replication, allocated, &run);
        self.same_runs.keep(asked, &run, &row.summary);
        row
    }

    /// Runs a replication of a point; with `details` every task and event is kept.
    pub fn run(&self, prepared: &Prepared, replication: u32, details: bool) -> RunRecord {
        self.run_on(&self.workload(replication), prepared, replication, details)
    }

    /// Runs another workload than the replication's own in its place.
    pub fn run_on(
        &self,
        workload: &Workload,
        prepared: &Prepared,
        replication: u32,
        details: bool,
    ) -> RunRecord {
        let seed = self.seed(replication);
        match prepared {
            Prepared::Ready { settings, processes } => {
                simulate(workload, settings, processes, SimOptions { seed, details })
            }
            Prepared::Refused(words) => RunRecord {
                name: self.scenario.name.clone(),
                seed,
                spark_version: self.conf.version().to_string(),
                outcome: Outcome::Refused,
                reason: words.clone(),
                ..RunRecord::default()
            },
        }
    }
}

fn today(key: &str) -> String {
    property::new_name(key).unwrap_or_else(|| key.to_owned())
}
