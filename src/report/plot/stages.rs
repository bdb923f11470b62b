//! Stages over time: one row a stage attempt, its bar as high as its share of the task slots in use, with marks where
//! tasks spilled or failed, and its shortest, median and longest task in words.
//!
//! Long applications show the stages that failed and the longest; how many are left out is said.

use super::axis::{Axis, time_ticks};
use super::canvas::{
    Anchor, BLUE, Canvas, FAINT, GREY, INK, LARGE, Mark, NORMAL, SILVER, SKY_BLUE, SMALL, VERMILLION,
    characters, draw,
};
use crate::record::{EventKind, Outcome, RunRecord, StageRecord, TaskRecord};
use crate::report::text::{count, duration, shorten};
use crate::units::HumanBytes;
use std::collections::BTreeMap;

/// Stage attempts that are drawn.
const ROWS_MAX: usize = 40;

const WIDTH: i32 = 1180;
const LEFT: i32 = 250;
const RIGHT: i32 = WIDTH - 300;
const TOP: i32 = 76;
const ROW: i32 = 40;
const BAR: i32 = 22;
const TIME_AXIS: i32 = 54;

/// Draws the stages of `run` over time.
pub fn svg(run: &RunRecord) -> String {
    let rows = rows(run);
    let height = TOP + ROW * (rows.len() as i32).max(1) + TIME_AXIS;
    let end = run.stages.iter().map(|stage| stage.completed_ns).chain([run.app_ns]).max().unwrap_or(0);
    let time = Axis { max: end.max(1), from: LEFT, to: RIGHT };
    let slots = run.executors.iter().map(|executor| u64::from(executor.cores)).sum::<u64>().max(1);
    draw((WIDTH as u32, height as u32), |canvas| {
        title(canvas, run, rows.len(), slots);
        let bottom = TOP + ROW * (rows.len() as i32).max(1);
        if rows.is_empty() {
            let text = "No stage ran.";
            canvas.text(text, (WIDTH / 2, TOP + 20), NORMAL, GREY, Anchor::Middle);
            return;
        }
        grid(canvas, time, bottom);
        for (number, row) in rows.iter().enumerate() {
            row.draw(canvas, time, slots, TOP + ROW * number as i32);
        }
    })
}

fn title(canvas: &Canvas, run: &RunRecord, shown: usize, slots: u64) {
    let name = shorten(&format!("{}: stages over time", run.name), characters(WIDTH - 40, LARGE));
    canvas.text(&name, (20, 22), LARGE, INK, Anchor::Start);
    let mut notes = Vec::new();
    if shown < run.stages.len() {
        notes.push(format!(
            "{shown} of {} stage attempts, those that failed and the longest",
            run.stages.len()
        ));
    }
    notes.push(format!("a full bar is all {} busy", count(slots, "task slot")));
    if run.outcome != Outcome::Ok {
        notes.push(format!("{}: {}", run.outcome.as_str(), run.reason));
    }
    let notes = shorten(&notes.join("; "), characters(WIDTH - 40, NORMAL));
    canvas.text(&notes, (20, 44), NORMAL, GREY, Anchor::Start);
}

fn grid(canvas: &Canvas, time: Axis, bottom: i32) {
    let (ticks, unit) = time_ticks(time.max, 10);
    for (value, label) in ticks {
        let x = time.at(value);
        canvas.line(vec![(x, TOP - 6), (x, bottom)], FAINT, 1);
        canvas.text(&label, (x, bottom + 12), SMALL, INK, Anchor::Middle);
    }
    canvas.line(vec![(LEFT, bottom), (RIGHT, bottom)], INK, 1);
    let label = format!("time since the start ({unit})");
    canvas.text(&label, (i32::midpoint(LEFT, RIGHT), bottom + 32), NORMAL, INK, Anchor::Middle);
}

/// One stage attempt.
struct Row<'a> {
    stage: &'a StageRecord,
    tasks: Vec<&'a TaskRecord>,
    /// When its tasks spilled, ns.
    spills: Vec<u64>,
}

fn rows(run: &RunRecord) -> Vec<Row<'_>> {
    let mut order: Vec<usize> = (0..run.stages.len()).collect();
    order.sort_by_key(|at| {
        let stage = &run.stages[*at];
        let wall = stage.completed_ns.saturating_sub(stage.submitted_ns);
        (stage.failure.is_empty(), std::cmp::Reverse(wall), *at)
    });
    order.truncate(ROWS_MAX);
    order.sort_unstable();

    let mut tasks: BTreeMap<(u32, u32), Vec<&TaskRecord>> = BTreeMap::new();
    let mut stage_of: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    for task in &run.tasks {
        let key = (task.stage_id, task.stage_attempt);
        tasks.entry(key).or_default().push(task);
        stage_of.insert(task.task_id, key);
    }
    let mut spills: BTreeMap<(u32, u32), Vec<u64>> = BTreeMap::new();
    for event in run.events.iter().filter(|event| event.kind == EventKind::Spill) {
        if let Some(key) = event.task_id.and_then(|task| stage_of.get(&task)) {
            spills.entry(*key).or_default().push(event.time_ns);
        }
    }
    order
        .into_iter()
        .map(|at| {
            let stage = &run.stages[at];
            let key = (stage.stage_id, stage.attempt);
            Row {
                stage,
                tasks: tasks.remove(&key).unwrap_or_default(),
                spills: spills.remove(&key).unwrap_or_default(),
            }
        })
        .collect()
}

impl Row<'_> {
    fn draw(&self, canvas: &Canvas, time: Axis, slots: u64, top: i32) {
        let failed = !self.stage.failure.is_empty();
        let (from, to) = (time.at(self.stage.submitted_ns), time.at(self.stage.completed_ns));
        let to = to.max(from + 2);
        let (upper, lower) = (top + 10, top + 10 + BAR);
        self.label(canvas, i32::midpoint(upper, lower));

        let color = if failed { VERMILLION } else { SKY_BLUE };
        canvas.rect((from, upper), (to, lower), FAINT);
        let busy = busy(&self.tasks, time, from, to);
        if self.tasks.is_empty() {
            canvas.rect((from, upper), (to, lower), SILVER);
        } else {
            let height = |tasks: u64| (tasks.min(slots) as f64 / slots as f64 * f64::from(BAR)).ceil() as i32;
            let mut outline = vec![(from, lower)];
            for (offset, tasks) in busy.iter().enumerate() {
                let x = from + offset as i32;
                let y = lower - height(*tasks);
                outline.extend([(x, y), (x + 1, y)]);
            }
            outline.push((to, lower));
            outline.dedup();
            canvas.polygon(outline, color);
        }
        if failed {
            canvas.hatch((from, upper), (to, lower), INK);
        }
        canvas.frame((from, upper), (to, lower), INK);

        marks(canvas, Mark::Triangle, self.spills.iter().map(|at| time.at(*at)), upper - 5);
        let failures = self.tasks.iter().filter(|task| !task.failure.is_empty());
        marks(canvas, Mark::Cross, failures.map(|task| time.at(task.finish_ns)), i32::midpoint(upper, lower));
    }

    fn label(&self, canvas: &Canvas, y: i32) {
        let stage = self.stage;
        let attempt = if stage.attempt > 0 { format!(".{}", stage.attempt) } else { String::new() };
        let label = format!("{}{attempt}  {}", stage.stage_id, stage.name);
        let label = shorten(&label, characters(LEFT - 24, SMALL));
        canvas.text(&label, (LEFT - 12, y), SMALL, INK, Anchor::End);

        let metrics = &stage.metrics;
        let mut upper = count(metrics.tasks, "task");
        let mut spans: Vec<u64> =
            self.tasks.iter().map(|task| task.finish_ns.saturating_sub(task.launch_ns)).collect();
        spans.sort_unstable();
        if let [only] = spans[..] {
            upper = format!("{upper}, {}", duration(only));
        } else if let (Some(first), Some(last)) = (spans.first(), spans.last()) {
            let median = spans[spans.len() / 2];
            upper = format!("{upper}: {} / {} / {}", duration(*first), duration(median), duration(*last));
        }
        let mut lower = Vec::new();
        if !stage.failure.is_empty() {
            lower.push(format!("FAILED, {}", count(metrics.failed_tasks, "failed task")));
        } else if metrics.failed_tasks > 0 {
            lower.push(count(metrics.failed_tasks, "failed task"));
        }
        if metrics.memory_bytes_spilled > 0 {
            lower.push(format!("spilled {}", HumanBytes(metrics.memory_bytes_spilled)));
        }
        let shift = if lower.is_empty() { 0 } else { 8 };
        canvas.text(
            &shorten(&upper, characters(280, SMALL)),
            (RIGHT + 14, y - shift),
            SMALL,
            INK,
            Anchor::Start,
        );
        if !lower.is_empty() {
            let lower = shorten(&lower.join(", "), characters(280, SMALL));
            canvas.text(&lower, (RIGHT + 14, y + shift), SMALL, VERMILLION, Anchor::Start);
        }
    }
}

fn marks(canvas: &Canvas, mark: Mark, places: impl Iterator<Item = i32>, y: i32) {
    let color = if mark == Mark::Triangle { BLUE } else { INK };
    let mut places: Vec<i32> = places.collect();
    places.sort_unstable();
    let mut last = i32::MIN;
    for x in places {
        if x >= last.saturating_add(2) {
            canvas.mark(mark, (x, y), color);
            last = x;
        }
    }
}

/// The most tasks that ran at once in each pixel column from `from` to `to`.
fn busy(tasks: &[&TaskRecord], time: Axis, from: i32, to: i32) -> Vec<u64> {
    let mut changes: Vec<(u64, i64)> = Vec::with_capacity(tasks.len() * 2);
    for task in tasks {
        changes.extend([(task.launch_ns, 1), (task.finish_ns.max(task.launch_ns + 1), -1)]);
    }
    // Ends sort before starts of the same moment, so that a slot handed on counts once.
    changes.sort_unstable();
    let mut columns = vec![0_u64; (to - from).max(1) as usize];
    let column = |at: u64| (time.at(at) - from).clamp(0, columns_last(from, to)) as usize;
    let mut running = 0_i64;
    let mut since = 0;
    for (at, change) in changes {
        let here = column(at);
        if running > 0 {
            columns[since..=here].iter_mut().for_each(|most| *most = (*most).max(running as u64));
        }
        running += change;
        since = here;
    }
    columns
}

fn columns_last(from: i32, to: i32) -> i32 {
    (to - from).max(1) - 1
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use crate::report::fixture;

    #[test]
    fn pictures_of_all_kinds_of_runs() {
        let runs = [
            ("spilling", fixture::spilling()),
            ("fifty", fixture::fifty()),
            ("iterative", fixture::iterative()),
            ("tiny", fixture::tiny()),
            ("failing", fixture::failing()),
        ];
        for (name, run) in runs {
            let svg = check(&format!("stages-{name}"), || svg(&run));
            assert!(svg.contains("time since the start"), "{name}");
            assert_eq!(svg.contains("FAILED"), name == "failing", "{name}");
            assert_eq!(svg.contains("spilled "), run.totals.memory_bytes_spilled > 0, "{name}");
        }
    }

    #[test]
    fn stages_left_out_are_counted() {
        let svg = svg(&fixture::iterative());
        assert!(svg.contains("40 of 123 stage attempts"));
    }

    #[test]
    fn a_run_without_stages_says_so() {
        assert!(check("stages-empty", || svg(&RunRecord::default())).contains("No stage ran."));
    }

    #[test]
    fn a_slot_handed_on_counts_once() {
        let task = |launch_ns, finish_ns| TaskRecord { launch_ns, finish_ns, ..TaskRecord::default() };
        let tasks = [task(0, 50), task(50, 100), task(20, 30)];
        let tasks: Vec<_> = tasks.iter().collect();
        let columns = busy(&tasks, Axis { max: 100, from: 0, to: 10 }, 0, 10);
        assert_eq!(columns.iter().max(), Some(&2));
        assert_eq!(columns, [1, 1, 2, 2, 1, 1, 1, 1, 1, 1]);
    }
}
