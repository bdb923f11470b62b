//! All runs of a study, on every core. Workers take the next run from one queue, so that none waits for another; what
//! comes out depends on point and replication alone, not on which worker did it or when.
//!
//! With a wanted precision the study goes in rounds: after each, every point whose interval is still too wide gets more
//! replications, as many as its spread so far says and at most as many again. A round ends before the next is decided, so
//! that the decision does not depend on the order of arrival. Stopping when the interval is narrow makes the true
//! confidence a little lower than the nominal one (Law, *Simulation Modeling and Analysis*, ch. 9.4.1).
//!
//! A run that breaks down (a panic: a fault of this program) takes no other with it: all others are made, then the study
//! stops and names the broken ones.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::iter::{ParallelBridge, ParallelIterator};

use super::base::{Base, Prepared};
use super::points::Space;
use super::statistics::{Intervals, Sample};
use crate::record::study::{SweepRow, summary_column};

/// Broken runs that a message names.
const BROKEN_NAMED: usize = 5;

/// How often each point is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Replications {
    /// So often.
    Fixed(u32),
    /// Until half the interval of the mean of `wallMs` is at most `share` of the mean.
    Until {
        /// Half the width of the interval, as a share of the mean.
        share: f64,
        /// Replications before the first look.
        least: u32,
        /// Replications after which a point is given up.
        most: u32,
    },
}

/// A part of a study: points whose number leaves `index` when divided by `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u32,
    /// Number of shards.
    pub of: u32,
}

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Study<'a> {
    /// The application.
    pub base: &'a Base,
    /// Its points.
    pub space: &'a Space,
    /// How often each.
    pub replications: Replications,
    /// Confidence of intervals, 0 to 1.
    pub confidence: f64,
    /// Only these points.
    pub shard: Option<Shard>,
}

/// Why a study stopped before its end.
#[derive(Debug)]
pub enum Stopped<E> {
    /// A point has values that mean nothing.
    Faulty(String),
    /// Runs broke down: a fault of this program, not of the simulated one. All others were made.
    Broken(String),
    /// The sink did not take a row.
    Sink(E),
}

/// What is known before a study starts or goes on: `wallMs` of runs that are there already, absent where the run failed.
pub type Known<'a> = &'a (dyn Fn(u64, u32) -> Option<Option<f64>> + Sync);

impl Study<'_> {
    /// Points of this part, in order.
    pub fn points(&self) -> impl Iterator<Item = u64> + use<> {
        let Shard { index, of } = self.shard.unwrap_or(Shard { index: 0, of: 1 });
        (u64::from(index)..self.space.len()).step_by(of as usize)
    }

    /// Runs of this part when every point is run as often as said; with a wanted precision, of the first round.
    pub fn runs(&self) -> u64 {
        let each = match self.replications {
            Replications::Fixed(count) => count,
            Replications::Until { least, .. } => least,
        };
        (self.points().count() as u64).saturating_mul(u64::from(each))
    }

    /// Runs everything that is not known yet and gives each row to `sink` as it comes. `more` hears how many runs a later
    /// round adds.
    ///
    /// # Errors
    /// The first of what stops it; rows given before stand.
    pub fn run<E: Send>(
        &self,
        known: Known,
        sink: impl FnMut(SweepRow) -> Result<(), E> + Send,
        more: impl Fn(u64),
    ) -> Result<(), Stopped<E>> {
        let sink = Mutex::new(sink);
        match self.replications {
            Replications::Fixed(count) => {
                let todo = self.points().flat_map(|point| (0..count).map(move |r| (point, r)));
                self.run_these(todo.filter(|(point, r)| known(*point, *r).is_none()), &sink)
            }
            Replications::Until { share, least, most } => {
                let mut found: Vec<Found> = self.points().map(Found::new).collect();
                let wall = summary_column("wallMs").expect("wallMs is a column of the summary");
                let outcome = summary_column("outcome").expect("outcome is a column of the summary");
                let of = self.shard.map_or(1, |shard| u64::from(shard.of));
                let mut intervals = Intervals::new(self.confidence);
                let mut first = true;
                loop {
                    let mut todo = Vec::new();
                    for point in &mut found {
                        let until = wanted(&point.walls, share, least, most, &mut intervals);
                        for replication in point.walls.len() as u32..until {
                            match known(point.point, replication) {
                                Some(wall) => point.walls.push(wall),
                                None => {
                                    point.walls.push(None);
                                    todo.push((point.point, replication));
                                }
                            }
                        }
                        point.is_open = until > point.seen;
                        point.seen = until;
                    }
                    if found.iter().all(|point| !point.is_open) {
                        return Ok(());
                    }
                    if !first {
                        more(todo.len() as u64);
                    }
                    first = false;
                    let found = Mutex::new(&mut found);
                    let both = Mutex::new(|row: SweepRow| {
                        let wall = (row.text(outcome) == "ok").then(|| row.number(wall)).flatten();
                        let at = (row.point / of) as usize;
                        let replication = row.replication as usize;
                        found.lock().unwrap_or_else(PoisonError::into_inner)[at].walls[replication] = wall;
                        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                        (*sink)(row)
                    });
                    self.run_these(todo.into_iter(), &both)?;
                }
            }
        }
    }

    fn run_these<E: Send>(
        &self,
        todo: impl Iterator<Item = (u64, u32)> + Send,
        sink: &Mutex<impl FnMut(SweepRow) -> Result<(), E> + Send>,
    ) -> Result<(), Stopped<E>> {
        // Replications of a point follow each other, so that a worker resolves it once for most of them.
        let last: Mutex<Option<(u64, Arc<Prepared>)>> = Mutex::new(None);
        let broken = each_run(todo, |point, replication| self.one(point, replication, &last), sink)?;
        if broken.is_empty() {
            return Ok(());
        }
        let named = broken.iter().take(BROKEN_NAMED).map(|broken| {
            let keys = self.space.keys().iter().zip(self.space.values(broken.point));
            let conf: Vec<String> = keys.map(|(key, value)| format!("--conf {key}={value}")).collect();
            let Broken { point, replication, said } = broken;
            format!("point {point} ({}), replication {replication}: {said}", conf.join(" "))
        });
        let named: Vec<String> = named.collect();
        let more = broken.len().saturating_sub(BROKEN_NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        Err(Stopped::Broken(format!(
            "the simulation broke down, which is a fault of spillcast, in {}{more}",
            named.join("; ")
        )))
    }

    fn one(
        &self,
        point: u64,
        replication: u32,
        last: &Mutex<Option<(u64, Arc<Prepared>)>>,
    ) -> Result<SweepRow, String> {
        let held = || last.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = held().as_ref().filter(|(at, _)| *at == point).map(|(_, prepared)| Arc::clone(prepared));
        let prepared = match cached {
            Some(prepared) => prepared,
            None => {
                let values = self.space.values(point);
                let prepared = self.base.prepare(self.space.keys(), &values).map(Arc::new);
                let prepared = prepared.map_err(|faults| faults.join("\n"))?;
                *held() = Some((point, Arc::clone(&prepared)));
                prepared
            }
        };
        Ok(self.base.row(point, &prepared, replication))
    }
}

/// A run that broke down.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Broken {
    point: u64,
    replication: u32,
    said: String,
}

/// Makes all runs, on every core, and gives their rows to `sink`; gives those that broke down, in order.
fn each_run<E: Send>(
    todo: impl Iterator<Item = (u64, u32)> + Send,
    one: impl Fn(u64, u32) -> Result<SweepRow, String> + Sync,
    sink: &Mutex<impl FnMut(SweepRow) -> Result<(), E> + Send>,
) -> Result<Vec<Broken>, Stopped<E>> {
    let broken = Mutex::new(Vec::new());
    todo.par_bridge().try_for_each(|(point, replication)| {
        match unless_broken(|| one(point, replication)) {
            Ok(row) => {
                let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                (*sink)(row.map_err(Stopped::Faulty)?).map_err(Stopped::Sink)
            }
            Err(said) => {
                let mut broken = broken.lock().unwrap_or_else(PoisonError::into_inner);
                broken.push(Broken { point, replication, said });
                Ok(())
            }
        }
    })?;
    let mut broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    broken.sort();
    Ok(broken)
}

/// Does `work`; where it panics, what it said.
///
/// # Errors
/// The words of the panic.
pub fn unless_broken<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let said = payload.downcast_ref::<String>().map(String::as_str);
        said.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason was given").to_owned()
    })
}

/// What is known of a point between rounds.
struct Found {
    point: u64,
    /// By replication; absent where it failed.
    walls: Vec<Option<f64>>,
    /// Replications before the last decision.
    seen: u32,
    is_open: bool,
}

impl Found {
    fn new(point: u64) -> Self {
        Self { point, walls: Vec::new(), seen: 0, is_open: true }
    }
}

/// How many replications a point with these should have in all.
fn wanted(walls: &[Option<f64>], share: f64, least: u32, most: u32, intervals: &mut Intervals) -> u32 {
    let have = walls.len() as u32;
    if have < least {
        return least;
    }
    match width(walls, intervals) {
        Some(width) if width > share && have < most => {
            let needed = (f64::from(have) * (width / share).powi(2)).ceil().min(1e9) as u32;
            needed.clamp(have + (have / 4).max(1), have.saturating_mul(2)).min(most)
        }
        _ => have,
    }
}

impl Replications {
    /// Whether a point with these runs, by replication and absent where one failed, needs no more.
    pub fn are_done(self, walls: &[Option<f64>], confidence: f64) -> bool {
        let (share, least, most) = match self {
            Self::Fixed(count) => return walls.len() as u64 >= u64::from(count),
            Self::Until { share, least, most } => (share, least, most),
        };
        // Round by round, as the study decided.
        let mut intervals = Intervals::new(confidence);
        let mut seen = 0;
        loop {
            let next = wanted(&walls[..seen], share, least, most, &mut intervals) as usize;
            if next == seen || next > walls.len() {
                return next == seen;
            }
            seen = next;
        }
    }
}

/// Half the interval of the mean as a share of it; `None` where fewer than two runs ended well.
fn width(walls: &[Option<f64>], intervals: &mut Intervals) -> Option<f64> {
    let sample = Sample::of(walls.iter().flatten().copied());
    let half = intervals.half_width(&sample)?;
    Some(if half == 0.0 { 0.0 } else { half / sample.mean.abs() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replications_grow_until_the_interval_is_narrow_and_no_further() {
        let mut intervals = Intervals::new(0.95);
        let mut wanted = |walls: &[Option<f64>]| wanted(walls, 0.05, 5, 40, &mut intervals);
        assert_eq!(wanted(&[]), 5);
        assert_eq!(wanted(&[Some(100.0); 5]), 5, "nothing varies");
        assert_eq!(wanted(&[80.0, 90.0, 100.0, 110.0, 120.0].map(Some)), 10, "at most as many again");
        let mut walls: Vec<_> = (0..32).map(|i| Some(100.0 + f64::from(i % 2) * 40.0)).collect();
        assert_eq!(wanted(&walls), 40, "at most what was allowed");
        walls.extend([Some(100.0); 8]);
        assert_eq!(wanted(&walls), 40, "given up");
        assert_eq!(wanted(&[None; 5]), 5, "failures have no time");
    }

    #[test]
    fn a_point_is_done_when_the_last_round_that_was_decided_is() {
        let until = Replications::Until { share: 0.05, least: 5, most: 40 };
        let wide = [80.0, 90.0, 100.0, 110.0, 120.0].map(Some);
        assert!(!until.are_done(&wide[..4], 0.95));
        assert!(!until.are_done(&wide, 0.95));
        // The second round wants ten; seven narrow enough by chance are half a round.
        let half = [&wide[..], &[Some(100.0); 4]].concat();
        assert!(!until.are_done(&half, 0.95));
        assert!(until.are_done(&[Some(100.0); 5], 0.95));
        assert!(
            Replications::Fixed(5).are_done(&wide, 0.95) && !Replications::Fixed(6).are_done(&wide, 0.95)
        );
    }

    #[test]
    fn a_worker_that_breaks_down_takes_no_other_run_with_it() {
        let row =
            |point, replication| SweepRow::of(point, replication, None, &crate::record::RunRecord::default());
        let one = |point: u64, replication: u32| {
            assert!((point, replication) != (3, 1), "the ledger does not add up");
            assert!(point != 7, "nor here");
            Ok(row(point, replication))
        };
        let mut made = Vec::new();
        let sink = Mutex::new(|row: SweepRow| {
            made.push((row.point, row.replication));
            Ok::<(), std::convert::Infallible>(())
        });
        let todo = || (0..20).flat_map(|point| (0..2).map(move |replication| (point, replication)));
        let broken = each_run(todo(), one, &sink).expect("the sink takes all");
        let named: Vec<_> = broken.iter().map(|b| (b.point, b.replication, b.said.as_str())).collect();
        assert_eq!(named, [(3, 1, "the ledger does not add up"), (7, 0, "nor here"), (7, 1, "nor here")]);
        made.sort_unstable();
        let others: Vec<_> = todo().filter(|run| *run != (3, 1) && run.0 != 7).collect();
        assert_eq!(made, others);
    }
}
