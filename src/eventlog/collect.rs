//! From events to an [`AppLog`]: one event at a time, each forgotten as soon as its facts are noted. Memory grows with
//! the application's tasks, blocks and plans, not with the log's bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::app_log::{
    AppLog, DriverAccumulator, ExecutorIndex, ExecutorRecord, JobRecord, JobResult, JvmInfo, PeakRecord,
    PeakSource, RddRecord, ResourceProfileRecord, RunningTask, StageRdd, StageRecord, StorageLevel,
    Unpersist,
};
use super::collect_sql::SqlCollector;
use super::events as ev;
use super::events::{Level, RddInfo, Scope, StageInfo, TextMap};
use super::metrics::ExecutorPeaks;
use super::values::{MaybeInt, Text};

/// Prefix of SQL's events.
const SQL_PREFIX: &str = "org.apache.spark.sql.execution.ui.";

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Its facts are noted.
    Noted,
    /// Spark's own, but says nothing about memory or work.
    Skipped,
    /// Nobody knows it.
    Unknown,
}

/// Source, stage attempt and executor of a peak.
type PeakKey = (PeakSource, Option<(u32, u32)>, ExecutorIndex);

/// Builds an [`AppLog`].
#[derive(Default)]
pub(super) struct Collector {
    pub(super) log: AppLog,
    jobs: BTreeMap<u32, JobRecord>,
    stages: BTreeMap<(u32, u32), StageRecord>,
    rdds: BTreeMap<u32, RddRecord>,
    executors: BTreeMap<String, ExecutorIndex>,
    pub(super) running: BTreeMap<u64, RunningTask>,
    peaks: BTreeMap<PeakKey, ExecutorPeaks>,
    /// By stage, the accumulators updated by the task that ended last: the next one most likely updates the same.
    pub(super) latest_ids: BTreeMap<u32, Arc<[u64]>>,
    sql: SqlCollector,
}

impl Collector {
    /// Notes the facts of one line, the event called `name`.
    pub(super) fn take(&mut self, name: &str, line: &[u8]) -> Result<Taken, serde_json::Error> {
        match name {
            "SparkListenerTaskEnd" => self.task_end(parse(line)?)?,
            "SparkListenerTaskStart" => self.task_start(&parse(line)?),
            "SparkListenerBlockUpdated" => self.block_updated(&parse(line)?),
            "SparkListenerStageSubmitted" | "SparkListenerStageCompleted" => {
                self.stage(parse::<ev::StageEvent<'_>>(line)?.info);
            }
            "SparkListenerStageExecutorMetrics" => self.stage_executor_metrics(&parse(line)?),
            "SparkListenerExecutorMetricsUpdate" => self.executor_metrics_update(&parse(line)?),
            "SparkListenerJobStart" => self.job_start(parse(line)?),
            "SparkListenerJobEnd" => self.job_end(parse(line)?),
            "SparkListenerUnpersistRDD" => self.unpersist(&parse(line)?),
            "SparkListenerExecutorAdded" => self.executor_added(&parse(line)?),
            "SparkListenerExecutorRemoved" => self.executor_removed(parse(line)?),
            "SparkListenerBlockManagerAdded" => self.block_manager_added(&parse(line)?),
            "SparkListenerBlockManagerRemoved" => self.block_manager_removed(&parse(line)?),
            "SparkListenerLogStart" => {
                self.log.spark_version = parse::<ev::LogStart<'_>>(line)?.spark_version.into_string();
            }
            "SparkListenerApplicationStart" => self.application_start(parse(line)?),
            "SparkListenerApplicationEnd" => {
                let event: ev::ApplicationEnd = parse(line)?;
                self.log.end_ms = self.saw(event.time);
                self.log.exit_code = event.exit_code.0;
            }
            "SparkListenerEnvironmentUpdate" => self.environment(parse(line)?),
            "SparkListenerResourceProfileAdded" => self.resource_profile(parse(line)?),
            _ => return self.take_rare(name, line),
        }
        Ok(Taken::Noted)
    }

    /// SQL's events, those that are only counted, and those of no interest.
    fn take_rare(&mut self, name: &str, line: &[u8]) -> Result<Taken, serde_json::Error> {
        if let Some(name) = name.strip_prefix(SQL_PREFIX) {
            match name {
                "SparkListenerSQLExecutionStart" => {
                    let time = self.sql.start(parse(line)?, &self.log.properties)?;
                    self.saw(time);
                }
                "SparkListenerSQLExecutionEnd" => {
                    let time = self.sql.end(parse(line)?);
                    self.saw(time);
                }
                "SparkListenerSQLAdaptiveExecutionUpdate" => self.sql.adaptive_update(&parse(line)?)?,
                "SparkListenerSQLAdaptiveSQLMetricUpdates" => self.sql.adaptive_metrics(parse(line)?),
                "SparkListenerDriverAccumUpdates" => self.driver_accumulators(&parse(line)?),
                _ => return Ok(Taken::Skipped),
            }
            return Ok(Taken::Noted);
        }
        // Renamed in 3.1: Blacklisted became Excluded.
        if ["Excluded", "Unexcluded", "Blacklisted", "Unblacklisted"].iter().any(|part| name.contains(part))
            && name.starts_with("SparkListener")
        {
            *self.log.exclusions.entry(name.to_owned()).or_default() += 1;
            return Ok(Taken::Noted);
        }
        let skipped = [
            "SparkListenerTaskGettingResult",
            "SparkListenerSpeculativeTaskSubmitted",
            "SparkListenerMiscellaneousProcessAdded",
            "SparkListenerUnschedulableTaskSetAdded",
            "SparkListenerUnschedulableTaskSetRemoved",
        ];
        let own = skipped.contains(&name) || name.starts_with("org.apache.spark.");
        Ok(if own { Taken::Skipped } else { Taken::Unknown })
    }

    /// Ends the building: maps become sorted lists.
    pub(super) fn finish(self) -> AppLog {
        let Self { mut log, jobs, stages, rdds, executors: _, running, peaks, latest_ids: _, sql } = self;
        log.jobs = jobs.into_values().collect();
        log.stages = stages.into_values().collect();
        log.rdds = rdds.into_values().collect();
        log.running_tasks = running.into_values().collect();
        log.peaks = peaks
            .into_iter()
            .map(|((source, stage, executor), peaks)| PeakRecord { source, stage, executor, peaks })
            .collect();
        log.sql = sql.finish();
        log.tasks.shrink_to_fit();
        log.block_updates.shrink_to_fit();
        log
    }

    /// Notes a time, so that events without one can be placed.
    pub(super) fn saw(&mut self, time: MaybeInt) -> Option<u64> {
        let ms = time.ms();
        self.log.last_ms = self.log.last_ms.max(ms.unwrap_or(0));
        ms
    }

    /// The executor with this id, made known if it is not.
    pub(super) fn executor(&mut self, id: &Text<'_>, host: &Text<'_>) -> ExecutorIndex {
        let index = match self.executors.get(id.as_str()) {
            Some(index) => *index,
            None => {
                let index = ExecutorIndex(self.log.executors.len() as u32);
                self.executors.insert(id.as_str().to_owned(), index);
                self.log
                    .executors
                    .push(ExecutorRecord { id: id.as_str().to_owned(), ..ExecutorRecord::default() });
                index
            }
        };
        let record = &mut self.log.executors[index.0 as usize];
        if record.host.is_empty() && !host.as_str().is_empty() {
            host.as_str().clone_into(&mut record.host);
        }
        index
    }

    fn executor_mut(&mut self, id: &Text<'_>, host: &Text<'_>) -> &mut ExecutorRecord {
        let index = self.executor(id, host);
        &mut self.log.executors[index.0 as usize]
    }

    fn application_start(&mut self, event: ev::ApplicationStart<'_>) {
        self.log.start_ms = self.saw(event.time);
        self.log.app_name = event.name.into_string();
        self.log.app_id = event.id.into_string();
        self.log.attempt_id = event.attempt_id.non_empty();
    }

    fn environment(&mut self, mut event: ev::EnvironmentUpdate<'_>) {
        let take = |map: &mut TextMap<'_>, key: &'static str| {
            map.remove(&Text(key.into())).map(Text::into_string).unwrap_or_default()
        };
        self.log.jvm = JvmInfo {
            java_version: take(&mut event.jvm, "Java Version"),
            scala_version: take(&mut event.jvm, "Scala Version"),
            vm_name: take(&mut event.system, "java.vm.name"),
            os_arch: take(&mut event.system, "os.arch"),
            os_name: take(&mut event.system, "os.name"),
            java_command: take(&mut event.system, "sun.java.command"),
        };
        self.log.properties = owned(event.spark);
        self.log.yarn_properties = owned(event.hadoop);
        self.log
            .yarn_properties
            .retain(|key, _| key.starts_with("yarn.nodemanager.") || key.starts_with("yarn.scheduler."));
    }

    fn resource_profile(&mut self, event: ev::ResourceProfileAdded<'_>) {
        let amounts = |requests: BTreeMap<Text<'_>, ev::ResourceRequest>| {
            requests.into_iter().map(|(name, request)| (name.into_string(), request.amount)).collect()
        };
        let id = event.id.id().unwrap_or(0);
        let profile =
            ResourceProfileRecord { id, executor: amounts(event.executor), task: amounts(event.task) };
        self.log.resource_profiles.retain(|known| known.id != id);
        self.log.resource_profiles.push(profile);
    }

    fn executor_added(&mut self, event: &ev::ExecutorAdded<'_>) {
        let added_ms = self.saw(event.time);
        let record = self.executor_mut(&event.executor, &event.info.host);
        record.added_ms = added_ms;
        record.cores = event.info.cores.id();
        record.resource_profile = event.info.resource_profile.id().unwrap_or(0);
    }

    fn executor_removed(&mut self, event: ev::ExecutorRemoved<'_>) {
        let removed_ms = self.saw(event.time);
        let record = self.executor_mut(&event.executor, &Text::default());
        record.removed_ms = removed_ms;
        record.removed_reason = event.reason.non_empty();
    }

    fn block_manager_added(&mut self, event: &ev::BlockManagerAdded<'_>) {
        let added_ms = self.saw(event.time);
        let record = self.executor_mut(&event.id.executor, &event.id.host);
        record.block_manager_added_ms = added_ms;
        record.max_memory = event.memory.known();
        record.max_on_heap = event.on_heap.known();
        record.max_off_heap = event.off_heap.known();
    }

    fn block_manager_removed(&mut self, event: &ev::BlockManagerRemoved<'_>) {
        let removed_ms = self.saw(event.time);
        self.executor_mut(&event.id.executor, &event.id.host).block_manager_removed_ms = removed_ms;
    }

    fn job_start(&mut self, event: ev::JobStart<'_>) {
        let Some(job_id) = event.id.id() else { return };
        let mut properties = event.properties.unwrap_or_default();
        let sql_execution = properties.remove(&Text("spark.sql.execution.id".into()));
        let mut stage_ids: Vec<u32> = event.stage_ids.iter().filter_map(|id| id.id()).collect();
        if stage_ids.is_empty() {
            stage_ids = event.stages.iter().filter_map(|stage| stage.id.id()).collect();
        }
        let submit_ms = self.saw(event.time);
        let job = JobRecord {
            job_id,
            stage_ids,
            submit_ms,
            complete_ms: None,
            result: JobResult::Unfinished,
            sql_execution: sql_execution.and_then(|id| id.as_str().parse().ok()),
            properties: self.own_properties(properties),
        };
        self.jobs.insert(job_id, job);
        for stage in event.stages {
            let key = (stage.id.id().unwrap_or(0), stage.attempt.id().unwrap_or(0));
            if !self.stages.contains_key(&key) {
                self.stage(stage);
            }
        }
    }

    /// Properties of a job that say something the application's do not.
    fn own_properties(&self, properties: TextMap<'_>) -> BTreeMap<String, String> {
        // Set anew for every job: where the code stands and which operation it is in.
        const NOISE: [&str; 4] =
            ["spark.rdd.scope", "spark.job.tags", "spark.sql.execution.root.id", "spark.rdd."];
        properties
            .into_iter()
            .filter(|(key, value)| {
                let key = key.as_str();
                key.starts_with("spark.")
                    && !NOISE.iter().any(|noise| key.starts_with(noise))
                    && self.log.properties.get(key).map(String::as_str) != Some(value.as_str())
            })
            .map(|(key, value)| (key.into_string(), value.into_string()))
            .collect()
    }

    fn job_end(&mut self, event: ev::JobEnd<'_>) {
        let complete_ms = self.saw(event.time);
        let Some(job_id) = event.id.id() else { return };
        let job = self.jobs.entry(job_id).or_insert_with(|| JobRecord { job_id, ..JobRecord::default() });
        job.complete_ms = complete_ms;
        job.result = if event.result.result.as_str() == "JobSucceeded" {
            JobResult::Succeeded
        } else {
            let message = event.result.exception.map(|exception| exception.message).unwrap_or_default();
            JobResult::Failed(first_line(message.as_str()))
        };
    }

    /// Notes a stage as submitted, completed or only planned; what is stated later replaces what was.
    fn stage(&mut self, info: StageInfo<'_>) {
        let Some(stage_id) = info.id.id() else { return };
        let attempt = info.attempt.id().unwrap_or(0);
        let submit_ms = self.saw(info.submitted);
        let complete_ms = self.saw(info.completed);
        let mut rdds: Vec<StageRdd> = info
            .rdds
            .iter()
            .filter_map(|rdd| Some(StageRdd { rdd_id: rdd.id.id()?, storage: storage_level(rdd.level) }))
            .collect();
        rdds.sort_by_key(|rdd| rdd.rdd_id);
        for rdd in info.rdds {
            self.rdd(rdd);
        }
        let failure = info.failure.non_empty();
        let stage = StageRecord {
            stage_id,
            attempt,
            name: info.name.into_string(),
            number_of_tasks: info.tasks.id().unwrap_or(0),
            parent_ids: info.parents.iter().filter_map(|id| id.id()).collect(),
            rdds,
            resource_profile: info.resource_profile.id().unwrap_or(0),
            submit_ms,
            complete_ms,
            failure: failure.as_deref().map(first_line),
        };
        self.stages.insert((stage_id, attempt), stage);
    }

    fn rdd(&mut self, info: RddInfo<'_>) {
        let Some(rdd_id) = info.id.id() else { return };
        let record = self.rdds.entry(rdd_id).or_insert_with(|| RddRecord { rdd_id, ..RddRecord::default() });
        record.cached_partitions = record.cached_partitions.max(info.cached_partitions.id().unwrap_or(0));
        record.memory_bytes = record.memory_bytes.max(info.memory_bytes.count());
        record.disk_bytes = record.disk_bytes.max(info.disk_bytes.count());
        // An RDD may be given a name after its first stage; the rest never changes.
        if record.name != info.name.as_str() {
            record.name = info.name.into_string();
            let scope: Scope<'_> = serde_json::from_str(info.scope.as_str()).unwrap_or_default();
            record.scope = scope.name.non_empty();
            record.scope_id = scope.id.non_empty();
            record.callsite = info.callsite.into_string();
            record.parent_ids = info.parents.iter().filter_map(|id| id.id()).collect();
            record.partitions = info.partitions.id().unwrap_or(0);
            record.barrier = info.barrier;
        }
    }

    fn unpersist(&mut self, event: &ev::UnpersistRdd) {
        let Some(rdd_id) = event.rdd.id() else { return };
        let updates_before = self.log.block_updates.len() as u32;
        self.log.unpersists.push(Unpersist { rdd_id, after_ms: self.log.last_ms, updates_before });
    }

    fn stage_executor_metrics(&mut self, event: &ev::StageExecutorMetrics<'_>) {
        let executor = self.executor(&event.executor, &Text::default());
        let stage = stage_key(event.stage, event.stage_attempt);
        self.note_peaks(PeakSource::Stage, stage, executor, &event.peaks);
    }

    fn executor_metrics_update(&mut self, event: &ev::ExecutorMetricsUpdate<'_>) {
        let executor = self.executor(&event.executor, &Text::default());
        for update in &event.updates {
            let stage = stage_key(update.stage, update.stage_attempt);
            self.note_peaks(PeakSource::Heartbeat, stage, executor, &update.peaks);
        }
    }

    /// Keeps the largest of several peaks; all zero means that nothing was polled.
    pub(super) fn note_peaks(
        &mut self,
        source: PeakSource,
        stage: Option<(u32, u32)>,
        executor: ExecutorIndex,
        peaks: &ExecutorPeaks,
    ) {
        if !peaks.is_zero() {
            self.peaks.entry((source, stage, executor)).or_default().raise_to(peaks);
        }
    }

    fn driver_accumulators(&mut self, event: &super::events_sql::DriverAccumUpdates) {
        let Some(execution) = event.id.known() else { return };
        let updates = event.updates.iter().filter_map(|(accumulator, value)| {
            Some(DriverAccumulator { execution, accumulator: accumulator.known()?, value: value.0? })
        });
        self.log.driver_accumulators.extend(updates);
    }
}

/// A stage attempt, unless the ids are -1.
fn stage_key(stage: MaybeInt, attempt: MaybeInt) -> Option<(u32, u32)> {
    Some((stage.id()?, attempt.id().unwrap_or(0)))
}

pub(super) fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(line)
}

pub(super) fn owned(map: TextMap<'_>) -> BTreeMap<String, String> {
    map.into_iter().map(|(key, value)| (key.into_string(), value.into_string())).collect()
}

pub(super) fn storage_level(level: Level) -> StorageLevel {
    StorageLevel {
        use_memory: level.use_memory,
        use_disk: level.use_disk,
        use_off_heap: level.use_off_heap,
        deserialized: level.deserialized,
        replication: level.replication.count().min(255) as u8,
    }
}

/// First line of a message, cut to a length that a reader can use.
pub(super) fn first_line(message: &str) -> String {
    const CHARS_MAX: usize = 500;
    let line = message.trim_start().lines().next().unwrap_or("").trim_end();
    line.chars().take(CHARS_MAX).collect()
}
