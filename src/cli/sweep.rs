//! `spillcast sweep`: many configurations of one application, every replication of each, on all cores.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::args::{self, ConfArgs, StudyArgs};
use super::configure;
use super::console::{Console, print, tell_error};
use super::input::{self, count};
use super::pipe;
use super::progress::Progress;
use super::study::{Folder, Identity, parse_shard};
use super::{Answer, Told, conclusion, output};
use crate::experiment::{Axis, Base, Overview, Replications, Space, Stopped, Study, conclude};
use crate::record::study::Spot;

/// Points above which a study wants a confirmation.
const POINTS_UNASKED: u64 = 1_000_000;
/// Messages about values that mean nothing; more would only scroll the first away.
const FAULTS_SHOWN: usize = 20;

/// `sweep`.
#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// Scenario file, event log, or folder of a rolling event log.
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// The configuration that all points start from.
    #[command(flatten)]
    conf: ConfArgs,
    /// What to vary: a property or knob and its values, as KEY=1,2,4, KEY=1g..8g:512m, KEY=512m..8g:log:9 or KEY="a, b",c
    /// (quotes keep commas together). Also spillcast.variant (variants of the scenario), spillcast.storageLevel,
    /// spillcast.evictionPolicy, spillcast.dataScale and spillcast.host.memory, .swap, .disk, .cores, .count. Repeatable: all
    /// combinations.
    #[arg(long, value_name = "KEY=VALUES", help_heading = "Study")]
    vary: Vec<String>,
    /// Points one JSON object a line, as {"spark.executor.memory": "2g"}, instead of --vary; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "vary", help_heading = "Study")]
    points: Option<PathBuf>,
    /// Runs of each point, each with draws of its own; the same draws at every point.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = args::replications, allow_negative_numbers = true, help_heading = "Study")]
    replications: u32,
    /// Replicate each point until half the interval of its mean wallMs is at most this share of the mean, as 5%.
    #[arg(
        long,
        value_name = "SHARE",
        allow_negative_numbers = true,
        conflicts_with = "replications",
        help_heading = "Study"
    )]
    precision: Option<String>,
    /// Replications after which --precision gives a point up.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = args::max_replications, allow_negative_numbers = true, help_heading = "Study")]
    max_replications: u32,
    /// Draws and intervals.
    #[command(flatten)]
    study: StudyArgs,
    /// Run one part of the points, as 3/16; `merge` puts the parts together.
    #[arg(long, value_name = "I/N", help_heading = "Study")]
    shard: Option<String>,
    /// Start even with more than a million points.
    #[arg(long, help_heading = "Study")]
    yes: bool,
    /// Folder for sweep.csv, sweep-summary.csv and the pictures. The same command goes on where it was stopped. Without it
    /// the answer is printed and nothing is kept.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Write each run as a line of JSON to standard output instead of a folder.
    #[arg(long, conflicts_with_all = ["out", "list_points"], help_heading = "Output")]
    jsonl: bool,
    /// Write the runs that the study would make, one JSON object a line, and run none: for --points elsewhere.
    #[arg(long, conflicts_with = "out", help_heading = "Output")]
    list_points: bool,
    /// Draw these runs of real Spark into the curve: a CSV file with a column called as what is varied and one called wallMs,
    /// empty where the run failed.
    #[arg(long, value_name = "FILE", requires = "out", help_heading = "Output")]
    measured: Option<PathBuf>,
    /// Print the answer as one JSON object instead of text.
    #[arg(long, conflicts_with_all = ["jsonl", "list_points"], help_heading = "Output")]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &SweepArgs, console: Console) -> anyhow::Result<Answer> {
    configure::check_pairs(&args.conf)?;
    let replications = replications(args)?;
    let confidence = confidence(args.study.confidence)?;
    let shard = args.shard.as_deref().map(parse_shard).transpose().map_err(|why| anyhow!("--shard {why}"))?;
    let axes = axes(&args.vary)?;
    if axes.is_empty() && args.points.is_none() {
        bail!(
            "nothing is varied; add --vary KEY=VALUES, as --vary spark.executor.memory=512m..8g:log:9, or --points FILE"
        );
    }
    let (mut base, input) = base(&args.input, &args.conf, args.study.seed, console)?;
    base.set_replications(match replications {
        Replications::Fixed(count) => count,
        Replications::Until { most, .. } => most,
    });
    if args.points.is_some() {
        base.set_source("--points");
    }
    threads(args.study.threads)?;
    if let Some(path) = args.points.as_deref().filter(|_| args.jsonl) {
        if args.shard.is_some() || args.precision.is_some() {
            bail!(
                "--points with --jsonl makes every run of the list; --shard and --precision have no meaning there"
            );
        }
        return pipe::run(base, &input, path, args.replications).map(|()| Answer::Done);
    }
    let (space, places) = match &args.points {
        Some(path) => pipe::read_space(path)?,
        None => (Space::product(axes).map_err(|why| anyhow!("--vary: {why}"))?, Vec::new()),
    };
    check(&base, &space, &places, args.yes, console)?;
    let identity = Identity::new(&base, &input, &space, replications, confidence, shard);
    let study = Study { base: &base, space: &space, replications, confidence, shard };
    if args.list_points {
        return pipe::list(&study, &identity).map(|()| Answer::Done);
    }
    if args.jsonl {
        return pipe::stream(&study, &identity).map(|()| Answer::Done);
    }
    if shard.is_some() && args.out.is_none() {
        bail!("--shard needs --out DIR: `merge` puts the folders together");
    }
    let measured = match &args.measured {
        Some(path) => conclusion::read_measured(path, &space)?,
        None => Vec::new(),
    };
    let folder = match &args.out {
        Some(target) => Folder::open(target, identity)?,
        None => Folder::scratch(identity)?,
    };
    into_folder(&study, folder, &measured, args.json, console)
}

/// What is varied.
pub(super) fn axes(vary: &[String]) -> anyhow::Result<Vec<Axis>> {
    vary.iter().map(|text| Axis::parse(text).map_err(|why| anyhow!(why))).collect()
}

/// Reads INPUT and its configuration.
pub(super) fn base(
    path: &std::path::Path,
    conf_args: &ConfArgs,
    seed: Option<u64>,
    console: Console,
) -> anyhow::Result<(Base, String)> {
    let application = input::open(path, console)?;
    let conf = configure::conf(Some(&application), conf_args, console)?;
    configure::tell(&conf, conf_args, Some(&application), console);
    let seed = seed.unwrap_or(application.scenario.seed);
    Ok((Base::new(application.scenario, application.text, conf, seed), application.input))
}

/// Takes the number of threads.
pub(super) fn threads(wanted: Option<u32>) -> anyhow::Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    rayon::ThreadPoolBuilder::new().num_threads(wanted as usize).build_global().context("--threads")
}

/// A share of 0 to 1 from percent.
pub(super) fn confidence(percent: f64) -> anyhow::Result<f64> {
    if !(50.0..=99.99).contains(&percent) {
        bail!("--confidence {percent}: is no confidence; valid: 50 to 99.99 percent");
    }
    Ok(percent / 100.0)
}

fn replications(args: &SweepArgs) -> anyhow::Result<Replications> {
    let Some(text) = &args.precision else { return Ok(Replications::Fixed(args.replications)) };
    let number = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.trim().parse::<f64>(),
    };
    match number {
        Ok(share) if share > 0.0 && share < 1.0 => {
            Ok(Replications::Until { share, least: args::LEAST_REPLICATIONS, most: args.max_replications })
        }
        _ => bail!("--precision {text}: is no precision; valid: a share above 0 and below 100 %, as 5%"),
    }
}

/// Refuses keys and values that mean nothing, before any run. `places` says of each point of a list where it stands.
pub(super) fn check(
    base: &Base,
    space: &Space,
    places: &[String],
    yes: bool,
    console: Console,
) -> anyhow::Result<()> {
    let first_with = |key: &String| {
        let at = space.keys().iter().position(|known| known == key)?;
        (0..space.len()).find(|point| !space.values(*point)[at].is_empty())
    };
    let place_of = |point: u64| places.get(point as usize).map(|place| format!("{place}: "));
    let mut is_known = true;
    for key in space.keys() {
        if let Err(why) = base.check_key(key) {
            let place = place_of(first_with(key).unwrap_or(0)).unwrap_or_else(|| "--vary ".to_owned());
            tell_error(&format!("{place}{why}"));
            is_known = false;
        }
    }
    if !is_known {
        return Err(Told.into());
    }
    if space.is_empty() {
        bail!("there is no point to run");
    }
    if space.len() > POINTS_UNASKED && !yes {
        bail!("{} points are more than a million; --yes starts them", space.len());
    }
    let source = if places.is_empty() { "--vary" } else { "--points" };
    for key in space.keys().iter().filter(|key| !base.is_modelled(key)) {
        console.warn(&format!(
            "{source} {key}: nothing here depends on this property; its points will be alike"
        ));
    }
    let mut told = Vec::new();
    for point in space.distinct_values() {
        let values = space.values(point);
        for fault in base.prepare(space.keys(), &values).err().into_iter().flatten() {
            if !told.contains(&fault) && told.len() < FAULTS_SHOWN {
                tell_error(&format!("{}{fault}", place_of(point).unwrap_or_default()));
                told.push(fault);
            }
        }
    }
    if !told.is_empty() {
        return Err(Told.into());
    }
    let first = base.conf_of(space.keys(), &space.values(0)).map_err(|why| anyhow!(why))?;
    if let Ok(settings) = crate::conf::Settings::resolve(&first) {
        for text in configure::without_effect(&first, &settings) {
            console.warn(&text);
        }
    }
    Ok(())
}

fn into_folder(
    study: &Study,
    mut folder: Folder,
    measured: &[(String, f64)],
    json: bool,
    console: Console,
) -> anyhow::Result<Answer> {
    let kept = folder.journal.runs.clone();
    let known = |point: u64, replication: u32| {
        let key = (point, replication);
        let at = kept.binary_search_by_key(&key, |run| (u64::from(run.point), run.replication)).ok()?;
        let wall = kept[at].wall_ms;
        Some((!wall.is_nan()).then_some(wall))
    };
    if !kept.is_empty() {
        console.note(&format!("{} of this study are there already", count(kept.len(), "run")));
    }
    output::say_when_interrupted(folder.kept());
    let bar = Progress::of_study(study.runs(), kept.len() as u64, "runs", console);
    let done = study.run(
        &known,
        |row| {
            bar.advance();
            folder.journal.add(&row)
        },
        |more| bar.extend(more),
    );
    bar.finish();
    match done {
        Ok(()) => {}
        Err(Stopped::Sink(error)) => return Err(error),
        Err(Stopped::Faulty(why) | Stopped::Broken(why)) => bail!("{why}; kept: {}", folder.told()),
    }
    answer(Some(study.base), folder, measured, json, console)
}

/// Writes the tables and pictures of a study whose runs are all there, and says what they show. Without the application
/// (`merge` has none) nothing is said about causes.
pub(super) fn answer(
    base: Option<&Base>,
    mut folder: Folder,
    measured: &[(String, f64)],
    json: bool,
    console: Console,
) -> anyhow::Result<Answer> {
    let identity = folder.identity.clone();
    // A part would show a picture with holes, and nobody sees one that is not kept.
    let drawn = identity.shard.is_none() && folder.is_kept();
    let draw = |overview: &Overview, spots: &[Spot]| {
        if drawn { conclusion::pictures(&identity, overview, spots, measured) } else { Vec::new() }
    };
    let (overview, spots) = folder.finish(draw)?;
    if identity.shard.is_some() {
        console.note(&format!("{}; `spillcast merge` puts the shards together", folder.told()));
        return Ok(Answer::Done);
    }
    let answer = conclude(base, &identity.space, &overview, &spots);
    if json {
        let mut text = serde_json::to_vec_pretty(&conclusion::as_json(&identity, &answer, &spots))?;
        text.push(b'\n');
        print(&text)?;
    } else {
        print(conclusion::text(&identity, &answer, &spots).as_bytes())?;
    }
    console.note(&folder.told());
    Ok(Answer::Done)
}
