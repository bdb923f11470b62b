//! Why an application dies or is slow, and the smallest changes that help.
//!
//! [`explain`] runs the application once with every detail, names the limit that fell first and the runner-up, and then
//! looks for the smallest move of each setting that acts on that limit; nothing is reported that was not run. Where the
//! application ends well it does the same for what costs most time ([`slow`]).
//!
//! Read `class` (kinds of death), `lever` (settings and how far they move), `search` (how a value is found), `moments`
//! (the time line in five lines), `slow`. Left out: several settings at once, except what `until_clean` piles up.

pub mod bench;
pub mod class;
pub mod lever;
mod machine;
mod moments;
mod search;
pub mod slow;

pub use bench::{Bench, Change, Trial};
pub use class::Class;
pub use machine::is_of_the_host;
pub use moments::Moment;
pub use search::{Found, Tried, search};

use crate::cluster::container::{ContainerSize, executor_container};
use crate::conf::{Collector, Settings};
use crate::record::{Approach, Fall, Limit, Outcome};
use lever::{Held, Lever, of_limit};
use rayon::prelude::*;
use slow::SlowDown;

/// Failures that [`explain`] follows when it is to go on until none is left.
const CHAIN_MAX: usize = 8;

/// The answer.
#[derive(Debug)]
pub struct Why {
    /// The run that was looked into, with every detail.
    pub trial: Trial,
    /// What it died of.
    pub class: Class,
    /// The limit that fell first; none where the application met no limit in bytes.
    pub first: Option<Fall>,
    /// Of the other limits the one that came nearest; where none fell, the nearest of all.
    pub runner_up: Option<Approach>,
    /// Share of the hottest key among the rows that the stage of [`Self::first`] reads; none where no key is known to be
    /// hot.
    pub hot_share: Option<f64>,
    /// How an executor's container is made up; none without a cluster manager that makes containers.
    pub container: Option<ContainerSize>,
    /// How it came to that.
    pub moments: Vec<Moment>,
    /// Changes that clear it, the best first.
    pub fixes: Vec<Fix>,
    /// Settings that act on the limit and do not clear it as far as they were moved.
    pub useless: Vec<Useless>,
    /// The failures to come and what clears each, up to the first clean configuration.
    pub chain: Vec<Link>,
    /// Where time goes, and what helps.
    pub slow: Vec<SlowDown>,
    /// Runs that the answer rests on.
    pub runs: u32,
}

/// A change that clears a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// Setting, as reports name it.
    pub key: String,
    /// What it is now.
    pub from: String,
    /// The change and the run under it.
    pub tried: Tried,
    /// What the run died of then; [`Class::None`] where it ended well, though it may have lost tasks on the way
    /// ([`Trial::is_clean`]).
    pub class: Class,
    /// The nearest smaller move that was run, and what it died of.
    pub below: Option<(Vec<Change>, Class)>,
}

/// A setting that does not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Useless {
    /// Setting.
    pub key: String,
    /// The last value that was tried.
    pub changes: Vec<Change>,
}

/// One failure of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// What it dies of.
    pub class: Class,
    /// The limit that fell, where it is one in bytes.
    pub fall: Option<Fall>,
    /// What clears it; none where nothing was found that does.
    pub changes: Vec<Change>,
}

/// How to explain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Go on after each fix until nothing fails.
    pub until_clean: bool,
}

/// Explains what happens to the application of `bench`.
pub fn explain(bench: &Bench<'_>, options: Options) -> Why {
    let trial = bench.run(&[], true);
    let settings = bench.settings(&[]);
    let class = class_of(&trial, settings.as_ref());
    let first = trial.record.falls.first().cloned();
    let runner_up = runner_up(&trial, first.as_ref());
    let python = bench.scenario().workload.python;
    let container = settings
        .as_ref()
        .filter(|settings| settings.master.has_containers())
        .map(|settings| executor_container(settings, python));
    let mut why = Why {
        hot_share: first.as_ref().and_then(|fall| slow::hot_share(bench.scenario(), fall.stage_id?)),
        moments: moments::of(&trial.record),
        trial,
        class,
        first,
        runner_up,
        container,
        fixes: Vec::new(),
        useless: Vec::new(),
        chain: Vec::new(),
        slow: Vec::new(),
        runs: 0,
    };
    if let Some(settings) = settings {
        if class == Class::None && why.trial.is_clean() {
            why.slow = slow::slow_downs(bench, &settings, &why.trial);
        } else {
            let levers = levers(bench, &settings, &why.trial, class);
            (why.fixes, why.useless) = fixes(bench, &[], &why.trial, class, &levers);
            if options.until_clean {
                why.chain = chain(bench, &why);
            }
        }
    }
    why.runs = bench.runs();
    why
}

fn class_of(trial: &Trial, settings: Option<&Settings>) -> Class {
    Class::of(&trial.record, settings.map(|settings| &settings.master))
}

/// The limit that came nearest beside the one that fell.
fn runner_up(trial: &Trial, first: Option<&Fall>) -> Option<Approach> {
    let others = trial
        .record
        .limits
        .iter()
        .filter(|approach| first.is_none_or(|fall| fall.limit != approach.limit) && approach.used > 0);
    others.copied().reduce(|best, next| if next.is_nearer_than(&best) { next } else { best })
}

/// The settings that act on what a run died of.
fn levers(bench: &Bench<'_>, settings: &Settings, trial: &Trial, class: Class) -> Vec<Lever> {
    let first = trial.record.falls.first();
    let Some(limit) = class.limit().or(first.map(|fall| fall.limit)) else { return Vec::new() };
    let of = trial.record.falls.iter().find(|fall| fall.limit == limit);
    let held = of.map_or_else(Held::default, |fall| Held::of(&fall.holders));
    let cores = trial.record.executors.iter().map(|executor| u64::from(executor.cores)).max().unwrap_or(1);
    let mut levers = of_limit(limit, held, settings, cores, bench.scenario().workload.python);
    if matches!(class, Class::GcLimit | Class::Heartbeat) {
        levers.extend(lever::collector(trial.collector, Collector::G1));
    }
    if limit == Limit::Disk {
        levers.extend(machine::disk(settings, &bench.scenario().cluster));
    }
    // A collection may be that long for its pages in swap.
    let swapped = limit == Limit::Heartbeat && trial.record.totals.swap_out_bytes > Some(0);
    if matches!(limit, Limit::Host | Limit::Memory) || swapped {
        levers.extend(machine::levers(settings, &bench.scenario().cluster));
    }
    levers
}

/// Moves each lever until the application ends well, or at least dies of something else.
fn fixes(
    bench: &Bench<'_>,
    base: &[Change],
    trial: &Trial,
    class: Class,
    levers: &[Lever],
) -> (Vec<Fix>, Vec<Useless>) {
    let found: Vec<(usize, Result<Fix, Useless>)> =
        levers.par_iter().enumerate().map(|(at, lever)| (at, fix(bench, base, class, lever))).collect();
    let (mut fixes, mut useless) = (Vec::new(), Vec::new());
    for (at, found) in found {
        match found {
            Ok(fix) => fixes.push((at, fix)),
            Err(lever) => useless.push(lever),
        }
    }
    let reserved = trial.reserved_bytes;
    fixes.sort_by_key(|(at, fix)| {
        let more = fix.tried.trial.reserved_bytes.saturating_sub(reserved);
        // What ends well and loses nothing, what ends well, what the application can do by itself, then what costs no
        // memory, then what is fastest.
        let of_the_host = machine::is_of_the_host(&fix.tried.changes);
        let wall = if of_the_host { 0 } else { fix.tried.trial.record.wall_ns };
        (!fix.tried.trial.is_clean(), fix.class != Class::None, of_the_host, more, wall, *at)
    });
    (fixes.into_iter().map(|(_, fix)| fix).collect(), useless)
}

fn fix(bench: &Bench<'_>, base: &[Change], class: Class, lever: &Lever) -> Result<Fix, Useless> {
    let class_under = |tried: &Tried| {
        let all: Vec<Change> = base.iter().chain(&tried.changes).cloned().collect();
        class_of(&tried.trial, bench.settings(&all).as_ref())
    };
    let clean = search(bench, base, lever, false, &Trial::is_clean);
    if let Found::Reached { least, below } = clean {
        return Ok(named(lever, *least, below, &class_under));
    }
    let other = |trial: &Trial| {
        let outcome = trial.record.outcome;
        // What does not start, or finds no place to run, clears nothing; an application that ends well has nothing to clear
        // but what it loses on the way.
        class != Class::None
            && !matches!(outcome, Outcome::Refused | Outcome::Other)
            && class_of(trial, bench.settings(base).as_ref()) != class
    };
    match search(bench, base, lever, false, &other) {
        Found::Reached { least, below } => Ok(named(lever, *least, below, &class_under)),
        Found::Never(last) => Err(Useless { key: lever.key.clone(), changes: last.changes }),
    }
}

fn named(
    lever: &Lever,
    tried: Tried,
    below: Option<Box<Tried>>,
    class_under: &dyn Fn(&Tried) -> Class,
) -> Fix {
    let class = class_under(&tried);
    let below = below.map(|below| (below.changes.clone(), class_under(&below)));
    Fix { key: lever.key.clone(), from: lever.from_text.clone(), tried, class, below }
}

/// Fixes one failure after the other, each by the setting of its own limit, until none is left.
fn chain(bench: &Bench<'_>, why: &Why) -> Vec<Link> {
    let mut links = Vec::new();
    let mut changes: Vec<Change> = Vec::new();
    let (mut class, mut trial) = (why.class, why.trial.clone());
    while links.len() < CHAIN_MAX && !trial.is_clean() {
        let fall = trial.record.falls.first().cloned();
        let Some(settings) = bench.settings(&changes) else { break };
        let mut found = None;
        for lever in levers(bench, &settings, &trial, class) {
            if let Ok(fix) = fix(bench, &changes, class, &lever) {
                found = Some(fix);
                break;
            }
        }
        let Some(fix) = found else {
            links.push(Link { class, fall, changes: Vec::new() });
            break;
        };
        for change in &fix.tried.changes {
            changes.retain(|known| known.key != change.key);
            changes.push(change.clone());
        }
        links.push(Link { class, fall, changes: fix.tried.changes });
        trial = bench.run(&changes, true);
        class = class_of(&trial, bench.settings(&changes).as_ref());
    }
    links
}
