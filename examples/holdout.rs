//! How well are times predicted where nothing was fitted? Predicts each family of runs with the constants of
//! `eventlog::Calibration` fitted to the other families only, and prints the errors beside those of the built-in constants
//! and of the naive answer (as long as the base run took).
//!
//! ```sh
//! cargo run --release --example holdout DIR
//! ```
//!
//! `DIR` holds `pairs.csv` (family, base, target, kind), `truth.csv` (run_id, outcome, spark_version, jobs_wall_ms),
//! `confs.json` (properties by run) and `logs/RUN/` with one event log each. Fitted is the mean of |ln(predicted / real)|
//! over the primary pairs whose runs ended well under one version of Spark, by trying factors on one constant at a time.
#![allow(clippy::print_stdout, reason = "the example shows what it found")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::{self, File};
use std::path::Path;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use spillcast::cluster::{self, PlanInput};
use spillcast::conf::{Origin, Settings, SparkConf, SparkVersion};
use spillcast::eventlog::{AppLog, Calibration, DirectoryLog, Import, LogPart, ReadNotes, import_with};
use spillcast::eventlog::{look_at_directory, read_app_log};
use spillcast::sim::{Processes, SimOptions, simulate};

type Any<T> = Result<T, Box<dyn Error>>;

/// Multiplies one constant.
type Scale = fn(&mut Calibration, f64);

/// The constants that are fitted, with the factors of their built-in values that are tried.
const FITTED: [(&str, Scale); 7] = [
    ("interpreted_per_compiled", |c, f| c.interpreted_per_compiled *= f),
    ("executor_warm_up_ns", |c, f| c.executor_warm_up_ns = scaled(c.executor_warm_up_ns, f)),
    ("executor_compile_ns", |c, f| c.executor_compile_ns = scaled(c.executor_compile_ns, f)),
    ("executor_launch_ns", |c, f| c.executor_launch_ns = scaled(c.executor_launch_ns, f)),
    ("stage_launch_ns", |c, f| c.stage_launch_ns = scaled(c.stage_launch_ns, f)),
    ("shuffle_file_ns", |c, f| c.shuffle_file_ns = scaled(c.shuffle_file_ns, f)),
    ("task_fixed_ns", |c, f| c.task_fixed_ns = scaled(c.task_fixed_ns, f)),
];
const FACTORS: [f64; 5] = [0.5, 0.7, 1.0, 1.4, 2.0];
/// `FACTORS[BUILT_IN]` is 1.
const BUILT_IN: usize = 2;
/// Rounds over all constants.
const ROUNDS: usize = 2;

/// Which factor each constant has.
type Choice = [usize; FITTED.len()];

fn scaled(ns: u64, factor: f64) -> u64 {
    (ns as f64 * factor) as u64
}

/// One pair of runs.
struct Pair {
    family: String,
    base: String,
    target: String,
    real_ms: f64,
    naive_ms: f64,
}

/// Everything read once, and every choice tried so far with ln(predicted / real) of each pair.
struct Study {
    pairs: Vec<Pair>,
    logs: BTreeMap<String, (AppLog, ReadNotes)>,
    confs: serde_json::Value,
    tried: BTreeMap<Choice, Vec<f64>>,
}

impl Study {
    fn open(folder: &Path) -> Any<Self> {
        let rows = |name: &str| -> Any<Vec<BTreeMap<String, String>>> {
            Ok(csv::Reader::from_path(folder.join(name))?.deserialize().collect::<Result<_, _>>()?)
        };
        let truth: BTreeMap<String, BTreeMap<String, String>> =
            rows("truth.csv")?.into_iter().map(|row| (row["run_id"].clone(), row)).collect();
        let mut pairs = Vec::new();
        for row in rows("pairs.csv")?.iter().filter(|row| row["kind"] == "primary") {
            let (base, target) = (&truth[&row["base"]], &truth[&row["target"]]);
            let comparable = target["outcome"] == "ok" && base["spark_version"] == target["spark_version"];
            if let (true, Ok(real_ms), Ok(naive_ms)) =
                (comparable, target["jobs_wall_ms"].parse(), base["jobs_wall_ms"].parse())
            {
                let (family, base, target) =
                    (row["family"].clone(), row["base"].clone(), row["target"].clone());
                pairs.push(Pair { family, base, target, real_ms, naive_ms });
            }
        }
        let bases: BTreeSet<&String> = pairs.iter().map(|pair| &pair.base).collect();
        let logs = bases
            .into_iter()
            .map(|run| Ok((run.clone(), read(&folder.join("logs").join(run))?)))
            .collect::<Any<_>>()?;
        let confs = serde_json::from_reader(File::open(folder.join("confs.json"))?)?;
        Ok(Self { pairs, logs, confs, tried: BTreeMap::new() })
    }

    /// ln(predicted / real) of each pair.
    fn try_out(&mut self, choice: Choice) -> Any<&[f64]> {
        if !self.tried.contains_key(&choice) {
            let errors = self.predict(&calibration(choice))?;
            self.tried.insert(choice, errors);
        }
        Ok(&self.tried[&choice])
    }

    fn predict(&self, calibration: &Calibration) -> Any<Vec<f64>> {
        let of_bases: Result<Vec<Vec<(usize, f64)>>, String> = self
            .logs
            .par_iter()
            .map(|(base, (log, notes))| {
                let import = import_with(log, notes, calibration).map_err(|error| error.to_string())?;
                let pairs = self.pairs.iter().enumerate().filter(|(_, pair)| pair.base == *base);
                pairs.map(|(at, pair)| Ok((at, (self.wall_ms(pair, &import)? / pair.real_ms).ln()))).collect()
            })
            .collect();
        let mut errors: Vec<(usize, f64)> = of_bases?.into_iter().flatten().collect();
        errors.sort_by_key(|(at, _)| *at);
        Ok(errors.into_iter().map(|(_, error)| error).collect())
    }

    /// Time of the jobs of a pair's base under the configuration of its target.
    fn wall_ms(&self, pair: &Pair, import: &Import) -> Result<f64, String> {
        let mut properties = import.properties.clone();
        let (base, target) = (&self.confs[&pair.base], &self.confs[&pair.target]);
        for (key, value) in base.as_object().into_iter().flatten() {
            if target.get(key) != Some(value) {
                properties.remove(key);
            }
        }
        for (key, value) in target.as_object().into_iter().flatten() {
            if base.get(key) != Some(value) {
                properties.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
            }
        }
        let version = SparkVersion::parse(&import.spark_version).map_err(|error| error.to_string())?;
        let mut conf = SparkConf::new(version);
        for (key, value) in properties.iter().filter(|(key, _)| *key != "spark_version") {
            conf.set(key, value, Origin::EventLog);
        }
        let settings = Settings::resolve(&conf).map_err(|errors| format!("{}: {errors:?}", pair.target))?;
        let workload = &import.workload;
        let input = PlanInput { settings: &settings, hosts: &[], yarn: None, python: workload.python };
        let plan = cluster::plan(&input);
        // As `run` places a log: the machine has at least the cores that the new executors want.
        let mut hosts = import.hosts.clone();
        for (index, host) in hosts.iter_mut().enumerate() {
            let here = plan.executors.iter().filter(|executor| executor.host == index);
            host.cores = host.cores.max(here.map(|executor| executor.cores).sum());
        }
        let processes = Processes::new(&plan, &settings, &hosts).map_err(|error| error.to_string())?;
        let record = simulate(workload, &settings, &processes, SimOptions { seed: 1, details: false });
        Ok(record.wall_ns as f64 / 1e6)
    }

    /// The best choice for the pairs that `fitted` accepts.
    fn fit(&mut self, fitted: impl Fn(&Pair) -> bool) -> Any<Choice> {
        let flags: Vec<bool> = self.pairs.iter().map(fitted).collect();
        let mut best = [BUILT_IN; FITTED.len()];
        let mut loss = f64::INFINITY;
        for _ in 0..ROUNDS {
            for constant in 0..FITTED.len() {
                for factor in 0..FACTORS.len() {
                    let mut choice = best;
                    choice[constant] = factor;
                    let errors = self.try_out(choice)?;
                    let found = errors
                        .iter()
                        .zip(&flags)
                        .filter(|(error, flag)| **flag && error.is_finite())
                        .map(|(error, _)| error.abs())
                        .sum();
                    if found < loss {
                        (best, loss) = (choice, found);
                    }
                }
            }
        }
        Ok(best)
    }
}

fn calibration(choice: Choice) -> Calibration {
    let mut calibration = Calibration::default();
    for ((_, scale), factor) in FITTED.iter().zip(choice) {
        scale(&mut calibration, FACTORS[factor]);
    }
    calibration
}

/// Reads the one log in a run's folder: a file, or a directory of parts.
fn read(folder: &Path) -> Any<(AppLog, ReadNotes)> {
    let names = |folder: &Path| -> Any<Vec<String>> {
        let entries =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        entries.collect()
    };
    let open = |path: &Path| -> Any<LogPart<'static>> {
        Ok(LogPart::new(path.display().to_string(), File::open(path)?))
    };
    let parts = match look_at_directory(&folder.display().to_string(), &names(folder)?)? {
        DirectoryLog::File(name) => vec![open(&folder.join(name))?],
        DirectoryLog::Directory(name) => {
            let inner = folder.join(name);
            match look_at_directory(&inner.display().to_string(), &names(&inner)?)? {
                DirectoryLog::Rolling(log) => {
                    log.parts.iter().map(|part| open(&inner.join(part))).collect::<Any<Vec<_>>>()?
                }
                _ => return Err(format!("{}: no rolling log", inner.display()).into()),
            }
        }
        DirectoryLog::Rolling(_) => {
            return Err(format!("{}: holds parts, not a log", folder.display()).into());
        }
    };
    Ok(read_app_log(parts)?)
}

/// Median and 90th percentile of relative errors, in percent.
fn quantiles(ratios: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut errors: Vec<f64> = ratios.map(|ratio| (ratio - 1.0).abs() * 100.0).collect();
    errors.sort_by(f64::total_cmp);
    let at = |part: f64| errors[((part * errors.len() as f64) as usize).min(errors.len() - 1)];
    (at(0.5), at(0.9))
}

fn main() -> Any<()> {
    let folder = std::env::args().nth(1).ok_or("usage: holdout DIR")?;
    let mut study = Study::open(Path::new(&folder))?;
    let families: BTreeSet<String> = study.pairs.iter().map(|pair| pair.family.clone()).collect();
    let built_in = study.try_out([BUILT_IN; FITTED.len()])?.to_vec();
    let mut held_out = built_in.clone();
    let mut chosen: Vec<Choice> = Vec::new();
    println!(
        "| family | pairs | built-in, median | p90 | fitted to the others, median | p90 | naive, median | p90 |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let line = |name: &str, study: &Study, held_out: &[f64]| {
        let of = |pair: &&(usize, &Pair)| name == "all" || pair.1.family == name;
        let all: Vec<(usize, &Pair)> = study.pairs.iter().enumerate().collect();
        let here: Vec<&(usize, &Pair)> = all.iter().filter(of).collect();
        let ours = quantiles(here.iter().map(|(at, _)| built_in[*at].exp()));
        let blind = quantiles(here.iter().map(|(at, _)| held_out[*at].exp()));
        let naive = quantiles(here.iter().map(|(_, pair)| pair.naive_ms / pair.real_ms));
        println!(
            "| {name} | {} | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {:.1} % |",
            here.len(),
            ours.0,
            ours.1,
            blind.0,
            blind.1,
            naive.0,
            naive.1
        );
    };
    for family in &families {
        let choice = study.fit(|pair| pair.family != *family)?;
        chosen.push(choice);
        let errors = study.try_out(choice)?.to_vec();
        for (at, _) in study.pairs.iter().enumerate().filter(|(_, pair)| pair.family == *family) {
            held_out[at] = errors[at];
        }
        line(family, &study, &held_out);
    }
    line("all", &study, &held_out);
    let all = study.fit(|_| true)?;
    println!("\n| constant | factor fitted to all | fitted to all families but one, least to most |");
    println!("| --- | ---: | ---: |");
    for (at, (name, _)) in FITTED.iter().enumerate() {
        let factors: BTreeSet<usize> = chosen.iter().map(|choice| choice[at]).collect();
        let (least, most) = (factors.first().copied().unwrap_or(0), factors.last().copied().unwrap_or(0));
        println!("| `{name}` | {} | {} to {} |", FACTORS[all[at]], FACTORS[least], FACTORS[most]);
    }
    Ok(())
}
