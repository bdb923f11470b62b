//! Stages over time: one row a stage attempt, its bar as high as its share of the task slots in use, with marks where
//! tasks spilled or failed, and its shortest, median and longest task in words.
//!
//! Long applications show the stages that failed and the longest; how many are left out is said.

use super::axis::{Axis, time_ticks};
use super::canvas::{
    Anchor, Canvas, FAINT, GREY, INK, LARGE, Mark, NORMAL, PURPLE, SILVER, SKY_BLUE, SMALL, VERMILLION,
    characters, draw,
};
use crate::record::{EventKind, Outcome, RunRecord, StageRecord, TaskRecord};
use crate::report::text::{count, duration, shorten};
use crate::units::HumanBytes;
use std::collections::BTreeMap;

/// Stage attempts that are drawn.
const ROWS_MAX: usize = 40;

const WIDTH: i32 = 1200;
const LEFT: i32 = 250;
const RIGHT: i32 = WIDTH - 350;
const TOP: i32 = 96;
/// Rows with two lines of words, while there are few of them.
const ROOMY: Rows = Rows { height: 40, bar: 22, roomy: true };
const DENSE: Rows = Rows { height: 24, bar: 13, roomy: false };
const ROOMY_MAX: usize = 12;
const TIME_AXIS: i32 = 54;

/// How high rows and their bars are, pixels.
#[derive(Clone, Copy)]
struct Rows {
    height: i32,
    bar: i32,
    roomy: bool,
}

/// Draws the stages of `run` over time.
pub fn svg(run: &RunRecord) -> String {
    let (rows, rest) = rows(run);
    let size = if rows.len() <= ROOMY_MAX { ROOMY } else { DENSE };
    let lines = (rows.len() + usize::from(!rest.is_empty())).max(1) as i32;
    let bottom = TOP + size.height * lines;
    let end = run.stages.iter().map(|stage| stage.completed_ns).chain([run.app_ns]).max().unwrap_or(0);
    let time = Axis { max: end.max(1), from: LEFT, to: RIGHT };
    let slots = run.executors.iter().map(|executor| u64::from(executor.cores)).sum::<u64>().max(1);
    draw((WIDTH as u32, (bottom + TIME_AXIS) as u32), |canvas| {
        title(canvas, run, rows.len(), slots);
        if rows.is_empty() {
            canvas.text("No stage ran.", (WIDTH / 2, TOP + 10), NORMAL, GREY, Anchor::Middle);
            return;
        }
        key(canvas);
        grid(canvas, time, bottom);
        let mut top = TOP;
        for row in &rows {
            row.draw(canvas, time, slots, top, size);
            top += size.height;
        }
        others(canvas, time, &rest, top, size);
    })
}

/// Says what the marks and the numbers on the right are.
fn key(canvas: &Canvas) {
    let y = TOP - 20;
    canvas.mark(Mark::Triangle, (LEFT + 6, y), VERMILLION);
    canvas.text("a task spilled", (LEFT + 16, y), SMALL, GREY, Anchor::Start);
    canvas.mark(Mark::Cross, (LEFT + 136, y), INK);
    canvas.text("a task failed", (LEFT + 146, y), SMALL, GREY, Anchor::Start);
    canvas.text("shortest / median / longest task", (RIGHT + 14, y), SMALL, GREY, Anchor::Start);
}

/// One row for all stages that have none of their own.
fn others(canvas: &Canvas, time: Axis, rest: &[&StageRecord], top: i32, size: Rows) {
    if rest.is_empty() {
        return;
    }
    let middle = top + size.height / 2;
    let (upper, lower) = (middle - size.bar / 2, middle + size.bar / 2);
    let label = format!("{} together", count(rest.len() as u64, "shorter stage"));
    canvas.text(&label, (LEFT - 12, middle), SMALL, INK, Anchor::End);
    for stage in rest {
        let from = time.at(stage.submitted_ns);
        canvas.rect((from, upper), (time.at(stage.completed_ns).max(from + 1), lower), SILVER);
    }
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
    notes.push(format!("height of a bar: tasks at once, full at {slots}"));
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

/// The attempts that get a row of their own, and the rest.
fn rows(run: &RunRecord) -> (Vec<Row<'_>>, Vec<&StageRecord>) {
    let mut order: Vec<usize> = (0..run.stages.len()).collect();
    order.sort_by_key(|at| {
        let stage = &run.stages[*at];
        let wall = stage.completed_ns.saturating_sub(stage.submitted_ns);
        (stage.failure.is_empty(), std::cmp::Reverse(wall), *at)
    });
    let rest = order.split_off(order.len().min(ROWS_MAX)).into_iter().map(|at| &run.stages[at]).collect();
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
    let rows = order
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
        .collect();
    (rows, rest)
}

impl Row<'_> {
    fn draw(&self, canvas: &Canvas, time: Axis, slots: u64, top: i32, size: Rows) {
        let failed = !self.stage.failure.is_empty();
        let (from, to) = (time.at(self.stage.submitted_ns), time.at(self.stage.completed_ns));
        let to = to.max(from + 2);
        let upper = top + (size.height - size.bar) / 2 + 1;
        let lower = upper + size.bar;
        self.label(canvas, i32::midpoint(upper, lower), size.roomy);

        let color = if failed { PURPLE } else { SKY_BLUE };
        canvas.rect((from, upper), (to, lower), FAINT);
        let busy = busy(&self.tasks, time, from, to);
        if self.tasks.is_empty() {
            canvas.rect((from, upper), (to, lower), SILVER);
        } else {
            let height =
                |tasks: u64| (tasks.min(slots) as f64 / slots as f64 * f64::from(size.bar)).ceil() as i32;
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

    fn label(&self, canvas: &Canvas, y: i32, roomy: bool) {
        let stage = self.stage;
        let attempt = if stage.attempt > 0 { format!(".{}", stage.attempt) } else { String::new() };
        let label = format!("{}{attempt}: {}", stage.stage_id, stage.name);
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
        let room = characters(WIDTH - RIGHT - 24, SMALL);
        let text = |text: &str, y: i32, color| {
            canvas.text(&shorten(text, room), (RIGHT + 14, y), SMALL, color, Anchor::Start);
        };
        if lower.is_empty() {
            text(&upper, y, INK);
        } else if roomy {
            text(&upper, y - 8, INK);
            text(&lower.join(", "), y + 8, INK);
        } else {
            text(&format!("{upper}, {}", lower.join(", ")), y, INK);
        }
    }
}

fn marks(canvas: &Canvas, mark: Mark, places: impl Iterator<Item = i32>, y: i32) {
    let color = if mark == Mark::Triangle { VERMILLION } else { INK };
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
