//! The time line of a failure in five lines: what ran, when memory first ran short, when the limit fell, what was lost, how
//! it ended.

use crate::record::{EventKind, EventRecord, Fall, Limit, RunRecord, TaskRecord};
use crate::units::{HumanBytes, HumanDuration, SimDuration, SimTime};

/// Most lines of a time line.
const MOMENTS_MAX: usize = 5;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, ns since the start.
    pub time_ns: u64,
    /// What, in one line.
    pub text: String,
}

/// The moments worth telling, in the order of time.
pub(super) fn of(record: &RunRecord) -> Vec<Moment> {
    let fall = record.falls.first();
    let until = fall.map_or(record.app_ns, |fall| fall.time_ns);
    let mut moments: Vec<(u8, Moment)> = Vec::new();
    let mut add = |rank: u8, time_ns: u64, text: String| moments.push((rank, Moment { time_ns, text }));

    let stage =
        fall.and_then(|fall| record.stages.iter().find(|stage| Some(stage.stage_id) == fall.stage_id));
    if let Some(stage) = stage.or(record.stages.last()) {
        add(1, stage.submitted_ns, format!("stage {} starts: {}", stage.stage_id, stage.label()));
    }
    let short = [
        (EventKind::Evict, "the first cached block is evicted"),
        (EventKind::DropToDisk, "the first cached block goes to disk"),
        (EventKind::PutRefused, "the first block is refused by the cache"),
        (EventKind::Wait, "the first task waits for execution memory"),
        (EventKind::Spill, "the first spill"),
    ];
    let first = short
        .into_iter()
        .filter_map(|(kind, text)| {
            let event = record.events.iter().find(|event| event.kind == kind && event.time_ns <= until)?;
            Some((event, text))
        })
        .min_by_key(|(event, _)| event.time_ns);
    if let Some((event, text)) = first {
        add(3, event.time_ns, format!("{text}{}", told(event)));
    }
    if let Some(pause) = record.events.iter().find(|event| event.kind == EventKind::LongPause) {
        let executor = name(record, pause.executor);
        add(2, pause.time_ns, format!("executor {executor} stops for {}", pause.detail));
    }
    if let Some(fall) = fall {
        if let Some((time, used)) = half_gone(record, fall) {
            let text = format!(
                "half of what was left is gone: {} of {} in use on executor {}",
                HumanBytes(used),
                HumanBytes(fall.limit_bytes),
                name(record, fall.executor)
            );
            add(4, time, text);
        }
        add(0, fall.time_ns, fallen(record, fall));
    }
    let lost: Vec<&EventRecord> =
        record.events.iter().filter(|event| event.kind == EventKind::ExecutorLost).collect();
    match lost.as_slice() {
        [] => {}
        [only] => add(2, only.time_ns, format!("executor {} is lost", name(record, only.executor))),
        [first, .., last] => {
            let text =
                format!("executor {} is lost, the first of {}", name(record, first.executor), lost.len());
            add(3, first.time_ns, text);
            add(2, last.time_ns, format!("executor {} is lost, the last", name(record, last.executor)));
        }
    }
    if let Some((time, text)) = fall.and_then(|fall| crowded(record, fall)) {
        add(4, time, text);
    }
    if let Some((time, text)) = fall.and_then(|fall| half_the_results(record, fall)) {
        add(3, time, text);
    }
    if let Some(point) = record.host_timeline.iter().find(|point| point.swapped_bytes > 0) {
        add(3, point.time_ns, format!("the first pages go to swap: of {}", point.process));
    }
    if let Some(first) = record.executors.first() {
        let number = record.executors.iter().filter(|executor| executor.added_ns == first.added_ns).count();
        let noun = if number == 1 { "executor starts" } else { "executors start" };
        let each = match (number, first.cores) {
            (_, 1) => "one task at a time".to_owned(),
            (1, cores) => format!("{cores} tasks at once"),
            (_, cores) => format!("{cores} tasks at once each"),
        };
        add(5, first.added_ns, format!("{number} {noun}, {each}"));
    }
    let failed: Vec<&EventRecord> =
        record.events.iter().filter(|event| event.kind == EventKind::TaskFailed).collect();
    if failed.len() > 1 && lost.is_empty() {
        let last = failed[failed.len() - 1];
        let task = last.task_id.map_or_else(String::new, |id| format!("task {id} "));
        add(2, last.time_ns, format!("{task}fails, the last of {} attempts that fail", failed.len()));
    }
    if let Some(kill) = record.events.iter().find(|event| event.kind == EventKind::Kill) {
        add(2, kill.time_ns, kill.detail.clone());
    }
    let end = if record.events.iter().any(|event| event.kind == EventKind::Abort) {
        format!("the application ends: {}", record.outcome.as_str())
    } else {
        "the last job ends".to_owned()
    };
    add(0, record.app_ns, end);

    let mut ranked: Vec<(u8, usize)> =
        moments.iter().enumerate().map(|(at, (rank, _))| (*rank, at)).collect();
    ranked.sort_unstable();
    ranked.truncate(MOMENTS_MAX);
    ranked.sort_unstable_by_key(|(_, at)| *at);
    let mut told: Vec<Moment> = ranked.into_iter().map(|(_, at)| moments[at].1.clone()).collect();
    // Of one time, in the order in which they were noted: the end comes last.
    told.sort_by_key(|moment| moment.time_ns);
    told
}

/// Size and place of an event.
fn told(event: &EventRecord) -> String {
    let size = if event.bytes > 0 { format!(", {}", HumanBytes(event.bytes)) } else { String::new() };
    let task = event.task_id.map_or_else(String::new, |id| format!(", task {id}"));
    let detail = if event.detail.is_empty() { String::new() } else { format!(" ({})", event.detail) };
    format!("{size}{task}{detail}")
}

fn fallen(record: &RunRecord, fall: &Fall) -> String {
    if let Some(silence) = &fall.silence {
        return format!(
            "the driver gives up executor {}, silent for {}",
            name(record, fall.executor),
            HumanDuration(SimDuration(silence.silent_ns))
        );
    }
    if fall.limit == Limit::Memory {
        return format!(
            "tasks have stood nearly still for too long: processes want {}, the host has {}",
            HumanBytes(fall.used),
            HumanBytes(fall.limit_bytes)
        );
    }
    let place = match (fall.task_id, fall.executor) {
        (Some(task), executor) => format!("task {task} on executor {}", name(record, executor)),
        (None, _) if fall.limit == Limit::Host => "what processes want".to_owned(),
        (None, _) => "the driver".to_owned(),
    };
    format!(
        "{place} passes the limit: {} of {}, {} over",
        HumanBytes(fall.used),
        HumanBytes(fall.limit_bytes),
        HumanBytes(fall.over())
    )
}

/// Id of an executor.
fn name(record: &RunRecord, position: Option<u32>) -> &str {
    let found = position.and_then(|at| record.executors.get(at as usize));
    found.map_or("driver", |executor| executor.id.as_str())
}

/// When as many tasks ran side by side on the executor as at the moment of the fall.
fn crowded(record: &RunRecord, fall: &Fall) -> Option<(u64, String)> {
    let executor = fall.executor?;
    let here = |task: &&TaskRecord| {
        task.executor == executor && task.launch_ns <= fall.time_ns && task.finish_ns >= fall.time_ns
    };
    let last = record.tasks.iter().filter(here).map(|task| task.launch_ns).max()?;
    let text = match fall.running_tasks {
        0 | 1 => format!("the task on executor {} starts", name(record, fall.executor)),
        tasks => format!("{tasks} tasks run side by side on executor {}", name(record, fall.executor)),
    };
    (last < fall.time_ns).then_some((last, text))
}

/// When half of the results that passed the limit were there.
fn half_the_results(record: &RunRecord, fall: &Fall) -> Option<(u64, String)> {
    if fall.limit != Limit::ResultSize {
        return None;
    }
    let results = record.tasks.iter().filter(|task| Some(task.stage_id) == fall.stage_id);
    let mut ends: Vec<(u64, u64)> = results.map(|task| (task.finish_ns, task.metrics.result_bytes)).collect();
    ends.sort_unstable();
    let mut sum = 0;
    let (time, _) = ends.into_iter().find(|(_, bytes)| {
        sum += bytes;
        sum * 2 >= fall.limit_bytes
    })?;
    Some((time, format!("{} of results have come in", HumanBytes(sum))))
}

/// When the live heap of the executor last rose past the middle between its start and the limit, and what it was then.
fn half_gone(record: &RunRecord, fall: &Fall) -> Option<(u64, u64)> {
    let points: Vec<(SimTime, u64)> = record
        .timeline
        .iter()
        .filter(|point| Some(point.executor) == fall.executor && point.time_ns < fall.time_ns)
        .map(|point| {
            let used = point.reserved + point.user_memory + point.on_heap_execution + point.on_heap_storage;
            (SimTime(point.time_ns), used)
        })
        .collect();
    if fall.limit != Limit::Heap {
        return None;
    }
    let start = points.first()?.1;
    let middle = start + fall.limit_bytes.saturating_sub(start) / 2;
    let last_below = points.iter().rposition(|(_, used)| *used < middle)?;
    points.get(last_below + 1).map(|(time, used)| (time.0, *used))
}
