//! A host over time: who wants how much of its memory, stacked, against what there is of memory and swap; and below it how
//! long the requests to its neighbours take, if any are described, on a logarithmic scale, the median thin and the 99th
//! percentile thick.
//!
//! The first host with neighbours, swap or a kill is drawn. Page cache is what lies between the stack and the line.

use super::axis::{Axis, byte_ticks, time_ticks};
use super::canvas::{
    Anchor, BLUE, Canvas, FAINT, GREEN, GREY, INK, LARGE, Mark, NORMAL, ORANGE, PURPLE, SILVER, SKY_BLUE,
    SMALL, VERMILLION, characters, draw,
};
use crate::record::{EventKind, EventRecord, HostPoint, HostRecord, Outcome, RunRecord, gives_way};
use crate::report::text::shorten;
use plotters::style::RGBColor;

const WIDTH: i32 = 1120;
const LEFT: i32 = 92;
const RIGHT: i32 = WIDTH - 276;
const TOP: i32 = 84;
const STACK: i32 = 300;
const GAP: i32 = 46;
const LATENCY: i32 = 200;
/// Room below the lowest panel, for the axis of time.
const FOOT: i32 = 56;
const LINE: i32 = 16;

/// Colours in the order of the processes; the kernel has the first.
const COLORS: [RGBColor; 7] = [SILVER, ORANGE, SKY_BLUE, GREEN, BLUE, PURPLE, VERMILLION];

/// Shortest latency that the scale shows, and steps of a tenfold, ms.
const SHORTEST_MS: f64 = 0.1;
const DECADES: u64 = 6;

/// One process over time.
struct Series<'a> {
    name: &'a str,
    color: RGBColor,
    /// Time, bytes wanted.
    wanted: Vec<(u64, u64)>,
    /// Time, median and 99th percentile in ms.
    latency: Vec<(u64, f64, f64)>,
}

/// Draws the first host of `run` whose memory is a matter.
pub fn svg(run: &RunRecord) -> String {
    let tight = |host: &&HostRecord| host.swap_bytes > 0 || run.tenants.iter().any(|t| t.host == host.name);
    let host = run.hosts.iter().position(|host| tight(&host)).unwrap_or(0);
    let series = series(&run.host_timeline, host as u32);
    let asked = series.iter().any(|series| !series.latency.is_empty());
    let height = TOP + STACK + FOOT + if asked { GAP + LATENCY } else { 0 };
    draw((WIDTH as u32, height as u32), |canvas| {
        let title = shorten(&format!("{}: the host over time", run.name), characters(WIDTH - 40, LARGE));
        canvas.text(&title, (20, 22), LARGE, INK, Anchor::Start);
        match run.hosts.get(host) {
            Some(record) => host_picture(canvas, run, record, &series, height - FOOT),
            None => {
                let text = "The memory of no host is known for this run.";
                canvas.text(text, (WIDTH / 2, TOP + 20), NORMAL, GREY, Anchor::Middle);
            }
        }
    })
}

fn host_picture(canvas: &Canvas, run: &RunRecord, host: &HostRecord, all: &[Series<'_>], bottom: i32) {
    let ended = match run.outcome {
        Outcome::Ok => "ended ok".to_owned(),
        outcome => format!("{}: {}", outcome.as_str(), run.reason),
    };
    let notes = shorten(&format!("host {}; {ended}", host.name), characters(WIDTH - 40, NORMAL));
    canvas.text(&notes, (20, 44), NORMAL, GREY, Anchor::Start);
    let end = run.host_timeline.iter().map(|point| point.time_ns).chain([run.app_ns, 1]).max().unwrap_or(1);
    let time = Axis { max: end, from: LEFT, to: RIGHT };
    stack(canvas, time, host, all);
    kills(canvas, time, run, host);
    if bottom > TOP + STACK {
        latencies(canvas, time, all, TOP + STACK + GAP);
    }
    let (ticks, unit) = time_ticks(end, 10);
    for (value, label) in ticks {
        let x = time.at(value);
        canvas.line(vec![(x, bottom), (x, bottom + 5)], INK, 1);
        canvas.text(&label, (x, bottom + 15), SMALL, INK, Anchor::Middle);
    }
    let label = format!("time since the start ({unit})");
    canvas.text(&label, (i32::midpoint(LEFT, RIGHT), bottom + 34), NORMAL, INK, Anchor::Middle);
}

/// The processes of a host in the order of the ledger, without what gives way.
fn series(points: &[HostPoint], host: u32) -> Vec<Series<'_>> {
    let mut all: Vec<Series<'_>> = Vec::new();
    let mut moments: Vec<u64> = points.iter().filter(|point| point.host == host).map(|p| p.time_ns).collect();
    moments.dedup();
    for point in points.iter().filter(|point| point.host == host && !gives_way(&point.process)) {
        let place = all.iter().position(|known| known.name == point.process).unwrap_or_else(|| {
            let color = COLORS[all.len() % COLORS.len()];
            all.push(Series { name: &point.process, color, wanted: Vec::new(), latency: Vec::new() });
            all.len() - 1
        });
        all[place].wanted.push((point.time_ns, point.resident_bytes + point.swapped_bytes));
        if let (Some(p50), Some(p99)) = (point.p50_ms, point.p99_ms) {
            all[place].latency.push((point.time_ns, p50, p99));
        }
    }
    // Who is gone at a moment wants nothing from then on.
    for series in &mut all {
        let at = |moment: &u64| series.wanted.binary_search_by_key(moment, |point| point.0);
        let filled =
            moments.iter().map(|moment| (*moment, at(moment).map_or(0, |found| series.wanted[found].1)));
        series.wanted = filled.collect();
    }
    all
}

fn stack(canvas: &Canvas, time: Axis, host: &HostRecord, all: &[Series<'_>]) {
    let moments = all.first().map_or(0, |series| series.wanted.len());
    let total = |moment: usize| all.iter().map(|series| series.wanted[moment].1).sum::<u64>();
    let highest = (0..moments).map(total).max().unwrap_or(0);
    let there = host.memory_bytes.saturating_add(host.swap_bytes);
    let max = highest.max(if highest > host.memory_bytes { there } else { host.memory_bytes });
    let bytes = Axis { max: max.saturating_add(max / 20), from: TOP + STACK, to: TOP };
    for (value, label) in byte_ticks(bytes.max) {
        let y = bytes.at(value);
        canvas.line(vec![(LEFT, y), (RIGHT, y)], FAINT, 1);
        canvas.text(&label, (LEFT - 10, y), SMALL, INK, Anchor::End);
    }
    canvas.text_upwards("memory wanted", (16, TOP + STACK / 2), NORMAL, INK);
    let mut floor = vec![0; moments];
    for (place, series) in all.iter().enumerate() {
        let ceiling: Vec<u64> =
            series.wanted.iter().zip(&floor).map(|(point, floor)| floor + point.1).collect();
        let upper = steps(series, &ceiling, time, bytes);
        let mut outline = steps(series, &floor, time, bytes);
        outline.reverse();
        outline.splice(0..0, upper);
        canvas.polygon(outline, series.color);
        floor = ceiling;
        let y = TOP + STACK - 8 - LINE * place as i32;
        canvas.rect((RIGHT + 14, y - 5), (RIGHT + 24, y + 5), series.color);
        let name = shorten(series.name, characters(WIDTH - RIGHT - 44, SMALL));
        canvas.text(&name, (RIGHT + 32, y), SMALL, INK, Anchor::Start);
    }
    canvas.line(vec![(LEFT, TOP), (LEFT, TOP + STACK), (RIGHT, TOP + STACK)], INK, 1);
    let memory = bytes.at(host.memory_bytes);
    canvas.line(vec![(LEFT, memory), (RIGHT, memory)], INK, 2);
    canvas.text("memory", (RIGHT + 12, memory), SMALL, INK, Anchor::Start);
    if max >= there && host.swap_bytes > 0 {
        let both = bytes.at(there);
        canvas.dashes((LEFT, both), RIGHT, INK);
        canvas.text("memory and swap", (RIGHT + 12, both), SMALL, INK, Anchor::Start);
    }
}

/// The corners of a line of steps.
fn steps(series: &Series<'_>, values: &[u64], time: Axis, bytes: Axis) -> Vec<(i32, i32)> {
    let mut line: Vec<(i32, i32)> = Vec::new();
    for (point, value) in series.wanted.iter().zip(values) {
        let (x, y) = (time.at(point.0), bytes.at(*value));
        if let Some(&(_, before)) = line.last() {
            line.push((x, before));
        }
        line.push((x, y));
    }
    if let Some(&(_, last)) = line.last() {
        line.push((time.to, last));
    }
    line
}

fn kills(canvas: &Canvas, time: Axis, run: &RunRecord, host: &HostRecord) {
    // A kill of a neighbour names no executor, and so no host.
    let is_here = |event: &&EventRecord| {
        let executor = event.executor.and_then(|at| run.executors.get(at as usize));
        executor.is_none_or(|executor| executor.host == host.name)
    };
    for event in run.events.iter().filter(|event| event.kind == EventKind::Kill).filter(is_here) {
        let x = time.at(event.time_ns);
        canvas.mark(Mark::Cross, (x, TOP - 10), VERMILLION);
        canvas.text("killed", (x + 8, TOP - 10), SMALL, VERMILLION, Anchor::Start);
    }
}

fn latencies(canvas: &Canvas, time: Axis, all: &[Series<'_>], top: i32) {
    // Thousandths of a tenfold above the shortest.
    let scale = Axis { max: DECADES * 1_000, from: top + LATENCY, to: top };
    let at = |ms: f64| scale.at(((ms / SHORTEST_MS).max(1.0).log10() * 1_000.0) as u64);
    for (decade, label) in ["0.1 ms", "1 ms", "10 ms", "0.1 s", "1 s", "10 s"].into_iter().enumerate() {
        let y = scale.at(decade as u64 * 1_000);
        canvas.line(vec![(LEFT, y), (RIGHT, y)], FAINT, 1);
        canvas.text(label, (LEFT - 10, y), SMALL, INK, Anchor::End);
    }
    canvas.text_upwards("requests take", (16, top + LATENCY / 2), NORMAL, INK);
    canvas.line(vec![(LEFT, top), (LEFT, top + LATENCY), (RIGHT, top + LATENCY)], INK, 1);
    let asked: Vec<&Series<'_>> = all.iter().filter(|series| !series.latency.is_empty()).collect();
    for (place, series) in asked.iter().enumerate() {
        for (pick, width) in [(false, 1), (true, 3)] {
            let mut line: Vec<(i32, i32)> = Vec::new();
            for &(moment, p50, p99) in &series.latency {
                let (x, y) = (time.at(moment), at(if pick { p99 } else { p50 }));
                if let Some(&(_, before)) = line.last() {
                    line.push((x, before));
                }
                line.push((x, y));
            }
            canvas.line(line, series.color, width);
        }
        let y = top + 10 + LINE * place as i32;
        canvas.rect((RIGHT + 14, y - 2), (RIGHT + 24, y + 2), series.color);
        let name = shorten(series.name, characters(WIDTH - RIGHT - 44, SMALL));
        canvas.text(&name, (RIGHT + 32, y), SMALL, INK, Anchor::Start);
    }
    let y = top + 10 + LINE * asked.len() as i32;
    canvas.text("thin: median; thick: 99 %", (RIGHT + 14, y), SMALL, GREY, Anchor::Start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::FREE_MEMORY;
    use crate::report::plot::check;

    fn point(time_ns: u64, process: &str, resident_bytes: u64, p50_ms: Option<f64>) -> HostPoint {
        HostPoint {
            time_ns,
            process: process.to_owned(),
            resident_bytes,
            swapped_bytes: resident_bytes / 4,
            p50_ms,
            p99_ms: p50_ms.map(|ms| ms * 30.0),
            ..HostPoint::default()
        }
    }

    #[test]
    fn a_host_that_swaps_and_kills() {
        let second = 1_000_000_000;
        let mut run = RunRecord { name: "small host".to_owned(), app_ns: 9 * second, ..RunRecord::default() };
        run.hosts.push(HostRecord {
            name: "ec2".to_owned(),
            memory_bytes: 4 << 30,
            swap_bytes: 2 << 30,
            ..HostRecord::default()
        });
        for (moment, spark) in [(0, 500), (3, 1_500), (6, 4_000)] {
            run.host_timeline.push(point(moment * second, "kernel", 160 << 20, None));
            run.host_timeline.push(point(moment * second, "Spark", spark << 20, None));
            if moment < 6 {
                run.host_timeline.push(point(moment * second, "kafka", 1_200 << 20, Some(3.0)));
            }
            run.host_timeline.push(point(moment * second, FREE_MEMORY, 1 << 30, None));
        }
        run.events.push(EventRecord {
            time_ns: 5 * second,
            executor: None,
            task_id: None,
            kind: EventKind::Kill,
            bytes: 0,
            detail: String::new(),
        });
        let svg = check("host", || svg(&run));
        assert!(
            svg.contains(">\nkilled\n<") && svg.contains("memory and swap") && !svg.contains("page cache")
        );
        check("no-host", || super::svg(&RunRecord::default()));
    }
}
