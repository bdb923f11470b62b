//! `spillcast validate`: logs replayed under their own configuration, and predicted from one another, against what really
//! happened. `logs` finds and reads them, this file predicts and prints.

mod logs;

use anyhow::{anyhow, bail};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use self::logs::Logged;
use super::args::ValidateArgs;
use super::console::{Console, color_on_stdout, print, width};
use super::fail_on::{Limit, parse_limits};
use super::output::Unfinished;
use super::progress::Progress;
use super::sureness;
use super::{Answer, validate_host};
use crate::experiment::{Comparison, Naive, compare, place, summarise};
use crate::record::{Outcome, RunRecord};
use crate::report::validation::{self, Validation};
use crate::report::{csv, table};
use crate::scenario::ConfEntry;
use crate::sim::{SimOptions, replan, simulate};

/// Runs the command.
pub(super) fn run(args: &ValidateArgs, console: Console) -> anyhow::Result<Answer> {
    if let Some(host) = &args.host {
        return validate_host::run(host, args.csv.as_deref(), args.force, console);
    }
    let limits = parse_limits(&args.fail_on)?;
    let csv = match &args.csv {
        Some(file) => Some((Unfinished::file(file, args.force)?, file)),
        None => None,
    };
    let found = match (&args.base, &args.target) {
        (Some(base), Some(target)) => pair(&logs::open(base, console)?, &logs::open(target, console)?, args)?,
        _ => all(&args.logs, console)?,
    };
    if let Some((unfinished, file)) = csv {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        unfinished.write(name, |out| csv::write_errors(found.lines(), out))?;
        unfinished.publish()?;
        console.note(&format!("every error is in {}", file.display()));
    }
    if args.json {
        let mut text = Vec::new();
        validation::write_json(&found, &mut text)?;
        print(&text)?;
    } else {
        let style = table::Style { width: width(), color: color_on_stdout() };
        print(validation::text(&found, style).as_bytes())?;
    }
    Ok(judge(&limits, &found, console))
}

/// One log predicted from another.
fn pair(base: &Logged, target: &Logged, args: &ValidateArgs) -> anyhow::Result<Validation> {
    if let (Some(why), false) = (base.fingerprint.differs_from(&target.fingerprint), args.any_application) {
        bail!(
            "{} and {} are of different applications: {why}; --any-application predicts anyway",
            base.name,
            target.name
        );
    }
    let application = base.application.as_ref().map_err(|why| anyhow!("{why}"))?;
    let record = predict(base, target).map_err(|why| anyhow!("{}: {why}", target.name))?;
    let naive = Naive { base: &base.name, base_run: &base.observed, target: &target.name, replay: false };
    let comparison = compare(naive, &target.observed, Ok(&record));
    let assumed = application.honesty.iter().flat_map(|honesty| honesty.assumed.iter().cloned()).collect();
    Ok(Validation { pairs: vec![comparison], assumed, ..Validation::default() })
}

/// Every log replayed; where a folder of logs was named, also every log predicted from every other of its application.
fn all(paths: &[std::path::PathBuf], console: Console) -> anyhow::Result<Validation> {
    let (logs, folder) = logs::open_all(paths, console)?;
    let mut work: Vec<(usize, usize)> = (0..logs.len()).map(|at| (at, at)).collect();
    if folder {
        let applications = logs::applications(&logs);
        for application in &applications {
            let each =
                application.iter().flat_map(|&base| application.iter().map(move |&other| (base, other)));
            work.extend(each.filter(|(base, target)| base != target));
        }
    }
    let progress = Progress::counting(work.len(), "predicting", console);
    let predicted = work.par_iter().map(|&(base, target)| {
        let (base, target) = (&logs[base], &logs[target]);
        let record = predict(base, target);
        let replay = std::ptr::eq(base, target);
        let naive = Naive { base: &base.name, base_run: &base.observed, target: &target.name, replay };
        progress.advance();
        compare(naive, &target.observed, record.as_ref().map_err(Clone::clone))
    });
    let mut comparisons: Vec<Comparison> = predicted.collect();
    progress.finish();
    let pairs = comparisons.split_off(logs.len());
    if comparisons.iter().all(|found| found.predicted.0.is_none()) {
        bail!("nothing can be predicted: {}", comparisons[0].predicted.1);
    }
    Ok(Validation { replays: comparisons, pairs, assumed: Vec::new() })
}

/// Runs the application of `base` under the configuration of `target`; the words why not otherwise.
fn predict(base: &Logged, target: &Logged) -> Result<RunRecord, String> {
    let application = base.application.as_ref().map_err(Clone::clone)?;
    let mut conf = target.conf.clone();
    conf.extend(target.levels_for(application).into_iter().map(|(key, value)| ConfEntry {
        key,
        value,
        line: 0,
    }));
    let settings = sureness::settings_of(target.version, &conf)?;
    let workload = &application.scenario.workload;
    replan(workload, &settings)?;
    match place(&settings, &application.scenario.cluster, &application.scenario.workload) {
        Ok(placed) => {
            let options = SimOptions { seed: application.scenario.seed, details: false };
            let mut record = simulate(workload, &settings, &placed.processes, options);
            sureness::add(&mut record, application, &settings, &placed, base.replay.as_ref());
            Ok(record)
        }
        Err(reason) => Ok(RunRecord { outcome: Outcome::Refused, reason, ..RunRecord::default() }),
    }
}

/// Holds the limits against the pairs, or against the replays where there are no pairs.
fn judge(limits: &[Limit], found: &Validation, console: Console) -> Answer {
    let judged: &[Comparison] = if found.pairs.is_empty() { &found.replays } else { &found.pairs };
    let summary = summarise(judged);
    let broken: Vec<String> = limits.iter().filter_map(|limit| limit.broken_by(&summary)).collect();
    for text in &broken {
        console.finding(&format!("--fail-on {text}"), true);
    }
    if broken.is_empty() { Answer::Done } else { Answer::No }
}
