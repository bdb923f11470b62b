//! `ObjectHashAggregateExec` of Spark 4.1.4: groups in a plain Java map, unaccounted, until there are too many; then the
//! groups go to one key-value sorter and every later row to another (AGG-8).
//!
//! The dumped groups are read while the rows are sorted, so the second sorter's requests can spill the first. Neither
//! shows in the task's peak: the operator does not report one. The two are merged without a map.

use super::unsafe_external_sorter::{SorterShape, UnsafeExternalSorter};
use super::{
    Allocation, ConsumerId, Context, GroupCurve, MemoryOperator, Progress, SORT_INITIAL_RECORDS, SpillLimits,
};

/// How an aggregation is set up.
#[derive(Clone, Debug)]
pub(super) struct ObjectAggregationShape {
    pub groups: GroupCurve,
    pub group_bytes: u64,
    pub row_bytes: u64,
    pub radix: bool,
    pub fallback_threshold: u64,
    pub limits: SpillLimits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Groups are in the Java map.
    Map,
    /// The sorter of the groups is opened and filled.
    DumpOpen,
    DumpFill,
    /// The sorter of the rows is opened and filled.
    RowsOpen,
    Rows,
}

/// State of one aggregation.
#[derive(Debug)]
pub(super) struct ObjectHashAggregation {
    groups_consumer: ConsumerId,
    shape: ObjectAggregationShape,
    stage: Stage,
    groups: UnsafeExternalSorter,
    rows: UnsafeExternalSorter,
    map_rows: u64,
    todo: u64,
}

impl ObjectHashAggregation {
    pub(super) fn new(
        groups_consumer: ConsumerId,
        rows_consumer: ConsumerId,
        shape: ObjectAggregationShape,
    ) -> Self {
        let sorter = |consumer, record_bytes| {
            let shape = SorterShape {
                record_bytes,
                key_value: true,
                radix: shape.radix,
                initial_records: SORT_INITIAL_RECORDS,
                limits: shape.limits,
                spillable_output: true,
            };
            UnsafeExternalSorter::new(consumer, shape)
        };
        Self {
            groups_consumer,
            stage: Stage::Map,
            groups: sorter(groups_consumer, shape.group_bytes),
            rows: sorter(rows_consumer, shape.row_bytes),
            map_rows: 0,
            todo: 0,
            shape,
        }
    }

    /// Rows after which the map is dumped, counted from the start (AGG-8).
    fn rows_of_dump(&self) -> u64 {
        self.shape.groups.rows(self.shape.fallback_threshold).unwrap_or(u64::MAX)
    }
}

impl MemoryOperator for ObjectHashAggregation {
    fn open(&mut self) {}

    fn insert(&mut self, records: u64) {
        self.todo += records;
    }

    fn finish_input(&mut self) {
        if self.stage == Stage::Rows {
            self.rows.finish_input();
        }
    }

    fn advance(&mut self, mut answer: Option<Allocation>, context: &mut Context<'_>) -> Progress {
        loop {
            let sorter = match self.stage {
                Stage::Map => None,
                Stage::DumpOpen | Stage::DumpFill => Some(&mut self.groups),
                Stage::RowsOpen | Stage::Rows => Some(&mut self.rows),
            };
            if let Some(sorter) = sorter {
                match sorter.advance(answer.take(), context) {
                    Progress::Done => {}
                    other => return other,
                }
            }
            match self.stage {
                Stage::Map => {
                    let rows = self.todo.min(self.rows_of_dump() - self.map_rows);
                    self.map_rows += rows;
                    self.todo -= rows;
                    if self.map_rows < self.rows_of_dump() {
                        return Progress::Done;
                    }
                    self.groups.open();
                    self.stage = Stage::DumpOpen;
                }
                Stage::DumpOpen => {
                    self.groups.insert(self.shape.groups.groups(self.map_rows));
                    self.stage = Stage::DumpFill;
                }
                Stage::DumpFill => {
                    self.groups.finish_input();
                    self.rows.open();
                    self.stage = Stage::RowsOpen;
                }
                Stage::RowsOpen => self.stage = Stage::Rows,
                Stage::Rows if self.todo > 0 => self.rows.insert(std::mem::take(&mut self.todo)),
                Stage::Rows => return Progress::Done,
            }
        }
    }

    fn spill(&mut self, consumer: ConsumerId, ask: u64, by_itself: bool, context: &mut Context<'_>) -> u64 {
        let sorter = if consumer == self.groups_consumer { &mut self.groups } else { &mut self.rows };
        sorter.spill(consumer, ask, by_itself, context)
    }

    fn records_until_request(&self, least: u64) -> u64 {
        match self.stage {
            Stage::Map if self.rows_of_dump() == u64::MAX => u64::MAX,
            Stage::Map => (self.rows_of_dump() - self.map_rows).saturating_sub(1),
            _ => self.rows.records_until_request(least),
        }
    }

    fn drain(&mut self, records: u64, context: &mut Context<'_>) {
        if self.stage == Stage::Rows {
            // What comes out are groups, what is read are both sorters, in step.
            self.groups.drain(records, context);
            self.rows.drain(records, context);
        }
    }

    fn close(&mut self, context: &mut Context<'_>) {
        self.groups.close(context);
        self.rows.close(context);
    }

    fn peak(&self) -> u64 {
        0
    }
}
