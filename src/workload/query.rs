//! Plans of SQL queries as far as a configuration can change them: who joins whom on what, and which exchanges and sorts
//! stand only because an operator above needs its rows together or in order.
//!
//! The stages of a workload say what ran; a query says what would have run instead. `crate::sim::replan` reads it. It
//! leaves out everything that keeps a plan's shape: expressions, files, code.

use super::{BroadcastIndex, JobIndex, ShuffleIndex, StageIndex};

/// Index of a step in [`Query::steps`].
pub type StepIndex = usize;

/// One SQL execution that joins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The jobs that ran it, in the order of their submission.
    pub jobs: Vec<JobIndex>,
    /// Its operators, each after its inputs; the last one gives the result. Empty where [`Query::unknown`] says why.
    pub steps: Vec<Step>,
    /// The settings under which its joins were chosen.
    pub chosen: JoinSettings,
    /// Why the plan cannot be made anew under other settings; empty where it can.
    pub unknown: String,
}

/// The settings that decide how tables are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JoinSettings {
    /// `spark.sql.adaptive.enabled`.
    pub adaptive: bool,
    /// `spark.sql.autoBroadcastJoinThreshold`, bytes; `None` for never.
    pub broadcast_threshold: Option<u64>,
    /// `spark.sql.adaptive.autoBroadcastJoinThreshold`, bytes; `None` for never.
    pub adaptive_broadcast_threshold: Option<u64>,
    /// `spark.sql.join.preferSortMergeJoin`.
    pub prefer_sort_merge: bool,
    /// `spark.sql.adaptive.maxShuffledHashJoinLocalMapThreshold`, bytes; `None` where it is below the advisory size of
    /// partitions and so does nothing.
    pub local_map_threshold: Option<u64>,
}

/// One operator of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// What it asks of its inputs.
    pub kind: StepKind,
    /// The steps that feed it, left before right.
    pub inputs: Vec<StepIndex>,
    /// The operators of stages that did its work, one for each time it ran. Of an exchange: those that end the stages
    /// below it, a run that only sampled keys included.
    pub at: Vec<Place>,
    /// Columns, as `name#id`, by which a sort aggregation needs its input sorted, or by which a sort does it for the
    /// aggregation or window above, whose wish for rows of equal keys it hands down.
    pub order: Vec<String>,
    /// Bytes of a row that comes out, in Spark's binary row format.
    pub row_bytes: u64,
    /// Bytes of a row that comes out by Spark's estimate: 8 and the default size of each column's type.
    pub estimated_row_bytes: u64,
}

/// An operator of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Which stage.
    pub stage: StageIndex,
    /// Position among the stage's operators.
    pub operator: usize,
}

/// What a step asks of its inputs and gives to others.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum StepKind {
    /// Row by row, or anything that leaves its rows where they are and needs nothing of them.
    #[default]
    Rows,
    /// Reads files, a range or a cache.
    Leaf {
        /// Bytes that Spark takes the relation to have, at most; `None`: nothing is known.
        estimated_bytes: Option<u64>,
    },
    /// Needs the rows of equal keys in one partition (final aggregation, window).
    Clustered {
        /// Columns, as `name#id`.
        keys: Vec<String>,
    },
    /// Sorts the rows of each partition.
    Sort {
        /// Columns, as `name#id`.
        keys: Vec<String>,
    },
    /// A shuffle.
    Exchange {
        /// Which.
        shuffle: ShuffleIndex,
        /// Columns that it hashes; empty for any other distribution.
        keys: Vec<String>,
        /// Stands only because a step above needs its rows so (`ENSURE_REQUIREMENTS`).
        required: bool,
    },
    /// Joins its two inputs on equal keys.
    Join(Join),
}

/// An equi-join.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Which rows come out.
    pub kind: JoinKind,
    /// Columns of the left side, as `name#id`.
    pub left_keys: Vec<String>,
    /// Columns of the right side.
    pub right_keys: Vec<String>,
    /// How Spark planned it before anything ran.
    pub planned: Strategy,
    /// How it ran.
    pub ran: Strategy,
    /// A hint of the query decided, not sizes.
    pub hint: bool,
    /// One key of a type whose values sort as a radix prefix (SORT-2).
    pub radix: bool,
    /// One key of an integral type: relations are [`super::OperatorKind::ShuffledHashJoin`]'s `long_key`.
    pub long_key: bool,
    /// The table that was broadcast for it, where one was.
    pub broadcast: Option<BroadcastIndex>,
}

/// Rows that a join gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs.
    Inner,
    /// Pairs and the left rows without a partner.
    LeftOuter,
    /// Pairs and the right rows without a partner.
    RightOuter,
    /// Pairs and all rows without a partner.
    FullOuter,
    /// Left rows only: with a partner, without one, or with a mark that tells.
    LeftOnly,
}

impl JoinKind {
    /// Every kind with its word in scenario files.
    pub const ALL: [(&'static str, Self); 5] = [
        ("inner", Self::Inner),
        ("left_outer", Self::LeftOuter),
        ("right_outer", Self::RightOuter),
        ("full_outer", Self::FullOuter),
        ("left_only", Self::LeftOnly),
    ];

    /// Whether a hash table may be made of that side for the other to stream past it, broadcast (`canBuildBroadcastLeft`,
    /// `canBuildBroadcastRight` of Spark's `JoinSelectionHelper`).
    pub fn may_broadcast(self, side: Side) -> bool {
        match side {
            Side::Left => matches!(self, Self::Inner | Self::RightOuter),
            Side::Right => matches!(self, Self::Inner | Self::LeftOuter | Self::LeftOnly),
        }
    }

    /// Whether a part of that side's rows can be joined with the whole of the other (`OptimizeSkewedJoin`).
    pub fn may_split(self, side: Side) -> bool {
        match side {
            Side::Left => matches!(self, Self::Inner | Self::LeftOuter | Self::LeftOnly),
            Side::Right => matches!(self, Self::Inner | Self::RightOuter),
        }
    }

    /// The same where both sides are shuffled (`canBuildShuffledHashJoinLeft`, `canBuildShuffledHashJoinRight`).
    pub fn may_hash(self, side: Side) -> bool {
        match side {
            Side::Left => !matches!(self, Self::LeftOnly),
            Side::Right => true,
        }
    }
}

/// How two tables are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Both sides shuffled and sorted.
    SortMerge,
    /// One side sent whole to every executor.
    Broadcast(Side),
    /// Both sides shuffled, a hash table made of one.
    ShuffledHash(Side),
}

impl Strategy {
    /// Every strategy with its word in scenario files.
    pub const ALL: [(&'static str, Self); 5] = [
        ("sort_merge", Self::SortMerge),
        ("broadcast_left", Self::Broadcast(Side::Left)),
        ("broadcast_right", Self::Broadcast(Side::Right)),
        ("hash_left", Self::ShuffledHash(Side::Left)),
        ("hash_right", Self::ShuffledHash(Side::Right)),
    ];
}

/// A side of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first input.
    Left,
    /// The second input.
    Right,
}

impl Side {
    /// Position among the join's inputs.
    pub fn input(self) -> usize {
        match self {
            Self::Left => 0,
            Self::Right => 1,
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}
