//! The answer of `why` as text for a terminal: the class and the limit that fell first, the runner-up, the ledger, five
//! lines of time, the changes that clear it, and where time goes where nothing fails. `json` holds the form for scripts.

mod json;

pub use json::json;

use std::fmt::Write as _;

use super::table::{Style, spill_line};
use super::text::{GREEN, Page, RED, count, duration, percent};
use crate::experiment::why::slow::{Floor, Help, SALT_PARTS, SlowDown};
use crate::experiment::why::{Change, Class, Fix, Link, Tried, Useless, Why, is_of_the_host};
use crate::record::{Approach, Fall, Holder, Holding, Limit, ObservedRun, RunRecord};
use crate::units::HumanBytes;

/// Lines of a ledger before the rest is summed up.
const HOLDERS_MAX: usize = 10;
/// Changes that are shown.
const FIXES_MAX: usize = 8;
/// Assumptions that are shown.
const ASSUMPTIONS_MAX: usize = 6;

/// What an answer stands beside: where it came from.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// INPUT, as typed.
    pub input: &'a str,
    /// For a log: how its run ended.
    pub observed: Option<&'a ObservedRun>,
    /// Settings were changed on the command line, so that the run is another one than the log's.
    pub changed: bool,
    /// Memory of the host that the container runs on, bytes, where the scenario names one.
    pub host_memory: Option<u64>,
}

/// The answer as lines of text.
pub fn text(why: &Why, context: &Context<'_>, style: Style) -> String {
    let mut page = Page { text: String::new(), style: Style { width: style.width.max(40), ..style } };
    verdict(&mut page, why);
    observed(&mut page, why, context);
    if let Some(fall) = &why.first {
        limits(&mut page, why, fall, context);
        ledger(&mut page, &why.trial.record, fall);
    } else if let Some(near) = &why.runner_up {
        page.paragraph(&format!("Nearest limit: {}.", near_words(&why.trial.record, near)));
    }
    if why.first.is_some() || why.class != Class::None {
        page.heading("How it came");
        for moment in &why.moments {
            page.entry(&format!("{:>9}  {}", duration(moment.time_ns).to_string(), moment.text));
        }
        fixes(&mut page, why);
    }
    chain(&mut page, why);
    slow(&mut page, why);
    sureness(&mut page, why);
    page.text
}

fn verdict(page: &mut Page, why: &Why) {
    let record = &why.trial.record;
    match why.class {
        Class::None => {
            let lost = record.executors.iter().filter(|executor| executor.removed_ns.is_some()).count();
            let mut text = format!("no limit ends it: {} of jobs", duration(record.wall_ns));
            if record.totals.failed_tasks > 0 || lost > 0 {
                let _ = write!(
                    text,
                    ", though {} and {} on the way",
                    count(record.totals.failed_tasks, "failed task"),
                    count(lost as u64, "lost executor")
                );
            }
            page.verdict("OK", GREEN, &text);
        }
        class => {
            page.verdict(if class == Class::Refused { "REFUSED" } else { "DIES" }, RED, class.words());
            page.paragraph(&record.reason);
        }
    }
}

/// A log's own end beside that of the replay.
fn observed(page: &mut Page, why: &Why, context: &Context<'_>) {
    let Some(observed) = context.observed else { return };
    let simulated = why.trial.record.outcome;
    let verdict = match (context.changed, observed.outcome == simulated) {
        (true, _) => "under other settings than these",
        (false, true) => "as the replay does",
        (false, false) => "unlike the replay: see How sure",
    };
    let reason = observed.reason.lines().next().unwrap_or_default();
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    page.paragraph(&format!("The run of the log ended {}{reason}, {verdict}.", observed.outcome.as_str()));
}

fn executor_name(record: &RunRecord, position: Option<u32>) -> String {
    position
        .and_then(|at| record.executors.get(at as usize))
        .map_or_else(|| "the driver".to_owned(), |executor| format!("executor {}", executor.id))
}

/// Where a limit is.
fn place_of(record: &RunRecord, limit: Limit, executor: Option<u32>) -> String {
    match limit {
        Limit::Host | Limit::Memory => "the host".to_owned(),
        Limit::Disk => {
            let found = executor.and_then(|at| record.executors.get(at as usize));
            found.map_or_else(|| "the host".to_owned(), |executor| format!("host {}", executor.host))
        }
        _ => executor_name(record, executor),
    }
}

fn limit_words(limit: Limit) -> &'static str {
    match limit {
        Limit::Heap => "Java heap",
        Limit::TaskShare => "a task's share of execution memory",
        Limit::Container => "container",
        Limit::ResultSize => "spark.driver.maxResultSize",
        Limit::DriverHeap => "heap of the driver",
        Limit::Host => "memory and swap of the host",
        Limit::Memory => "memory of the host, so that pages go to and fro",
        Limit::Heartbeat => "time without a heartbeat",
        Limit::Disk => "room for Spark's files on the disk",
    }
}

fn near_words(record: &RunRecord, near: &Approach) -> String {
    let place = place_of(record, near.limit, near.executor);
    let size = format!("{} of {}", HumanBytes(near.used), HumanBytes(near.limit_bytes));
    if near.used > near.limit_bytes {
        let over = HumanBytes(near.used - near.limit_bytes);
        return format!("{}, which fell later: {size}, {over} over ({place})", limit_words(near.limit));
    }
    format!("{}, with {} left: {size} ({place})", limit_words(near.limit), HumanBytes(near.headroom()))
}

/// The limit in bytes that fell.
fn fell_first(record: &RunRecord, fall: &Fall) -> String {
    format!(
        "Fell first: {}: {} of {}, {} over ({}{}).",
        limit_words(fall.limit),
        HumanBytes(fall.used),
        HumanBytes(fall.limit_bytes),
        HumanBytes(fall.over()),
        place_of(record, fall.limit, fall.executor),
        match (fall.task_id, fall.stage_id) {
            (Some(task), Some(stage)) => format!(", task {task} of stage {stage}"),
            (None, Some(stage)) => format!(", stage {stage}"),
            _ => String::new(),
        }
    )
}

fn limits(page: &mut Page, why: &Why, fall: &Fall, context: &Context<'_>) {
    let record = &why.trial.record;
    if let Some(silence) = &fall.silence {
        page.paragraph(&format!(
            "Fell first: time without a heartbeat: {} of {}, during a collection of {} ({}).",
            duration(silence.silent_ns),
            duration(silence.timeout_ns),
            duration(silence.pause_ns),
            place_of(record, fall.limit, fall.executor),
        ));
    } else {
        page.paragraph(&fell_first(record, fall));
    }
    match &why.runner_up {
        Some(near) => page.paragraph(&format!("Runner-up: {}.", near_words(record, near))),
        None => page.paragraph("Runner-up: none; nothing else was near a limit in bytes."),
    }
    if let Some(pool) = &fall.pool {
        let tasks = u64::from(pool.active_tasks.max(1));
        page.paragraph(&format!(
            "Share: execution can grow to {}; {} ask for it, so each gets at most {} (1/{tasks}) and waits below {} \
             (1/{}); {} were free.",
            HumanBytes(pool.bytes),
            count(tasks, "task"),
            HumanBytes(pool.bytes / tasks),
            HumanBytes(pool.bytes / tasks / 2),
            tasks * 2,
            HumanBytes(pool.free)
        ));
    }
    if let (Some(size), Limit::Container) = (&why.container, fall.limit) {
        let mut line = format!(
            "Container: {} MiB heap + {} MiB overhead + {} MiB off-heap + {} MiB pyspark = {} MiB",
            size.heap_mib,
            size.overhead_mib,
            size.off_heap_mib,
            size.pyspark_mib,
            size.total_mib()
        );
        if size.total_bytes() != fall.limit_bytes {
            let _ = write!(line, ", granted as {} MiB", fall.limit_bytes >> 20);
        }
        let _ = write!(
            line,
            "; the overhead is {:.2} of the heap",
            size.overhead_mib as f64 / size.heap_mib.max(1) as f64
        );
        if let Some(host) = context.host_memory {
            let _ = write!(line, "; the host has {}, which does not count", HumanBytes(host));
        }
        page.paragraph(&format!("{line}."));
    }
}

/// Holders of one kind, of however many tasks.
struct Group<'a> {
    first: &'a Holder,
    tasks: u64,
    bytes: u64,
}

/// Holders that differ only in their task together, largest first.
fn grouped(holders: &[Holder]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for holder in holders {
        let same = |group: &&mut Group<'_>| {
            let first = group.first;
            (first.holding, &first.name, first.stage_id, first.off_heap)
                == (holder.holding, &holder.name, holder.stage_id, holder.off_heap)
        };
        match groups.iter_mut().find(same) {
            Some(group) => {
                group.bytes += holder.bytes;
                group.tasks += u64::from(holder.task_id.is_some());
            }
            None => groups.push(Group {
                first: holder,
                tasks: u64::from(holder.task_id.is_some()),
                bytes: holder.bytes,
            }),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.bytes));
    groups
}

fn holding_words(holding: Holding) -> &'static str {
    match holding {
        Holding::AtRest => "Spark and the JVM at rest",
        Holding::Execution => "execution memory",
        Holding::Cached => "cached blocks",
        Holding::Broadcast => "broadcast table in the storage pool",
        Holding::Unroll => "unroll memory and other storage",
        Holding::UserHeap => "plain heap that Spark does not count",
        Holding::BroadcastOnHeap => "broadcast table on the plain heap",
        Holding::Garbage => "heap touched, not live: garbage or free",
        Holding::NonHeap => "JVM outside the heap (metaspace, code, threads, buffers)",
        Holding::Python => "Python workers",
        Holding::Results => "serialized results",
        Holding::Collected => "rows collected to the driver",
        Holding::Relation => "hash relation being built, with the array it outgrows",
        Holding::Process => "process, in memory and in swap",
        Holding::SpillFiles => "spill files",
        Holding::ShuffleFiles => "shuffle files",
        Holding::Files => "being written, and other files of Spark",
        Holding::Asked => "asked for, not granted",
    }
}

fn ledger(page: &mut Page, record: &RunRecord, fall: &Fall) {
    let place = place_of(record, fall.limit, fall.executor);
    let tasks = count(u64::from(fall.running_tasks), "running task");
    page.heading(&format!(
        "Who held the {} on {place} at {} ({tasks})",
        HumanBytes(fall.used),
        duration(fall.time_ns)
    ));
    let groups = grouped(&fall.holders);
    for group in groups.iter().take(HOLDERS_MAX) {
        let first = group.first;
        let mut what = holding_words(first.holding).to_owned();
        if first.off_heap {
            what.push_str(", off heap");
        }
        if !first.name.is_empty() {
            let _ = write!(what, ": {}", first.name);
        }
        if group.tasks > 1 {
            let _ = write!(what, ", {} tasks, {} each", group.tasks, HumanBytes(group.bytes / group.tasks));
        } else if let Some(task) = first.task_id {
            let _ = write!(what, ", task {task}");
        }
        if let Some(stage) = first.stage_id {
            let _ = write!(what, " (stage {stage})");
        }
        if first.holding == Holding::Execution && first.stays {
            what.push_str("; cannot spill");
        }
        page.entry(&format!(
            "{:>10}  {:>4}  {what}",
            HumanBytes(group.bytes).to_string(),
            percent(group.bytes, fall.used)
        ));
    }
    let rest: u64 = groups.iter().skip(HOLDERS_MAX).map(|group| group.bytes).sum();
    if rest > 0 {
        let number = groups.len() - HOLDERS_MAX;
        page.entry(&format!(
            "{:>10}  {:>4}  {number} others",
            HumanBytes(rest).to_string(),
            percent(rest, fall.used)
        ));
    }
}

fn words(changes: &[Change]) -> String {
    let words: Vec<String> =
        changes.iter().map(|change| format!("{}={}", change.key, change.value)).collect();
    words.join(" ")
}

/// What a change costs in memory; nothing where it is a change of the host.
fn memory_words(why: &Why, tried: &Tried) -> String {
    if is_of_the_host(&tried.changes) {
        return String::new();
    }
    format!(", {}", memory_change(why.trial.reserved_bytes, tried.trial.reserved_bytes))
}

fn memory_change(before: u64, after: u64) -> String {
    match after.cmp(&before) {
        std::cmp::Ordering::Greater => format!("{} more memory in all", HumanBytes(after - before)),
        std::cmp::Ordering::Less => format!("{} less memory in all", HumanBytes(before - after)),
        std::cmp::Ordering::Equal => "no more memory".to_owned(),
    }
}

fn fixes(page: &mut Page, why: &Why) {
    if why.fixes.is_empty() && why.useless.is_empty() {
        return;
    }
    page.heading("What clears it (each line was run)");
    for (number, fix) in why.fixes.iter().take(FIXES_MAX).enumerate() {
        page.entry(&format!("{}. {}", number + 1, fix_line(why, fix)));
    }
    page.rest(why.fixes.len(), FIXES_MAX, "--json");
    if why.fixes.is_empty() {
        page.entry("Nothing that was tried.");
    }
    if let Some(line) = useless_line(&why.useless) {
        page.entry(&line);
    }
    let partitions = why.useless.iter().any(|lever| lever.key == "spark.sql.shuffle.partitions");
    if let (Some(share), true) = (why.hot_share, partitions) {
        page.entry(&format!(
            "One key has {:.0} % of the rows that the stage reads: no number of partitions splits a key.",
            share * 100.0
        ));
    }
}

fn fix_line(why: &Why, fix: &Fix) -> String {
    let trial = &fix.tried.trial;
    let mut line = format!("{} (now {}): ", words(&fix.tried.changes), fix.from);
    if fix.class == Class::None {
        let _ = write!(
            line,
            "{}, jobs take {}{}",
            if trial.is_clean() {
                "ends well"
            } else {
                "gets through, though it still loses tasks or executors"
            },
            duration(trial.record.wall_ns),
            memory_words(why, &fix.tried)
        );
    } else {
        let _ = write!(line, "then dies of another limit, {}", fix.class.words());
    }
    if let Some((changes, class)) = &fix.below {
        let values: Vec<&str> = changes.iter().map(|change| change.value.as_str()).collect();
        let end = if *class == Class::None { "loses tasks or executors" } else { "still dies" };
        let _ = write!(line, "; {} {end}", values.join(" "));
    }
    line
}

fn useless_line(useless: &[Useless]) -> Option<String> {
    let tried = useless.iter().filter(|lever| !lever.changes.is_empty());
    let tried: Vec<String> = tried.map(|lever| words(&lever.changes)).collect();
    (!tried.is_empty()).then(|| format!("No help, as far as: {}", tried.join("; ")))
}

fn chain(page: &mut Page, why: &Why) {
    if why.chain.is_empty() {
        return;
    }
    page.heading("Failures to come, until clean");
    for (number, link) in why.chain.iter().enumerate() {
        page.entry(&format!("{}. {}", number + 1, link_line(link)));
    }
    let found = why.chain.iter().all(|link| !link.changes.is_empty());
    let mut all: Vec<&Change> = Vec::new();
    for change in why.chain.iter().flat_map(|link| &link.changes) {
        all.retain(|known| known.key != change.key);
        all.push(change);
    }
    if found {
        let flags: Vec<String> =
            all.iter().map(|change| format!("--conf {}={}", change.key, change.value)).collect();
        page.entry(&format!("Clean with: {}", flags.join(" ")));
    } else {
        page.entry("No setting that acts on the last one clears it.");
    }
}

fn link_line(link: &Link) -> String {
    let over = link.fall.as_ref().map_or_else(String::new, |fall| {
        format!(", {} over {}", HumanBytes(fall.over()), HumanBytes(fall.limit_bytes))
    });
    let change = if link.changes.is_empty() { "nothing clears it".to_owned() } else { words(&link.changes) };
    format!("{}{over}: {change}", link.class.words())
}

fn slow(page: &mut Page, why: &Why) {
    if why.class != Class::None || !why.trial.is_clean() {
        return;
    }
    page.heading("Where time goes, and what helps (each change was run)");
    if why.slow.is_empty() {
        page.entry("Nothing stands out: no cause takes 1 % of task time.");
    }
    for (number, slow) in why.slow.iter().enumerate() {
        page.entry(&format!("{}. {}", number + 1, slow.text));
        if slow.kind == "spill" {
            spilled(page, &why.trial.record);
        }
        if let Some(floor) = &slow.floor {
            page.entry(&format!("  Floor: {}", floor_line(floor, why)));
        }
        for help in &slow.helps {
            page.entry(&format!("  - {}", help_line(why, slow, help)));
        }
        if let Some(line) = useless_line(&slow.useless) {
            page.entry(&format!("  {line}"));
        }
    }
}

fn spilled(page: &mut Page, record: &RunRecord) {
    for stage in record.stages.iter().filter(|stage| stage.metrics.memory_bytes_spilled > 0) {
        page.entry(&format!("  stage {}: {}", stage.stage_id, spill_line(stage)));
    }
}

fn help_line(why: &Why, slow: &SlowDown, help: &Help) -> String {
    let (before, after) = (why.trial.record.wall_ns, help.tried.trial.record.wall_ns);
    let what = match (slow.kind, help.ends) {
        ("spill", true) => "no spill any more",
        ("spill", false) => "less time, though it still spills",
        (_, true) => "at most a tenth of it is left",
        (_, false) => "less time, though more than a tenth of it is left",
    };
    let mut line = format!(
        "{} (now {}): {what}; jobs take {} ({}){}",
        words(&help.tried.changes),
        help.from,
        duration(after),
        compared(before, after),
        memory_words(why, &help.tried)
    );
    if let Some(below) = &help.below {
        let values: Vec<&str> = below.iter().map(|change| change.value.as_str()).collect();
        let _ = write!(line, "; not yet at {}", values.join(" "));
    }
    line
}

fn compared(before: u64, after: u64) -> String {
    let change = (after as f64 / before.max(1) as f64 - 1.0) * 100.0;
    if change.abs() < 0.5 { "as long as now".to_owned() } else { format!("{change:+.0} %") }
}

fn floor_line(floor: &Floor, why: &Why) -> String {
    let mut line = format!("stage {}: its longest task takes {}", floor.stage_id, duration(floor.longest_ns));
    if let Some(share) = floor.hot_share {
        let bound = (floor.work_ns as f64 * share) as u64;
        let _ = write!(
            line,
            "; the hottest key has {:.0} % of the rows that it reads, {} of its {} of work, and no number of partitions \
             splits a key",
            share * 100.0,
            duration(bound),
            duration(floor.work_ns)
        );
    }
    if let Some((longest, partitions)) = floor.most_partitions {
        let _ = write!(line, "; with {partitions} partitions the longest takes {}", duration(longest));
    }
    if let Some(wall) = floor.salted_wall_ns {
        let _ = write!(
            line,
            "; salted into {SALT_PARTS} parts a hot key, jobs take {} ({}), without what copying the other side or \
             adding up the parts costs",
            duration(wall),
            compared(why.trial.record.wall_ns, wall)
        );
    }
    line
}

fn sureness(page: &mut Page, why: &Why) {
    page.heading("How sure");
    let grade = match why.class {
        Class::SparkOutOfMemory => {
            "the limit and the shares are exact (Spark's arithmetic), what the operators ask for is mechanistic"
        }
        Class::Heartbeat => {
            "the rule is Spark's; how long a collection takes is calibrated on heaps up to 2 GiB and two collector threads, \
             and a larger machine collects faster"
        }
        Class::DriverResult => "the limit is exact; the size of a result is the log's or the scenario's",
        Class::None => "times are calibrated (fitted to measured runs), spills and evictions mechanistic",
        _ => {
            "the limit is exact, execution and storage are mechanistic; heap and process memory that Spark does not count \
             are calibrated, so that a limit passed by less than a tenth may hold in a real run"
        }
    };
    page.entry(&format!("{grade}; {} behind this page.", count(u64::from(why.runs), "run")));
    let confidence = &why.trial.record.confidence;
    for line in &confidence.replay {
        page.entry(&format!("Replay of the log: {line}"));
    }
    for line in confidence.assumed.iter().take(ASSUMPTIONS_MAX) {
        page.entry(&format!("Assumed: {line}"));
    }
    page.rest(confidence.assumed.len(), ASSUMPTIONS_MAX, "--json");
}
