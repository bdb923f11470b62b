//! `spillcast run`: one simulation, its answer on standard output, its details in a folder.

use anyhow::bail;

use super::args::RunArgs;
use super::configure::{self, Stop};
use super::console::{Console, color_on_stdout, print, tell_error, width};
use super::fail_on::Condition;
use super::input::{self, Application, count};
use super::output::Unfinished;
use super::sureness;
use super::{Answer, Told};
use crate::conf::{Settings, SparkConf};
use crate::experiment::{Placed, place, reseed};
use crate::record::{Outcome, RunRecord};
use crate::report::csv::File;
use crate::report::{json, plot, table};
use crate::sim::{SimOptions, replan, simulate};

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
    let mut record = simulate(&application.scenario.workload, &settings, &placed.processes, options);
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
    print(table::summary(record, &application.input, style).as_bytes())
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
