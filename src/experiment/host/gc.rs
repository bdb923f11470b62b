//! `gc.csv` and `gc_death.csv`: bare JVM runs at one share of live data each, and such runs around the share where the
//! program dies.
//!
//! What the measuring program itself costs stands here: it is no physics of the host, but the share of time in pauses depends
//! on it.

use super::table::{Row, Table, TableError};
use super::{Comparison, Kind};
use crate::host::collector::{self, Collector, GcCost, HeapFate, HeapLoad};
use crate::units::{GIB, MIB};

/// The main table.
pub(super) const KIND: Kind = Kind {
    name: "gc",
    about: "one quantity of one JVM run at one share of live data",
    columns: &[
        "id",
        "collector",
        "heap_mb",
        "object_kind",
        "live_share",
        "live_bytes",
        "turnover_share",
        "threads",
        "work_per_object_steps",
        "cross_links_share",
        "page_mb",
        "outcome",
        "oom_message",
        "pause_share_of_wall",
        "pause_s_per_gib",
    ],
    compare: |table| compare(table),
};

/// The table of runs near the end.
pub(super) const DEATH: Kind = Kind {
    name: "gc_death",
    about: "one quantity of one JVM run around the share of live data at which it dies",
    columns: &[
        "id",
        "collector",
        "heap_mb",
        "object_kind",
        "live_share",
        "live_bytes",
        "turnover_share",
        "outcome",
        "oom_message",
        "pause_share_of_wall",
    ],
    compare: |table| {
        let mut found = compare(table)?;
        found.extend(ends(table)?);
        Ok(found)
    },
};

/// Choices of the column `collector`.
pub(super) const COLLECTORS: &[(&str, Collector)] =
    &[("G1", Collector::G1), ("Parallel", Collector::Parallel), ("Serial", Collector::Serial)];

/// Choices of the column `object_kind`: whether the live data are arrays.
pub(super) const OBJECT_KINDS: &[(&str, bool)] = &[("objects", false), ("arrays", true)];

/// Processors of the machine that was measured.
const PROCESSORS: f64 = 2.0;

/// Processor seconds of the measuring program per GiB: for a short-lived array of 64 bytes a fixed part and one for every
/// step of work on it; for a chain of 512 bytes that replaces a live one (an array that does so costs nothing worth
/// counting). Measured at 0.38 to 0.68 in all; within 15 %.
const GARBAGE_S_PER_GIB: f64 = 0.143;
const STEP_S_PER_GIB: f64 = 0.0267;
const CHAIN_S_PER_GIB: f64 = 0.37;
/// The same for allocation through a locked call: chains and their garbage, arrays. From three rows.
const LOCKED_OBJECT_S_PER_GIB: f64 = 3.0;
const LOCKED_ARRAY_S_PER_GIB: f64 = 1.45;
/// By this share of a marking thread's time the program beside it is slower, even with a processor for each.
const SLOWED_BY_MARKING: f64 = 0.2;

/// Columns that `gc_death.csv` lacks have one value there.
const THREADS: f64 = 1.0;
const STEPS: f64 = 16.0;
const CROSS_LINKS: f64 = 0.05;

/// Input columns of a row.
struct Input {
    collector: Collector,
    arrays: bool,
    load: HeapLoad,
    threads: f64,
    steps: f64,
}

impl Input {
    fn of(row: Row<'_>) -> Result<Self, TableError> {
        let collector = row.one_of("collector", COLLECTORS)?;
        let arrays = row.one_of("object_kind", OBJECT_KINDS)?;
        let heap = row.positive("heap_mb")? * MIB as f64;
        let live = row.positive("live_bytes")?;
        let turnover = row.share("turnover_share")?;
        let mut load = HeapLoad::objects(heap, live, turnover);
        load.cross_links = row.optional("cross_links_share")?.unwrap_or(CROSS_LINKS);
        if arrays {
            load.page = match row.optional("page_mb")? {
                Some(page) if page > 0.0 => page * MIB as f64,
                Some(_) => return Err(row.fault("page_mb", "a number above 0, or nothing")),
                None => spark_page(heap),
            };
            // The program builds whole arrays.
            load.live_pages = (live / load.page + 1e-6).floor() * load.page;
            load.live_objects = 0.0;
            (load.page_turnover, load.object_turnover) = (turnover, 0.0);
        }
        let threads = row.optional("threads")?.unwrap_or(THREADS);
        if threads < 1.0 {
            return Err(row.fault("threads", "a number of 1 or more, or nothing"));
        }
        let steps = row.optional("work_per_object_steps")?.unwrap_or(STEPS);
        Ok(Self { collector, arrays, load, threads, steps })
    }

    /// Seconds per byte that the program takes outside of pauses.
    fn running_s_per_byte(&self, cost: &GcCost) -> f64 {
        let turnover = self.load.object_turnover + self.load.page_turnover;
        let garbage = (1.0 - turnover) * (GARBAGE_S_PER_GIB + STEP_S_PER_GIB * self.steps);
        let work = (garbage + self.load.object_turnover * CHAIN_S_PER_GIB) / GIB as f64;
        let locked = if self.arrays { LOCKED_ARRAY_S_PER_GIB } else { LOCKED_OBJECT_S_PER_GIB } / GIB as f64;
        let work = work * (1.0 - cost.slow_share) + locked * cost.slow_share;
        let beside = work / self.threads + SLOWED_BY_MARKING * cost.concurrent_s_per_byte;
        let crowded = (work + cost.concurrent_s_per_byte) / PROCESSORS;
        beside.max(crowded) + cost.stall_s_per_byte
    }
}

/// Page size that Spark chooses on two cores: what is near a sixteenth of the heap a core, a power of two, of which 4, 16 and
/// 64 MiB were measured at 0.5, 1 and 2 GiB (the column says it elsewhere).
fn spark_page(heap: f64) -> f64 {
    let doublings = (heap / (512.0 * MIB as f64)).log2().round();
    4.0 * MIB as f64 * (2.0 * doublings).exp2().max(0.25)
}

fn compare(table: &Table) -> Result<Vec<Comparison>, TableError> {
    let mut found = Vec::new();
    for row in table.rows() {
        let input = Input::of(row)?;
        let id = row.text("id");
        let fate = collector::fate(input.collector, &input.load);
        let cost = collector::cost(input.collector, &input.load);
        if let Some(measured) = row.optional("pause_s_per_gib")? {
            let predicted = cost.pause_s_per_byte * GIB as f64;
            found.push(Comparison::amount(id, "pause_s_per_gib", measured, predicted));
        }
        if let Some(measured) = row.optional("pause_share_of_wall")? {
            let running = input.running_s_per_byte(&cost);
            let predicted = cost.pause_s_per_byte / (cost.pause_s_per_byte + running);
            found.push(Comparison::share(id, "pause_share_of_wall", measured, predicted));
        }
        let measured = row.one_of("outcome", &OUTCOMES.map(|word| (word, word)))?;
        found.push(Comparison::word(id, "outcome", measured, outcome(fate)));
        if measured != OUTCOMES[0] || fate != HeapFate::Lives {
            found.push(Comparison::word(id, "oom_message", row.text("oom_message"), message(fate)));
        }
    }
    Ok(found)
}

const OUTCOMES: [&str; 3] = ["ok", "oom_while_building", "oom_while_running"];

fn outcome(fate: HeapFate) -> &'static str {
    match fate {
        HeapFate::Lives => OUTCOMES[0],
        HeapFate::DiesFilling(_) => OUTCOMES[1],
        HeapFate::DiesRunning(_) => OUTCOMES[2],
    }
}

fn message(fate: HeapFate) -> &'static str {
    match fate {
        HeapFate::Lives => "",
        HeapFate::DiesFilling(end) | HeapFate::DiesRunning(end) => end.message(),
    }
}

/// Runs of one kind of program at several shares of live data.
struct Series {
    name: String,
    input: Input,
    /// Share of live data, and whether the program lived.
    runs: Vec<(f64, bool)>,
}

/// The share of live data at which programs of one kind begin to die: measured as the middle between the last that lived and
/// the first that died, predicted by trying shares. Kinds of which all rows live or all die say nothing and are left out.
fn ends(table: &Table) -> Result<Vec<Comparison>, TableError> {
    let mut kinds: Vec<Series> = Vec::new();
    for row in table.rows() {
        let names = ["collector", "heap_mb", "object_kind", "turnover_share"].map(|column| row.text(column));
        let name = names.join("/");
        let lived = row.text("outcome") == OUTCOMES[0];
        let share = row.share("live_share")?;
        match kinds.iter_mut().find(|kind| kind.name == name) {
            Some(kind) => kind.runs.push((share, lived)),
            None => kinds.push(Series { name, input: Input::of(row)?, runs: vec![(share, lived)] }),
        }
    }
    let mut found = Vec::new();
    for Series { name, input, runs } in kinds {
        let lived = runs.iter().filter(|run| run.1).map(|run| run.0).fold(f64::NAN, f64::max);
        let died = runs.iter().filter(|run| !run.1).map(|run| run.0).fold(f64::NAN, f64::min);
        if lived < died {
            let middle = f64::midpoint(lived, died);
            found.push(Comparison::share(&name, "live_share_at_death", middle, first_death(&input)));
        }
    }
    Ok(found)
}

/// The least share of live data at which the program dies, to a thousandth.
fn first_death(input: &Input) -> f64 {
    let dies = |share: f64| {
        let mut load = input.load;
        let live = share * load.heap;
        if input.arrays {
            load.live_pages = (live / load.page + 1e-6).floor() * load.page;
        } else {
            load.live_objects = live;
        }
        collector::fate(input.collector, &load) != HeapFate::Lives
    };
    (0..1000).map(|thousandth| f64::from(thousandth) / 1000.0).find(|share| dies(*share)).unwrap_or(1.0)
}
