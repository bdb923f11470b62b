//! Live memory of executors over time: execution, storage, user memory and what Spark itself holds stacked, with the limits that they run
//! into, and rows of marks for what happened.
//!
//! Execution and storage lie at the bottom, so that the dashed line bounds just them (the region that they share) and the
//! solid line bounds the whole heap. Only the busiest executors are drawn. Long time lines are thinned to a few points a
//! pixel, among them the highest and the lowest, so that no peak is lost.

use super::axis::{Axis, byte_ticks, time_ticks};
use super::canvas::{
    Anchor, BLUE, Canvas, FAINT, GREEN, GREY, INK, LARGE, Mark, NORMAL, ORANGE, SILVER, SKY_BLUE, SMALL,
    VERMILLION, WHITE, characters, draw, text_width,
};
use crate::record::{EventKind, ExecutorRecord, Outcome, RunRecord, TimelinePoint};
use crate::report::text::{count, shorten};
use crate::units::HumanBytes;
use plotters::style::RGBColor;

/// Executors that are drawn.
const PANELS_MAX: usize = 4;

const WIDTH: i32 = 1120;
const LEFT: i32 = 92;
const RIGHT: i32 = WIDTH - 276;
const TOP: i32 = 66;
const HEADING: i32 = 26;
const MARK_ROW: i32 = 14;
const HEAP_HEIGHT: i32 = 230;
const OFF_HEAP_HEIGHT: i32 = 100;
const PANEL_GAP: i32 = 24;
const TIME_AXIS: i32 = 50;

/// A layer of the stack.
struct Region {
    name: &'static str,
    color: RGBColor,
    bytes: fn(&TimelinePoint) -> u64,
}

/// Regions on the heap, from the bottom.
const ON_HEAP: [Region; 4] = [
    Region { name: "execution", color: ORANGE, bytes: |point| point.on_heap_execution },
    Region { name: "storage", color: SKY_BLUE, bytes: |point| point.on_heap_storage },
    Region { name: "user", color: GREEN, bytes: |point| point.user_memory },
    Region { name: "Spark itself", color: SILVER, bytes: |point| point.reserved },
];

/// Regions off the heap, from the bottom.
const OFF_HEAP: [Region; 2] = [
    Region { name: "execution", color: ORANGE, bytes: |point| point.off_heap_execution },
    Region { name: "storage", color: SKY_BLUE, bytes: |point| point.off_heap_storage },
];

/// A row of marks above a panel.
struct MarkRow {
    name: &'static str,
    noun: &'static str,
    mark: Mark,
    color: RGBColor,
    kinds: &'static [EventKind],
}

/// Name of the row that marks failures.
const FAILED: &str = "failed";

const MARK_ROWS: [MarkRow; 3] = [
    MarkRow {
        name: "spilled",
        noun: "spill",
        mark: Mark::Triangle,
        color: VERMILLION,
        kinds: &[EventKind::Spill],
    },
    MarkRow {
        name: "evicted",
        noun: "block",
        mark: Mark::Diamond,
        color: BLUE,
        kinds: &[EventKind::Evict, EventKind::DropToDisk],
    },
    MarkRow {
        name: FAILED,
        noun: "failure",
        mark: Mark::Cross,
        color: INK,
        kinds: &[EventKind::TaskFailed, EventKind::ExecutorLost],
    },
];

/// Draws the memory of the busiest executors of `run` over time.
pub fn svg(run: &RunRecord) -> String {
    let panels = panels(run);
    let content: i32 = if panels.is_empty() { 60 } else { panels.iter().map(Panel::height).sum() };
    let height = TOP + content - PANEL_GAP + TIME_AXIS;
    let time = Axis { max: end(run).max(1), from: LEFT, to: RIGHT };
    draw((WIDTH as u32, height as u32), |canvas| {
        title(canvas, run, panels.len());
        let mut top = TOP;
        for panel in &panels {
            panel.draw(canvas, time, top);
            top += panel.height();
        }
        if panels.is_empty() {
            let text = "No memory was recorded for this run.";
            canvas.text(text, (WIDTH / 2, TOP + 20), NORMAL, GREY, Anchor::Middle);
        } else {
            time_axis(canvas, time, top - PANEL_GAP);
        }
    })
}

fn title(canvas: &Canvas, run: &RunRecord, shown: usize) {
    let name = shorten(&format!("{}: memory over time", run.name), characters(WIDTH - 40, LARGE));
    canvas.text(&name, (20, 22), LARGE, INK, Anchor::Start);
    let mut notes = match run.outcome {
        Outcome::Ok => vec!["ended ok".to_string()],
        outcome => vec![format!("{}: {}", outcome.as_str(), run.reason)],
    };
    if shown < run.executors.len() && shown > 0 {
        notes.insert(0, format!("busiest {shown} of {} executors", run.executors.len()));
    }
    let notes = shorten(&notes.join("; "), characters(WIDTH - 40, NORMAL));
    canvas.text(&notes, (20, 44), NORMAL, GREY, Anchor::Start);
}

/// The last moment of the run, ns.
fn end(run: &RunRecord) -> u64 {
    let points = run.timeline.iter().map(|point| point.time_ns);
    let events = run.events.iter().map(|event| event.time_ns);
    points.chain(events).chain([run.app_ns]).max().unwrap_or(0)
}

fn time_axis(canvas: &Canvas, time: Axis, y: i32) {
    let (ticks, unit) = time_ticks(time.max, 10);
    for (value, label) in ticks {
        let x = time.at(value);
        canvas.line(vec![(x, y), (x, y + 5)], INK, 1);
        canvas.text(&label, (x, y + 15), SMALL, INK, Anchor::Middle);
    }
    let label = format!("time since the start ({unit})");
    canvas.text(&label, (i32::midpoint(LEFT, RIGHT), y + 34), NORMAL, INK, Anchor::Middle);
}

/// One executor.
struct Panel<'a> {
    executor: &'a ExecutorRecord,
    points: Vec<TimelinePoint>,
    /// When its time line ends, ns.
    end: u64,
    rows: Vec<(&'static MarkRow, Vec<u64>, u64)>,
    off_heap: bool,
}

/// The panels of the executors that were lost or did most, in that order.
fn panels(run: &RunRecord) -> Vec<Panel<'_>> {
    let mut has_points = vec![false; run.executors.len()];
    for point in &run.timeline {
        if let Some(has_points) = has_points.get_mut(point.executor as usize) {
            *has_points = true;
        }
    }
    let mut order: Vec<usize> = (0..run.executors.len()).filter(|at| has_points[*at]).collect();
    order.sort_by_key(|at| {
        let executor = &run.executors[*at];
        (executor.removed_ns.is_none(), std::cmp::Reverse(executor.metrics.executor_run_time_ns), *at)
    });
    order.truncate(PANELS_MAX);
    order
        .into_iter()
        .map(|at| {
            let rows = MARK_ROWS.iter().filter_map(|row| {
                let events = run
                    .events
                    .iter()
                    .filter(|event| event.executor == Some(at as u32) && row.kinds.contains(&event.kind));
                let times: Vec<u64> = events.clone().map(|event| event.time_ns).collect();
                let bytes = events.map(|event| event.bytes).sum();
                (!times.is_empty()).then_some((row, times, bytes))
            });
            let executor = &run.executors[at];
            let points: Vec<TimelinePoint> =
                run.timeline.iter().filter(|point| point.executor as usize == at).collect();
            let off_heap = points.iter().any(|point| point.off_heap_execution + point.off_heap_storage > 0);
            Panel {
                executor,
                points,
                end: executor.removed_ns.unwrap_or_else(|| end(run)),
                rows: rows.collect(),
                off_heap,
            }
        })
        .collect()
}

impl Panel<'_> {
    fn height(&self) -> i32 {
        let off_heap = if self.off_heap { OFF_HEAP_HEIGHT + PANEL_GAP } else { 0 };
        HEADING + self.rows.len() as i32 * MARK_ROW + HEAP_HEIGHT + off_heap + PANEL_GAP
    }

    fn draw(&self, canvas: &Canvas, time: Axis, top: i32) {
        let mut y = top;
        let host =
            if self.executor.host.is_empty() { String::new() } else { format!(" on {}", self.executor.host) };
        let heading =
            format!("executor {}{host}, {}", self.executor.id, count(self.executor.cores.into(), "core"));
        canvas.text(
            &shorten(&heading, characters(RIGHT - LEFT, NORMAL)),
            (LEFT, y + 10),
            NORMAL,
            INK,
            Anchor::Start,
        );
        y += HEADING;
        for (row, times, bytes) in &self.rows {
            let middle = y + MARK_ROW / 2 - 3;
            canvas.text(row.name, (LEFT - 10, middle), SMALL, row.color, Anchor::End);
            let mut last = i32::MIN;
            for x in times.iter().map(|at| time.at(*at)) {
                // Marks closer than this lie on each other and only make the file longer.
                if x >= last.saturating_add(2) {
                    canvas.mark(row.mark, (x, middle), row.color);
                    last = x;
                }
            }
            let mut note = count(times.len() as u64, row.noun);
            if *bytes > 0 {
                note = format!("{note}, {}", HumanBytes(*bytes));
            }
            canvas.text(&note, (RIGHT + 12, middle), SMALL, row.color, Anchor::Start);
            y += MARK_ROW;
        }
        let unified = self.executor.max_on_heap_memory;
        let heap = self.executor.heap_bytes;
        let limits = [(heap, "heap limit", false), (unified, "execution + storage, at most", true)];
        self.stack(canvas, time, (y, y + HEAP_HEIGHT), &ON_HEAP, &limits, "live memory on heap");
        y += HEAP_HEIGHT + PANEL_GAP;
        if self.off_heap {
            let limits = [(self.executor.max_off_heap_memory, "off-heap limit", false)];
            self.stack(canvas, time, (y, y + OFF_HEAP_HEIGHT), &OFF_HEAP, &limits, "off heap");
        }
    }

    /// Draws regions on each other between the pixel rows `rows`, with lines at `limits` (bytes, name, dashed).
    fn stack(
        &self,
        canvas: &Canvas,
        time: Axis,
        rows: (i32, i32),
        regions: &[Region],
        limits: &[(u64, &str, bool)],
        title: &str,
    ) {
        let total = |point: &TimelinePoint| regions.iter().map(|region| (region.bytes)(point)).sum::<u64>();
        let highest = self.points.iter().map(total).max().unwrap_or(0);
        let max = limits.iter().map(|limit| limit.0).chain([highest]).max().unwrap_or(0).max(1);
        let bytes = Axis { max: max.saturating_add(max / 20), from: rows.1, to: rows.0 };
        let ticks = byte_ticks(bytes.max);
        for (value, label) in &ticks {
            let y = bytes.at(*value);
            canvas.line(vec![(LEFT, y), (RIGHT, y)], FAINT, 1);
            canvas.text(label, (LEFT - 10, y), SMALL, INK, Anchor::End);
        }
        canvas.text_upwards(title, (16, i32::midpoint(rows.0, rows.1)), NORMAL, INK);

        let points = thin(&self.points, time, regions);
        let until = time.at(self.end);
        let mut floor: Vec<u64> = vec![0; points.len()];
        for region in regions {
            let ceiling: Vec<u64> =
                points.iter().zip(&floor).map(|(p, floor)| floor + (region.bytes)(p)).collect();
            let upper = steps(&points, &ceiling, time, bytes, until);
            let mut outline = steps(&points, &floor, time, bytes, until);
            outline.reverse();
            outline.splice(0..0, upper.iter().copied());
            canvas.polygon(outline, region.color);
            canvas.line(upper, WHITE, 1);
            floor = ceiling;
        }
        canvas.line(steps(&points, &floor, time, bytes, until), INK, 1);
        self.wanted(canvas, &points, time, bytes, regions);
        canvas.line(vec![(LEFT, rows.0), (LEFT, rows.1), (RIGHT, rows.1)], INK, 1);
        let limits_at: Vec<i32> = limits.iter().map(|limit| bytes.at(limit.0)).collect();
        self.names(canvas, &points, time, bytes, regions, &limits_at);
        limit_lines(canvas, bytes, limits);
        self.key(canvas, rows, regions, &limits_at);
    }

    /// Writes each region's name into it where it is thick enough for long enough.
    fn names(
        &self,
        canvas: &Canvas,
        points: &[&TimelinePoint],
        time: Axis,
        bytes: Axis,
        regions: &[Region],
        limits: &[i32],
    ) {
        for (layer, region) in regions.iter().enumerate() {
            let wide = text_width(region.name, SMALL) as i32 + 10;
            // Free rows of each pixel column: below the lowest ceiling and above the highest floor.
            let mut free: Vec<(i32, i32)> = vec![(i32::MIN, i32::MAX); (RIGHT - LEFT + 1) as usize];
            for (index, point) in points.iter().enumerate() {
                let floor: u64 = regions[..layer].iter().map(|below| (below.bytes)(point)).sum();
                let (low, high) = (bytes.at(floor), bytes.at(floor + (region.bytes)(point)));
                let next = points.get(index + 1).map_or(self.end, |next| next.time_ns);
                for x in time.at(point.time_ns)..=time.at(next) {
                    let column = &mut free[(x - LEFT) as usize];
                    *column = (column.0.max(high), column.1.min(low));
                }
            }
            let best = free
                .windows(wide as usize)
                .enumerate()
                // Before an executor starts and after it is gone there is nothing to name.
                .filter(|(_, window)| window.iter().all(|column| column.0 != i32::MIN))
                .map(|(start, window)| {
                    let upper = window.iter().map(|column| column.0).max().unwrap_or(i32::MIN);
                    let lower = window.iter().map(|column| column.1).min().unwrap_or(i32::MAX);
                    let (upper, lower) = beside(limits, upper, lower);
                    (lower - upper, start, upper, lower)
                })
                .max_by_key(|spot| (spot.0, std::cmp::Reverse(spot.1)));
            if let Some((thick, start, upper, lower)) = best
                && thick >= 15
            {
                let at = (LEFT + start as i32 + wide / 2, i32::midpoint(upper, lower));
                canvas.text(region.name, at, SMALL, INK, Anchor::Middle);
            }
        }
    }

    /// Shows what was wanted at the moment of a failure: memory that did not fit is never held, so the stack alone hides it.
    fn wanted(
        &self,
        canvas: &Canvas,
        points: &[&TimelinePoint],
        time: Axis,
        bytes: Axis,
        regions: &[Region],
    ) {
        const WIDE: i32 = 5;
        let total = |point: &TimelinePoint| regions.iter().map(|region| (region.bytes)(point)).sum::<u64>();
        let failed = self.rows.iter().filter(|(row, ..)| row.name == FAILED).flat_map(|(_, times, _)| times);
        for moment in failed {
            let then = points.iter().filter(|point| point.time_ns == *moment);
            let Some(most) = then.max_by_key(|point| total(point)) else { continue };
            // A failure for another reason wanted nothing that was not held before.
            let before = points.iter().rev().find(|point| point.time_ns < *moment);
            if before.is_some_and(|before| total(before) >= total(most)) {
                continue;
            }
            let right = (time.at(*moment) + WIDE / 2).min(RIGHT);
            let mut floor = 0;
            for region in regions {
                let ceiling = floor + (region.bytes)(most);
                let corners = ((right - WIDE, bytes.at(ceiling)), (right, bytes.at(floor)));
                canvas.rect(corners.0, corners.1, region.color);
                floor = ceiling;
            }
            canvas.frame((right - WIDE, bytes.at(floor)), (right, bytes.at(0)), INK);
        }
    }

    /// Lists the regions with their peaks beside the panel, in the order of the stack, away from the limits' labels.
    fn key(&self, canvas: &Canvas, rows: (i32, i32), regions: &[Region], taken: &[i32]) {
        for (region, y) in regions.iter().zip(key_rows(rows.1, regions.len(), taken)) {
            let peak = self.points.iter().map(|point| (region.bytes)(point)).max().unwrap_or(0);
            canvas.rect((RIGHT + 12, y - 5), (RIGHT + 22, y + 5), region.color);
            canvas.frame((RIGHT + 12, y - 5), (RIGHT + 22, y + 5), INK);
            let label = format!("{}, peak {}", region.name, HumanBytes(peak));
            canvas.text(&label, (RIGHT + 30, y), SMALL, INK, Anchor::Start);
        }
    }
}

/// The rows of a key's lines from the lowest up, none of them on a row that is `taken` by another label.
fn key_rows(bottom: i32, lines: usize, taken: &[i32]) -> Vec<i32> {
    const LINE: i32 = 17;
    const CLEAR: i32 = 15;
    let mut y = bottom - LINE / 2;
    let mut rows = Vec::new();
    for _ in 0..lines {
        while let Some(label) = taken.iter().find(|label| (y - **label).abs() < CLEAR) {
            y = label - CLEAR;
        }
        rows.push(y);
        y -= LINE;
    }
    rows
}

/// The larger part of the rows `upper..lower` that no limit's line crosses.
fn beside(limits: &[i32], upper: i32, lower: i32) -> (i32, i32) {
    limits.iter().filter(|limit| (upper..lower).contains(*limit)).fold(
        (upper, lower),
        |(upper, lower), limit| {
            if limit - upper > lower - limit {
                (upper, lower.min(*limit))
            } else {
                (upper.max(*limit), lower)
            }
        },
    )
}

fn limit_lines(canvas: &Canvas, bytes: Axis, limits: &[(u64, &str, bool)]) {
    for (limit, name, dashed) in limits.iter().filter(|limit| limit.0 > 0) {
        let y = bytes.at(*limit);
        if *dashed {
            canvas.dashes((LEFT, y), RIGHT + 8, INK);
        } else {
            canvas.line(vec![(LEFT, y), (RIGHT + 8, y)], INK, 2);
        }
        let label = format!("{name} {}", HumanBytes(*limit));
        canvas.text(&label, (RIGHT + 12, y), SMALL, INK, Anchor::Start);
    }
}

/// The outline of a step function: each value holds until the next point.
fn steps(points: &[&TimelinePoint], values: &[u64], time: Axis, bytes: Axis, until: i32) -> Vec<(i32, i32)> {
    let mut line: Vec<(i32, i32)> = Vec::with_capacity(points.len() * 2 + 1);
    for (point, value) in points.iter().zip(values) {
        let (x, y) = (time.at(point.time_ns).min(until), bytes.at(*value));
        if let Some((_, before)) = line.last().copied()
            && before != y
        {
            line.push((x, before));
        }
        line.push((x, y));
    }
    if let Some((_, before)) = line.last().copied() {
        line.push((until, before));
    }
    line.dedup();
    line
}

/// The points that show in a picture: of each pixel column the first, the last, and those where the stack or one of its
/// regions is highest or the stack lowest. All are moments that were, so regions stay in proportion.
fn thin<'a>(points: &'a [TimelinePoint], time: Axis, regions: &[Region]) -> Vec<&'a TimelinePoint> {
    let total = |point: &TimelinePoint| regions.iter().map(|region| (region.bytes)(point)).sum::<u64>();
    let mut kept = Vec::new();
    for column in points.chunk_by(|a, b| time.at(a.time_ns) == time.at(b.time_ns)) {
        let best =
            |rank: &dyn Fn(&TimelinePoint) -> u64| (0..column.len()).max_by_key(|at| rank(&column[*at]));
        let mut chosen = vec![0, column.len() - 1];
        chosen.extend(best(&total));
        chosen.extend(best(&|point| u64::MAX - total(point)));
        chosen.extend(regions.iter().filter_map(|region| best(&|point| (region.bytes)(point))));
        chosen.sort_unstable();
        chosen.dedup();
        kept.extend(chosen.into_iter().map(|at| &column[at]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use crate::record::Timeline;
    use crate::report::fixture;
    use crate::units::MIB;

    #[test]
    fn pictures_of_all_kinds_of_runs() {
        let runs = [
            ("spilling", fixture::spilling()),
            ("off_heap", fixture::off_heap()),
            ("fifty", fixture::fifty()),
            ("iterative", fixture::iterative()),
            ("tiny", fixture::tiny()),
            ("failing", fixture::failing()),
        ];
        for (name, run) in runs {
            let svg = check(&format!("memory-{name}"), || svg(&run));
            for text in
                ["heap limit", "time since the start", "execution + storage, at most", "Spark itself, peak"]
            {
                assert!(svg.contains(text), "{name}: {text}");
            }
            let spilled = run.totals.memory_bytes_spilled > 0;
            assert_eq!(svg.contains("\nspilled\n"), spilled, "{name}: a row of marks for spills");
            assert_eq!(svg.contains("off-heap limit"), name == "off_heap", "{name}");
        }
    }

    #[test]
    fn a_run_without_a_time_line_says_so() {
        let mut run = fixture::spilling();
        run.timeline = Timeline::default();
        assert!(check("memory-empty", || svg(&run)).contains("No memory was recorded"));
        assert!(svg(&RunRecord::default()).contains("No memory was recorded"));
    }

    #[test]
    fn executors_left_out_are_counted_and_lost_ones_come_first() {
        let mut run = fixture::fifty();
        run.executors[37].removed_ns = Some(run.app_ns / 2);
        let svg = svg(&run);
        assert!(svg.contains("busiest 4 of 50 executors"));
        let at = |text: &str| svg.find(text).unwrap_or(usize::MAX);
        assert!(
            at("executor 38 on") < at("execution + storage, at most"),
            "the first panel is the lost executor's"
        );
    }

    #[test]
    fn the_key_keeps_clear_of_limits() {
        assert_eq!(key_rows(336, 4, &[117]), [328, 311, 294, 277]);
        for label in 100..350 {
            let rows = key_rows(336, 4, &[label, 80]);
            assert!(rows.iter().all(|row| (row - label).abs() >= 15 && *row > 200), "{label}: {rows:?}");
            assert!(rows.windows(2).all(|pair| pair[0] - pair[1] >= 17), "{label}: {rows:?}");
        }
    }

    #[test]
    fn what_was_wanted_when_a_task_failed_can_be_seen() {
        let mut run = fixture::tiny();
        let end = run.app_ns;
        let wanted = TimelinePoint { time_ns: end, user_memory: 8 << 30, ..TimelinePoint::default() };
        run.timeline.extend([wanted, TimelinePoint { time_ns: end, ..TimelinePoint::default() }]);
        let before = svg(&run);
        run.events.push(crate::record::EventRecord {
            time_ns: end,
            executor: Some(0),
            task_id: Some(0),
            kind: EventKind::TaskFailed,
            bytes: 0,
            detail: String::new(),
        });
        let green = |svg: &str| svg.matches("#009E73").count();
        assert_eq!(green(&check("memory-wanted", || svg(&run))), green(&before) + 1);
    }

    #[test]
    fn an_executor_that_starts_late_has_names_where_it_is() {
        let mut run = fixture::tiny();
        let late = TimelinePoint {
            time_ns: run.app_ns / 2,
            user_memory: run.executors[0].heap_bytes / 2,
            ..TimelinePoint::default()
        };
        run.timeline = Timeline::default();
        run.timeline.extend([late]);
        assert!(check("memory-late", || svg(&run)).contains("\nuser\n"));
    }

    #[test]
    fn thinning_keeps_peaks() {
        let points: Vec<TimelinePoint> = (0..100_000)
            .map(|at| TimelinePoint {
                time_ns: at,
                on_heap_execution: if at == 31_234 { 900 * MIB } else { MIB * (at % 7) },
                on_heap_storage: if at == 77_777 { 0 } else { 100 * MIB },
                ..TimelinePoint::default()
            })
            .collect();
        let time = Axis { max: 100_000, from: 0, to: 800 };
        let kept = thin(&points, time, &ON_HEAP);
        assert!(kept.len() <= 801 * 8, "{}", kept.len());
        assert!(kept.iter().any(|point| point.time_ns == 31_234), "the peak");
        assert!(kept.iter().any(|point| point.on_heap_storage == 0 && point.time_ns == 77_777), "the dip");
        assert!(kept.is_sorted_by_key(|point| point.time_ns));
    }
}
