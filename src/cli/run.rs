//! `spillcast run`: one simulation, its answer on standard output, its details in a folder.

use anyhow::{Context, anyhow, bail};

use super::args::RunArgs;
use super::configure::{self, Stop};
use super::console::{Console, color_on_stdout, print, tell_error, width};
use super::fail_on::Condition;
use super::input::{self, Application, count};
use super::output::Unfinished;
use super::study::for_a_shell;
use super::sureness;
use super::{Answer, Told};
use crate::conf::{Settings, SparkConf};
use crate::experiment::why::slow::end_of_spills;
use crate::experiment::why::{Bench, Change, Found};
use crate::experiment::{Placed, place, reseed};
use crate::record::{Outcome, RunRecord, TracedTask};
use crate::report::csv::File;
use crate::report::{json, plot, table, trace};
use crate::sim::{SimOptions, replan, simulate_following};
use crate::units::{HumanDuration, SimDuration};

/// Draws one picture.
type Picture = fn(&RunRecord) -> String;

/// Pictures by file name.
const PICTURES: [(&str, Picture); 3] =
    [("memory.svg", plot::memory::svg), ("stages.svg", plot::stages::svg), ("host.svg", plot::host::svg)];

/// Runs the command.
pub(super) fn run(args: &RunArgs, console: Console) -> anyhow::Result<Answer> {
    let conditions: Vec<Condition> =
        args.fail_on.iter().map(|text| Condition::parse(text)).collect::<anyhow::Result<_>>()?;
    configure::check_pairs(&args.conf)?;
    let followed = args.trace_task.as_deref().map(traced_task).transpose()?;
    let folder = prepare(args)?;
    let mut application = input::open(&args.input, console)?;
    draw(&mut application, args.seed);
    let conf = configure::conf(Some(&application), &args.conf, console)?;
    configure::tell(&conf, &args.conf, Some(&application), console);
    let options =
        SimOptions { seed: args.seed.unwrap_or(application.scenario.seed), details: folder.is_some() };

    let refuse = |stop| refuse(stop, args, &application, &conf, options);
    let settings = match configure::settings(&conf, Some(&application), console) {
        Ok(settings) => settings,
        Err(stop) => return refuse(stop),
    };
    let without_effect = configure::without_effect(&conf, &settings);
    for text in &without_effect {
        console.warn(text);
    }
    if let Err(why) = replan(&application.scenario.workload, &settings) {
        bail!("{}: {why}", application.input);
    }
    let placed = match place(&settings, &application.scenario.cluster, &application.scenario.workload) {
        Ok(placed) => placed,
        Err(words) => {
            tell_error(&words);
            return refuse(Stop::Refused(words));
        }
    };
    if placed.plan.not_placed > 0 {
        console.warn(&not_placed(&placed));
    }
    let workload = &application.scenario.workload;
    let mut record = simulate_following(workload, &settings, &placed.processes, options, followed);
    if let (Some(task), true) = (&args.trace_task, record.trace.is_empty()) {
        bail!(
            "--trace-task {task}: no such task ran; ids go from 0 to {}, partitions from 0 in each stage ({})",
            record.totals.tasks.saturating_sub(1),
            stage_ids(&record)
        );
    }
    for condition in &conditions {
        condition.check(&record).map_err(|why| anyhow!("--fail-on {why}"))?;
    }
    if !args.json {
        tell_end_of_spills(&mut record, &conf, &settings, &application);
    }
    record.confidence.assumed.extend(without_effect);
    record.confidence.assumed.extend(assumptions(&application, &settings, &placed));
    if let Some(honesty) = &application.honesty {
        record.confidence.replay.clone_from(&honesty.replay);
    }
    sureness::add(&mut record, &application, &settings, &placed, sureness::replay(&application).as_ref());

    if let Some(folder) = folder {
        write(folder, &record, args, console)?;
    }
    answer(&record, args, &application)?;
    hint(&application, console);
    Ok(judge(&conditions, &record, console))
}

/// Draws the workload with another seed than its own.
pub(super) fn draw(application: &mut Application, seed: Option<u64>) {
    let scenario = &mut application.scenario;
    if let Some(seed) = seed.filter(|seed| *seed != scenario.seed) {
        scenario.workload = reseed(&scenario.workload, scenario.seed, application.text.as_deref(), seed);
        scenario.seed = seed;
    }
}

/// Reads `41` or `3:17`.
fn traced_task(text: &str) -> anyhow::Result<TracedTask> {
    let found = match text.split_once(':') {
        None => text.trim().parse().ok().map(TracedTask::Id),
        Some((stage, index)) => match (stage.trim().parse(), index.trim().parse()) {
            (Ok(stage_id), Ok(index)) => Some(TracedTask::Partition { stage_id, index }),
            _ => None,
        },
    };
    found.with_context(|| {
        format!("--trace-task {text}: is neither a task id (41) nor a stage with a partition (3:17)")
    })
}

/// The stages that ran, for a message.
fn stage_ids(record: &RunRecord) -> String {
    let ids = || record.stages.iter().map(|stage| stage.stage_id);
    match (ids().min(), ids().max()) {
        (Some(first), Some(last)) => format!("stages {first} to {last}"),
        _ => "no stage ran".to_owned(),
    }
}

/// Looks for the number of partitions at which a run stops spilling and adds it to what the spills cost, where a dozen
/// more runs take no time worth mentioning.
fn tell_end_of_spills(
    record: &mut RunRecord,
    conf: &SparkConf,
    settings: &Settings,
    application: &Application,
) {
    /// About a third of a second of runs.
    const SEARCHED_EVENTS_MAX: u64 = 50_000;
    let Some(cause) = record.causes.iter_mut().find(|cause| cause.kind == "spill") else { return };
    if record.outcome != Outcome::Ok || record.engine_events > SEARCHED_EVENTS_MAX {
        return;
    }
    let bench = Bench::new(&application.scenario, conf.clone(), record.seed);
    let values = |changes: &[Change]| changes.iter().map(|change| change.value.clone()).collect::<String>();
    let end = match end_of_spills(&bench, settings) {
        Found::Reached { least: found, .. } => format!(
            "; none from spark.sql.shuffle.partitions={} on (jobs then take {})",
            values(&found.changes),
            HumanDuration(SimDuration(found.trial.record.wall_ns))
        ),
        Found::Never(last) if last.changes.is_empty() => return,
        Found::Never(last) => {
            format!("; spark.sql.shuffle.partitions up to {} does not end it", values(&last.changes))
        }
    };
    cause.text.push_str(&end);
}

fn prepare(args: &RunArgs) -> anyhow::Result<Option<Unfinished>> {
    let Some(target) = &args.out else { return Ok(None) };
    let pictures = PICTURES.iter().map(|(name, _)| *name).filter(|_| args.plot);
    let files: Vec<&str> = File::ALL.iter().map(|file| file.name()).chain(pictures).collect();
    Unfinished::folder(target, &files, args.force).map(Some)
}

fn write(folder: Unfinished, record: &RunRecord, args: &RunArgs, console: Console) -> anyhow::Result<()> {
    for file in File::ALL {
        folder.write(file.name(), |out| file.write(record, out))?;
    }
    if args.plot {
        for (name, draw) in PICTURES {
            folder.write(name, |out| std::io::Write::write_all(out, draw(record).as_bytes()))?;
        }
    }
    folder.publish()?;
    if let Some(target) = &args.out {
        let pictures =
            if args.plot { format!(" and {}", count(PICTURES.len(), "picture")) } else { String::new() };
        console.note(&format!("{} CSV files{pictures} are in {}", File::ALL.len(), target.display()));
    }
    Ok(())
}

/// Prints the answer.
fn answer(record: &RunRecord, args: &RunArgs, application: &Application) -> anyhow::Result<()> {
    if args.json {
        let mut text = Vec::new();
        json::write(record, &application.input, &mut text)?;
        return print(&text);
    }
    let style = table::Style { width: width(), color: color_on_stdout() };
    let page = table::summary(record, &for_a_shell(&application.input), style) + &trace::text(record, style);
    print(page.as_bytes())
}

/// Spark would not start: an outcome for scripts, and wrong input for the exit code. Why has been told.
fn refuse(
    stop: Stop,
    args: &RunArgs,
    application: &Application,
    conf: &SparkConf,
    options: SimOptions,
) -> anyhow::Result<Answer> {
    if let (Stop::Refused(reason), true) = (stop, args.json) {
        let record = RunRecord {
            name: application.scenario.name.clone(),
            seed: options.seed,
            spark_version: conf.version().to_string(),
            outcome: Outcome::Refused,
            reason,
            ..RunRecord::default()
        };
        answer(&record, args, application)?;
    }
    Err(Told.into())
}

/// What the answer rests on beside the model.
pub(super) fn assumptions(application: &Application, settings: &Settings, placed: &Placed) -> Vec<String> {
    let mut assumed = Vec::new();
    if let Some(honesty) = &application.honesty {
        assumed.extend(honesty.assumed.iter().cloned());
        let lacks =
            |lacking: &crate::eventlog::Lacking| format!("the log lacks {}; {}", lacking.what, lacking.cost);
        assumed.extend(honesty.lacking.iter().map(lacks));
    }
    match (&application.honesty, &application.scenario.workload.observed) {
        (Some(_), _) => {}
        (None, Some(_)) => assumed.push(format!(
            "what the log lacked that this scenario was imported from: see the head of {}",
            application.input
        )),
        (None, None) => assumed.push(
            "processors, disks and network are as fast as the scenario says or as the machines that this program was \
             fitted to, not as measured on yours"
                .to_owned(),
        ),
    }
    let cluster = &application.scenario.cluster;
    if placed.plan.not_placed > 0 {
        assumed.push(not_placed(placed));
    }
    if !settings.master.is_local() && cluster.hosts.is_empty() {
        assumed
            .push("each executor has a host of its own, with a processor for each of its cores".to_owned());
    }
    assumed
}

fn not_placed(placed: &Placed) -> String {
    let all = placed.plan.executors.len() + placed.plan.not_placed as usize;
    format!("{} of {} fit on no host and never start", placed.plan.not_placed, count(all, "executor"))
}

/// Where to read more about what a log did not tell, and about alternatives that did not run.
fn hint(application: &Application, console: Console) {
    if let Some(honesty) = application.honesty.as_ref().filter(|honesty| !honesty.better_log.is_empty()) {
        console.note(&format!("a log with {} would give a surer answer", honesty.better_log.join(" and ")));
    }
    let variants = application.scenario.variants.len();
    if variants > 0 {
        console.note(&format!("{} of {} did not run", count(variants, "variant"), application.input));
    }
}

fn judge(conditions: &[Condition], record: &RunRecord, console: Console) -> Answer {
    let broken: Vec<String> = conditions.iter().filter_map(|condition| condition.holds(record)).collect();
    for text in &broken {
        console.finding(&format!("--fail-on {text}"), true);
    }
    if broken.is_empty() { Answer::Done } else { Answer::No }
}
