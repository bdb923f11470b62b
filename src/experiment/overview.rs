//! From the runs of a study to what is known of each point: means with intervals, shares of outcomes, the best point and
//! which others cannot be told from it.

use super::statistics::{Intervals, Paired, Sample, holm, quantile};
use crate::record::study::{MEASURES, MeasureSummary, OUTCOMES, PointSummary, SweepRow, summary_column};

/// What is held of every run of a study at once, 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunKey {
    /// Its point.
    pub point: u32,
    /// Its replication.
    pub replication: u32,
    /// Where its row is kept.
    pub offset: u64,
    /// `wallMs`; not a number where it failed.
    pub wall_ms: f64,
    /// Bytes that its executors take; 0 where it did not start.
    pub allocated_memory: u64,
}

/// A point beside the best one, paired by replication.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Other {
    /// Its number.
    pub point: u64,
    /// Corrected probability (see [`PointSummary::p_against_best`]).
    pub p: f64,
    /// Pairs.
    pub pairs: u64,
    /// Mean of its `wallMs` less the best point's.
    pub slower: f64,
    /// Standard deviation of that difference.
    pub deviation: f64,
}

/// A whole study at a glance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overview {
    /// The point with the least mean `wallMs` among those where every replication ended well; of equals the one that takes
    /// least memory, then the first.
    pub best: Option<u64>,
    /// Its mean `wallMs`.
    pub best_wall_ms: f64,
    /// Every other point where each replication ended well, by point; none of a single replication.
    pub others: Vec<Other>,
    /// More than one replication was run and no point's differ in `wallMs`: nothing in this application is random.
    pub all_alike: bool,
}

impl Overview {
    /// Looks over `runs`, which are in the order of points and replications.
    pub fn of(runs: &[RunKey], confidence: f64) -> Self {
        let points = || runs.chunk_by(|a, b| a.point == b.point);
        let mean = |runs: &[RunKey]| Sample::of(runs.iter().map(|run| run.wall_ms)).mean;
        let whole = |runs: &&[RunKey]| runs.iter().all(|run| !run.wall_ms.is_nan());
        let best = points().filter(whole).min_by(|a, b| {
            let key = |runs: &[RunKey]| (mean(runs), runs[0].allocated_memory);
            let ((a_wall, a_memory), (b_wall, b_memory)) = (key(a), key(b));
            a_wall.total_cmp(&b_wall).then(a_memory.cmp(&b_memory))
        });
        let varies =
            |runs: &[RunKey]| runs.iter().any(|run| run.wall_ms.to_bits() != runs[0].wall_ms.to_bits());
        let all_alike = points().any(|runs| runs.len() > 1) && !points().any(varies);
        let Some(best) = best else { return Self { all_alike, ..Self::default() } };
        let mut intervals = Intervals::new(confidence);
        let mut others: Vec<Other> = Vec::new();
        for other in points().filter(whole).filter(|other| other[0].point != best[0].point) {
            let pairs = best.iter().zip(other).map(|(best, other)| (best.wall_ms, other.wall_ms));
            let Paired { pairs, mean, deviation, p, .. } = intervals.paired(pairs);
            if let (Some(p), Some(deviation)) = (p, deviation) {
                others.push(Other { point: u64::from(other[0].point), p, pairs, slower: mean, deviation });
            }
        }
        let corrected = holm(&others.iter().map(|other| other.p).collect::<Vec<_>>());
        for (other, p) in others.iter_mut().zip(corrected) {
            other.p = p;
        }
        Self { best: Some(u64::from(best[0].point)), best_wall_ms: mean(best), others, all_alike }
    }

    /// A point beside the best one.
    pub fn other(&self, point: u64) -> Option<&Other> {
        let at = self.others.binary_search_by_key(&point, |other| other.point).ok()?;
        Some(&self.others[at])
    }

    /// The corrected probability of a point.
    pub fn p(&self, point: u64) -> Option<f64> {
        self.other(point).map(|other| other.p)
    }
}

/// Sums up the rows of one point.
#[derive(Debug)]
pub struct Summariser {
    intervals: Intervals,
    measures: [usize; 12],
    outcome: usize,
}

impl Summariser {
    /// Intervals of `confidence`.
    pub fn new(confidence: f64) -> Self {
        let column = |name| summary_column(name).expect("every measure is a column of the summary");
        Self {
            intervals: Intervals::new(confidence),
            measures: MEASURES.map(column),
            outcome: column("outcome"),
        }
    }

    /// The summary of a point whose rows are `rows`, with what an overview says of it.
    pub fn point(&mut self, rows: &[SweepRow], p_against_best: Option<f64>) -> PointSummary {
        let mut outcomes = [0; 12];
        for row in rows {
            let text = row.text(self.outcome);
            let at =
                OUTCOMES.iter().position(|outcome| outcome.as_str() == text).unwrap_or(OUTCOMES.len() - 1);
            outcomes[at] += 1;
        }
        let ok: Vec<&SweepRow> = rows.iter().filter(|row| row.text(self.outcome) == "ok").collect();
        let runs = rows.len() as u64;
        let measures = self.measures.map(|column| {
            let sample = Sample::of(ok.iter().filter_map(|row| row.number(column)));
            (sample.count > 0).then(|| MeasureSummary {
                mean: sample.mean,
                deviation: sample.deviation(),
                interval: self.intervals.mean(&sample).map(|interval| (interval.low, interval.high)),
            })
        });
        let mut walls: Vec<f64> = ok.iter().filter_map(|row| row.number(self.measures[0])).collect();
        walls.sort_by(f64::total_cmp);
        PointSummary {
            point: rows.first().map_or(0, |row| row.point),
            runs,
            outcomes,
            ok_interval: self
                .intervals
                .share(outcomes[0], runs)
                .map(|interval| (interval.low, interval.high)),
            allocated_memory: rows.iter().find_map(|row| row.allocated_memory),
            measures,
            wall_median: quantile(&walls, 0.5),
            wall_p95: quantile(&walls, 0.95),
            p_against_best,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Outcome, RunRecord};

    fn runs(points: &[&[f64]]) -> Vec<RunKey> {
        let key = |point: usize, replication: usize, wall_ms: f64| RunKey {
            point: point as u32,
            replication: replication as u32,
            offset: 0,
            wall_ms,
            allocated_memory: 100 - point as u64,
        };
        let each = points.iter().enumerate();
        each.flat_map(|(point, walls)| walls.iter().enumerate().map(move |(r, wall)| key(point, r, *wall)))
            .collect()
    }

    #[test]
    fn the_best_point_never_fails_and_equals_go_to_less_memory() {
        let overview = Overview::of(&runs(&[&[1.0, f64::NAN], &[5.0, 5.2], &[5.0, 5.2], &[9.0, 9.3]]), 0.95);
        assert_eq!(overview.best, Some(2));
        assert!(!overview.all_alike);
        assert_eq!(overview.p(1), Some(1.0), "the same in every pair");
        assert!(overview.p(3).is_some_and(|p| p < 0.05));
        assert_eq!((overview.p(0), overview.p(2)), (None, None));
        assert_eq!(Overview::of(&runs(&[&[f64::NAN]]), 0.95).best, None);
        assert!(Overview::of(&runs(&[&[2.0, 2.0], &[3.0, 3.0]]), 0.95).all_alike);
    }

    /// The best point is chosen by the same runs that the others are compared with. Still the points that cannot be told from
    /// it hold the true best one as often as they should.
    #[test]
    fn what_cannot_be_told_from_the_best_holds_the_true_best() {
        use crate::rng::{Purpose, stream};
        use rand_distr::{Distribution as _, StandardNormal};
        const STUDIES: u64 = 1_000;
        // The true best is 0; five are as good, some a little and some much worse.
        const WORSE: [f64; 12] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 20.0, 50.0];
        let held = |study: &u64| {
            let mut rng = stream(5, Purpose::Sizes, *study);
            let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
            let shared: Vec<f64> = (0..5).map(|_| 10.0 * normal()).collect();
            let walls: Vec<Vec<f64>> = WORSE
                .iter()
                .map(|worse| shared.iter().map(|shared| 100.0 + shared + worse + 2.0 * normal()).collect())
                .collect();
            let walls: Vec<&[f64]> = walls.iter().map(Vec::as_slice).collect();
            let overview = Overview::of(&runs(&walls), 0.95);
            overview.best == Some(0) || overview.p(0).is_some_and(|p| p >= 0.05)
        };
        let held = (0..STUDIES).filter(held).count();
        assert!(held >= 950, "{held} of {STUDIES}");
    }

    #[test]
    fn times_are_over_the_runs_that_ended_well() {
        let run = |wall_ms: u64, outcome| {
            let run = RunRecord { wall_ns: wall_ms * 1_000_000, outcome, ..RunRecord::default() };
            SweepRow::of(4, 0, Some(7), &run)
        };
        let rows = [run(10, Outcome::Ok), run(14, Outcome::Ok), run(1, Outcome::HeapOom)];
        let summary = Summariser::new(0.95).point(&rows, None);
        assert_eq!(
            (summary.point, summary.runs, summary.ok(), summary.failure()),
            (4, 3, 2, Some(Outcome::HeapOom))
        );
        assert_eq!(summary.wall_ms(), Some(12.0));
        assert_eq!((summary.wall_median, summary.allocated_memory), (Some(12.0), Some(7)));
        assert_eq!(summary.measures[3], None, "collection was not modelled in these records");
    }
}
