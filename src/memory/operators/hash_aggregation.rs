//! `HashAggregateExec` with grouping keys in Spark 4.1.4: a hash map of aggregation buffers that turns into sorted spill
//! files when it cannot take another group.
//!
//! Models the map, the fast map in front of it (AGG-7), the fallback with its final spill (AGG-4) and the peak it
//! reports, in which the fast map's page is not counted. Once sorted, all data are in files: the merge holds no execution
//! memory. The spilled map's index array serves as the pointer array of the sort; it is always large enough, since every
//! entry is a key of its own and a map refuses at half its slots.

use super::bytes_to_bytes_map::BytesToBytesMap;
use super::fast_map::FastMap;
use super::{
    AGGREGATION_INITIAL_CAPACITY, Allocation, ConsumerId, Context, GroupCurve, Held, MemoryOperator,
    OutOfMemoryCondition, Progress, Request, SparkOutOfMemory, Spill,
};
use crate::units::share_of;

/// Record count, and per record length, key prefix and key length in a spill file (SORT-7).
const FILE_HEADER_BYTES: u64 = 4;
const FILE_RECORD_HEADER_BYTES: u64 = 16;

/// How an aggregation is set up.
#[derive(Clone, Debug)]
pub(super) struct AggregationShape {
    pub groups: GroupCurve,
    pub key_value_bytes: u64,
    pub fast_map_row_bytes: Option<u64>,
    pub dense_keys: bool,
    pub page_size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The page of the fast map.
    FastMap,
    /// The map does what it was told.
    Map,
    /// The map was spilled and allocates its first array again.
    Reset,
    /// The same after the input ended; then the map is freed.
    FinalReset,
    /// Between two instructions.
    Idle,
}

/// What the fast map had taken when the map behind it was first spilled; it keeps its groups.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Groups in it.
    taken: u64,
    /// Groups that had come by when it took its last.
    among: u64,
    /// Rows that had come by then.
    rows: u64,
}

/// State of one aggregation.
#[derive(Debug)]
pub(super) struct HashAggregation {
    consumer: ConsumerId,
    fast_consumer: ConsumerId,
    shape: AggregationShape,
    stage: Stage,
    map: BytesToBytesMap,
    /// The fast map and its page, if it has one.
    fast: Option<(FastMap, Held)>,
    /// Since the first spill, what the fast map keeps.
    kept: Option<Kept>,
    /// Rows since the map was last empty.
    window_rows: u64,
    /// Whether the next row brings a group that an emptied map has to take.
    retrying: bool,
    todo: u64,
    finishing: bool,
    spilled: bool,
    /// Groups not yet handed out.
    output: Option<u64>,
    fast_output: u64,
    reported_peak: Option<u64>,
}

impl HashAggregation {
    pub(super) fn new(consumer: ConsumerId, fast_consumer: ConsumerId, shape: AggregationShape) -> Self {
        let map = BytesToBytesMap::new(consumer, AGGREGATION_INITIAL_CAPACITY, shape.key_value_bytes);
        Self {
            consumer,
            fast_consumer,
            shape,
            stage: Stage::Idle,
            map,
            fast: None,
            kept: None,
            window_rows: 0,
            retrying: false,
            todo: 0,
            finishing: false,
            spilled: false,
            output: None,
            fast_output: 0,
            reported_peak: None,
        }
    }

    /// Groups that the fast map took when so many had come by.
    fn fast_groups(&self, groups: u64) -> u64 {
        self.fast.map_or(0, |(map, _)| map.groups(groups))
    }

    /// Groups in the map after so many rows since it was empty. The groups in the fast map stay there across spills.
    fn map_groups(&self, rows: u64) -> u64 {
        let groups = self.shape.groups.groups(rows);
        let in_fast =
            self.kept.map_or_else(|| self.fast_groups(groups), |kept| self.come_again(kept, rows, groups));
        let groups = groups - in_fast;
        if self.retrying && rows > 0 { groups.max(1) } else { groups }
    }

    /// How many of the groups in the fast map are among the `groups` of so many rows: of the rows that filled it and of
    /// these together, so many groups fewer are new than of each by itself.
    fn come_again(&self, kept: Kept, rows: u64, groups: u64) -> u64 {
        let both = self.shape.groups.groups(kept.rows + rows);
        let again = (kept.among + groups).saturating_sub(both).min(groups).min(kept.among);
        share_of(kept.taken, again, kept.among.max(1))
    }

    /// Fewest rows since the map was empty that put `groups` into it; `u64::MAX` if there are never so many.
    fn rows_of_map_groups(&self, groups: u64) -> u64 {
        if groups == 0 {
            return 0;
        }
        if self.retrying && groups == 1 {
            return 1;
        }
        if self.kept.is_none() {
            let groups = self.fast.map_or(groups, |(map, _)| map.groups_that_leave(groups));
            return self.shape.groups.rows(groups).unwrap_or(u64::MAX);
        }
        // Groups in the map never shrink as rows come: search by halving.
        let (mut low, mut high) = (groups, self.shape.groups.end().0.max(groups));
        if self.map_groups(high) < groups {
            return u64::MAX;
        }
        while low < high {
            let middle = low.midpoint(high);
            if self.map_groups(middle) >= groups {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// Turns the map into a sorted file (AGG-3). Peak and total are the map's at this moment.
    fn spill_map(&mut self, context: &mut Context<'_>) {
        let records = self.map.values();
        context.spills.push(Spill {
            memory_bytes: self.map.total_bytes(),
            records,
            serialized_bytes: if records == 0 {
                0
            } else {
                FILE_HEADER_BYTES + records * (FILE_RECORD_HEADER_BYTES + self.shape.key_value_bytes)
            },
        });
        self.map.reset(context);
        self.spilled = true;
    }

    /// The map could not take the next group: everything in it goes to disk and the row is tried again.
    fn fall_back(&mut self, context: &mut Context<'_>) -> Option<SparkOutOfMemory> {
        let refused = self.map.values() + 1;
        if refused == 1 && self.retrying {
            return Some(SparkOutOfMemory::without_request(OutOfMemoryCondition::AggregateOutOfMemory));
        }
        let rows_done = self.rows_of_map_groups(refused) - 1;
        self.todo += self.window_rows - rows_done;
        if self.kept.is_none() {
            self.kept = self.fast.map(|(map, _)| {
                let among = map.full_after().min(self.shape.groups.groups(rows_done));
                let rows = self.shape.groups.rows(among).unwrap_or(rows_done);
                Kept { taken: map.groups(among), among, rows }
            });
        }
        self.map.forget_todo();
        self.spill_map(context);
        self.window_rows = 0;
        self.retrying = true;
        self.stage = Stage::Reset;
        None
    }

    fn take_fast_page(&mut self, answer: Allocation) {
        // Without its page the fast map takes nothing: the shortage is only logged.
        if let (Allocation::Page { page, size }, Some(row)) = (answer, self.shape.fast_map_row_bytes) {
            self.fast = Some((FastMap::new(size, row, self.shape.dense_keys), Held { page, bytes: size }));
        }
        self.stage = Stage::Map;
    }

    fn end_input(&mut self, context: &mut Context<'_>) {
        self.finishing = false;
        self.reported_peak = Some(self.map.peak());
        self.fast_output = self.fast_groups(self.shape.groups.groups(u64::MAX));
        if self.spilled && self.map.values() > 0 {
            self.spill_map(context);
            self.stage = Stage::FinalReset;
        } else if !self.spilled {
            self.output = Some(self.fast_output + self.map.values());
            self.map.begin_reading(context);
        }
    }
}

impl MemoryOperator for HashAggregation {
    fn open(&mut self) {
        *self = Self::new(self.consumer, self.fast_consumer, self.shape.clone());
        self.stage = if self.shape.fast_map_row_bytes.is_some() { Stage::FastMap } else { Stage::Map };
    }

    fn insert(&mut self, records: u64) {
        assert!(self.reported_peak.is_none(), "an aggregation that is being read takes no rows");
        self.todo += records;
    }

    fn finish_input(&mut self) {
        self.finishing = true;
    }

    fn advance(&mut self, mut answer: Option<Allocation>, context: &mut Context<'_>) -> Progress {
        loop {
            match self.stage {
                Stage::FastMap => match answer.take() {
                    Some(answer) => self.take_fast_page(answer),
                    None => {
                        return Progress::Request(self.fast_consumer, Request::Page(self.shape.page_size));
                    }
                },
                Stage::Map => match self.map.advance(answer.take(), context) {
                    Progress::Done => {
                        self.retrying &= self.map.values() == 0;
                        self.stage = Stage::Idle;
                    }
                    Progress::Refused => {
                        if let Some(error) = self.fall_back(context) {
                            return Progress::Failed(error);
                        }
                    }
                    other => return other,
                },
                Stage::Reset | Stage::FinalReset => match self.map.advance(answer.take(), context) {
                    Progress::Done => {
                        if self.stage == Stage::FinalReset {
                            self.map.free(context);
                        }
                        self.stage = Stage::Idle;
                    }
                    other => return other,
                },
                Stage::Idle if self.todo > 0 => {
                    self.window_rows += std::mem::take(&mut self.todo);
                    self.map.append(self.map_groups(self.window_rows).saturating_sub(self.map.values()));
                    self.stage = Stage::Map;
                }
                Stage::Idle if self.finishing => self.end_input(context),
                Stage::Idle => return Progress::Done,
            }
        }
    }

    fn spill(&mut self, consumer: ConsumerId, ask: u64, _by_itself: bool, context: &mut Context<'_>) -> u64 {
        if consumer == self.consumer { self.map.spill_unread(ask, context) } else { 0 }
    }

    fn records_until_request(&self, least: u64) -> u64 {
        let rows = self.rows_of_map_groups(self.map.values() + self.map.entries_until_request(least) + 1);
        if rows == u64::MAX { u64::MAX } else { rows.saturating_sub(1 + self.window_rows) }
    }

    fn drain(&mut self, records: u64, context: &mut Context<'_>) {
        // First the groups in the fast map, then those in the map; each is freed once it is read.
        let Some(left) = &mut self.output else { return };
        *left = left.saturating_sub(records);
        let left = *left;
        if left <= self.map.values()
            && let Some((_, page)) = self.fast.take()
        {
            context.free(page);
        }
        self.map.read_all_but(left, context);
        if left == 0 {
            self.map.free(context);
        }
    }

    fn close(&mut self, context: &mut Context<'_>) {
        self.map.free(context);
        if let Some((_, page)) = self.fast.take() {
            context.free(page);
        }
    }

    fn peak(&self) -> u64 {
        self.reported_peak.unwrap_or_else(|| self.map.peak())
    }
}
