//! `spillcast tune`: the cheapest configuration under constraints, ready to paste.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::args::{self, ConfArgs};
use super::conclusion::named;
use super::configure;
use super::console::{Console, indented, print, tell_error, width};
use super::fail_on::{Comparison, Condition};
use super::input::count;
use super::sweep::{axes, base, check, threads};
use super::{Answer, Told};
use crate::conf::Settings;
use crate::experiment::{
    Axis, Base, Found, Goal, Limit, Objective, Prepared, Space, TOLERANCE, Verdict, judge, number_of, tune,
};
use crate::record::RunRecord;
use crate::record::columns::{Unit, total_of, totals_modelled};
use crate::report::compare::amount;
use crate::units::MIB;

/// `tune`.
#[derive(Debug, Args)]
pub(super) struct TuneArgs {
    /// Scenario file, event log, or folder of a rolling event log.
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// The configuration to start from.
    #[command(flatten)]
    conf: ConfArgs,
    /// What to make least: memory of all executors, time of jobs, or cost (memory times time).
    #[arg(long, value_name = "WHAT", default_value = "memory", help_heading = "Search")]
    minimize: Minimize,
    /// What must hold in every run: outcome=ok (always does), or a limit on a column of summary.csv as wallMs<=600000,
    /// wallMs<=10min, memoryBytesSpilled<1g. Repeatable.
    #[arg(long, value_name = "CONDITION", help_heading = "Search")]
    subject_to: Vec<String>,
    /// What to vary, as for `sweep`. Left out: the heap from 512m to four times what it is, and the shuffle partitions around
    /// what they are. Repeatable.
    #[arg(long, value_name = "KEY=VALUES", help_heading = "Search")]
    vary: Vec<String>,
    /// Factors on the data under which the answer is tried out.
    #[arg(
        long,
        value_name = "FACTORS",
        value_delimiter = ',',
        value_parser = factor,
        allow_negative_numbers = true,
        default_value = "1,2",
        help_heading = "Search"
    )]
    data_scale: Vec<f64>,
    /// Runs of each point; all must keep the constraints.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = args::replications, allow_negative_numbers = true, help_heading = "Search")]
    replications: u32,
    /// Seed of the first replication; the scenario's own (1 for a log) when left out.
    #[arg(long, value_name = "N", value_parser = args::seed, allow_negative_numbers = true, help_heading = "Search")]
    seed: Option<u64>,
    /// Threads; all processors when left out.
    #[arg(long, value_name = "N", value_parser = args::threads, allow_negative_numbers = true, help_heading = "Search")]
    threads: Option<u32>,
    /// Start even in a space of more than a million points.
    #[arg(long, help_heading = "Search")]
    yes: bool,
    /// Print one JSON object instead of text.
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Reads a factor of `--data-scale`.
fn factor(text: &str) -> Result<f64, String> {
    let factor = text.trim().parse().ok().filter(|factor| *factor > 0.0 && *factor <= 1e6);
    factor.ok_or_else(|| "valid: numbers above 0, up to 1000000, as 1,2,4".to_owned())
}

/// What to make least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Minimize {
    Memory,
    Time,
    Cost,
}

impl Minimize {
    fn objective(self) -> Objective {
        match self {
            Self::Memory => Objective::Memory,
            Self::Time => Objective::Time,
            Self::Cost => Objective::Cost,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Time => "time",
            Self::Cost => "cost (memory times time)",
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &TuneArgs, console: Console) -> anyhow::Result<Answer> {
    configure::check_pairs(&args.conf)?;
    let limits = limits(&args.subject_to)?;
    let axes = axes(&args.vary)?;
    let (mut base, input) = base(&args.input, &args.conf, args.seed, console)?;
    base.set_replications(args.replications);
    threads(args.threads)?;
    let axes = if axes.is_empty() { usual_axes(&base)? } else { axes };
    let space = Space::product(axes).map_err(|why| anyhow!("--vary: {why}"))?;
    check(&base, &space, &[], args.yes, console)?;
    check_limits(&base, &space, &limits)?;
    let goal =
        Goal { objective: args.minimize.objective(), limits: &limits, replications: args.replications };
    let found = tune(&base, &space, goal);
    for broken in found.simulated.values().filter(|verdict| verdict.is_broken()) {
        console.warn(&format!("left out: {}: {}", named(&space, broken.point), broken.why));
    }
    let Some(best) = &found.best else { return Err(nothing(&found, &space, args)) };
    let scaled = scaled(&base, &space, best, goal, &args.data_scale)?;
    if args.json {
        let mut text =
            serde_json::to_vec_pretty(&as_json(&base, &space, &found, best, &scaled, &input, args))?;
        text.push(b'\n');
        print(&text)?;
    } else {
        print(text(&base, &space, &found, best, &scaled, args).as_bytes())?;
    }
    Ok(Answer::Done)
}

/// Refuses limits on what is modelled neither at the first nor at the last point: nobody could say what keeps them.
fn check_limits(base: &Base, space: &Space, limits: &[Limit]) -> anyhow::Result<()> {
    if limits.is_empty() {
        return Ok(());
    }
    let ends = [0, space.len() - 1];
    let runs: Vec<RunRecord> =
        ends.iter().filter_map(|point| base.sample(space.keys(), &space.values(*point))).collect();
    let Some(first) = runs.first() else { return Ok(()) };
    for limit in limits {
        if runs.iter().all(|run| total_of(run, limit.column).is_none()) {
            bail!(
                "--subject-to: {} is not modelled here; valid: {}",
                limit.column,
                totals_modelled(first).join(", ")
            );
        }
    }
    Ok(())
}

/// The constraints. That the application ends well holds without saying.
fn limits(texts: &[String]) -> anyhow::Result<Vec<Limit>> {
    let mut limits = Vec::new();
    for text in texts {
        let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if bare == "outcome=ok" || bare == "outcome==ok" {
            continue;
        }
        if bare.starts_with("outcome") {
            bail!("--subject-to {text}: valid of the outcome: outcome=ok");
        }
        let parsed = Condition::parse(text).map_err(|error| {
            anyhow!(
                "{}",
                error
                    .to_string()
                    .replace("--fail-on", "--subject-to")
                    .replace("outcome, or", "outcome=ok, or")
            )
        })?;
        if let Condition::Budget { column, comparison, limit, .. } = parsed {
            let (at_most, inclusive) = match comparison {
                Comparison::AtMost => (true, true),
                Comparison::Below => (true, false),
                Comparison::AtLeast => (false, true),
                Comparison::Above => (false, false),
            };
            limits.push(Limit { column, at_most, inclusive, limit });
        }
    }
    Ok(limits)
}

/// What is varied when nothing is said: the heap, and the shuffle partitions where the configuration decides them.
fn usual_axes(base: &Base) -> anyhow::Result<Vec<Axis>> {
    let Ok(settings) = Settings::resolve(base.conf()) else {
        // Told with its reason by the check of the points.
        return Ok(vec![Axis { key: "spark.executor.memory".to_owned(), values: vec![String::new()] }]);
    };
    let key = if settings.master.is_local() { "spark.driver.memory" } else { "spark.executor.memory" };
    let now = match base.prepare(&[], &[]) {
        Ok(Prepared::Ready { processes, .. }) => {
            processes.executors.iter().map(|executor| executor.heap).max().unwrap_or(0) / MIB
        }
        _ => 1024,
    };
    let heap = format!("{key}=512m..{}m:log:17", (now * 4).max(2048));
    let mut axes = vec![Axis::parse(&heap).map_err(|why| anyhow!(why))?];
    if base.has_configured_shuffles() {
        let now = u64::from(settings.sql.shuffle_partitions.max(1));
        let mut values: Vec<u64> =
            [now, now / 4, now / 2, now * 2, now * 4].into_iter().filter(|n| *n > 0).collect();
        values.sort_unstable();
        values.dedup();
        let values = values.iter().map(u64::to_string).collect();
        axes.push(Axis { key: "spark.sql.shuffle.partitions".to_owned(), values });
    }
    Ok(axes)
}

/// The answer under more data.
fn scaled(
    base: &Base,
    space: &Space,
    best: &Verdict,
    goal: Goal,
    scales: &[f64],
) -> anyhow::Result<Vec<(f64, Verdict)>> {
    let own: f64 =
        base.conf().get("spillcast.dataScale").and_then(|text| text.trim().parse().ok()).unwrap_or(1.0);
    let mut keys = space.keys().to_vec();
    let mut values: Vec<String> = space.values(best.point).iter().map(|value| (*value).to_owned()).collect();
    keys.push("spillcast.dataScale".to_owned());
    values.push(String::new());
    let mut all = Vec::new();
    for scale in scales {
        *values.last_mut().expect("just pushed") = (own * scale).to_string();
        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
        let prepared = base
            .prepare(&keys, &texts)
            .map_err(|faults| anyhow!("--data-scale {scale}: {}", faults.join("; ")))?;
        all.push((*scale, judge(base, best.point, &prepared, goal)));
    }
    Ok(all)
}

fn nothing(found: &Found, space: &Space, args: &TuneArgs) -> anyhow::Error {
    let tried = format!("{} of {} points were simulated", found.simulated.len(), space.len());
    let conditions =
        if args.subject_to.is_empty() { "outcome=ok".to_owned() } else { args.subject_to.join(" and ") };
    tell_error(&format!("nothing meets {conditions}; {tried}"));
    if let Some(nearest) = &found.nearest {
        tell_error(&format!("the nearest miss is {}: {}", named(space, nearest.point), nearest.why));
    }
    Told.into()
}

/// What differs from the configuration that the search started from.
fn changed(base: &Base, space: &Space, point: u64) -> Vec<(String, String)> {
    let effective = |key: &str| base.conf().effective(key).map(|entry| entry.value);
    let pairs = space.keys().iter().cloned().zip(space.values(point).into_iter().map(str::to_owned));
    pairs.filter(|(key, value)| effective(key).is_none_or(|now| now != *value)).collect()
}

fn line(verdict: &Verdict) -> String {
    let spilled = if verdict.spilled > 0.0 {
        format!(", {} spilled", amount(Unit::Bytes, verdict.spilled))
    } else {
        String::new()
    };
    format!(
        "{} of memory, {}{spilled}",
        amount(Unit::Bytes, verdict.memory as f64),
        amount(Unit::Ms, verdict.wall_ms)
    )
}

fn headroom(best: &Verdict) -> Vec<String> {
    let share = |used: f64| format!("{:.0} %", (1.0 - used).max(0.0) * 100.0);
    let mut rooms = Vec::new();
    if let Some(used) = best.heap_share {
        rooms.push(format!("{} of the heap is never live", share(used)));
    }
    if let Some(used) = best.container_share {
        rooms.push(format!("{} of the container is never resident", share(used)));
    }
    rooms
}

/// Axes at whose least number the answer stands: less might do as well.
fn at_the_end(space: &Space, best: &Verdict) -> Vec<String> {
    let mut ends = Vec::new();
    for (axis, value) in space.axes().unwrap_or_default().iter().zip(space.values(best.point)) {
        let numbers: Option<Vec<f64>> = axis.values.iter().map(|value| number_of(&axis.key, value)).collect();
        let here = number_of(&axis.key, value);
        let least = numbers
            .filter(|numbers| numbers.len() > 1)
            .map(|all| all.into_iter().fold(f64::INFINITY, f64::min));
        if least.is_some() && least == here {
            ends.push(format!("{value} is the least {} that was tried; --vary tries less", axis.key));
        }
    }
    ends
}

/// What takes least memory among those that meet the constraints and are about as good as the best; `None` where that is the
/// best itself.
fn frugal<'f>(found: &'f Found, best: &Verdict, objective: Objective) -> Option<&'f Verdict> {
    let limit = best.value(objective) * (1.0 + TOLERANCE);
    let good = found.simulated.values().filter(|v| v.feasible && v.value(objective) <= limit);
    let least = good.min_by(|a, b| a.memory.cmp(&b.memory).then(a.wall_ms.total_cmp(&b.wall_ms)));
    least.filter(|verdict| verdict.memory < best.memory)
}

/// The next smaller memory of the same line that was simulated and does not do.
fn border<'f>(space: &Space, found: &'f Found, best: &Verdict) -> Option<&'f Verdict> {
    let fails = found.simulated.values().filter(|verdict| !verdict.feasible && verdict.memory < best.memory);
    let differs = |point: u64| {
        let (a, b) = (space.positions(point), space.positions(best.point));
        a.iter().zip(&b).filter(|(a, b)| a != b).count()
    };
    fails.filter(|verdict| differs(verdict.point) == 1).max_by_key(|verdict| (verdict.memory, verdict.point))
}

fn text(
    base: &Base,
    space: &Space,
    found: &Found,
    best: &Verdict,
    scaled: &[(f64, Verdict)],
    args: &TuneArgs,
) -> String {
    let width = width();
    let mut page = format!("Least {}\n", args.minimize.words());
    let mut facts = vec![named(space, best.point), line(best)];
    facts.extend(headroom(best));
    if let Some(border) = border(space, found, best) {
        facts.push(format!("one step less, {}: {}", named(space, border.point), border.why));
    }
    facts.extend(at_the_end(space, best));
    for fact in facts {
        let _ = writeln!(page, "{}", indented(&fact, 2, width));
    }
    if let Some(frugal) = frugal(found, best, args.minimize.objective()) {
        let what = format!("{}: {}", named(space, frugal.point), line(frugal));
        let _ = writeln!(
            page,
            "\nWithin {:.0} % of it with the least memory\n{}",
            TOLERANCE * 100.0,
            indented(&what, 2, width)
        );
    }
    if let Some(next) = &found.runner_up {
        let _ = writeln!(
            page,
            "\nRunner-up\n{}",
            indented(&format!("{}: {}", named(space, next.point), line(next)), 2, width)
        );
    }
    let _ = writeln!(page, "\nWhen the data grows");
    for (scale, verdict) in scaled {
        let what = if verdict.feasible { line(verdict) } else { verdict.why.clone() };
        let _ = writeln!(page, "{}", indented(&format!("{scale} times the data: {what}"), 2, width));
    }
    let searched = format!(
        "{} of {} points simulated, {} each; {}",
        found.simulated.len(),
        space.len(),
        count(args.replications as usize, "run"),
        found.method
    );
    let _ = writeln!(page, "\nHow it was searched\n{}", indented(&searched, 2, width));
    let changed = changed(base, space, best.point);
    let _ = writeln!(page, "\nTo paste: spark-submit");
    if changed.is_empty() {
        let _ = writeln!(page, "  nothing: this is the configuration as it is");
    }
    for (key, value) in changed.iter().filter(|(key, _)| key.starts_with("spark.")) {
        let _ = writeln!(page, "  --conf {key}={value}");
    }
    let _ = writeln!(page, "\nTo paste: spark-defaults.conf");
    for (key, value) in changed.iter().filter(|(key, _)| key.starts_with("spark.")) {
        let _ = writeln!(page, "  {key} {value}");
    }
    for (key, value) in changed.iter().filter(|(key, _)| !key.starts_with("spark.")) {
        let _ =
            writeln!(page, "  # {key} {value}: no property of Spark; change the application or the machines");
    }
    page
}

fn as_json(
    base: &Base,
    space: &Space,
    found: &Found,
    best: &Verdict,
    scaled: &[(f64, Verdict)],
    input: &str,
    args: &TuneArgs,
) -> Value {
    let one = |verdict: &Verdict| {
        let conf: serde_json::Map<String, Value> = space
            .keys()
            .iter()
            .cloned()
            .zip(space.values(verdict.point).into_iter().map(Value::from))
            .collect();
        json!({
            "point": verdict.point,
            "conf": conf,
            "feasible": verdict.feasible,
            "why": verdict.why,
            "allocatedMemory": verdict.memory,
            "wallMs": verdict.wall_ms,
            "memoryBytesSpilled": verdict.spilled,
            "heapShare": verdict.heap_share,
            "containerShare": verdict.container_share,
        })
    };
    json!({
        "spillcast": env!("CARGO_PKG_VERSION"),
        "input": input,
        "minimize": args.minimize.words(),
        "subjectTo": args.subject_to,
        "best": one(best),
        "leastMemoryNearby": frugal(found, best, args.minimize.objective()).map(one),
        "runnerUp": found.runner_up.as_ref().map(one),
        "border": border(space, found, best).map(one),
        "dataScale": scaled.iter().map(|(scale, verdict)| json!({ "scale": scale, "verdict": one(verdict) })).collect::<Vec<_>>(),
        "simulated": found.simulated.len(),
        "points": space.len(),
        "method": found.method,
        "changed": changed(base, space, best.point).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    })
}
