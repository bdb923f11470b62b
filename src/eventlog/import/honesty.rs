//! What a log did not say, what that costs the answer, and how to get a better one.

use crate::eventlog::app_log::AppLog;
use crate::eventlog::reader::{Missing, ReadNotes};

/// Something that the log lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// What.
    pub what: String,
    /// What the answer loses.
    pub cost: String,
}

/// What the answer loses with something that is missing.
fn cost_of(missing: Missing) -> &'static str {
    match missing {
        Missing::SparkVersion => "the newest version's rules are assumed",
        Missing::Application => "times count from the first event",
        Missing::Environment => "Spark's defaults are assumed: say how it ran with --conf",
        Missing::Tasks => "nothing can be simulated",
        Missing::TaskMetrics => "these tasks get the mean of the others of their stage",
        Missing::BlockUpdates => "sizes of cached blocks are taken from the tasks that read them",
        Missing::ExecutorPeaks => {
            "memory outside Spark's pools is a default, so that heap and container limits are rough"
        }
        Missing::BlockManagers => "the regions are computed from the configuration",
    }
}

/// How far an import can be trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Honesty {
    /// What the log lacks.
    pub lacking: Vec<Lacking>,
    /// What was assumed instead.
    pub assumed: Vec<String>,
    /// Settings that would give a better log next time.
    pub better_log: Vec<String>,
    /// A failure of the application's own code, which no setting of memory prevents: its first line.
    pub repeats: Option<String>,
    /// How far the calibrated import is from its own log when it runs under the log's configuration.
    pub replay: Vec<String>,
}

impl Honesty {
    /// What can be said from the presence of events alone.
    pub(super) fn of(log: &AppLog, notes: &ReadNotes) -> Self {
        let mut honesty = Self::default();
        for missing in &notes.missing {
            honesty.lack(missing.describe(), cost_of(*missing));
        }
        for truncation in &notes.truncated {
            honesty.lack(format!("its end: {truncation}"), "tasks after that point are unknown");
        }
        if notes.in_progress {
            honesty.lack(
                "the end of the application: it still ran or was killed",
                "later jobs are not simulated",
            );
        }
        let unknown: u64 = notes.unknown_events.values().sum();
        if unknown > 0 {
            let names: Vec<&str> = notes.unknown_events.keys().map(String::as_str).take(3).collect();
            honesty.lack(
                format!("a meaning for {unknown} events of other makers ({})", names.join(", ")),
                "they are skipped",
            );
        }
        if log.block_updates.is_empty() {
            honesty.better_log.push("spark.eventLog.logBlockUpdates.enabled=true".to_owned());
        }
        if log.peaks.iter().all(|record| record.peaks.on_heap_execution == 0) {
            honesty.better_log.push("spark.eventLog.logStageExecutorMetrics=true".to_owned());
        }
        honesty
    }

    /// Notes something that the log lacks.
    pub(super) fn lack(&mut self, what: impl Into<String>, cost: impl Into<String>) {
        self.lacking.push(Lacking { what: what.into(), cost: cost.into() });
    }

    /// Notes an assumption, once.
    pub(super) fn assume(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.assumed.contains(&what) {
            self.assumed.push(what);
        }
    }
}
