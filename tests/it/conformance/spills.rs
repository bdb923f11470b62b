//! Collections that spill by an estimated size (`ExternalAppendOnlyMap`, `PartitionedPairBuffer`,
//! `PartitionedAppendOnlyMap`).
//!
//! Predicted: at which records a collection looks at its size, how much it asks for and is given, when it spills and what
//! it gives back. Input: the estimated size of that moment, which Spark's sampling decides; the trace shows it in what
//! was reserved or spilled, and it has to lie within a factor of [`MARGIN`] of the size that the model finds. Where the
//! trace shows no change the model's size may not be so large that there had to be one.

use spillcast::memory::operators::{GroupCurve, OperatorSpec, SpillLimits};

use super::operators::{Case, Check, Run};
use super::trace::{LineResult, Op};

/// Bytes of a boxed key, and of a tuple of partition and key, beside a value of known size.
const KEY_BYTES: u64 = 16;
const PARTITIONED_KEY_BYTES: u64 = 40;
/// Records between two looks at the size (SPILL-1).
const CHECK_EVERY: u64 = 32;
/// Between model and estimate, as a fraction.
const MARGIN: (u64, u64) = (3, 2);

/// Whether a size is possible where the model finds another.
fn is_near(size: u64, model: u64) -> bool {
    size * MARGIN.1 <= model * MARGIN.0 && model * MARGIN.1 <= size * MARGIN.0
}

/// The estimates of a partitioned collection as it grows.
pub(crate) fn replay_estimates(case: &Case, check: &mut Check<'_>) -> LineResult<()> {
    let header = case.header();
    let is_map = header.text("class")? == "PartitionedAppendOnlyMap";
    let entry_bytes = PARTITIONED_KEY_BYTES + header.number("valueKnownSize")?;
    for (number, line) in &case.lines {
        check.line = *number;
        let records = Op(line).number("n")?;
        let expected = Op(line).number("estimate")?;
        let spec = OperatorSpec::ExternalSorter {
            entry_bytes,
            serialized_bytes: 0,
            map_side_combine: is_map.then(|| GroupCurve::even(records, records)),
            writes_shuffle: true,
            initial_memory_threshold: 1 << 50,
            limits: SpillLimits::default(),
        };
        let mut run = Run::new(&header, spec)?;
        run.at_once(records);
        let (found, _) = run.finish();
        if !is_near(expected, found) {
            check.differ("estimate, within a factor of 1.5", expected.to_string(), found.to_string());
        }
    }
    Ok(())
}

/// An `ExternalAppendOnlyMap` between two spills, followed by the rules.
struct Follower {
    initial: u64,
    threshold: u64,
    max_heap: u64,
    /// The record at which records were last counted from 0.
    first: u64,
    spills: u64,
    spilled: u64,
    entry_bytes: u64,
    records: u64,
    keys: GroupCurve,
}

impl Follower {
    /// The size that the model finds when the record of this number comes in.
    fn model(&self, header: &Op<'_>, record: u64) -> LineResult<u64> {
        let spec = OperatorSpec::ExternalAppendOnlyMap {
            entry_bytes: self.entry_bytes,
            serialized_bytes: 0,
            keys: self.keys.clone(),
            initial_memory_threshold: 1 << 50,
            limits: SpillLimits::default(),
        };
        let mut run = Run::new(header, spec)?;
        // The last record of a map is not in its peak.
        run.at_once(record + 1 - self.first);
        Ok(run.finish().0)
    }

    fn held(&self) -> u64 {
        self.threshold - self.initial
    }

    /// No change until record `end`: the last look before it may not have found the threshold surely exceeded.
    fn expect_rest(&self, header: &Op<'_>, end: u64, check: &mut Check<'_>) -> LineResult<()> {
        let Some(rest) = end.checked_sub(self.first + 1) else { return Ok(()) };
        let last_look = self.first + rest / CHECK_EVERY * CHECK_EVERY;
        let size = self.model(header, last_look)?;
        if size * MARGIN.1 >= self.threshold * MARGIN.0 {
            check.differ("mem", format!("no change up to record {end}"), format!("a request at size {size}"));
        }
        Ok(())
    }

    /// One change of memory, or a spill.
    fn follow(&mut self, header: &Op<'_>, op: &Op<'_>, check: &mut Check<'_>) -> LineResult<()> {
        let (n, mem) = (op.number("n")?, op.number("mem")?);
        let spilled = if op.0.contains_key("spilled") { op.number("spilled")? } else { 0 };
        self.expect_rest(header, n, check)?;
        check.compare("record of the look, modulo 32", &0, &(n.saturating_sub(self.first) % CHECK_EVERY));
        let free = self.max_heap - self.held();
        // What was reserved says how large the map was found; if it spilled, the spill says so.
        let size = match spilled {
            0 if mem < self.max_heap => u64::midpoint(mem, self.initial),
            0 => self.model(header, n)?.clamp(self.threshold, self.threshold + free - 1),
            spilled => spilled,
        };
        let model = self.model(header, n)?;
        if !is_near(size, model) {
            check.differ("size, within a factor of 1.5", size.to_string(), model.to_string());
        }
        if size < self.threshold {
            check.differ("size", format!("{size}, with a request"), format!("none below {}", self.threshold));
            return Ok(());
        }
        let granted = (2 * size - self.threshold).min(free);
        self.threshold += granted;
        if size >= self.threshold {
            check.compare("spilled", &spilled, &size);
            self.threshold = self.initial;
            self.first = n;
            self.spills += 1;
            self.spilled += size;
        } else {
            check.compare("spilled", &spilled, &0);
        }
        check.compare("mem", &mem, &self.held());
        Ok(())
    }
}

/// An `ExternalAppendOnlyMap` that others do not disturb.
pub(crate) fn replay_append_only_map(case: &Case, check: &mut Check<'_>) -> LineResult<()> {
    let header = case.header();
    let records = header.number("records")?;
    let initial = header.number("initialMemoryThreshold")?;
    let mut map = Follower {
        initial,
        threshold: initial,
        max_heap: header.number("maxHeap")?,
        first: 1,
        spills: 0,
        spilled: 0,
        entry_bytes: KEY_BYTES + header.number("valueKnownSize")?,
        records,
        keys: GroupCurve::even(records, header.number("distinctKeys")?),
    };
    let mut ended = false;
    for (number, line) in &case.lines {
        check.line = *number;
        let op = Op(line);
        if ended {
            return Err("a line after the end of the case".to_owned());
        }
        if line.contains_key("end") {
            ended = true;
            map.expect_rest(&header, map.records, check)?;
            check.compare("end", &op.text("end")?, &"all");
            check.compare("n", &op.number("n")?, &map.records);
            check.compare("mem", &op.number("mem")?, &map.held());
            check.compare("spills", &op.number("spills")?, &map.spills);
            check.compare("spilledMemory", &op.number("spilledMemory")?, &map.spilled);
        } else if op.number("n")? == 0 {
            check.compare("mem", &op.number("mem")?, &0);
        } else {
            map.follow(&header, &op, check)?;
        }
    }
    if ended { Ok(()) } else { Err("the case has no end".to_owned()) }
}
