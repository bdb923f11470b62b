//! How sure a prediction from a log is: the error of the log's own replay, and the ranges that follow from it and from what
//! the log could not tell.

use super::input::Application;
use crate::conf::{Origin, Settings, SparkConf, SparkVersion};
use crate::experiment::{self, Naive, Placed, Predicted, compare, place};
use crate::record::{ErrorRecord, Outcome, RunRecord};
use crate::scenario::ConfEntry;
use crate::sim::{SimOptions, simulate};

/// The meaning of a log's configuration; the words of the faults otherwise.
pub(super) fn settings_of(version: SparkVersion, conf: &[ConfEntry]) -> Result<Settings, String> {
    let mut of_log = SparkConf::new(version);
    for entry in conf {
        of_log.set(&entry.key, &entry.value, Origin::EventLog);
    }
    Settings::resolve(&of_log)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// A log's own configuration, and how far its replay under it is from the log.
#[derive(Debug)]
pub(super) struct Replay {
    own: Settings,
    errors: Vec<ErrorRecord>,
}

/// Replays a log under its own configuration; nothing for a scenario.
pub(super) fn replay(application: &Application) -> Option<Replay> {
    let scenario = &application.scenario;
    let observed = application.observed.as_ref()?;
    let version = scenario.spark_version.as_deref().and_then(|text| SparkVersion::parse(text).ok());
    // A configuration that Spark refuses did not write the log; there is nothing to replay then.
    let own = settings_of(version.unwrap_or(SparkVersion::DEFAULT), &scenario.conf).ok()?;
    let placed = place(&own, &scenario.cluster, &scenario.workload).ok()?;
    let options = SimOptions { seed: scenario.seed, details: false };
    let record = simulate(&scenario.workload, &own, &placed.processes, options);
    let name = &application.input;
    let naive = Naive { base: name, base_run: observed, target: name, replay: true };
    Some(Replay { errors: compare(naive, observed, Ok(&record)).totals, own })
}

/// A failure of the application's own code comes again under any setting of memory.
fn repeat_failure(record: &mut RunRecord, application: &Application) {
    let repeats = application.honesty.as_ref().and_then(|honesty| honesty.repeats.as_ref());
    if let Some(reason) = repeats.filter(|_| record.outcome == Outcome::Ok) {
        record.outcome = Outcome::Other;
        record.reason.clone_from(reason);
        record.confidence.assumed.push(
            "the application's own code failed in this log; it is expected to fail again, and the quantities are those of a \
             run that gets through"
                .to_owned(),
        );
    }
}

/// Adds ranges and other endings to the prediction of a log; a scenario says itself what it does.
pub(super) fn add(
    record: &mut RunRecord,
    application: &Application,
    settings: &Settings,
    placed: &Placed,
    replay: Option<&Replay>,
) {
    let (Some(observed), Some(replay)) = (&application.observed, replay) else { return };
    let sure = experiment::sureness(Predicted {
        workload: &application.scenario.workload,
        settings,
        processes: &placed.processes,
        seed: record.seed,
        record,
        own: &replay.own,
        replay: &replay.errors,
        cut: observed.cut,
    });
    record.confidence.ranges = sure.ranges;
    record.confidence.other_endings = sure.other_endings;
    repeat_failure(record, application);
}
