//! `spillcast compare`: two configurations of one application side by side.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::Answer;
use super::args::{self, ConfArgs, StudyArgs};
use super::configure;
use super::console::{Console, color_on_stdout, print, width};
use super::input::count;
use super::sweep::{base, confidence, threads};
use crate::conf::spark_submit;
use crate::experiment::side_by_side::{Bounds, Comparison, Difference, compare};
use crate::experiment::statistics::order_shows;
use crate::experiment::{Base, Prepared, VARIANT};
use crate::record::columns::Unit;
use crate::report::compare::{Better, Row, Sheet, amount, text};
use crate::report::table::Style;

/// Quantities of the whole run that are shown even where they are equal.
const ALWAYS: [&str; 3] = ["wallMs", "memoryBytesSpilled", "executorRunTime"];
/// Quantities of the whole run that say nothing beside the others.
const NEVER: [&str; 4] = ["appMs", "peakExecutionMemorySum", "shuffleReadRecords", "shuffleWriteRecords"];

/// `compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Scenario file, event log, or folder of a rolling event log.
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// The configuration that both sides start from.
    #[command(flatten)]
    conf: ConfArgs,
    /// A property of side A alone. Repeatable.
    #[arg(long, value_name = "PROP=VALUE", help_heading = "Sides")]
    conf_a: Vec<String>,
    /// A property of side B alone. Repeatable.
    #[arg(long, value_name = "PROP=VALUE", help_heading = "Sides")]
    conf_b: Vec<String>,
    /// Side A is this variant of the scenario.
    #[arg(long, value_name = "NAME", help_heading = "Sides")]
    variant_a: Option<String>,
    /// Side B is this variant of the scenario.
    #[arg(long, value_name = "NAME", help_heading = "Sides")]
    variant_b: Option<String>,
    /// Properties of side A alone, in the syntax of spark-defaults.conf.
    #[arg(long, value_name = "FILE", help_heading = "Sides")]
    properties_a: Option<PathBuf>,
    /// Properties of side B alone, in the syntax of spark-defaults.conf.
    #[arg(long, value_name = "FILE", help_heading = "Sides")]
    properties_b: Option<PathBuf>,
    /// Runs of each side, in pairs that see the same draws.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = args::replications, allow_negative_numbers = true, help_heading = "Study")]
    replications: u32,
    /// Draws and intervals.
    #[command(flatten)]
    study: StudyArgs,
    /// Print one JSON object instead of text.
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// What sets a side apart: keys and values.
#[derive(Clone, Debug, Default)]
struct Side {
    keys: Vec<String>,
    values: Vec<String>,
}

impl Side {
    fn read(
        letter: char,
        variant: Option<&String>,
        file: Option<&Path>,
        pairs: &[String],
        console: Console,
    ) -> anyhow::Result<Self> {
        let mut side = Self::default();
        if let Some(variant) = variant {
            side.set(VARIANT, variant);
        }
        if let Some(file) = file {
            for (key, value) in configure::properties_of(file, console)? {
                side.set(&key, &value);
            }
        }
        for pair in pairs {
            let (key, value) = spark_submit::split_conf(pair)
                .map_err(|message| anyhow!("{}", message.replace("--conf", &format!("--conf-{letter}"))))?;
            side.set(key, value);
        }
        Ok(side)
    }

    /// The last of equals wins.
    fn set(&mut self, key: &str, value: &str) {
        if let Some(at) = self.keys.iter().position(|known| known == key) {
            value.clone_into(&mut self.values[at]);
        } else {
            self.keys.push(key.to_owned());
            self.values.push(value.to_owned());
        }
    }

    fn name(&self) -> String {
        if self.keys.is_empty() {
            return "as INPUT says".to_owned();
        }
        let pairs: Vec<String> =
            self.keys.iter().zip(&self.values).map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(", ")
    }

    fn prepare(&self, letter: char, base: &Base, console: Console) -> anyhow::Result<Prepared> {
        for key in self.keys.iter().filter(|key| !base.is_modelled(key)) {
            console.warn(&format!(
                "side {}: {key}: nothing here depends on this property",
                letter.to_uppercase()
            ));
        }
        for key in &self.keys {
            // A property that nobody knows is Spark's to ignore; a slip of the pen is not.
            if let Err(why) = base.check_key(key)
                && (why.contains("did you mean") || !key.starts_with("spark."))
            {
                bail!("--conf-{letter} {why}");
            }
        }
        let values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        base.prepare(&self.keys, &values)
            .map_err(|faults| anyhow!("side {}: {}", letter.to_uppercase(), faults.join("\n")))
    }
}

/// Runs the command.
pub(super) fn run(args: &CompareArgs, console: Console) -> anyhow::Result<Answer> {
    configure::check_pairs(&args.conf)?;
    let confidence = confidence(args.study.confidence)?;
    let a = Side::read('a', args.variant_a.as_ref(), args.properties_a.as_deref(), &args.conf_a, console)?;
    let b = Side::read('b', args.variant_b.as_ref(), args.properties_b.as_deref(), &args.conf_b, console)?;
    if a.name() == b.name() {
        bail!(
            "both sides are the same ({}); set one apart with --conf-b PROP=VALUE or --variant-b NAME",
            a.name()
        );
    }
    let (mut base, input) = base(&args.input, &args.conf, args.study.seed, console)?;
    base.set_replications(args.replications);
    base.set_source("of one side");
    threads(args.study.threads)?;
    let prepared = [a.prepare('a', &base, console)?, b.prepare('b', &base, console)?];
    for (side, letter) in [(&a, "A"), (&b, "B")] {
        let values: Vec<&str> = side.values.iter().map(String::as_str).collect();
        let conf = base.conf_of(&side.keys, &values).map_err(|why| anyhow!(why))?;
        if let Ok(settings) = crate::conf::Settings::resolve(&conf) {
            for text in configure::without_effect(&conf, &settings) {
                console.warn(&format!("side {letter}: {text}"));
            }
        }
    }
    let comparison = compare(&base, [&prepared[0], &prepared[1]], args.replications, confidence);
    let names = [a.name(), b.name()];
    if args.json {
        let value = as_json(&comparison, &input, &names, confidence);
        let mut text = serde_json::to_vec_pretty(&value)?;
        text.push(b'\n');
        print(&text)?;
    } else {
        let sheet = sheet(&comparison, names, args.study.confidence, base.pace_varies());
        print(text(&sheet, Style { width: width(), color: color_on_stdout() }).as_bytes())?;
    }
    Ok(Answer::Done)
}

fn sheet(comparison: &Comparison, names: [String; 2], confidence: f64, pace_varies: bool) -> Sheet {
    let runs = comparison.runs as usize;
    let (a_ok, b_ok) = (comparison.ok(0), comparison.ok(1));
    let wall = comparison.total("wallMs");
    let sure = wall.and_then(Difference::is_sure);
    let (better, verdict) = match wall {
        _ if a_ok != b_ok => {
            let of = |ok: usize| {
                if ok == runs {
                    "always ends well".to_owned()
                } else {
                    format!("fails in {} of {runs} runs", runs - ok)
                }
            };
            let better = if b_ok > a_ok { Better::Second } else { Better::First };
            (better, format!("A {}, B {}.", of(a_ok), of(b_ok)))
        }
        Some(wall) if wall.paired.mean == 0.0 => {
            (Better::Neither, format!("Both take {}.", amount(Unit::Ms, wall.means[0])))
        }
        Some(wall) => {
            let share = wall.paired.mean / wall.means[0].max(f64::MIN_POSITIVE) * 100.0;
            let how = if wall.paired.mean < 0.0 { "less" } else { "more" };
            let noise = if sure == Some(false) { "; noise alone could explain that" } else { "" };
            let text = format!(
                "B takes {} {how} than A ({share:+.1} %): {} instead of {}{noise}.",
                amount(Unit::Ms, wall.paired.mean.abs()),
                amount(Unit::Ms, wall.means[1]),
                amount(Unit::Ms, wall.means[0])
            );
            let better = match sure {
                Some(false) => Better::Unsure,
                _ if wall.paired.mean < 0.0 => Better::Second,
                _ => Better::First,
            };
            (better, text)
        }
        None => (Better::Neither, "Neither side ever ends well.".to_owned()),
    };
    let shown = |difference: &&Difference| {
        ALWAYS.contains(&difference.name)
            || (!NEVER.contains(&difference.name) && difference.means[0] != difference.means[1])
    };
    let mut totals: Vec<Row> = comparison.totals.iter().filter(shown).map(row).collect();
    if let [Some(a), Some(b)] = comparison.allocated_memory {
        let difference = b as f64 - a as f64;
        totals.push([
            "allocatedMemory".to_owned(),
            amount(Unit::Bytes, a as f64),
            amount(Unit::Bytes, b as f64),
            if difference == 0.0 { "the same".to_owned() } else { plus(Unit::Bytes, difference) },
        ]);
    }
    let stages = comparison.stages.iter().filter_map(|stage| {
        let differs = |difference: &&Difference| difference.means[0] != difference.means[1];
        let rows: Vec<Row> = stage.differences.iter().filter(differs).map(row).collect();
        (!rows.is_empty()).then(|| (format!("Stage {}, {}", stage.stage_id, stage.name), rows))
    });
    let mut notes = vec![notes_on_pairs(comparison, confidence)];
    if pace_varies {
        notes.extend(wall.and_then(note_on_single_runs));
    }
    for (side, letter) in ["A", "B"].iter().enumerate() {
        let failed = runs - comparison.ok(side);
        if failed > 0
            && let Some((outcome, reason)) =
                comparison.endings[side].iter().find(|(outcome, _)| outcome.as_str() != "ok")
        {
            notes.push(format!("{letter} fails in {failed} of {runs} runs: {}: {reason}", outcome.as_str()));
        }
    }
    notes.push("bounds are simulated, not estimated; a change of the configuration alone gets no run below the first".to_owned());
    Sheet {
        names,
        verdict,
        better,
        totals,
        stages: stages.collect(),
        causes: comparison.causes.clone(),
        bounds: bounds(&comparison.bounds),
        notes,
    }
}

fn notes_on_pairs(comparison: &Comparison, confidence: f64) -> String {
    let pairs = comparison.total("wallMs").map_or(0, |wall| wall.paired.pairs);
    let wall = comparison.total("wallMs");
    let alike = wall.and_then(|wall| wall.deviations).is_some_and(|both| both == [0.0; 2]);
    let runs = count(pairs as usize, "pair");
    if alike {
        return format!(
            "{runs} of runs with the same draws do not differ: nothing in this application is random"
        );
    }
    match pairs {
        0 => "no pair of runs ended well on both sides".to_owned(),
        1 => "one pair of runs: nothing is known of noise; add --replications".to_owned(),
        _ => format!(
            "{runs} of runs, each with the same draws on both sides; intervals hold the true mean in {confidence} of 100 such studies"
        ),
    }
}

/// What somebody sees who tries both sides once: real runs share no luck.
fn note_on_single_runs(wall: &Difference) -> Option<String> {
    let deviations = wall.deviations.filter(|both| both.iter().any(|deviation| *deviation > 0.0))?;
    if wall.paired.mean == 0.0 {
        return None;
    }
    let shows = (order_shows(wall.paired.mean, deviations) * 100.0).round();
    let percent = deviations[0] / wall.means[0].max(f64::MIN_POSITIVE) * 100.0;
    let how = if wall.paired.mean < 0.0 { "faster" } else { "slower" };
    Some(format!(
        "pairs share the luck of the machine (real runs of one configuration differ by a standard deviation of {percent:.0} %); \
         of two real runs, each with its own, B is the {how} one in {shows} of 100 tries"
    ))
}

fn bounds(bounds: &[Bounds; 2]) -> Vec<[String; 3]> {
    let shown = |wall: Option<f64>| {
        wall.map_or_else(|| "none (every run fails)".to_owned(), |wall| amount(Unit::Ms, wall))
    };
    vec![
        ["memory without end".to_owned(), shown(bounds[0].endless_memory), shown(bounds[1].endless_memory)],
        [
            "this memory, spills that cost nothing".to_owned(),
            shown(bounds[0].free_spills),
            shown(bounds[1].free_spills),
        ],
    ]
}

fn plus(unit: Unit, value: f64) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{}", amount(unit, value))
}

fn row(difference: &Difference) -> Row {
    let Difference { name, unit, means, paired, .. } = difference;
    let words = if paired.mean == 0.0 {
        "the same".to_owned()
    } else if amount(*unit, paired.mean.abs()) == amount(*unit, 0.0) {
        "about the same".to_owned()
    } else {
        match paired.interval {
            Some(interval) if interval.low < interval.high => format!(
                "{} ({} to {})",
                plus(*unit, paired.mean),
                plus(*unit, interval.low),
                plus(*unit, interval.high)
            ),
            _ => plus(*unit, paired.mean),
        }
    };
    [(*name).to_owned(), amount(*unit, means[0]), amount(*unit, means[1]), words]
}

fn as_json(comparison: &Comparison, input: &str, names: &[String; 2], confidence: f64) -> Value {
    let one = |difference: &Difference| {
        json!({
            "a": difference.means[0],
            "b": difference.means[1],
            "aSd": difference.deviations.map(|both| both[0]),
            "bSd": difference.deviations.map(|both| both[1]),
            "difference": difference.paired.mean,
            "low": difference.paired.interval.map(|interval| interval.low),
            "high": difference.paired.interval.map(|interval| interval.high),
            "p": difference.paired.p,
            "pairs": difference.paired.pairs,
        })
    };
    let all = |differences: &[Difference]| -> Map<String, Value> {
        differences.iter().map(|difference| (difference.name.to_owned(), one(difference))).collect()
    };
    let sides: Vec<Value> = (0..2)
        .map(|side| {
            json!({
                "name": names[side],
                "outcomes": comparison.endings[side].iter().map(|(outcome, _)| outcome.as_str()).collect::<Vec<_>>(),
                "reason": comparison.endings[side].iter().map(|(_, reason)| reason).find(|reason| !reason.is_empty()),
                "allocatedMemory": comparison.allocated_memory[side],
                "bounds": {
                    "endlessMemoryWallMs": comparison.bounds[side].endless_memory,
                    "freeSpillsWallMs": comparison.bounds[side].free_spills,
                },
            })
        })
        .collect();
    json!({
        "spillcast": env!("CARGO_PKG_VERSION"),
        "input": input,
        "replications": comparison.runs,
        "confidence": confidence,
        "sides": sides,
        "totals": all(&comparison.totals),
        "stages": comparison.stages.iter().map(|stage| json!({
            "stageId": stage.stage_id, "name": stage.name, "columns": all(&stage.differences),
        })).collect::<Vec<_>>(),
        "causes": comparison.causes,
    })
}
