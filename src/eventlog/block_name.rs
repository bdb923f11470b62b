//! Names of blocks as logs write them. Kinds that import has no use for keep their text.

/// Name of a block, `BlockId` of Spark 4.1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockName {
    /// `rdd_R_P`: a cached partition.
    Rdd {
        /// RDD id.
        rdd_id: u32,
        /// Partition.
        partition: u32,
    },
    /// `broadcast_B`: a broadcast value.
    Broadcast {
        /// Broadcast id.
        id: u64,
    },
    /// `broadcast_B_pieceN`: a piece of a broadcast value.
    BroadcastPiece {
        /// Broadcast id.
        id: u64,
        /// Piece.
        piece: u32,
    },
    /// `taskresult_T`: a result too large to come with the task's status.
    TaskResult {
        /// Task id.
        task_id: u64,
    },
    /// Anything else: stream blocks, shuffle blocks that moved, plug-ins.
    Other(Box<str>),
}

impl BlockName {
    /// Takes a block id's text apart.
    pub fn parse(text: &str) -> Self {
        Self::known(text).unwrap_or_else(|| Self::Other(text.into()))
    }

    fn known(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('_')?;
        match kind {
            "rdd" => {
                let (rdd_id, partition) = rest.split_once('_')?;
                Some(Self::Rdd { rdd_id: rdd_id.parse().ok()?, partition: partition.parse().ok()? })
            }
            "broadcast" => match rest.split_once("_piece") {
                Some((id, piece)) => {
                    Some(Self::BroadcastPiece { id: id.parse().ok()?, piece: piece.parse().ok()? })
                }
                None => Some(Self::Broadcast { id: rest.parse().ok()? }),
            },
            "taskresult" => Some(Self::TaskResult { task_id: rest.parse().ok()? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_names_are_taken_apart() {
        let cases = [
            ("rdd_12_3", BlockName::Rdd { rdd_id: 12, partition: 3 }),
            ("broadcast_4", BlockName::Broadcast { id: 4 }),
            ("broadcast_4_piece11", BlockName::BroadcastPiece { id: 4, piece: 11 }),
            ("taskresult_90", BlockName::TaskResult { task_id: 90 }),
            ("broadcast_4_python", BlockName::Other("broadcast_4_python".into())),
            ("input-0-15", BlockName::Other("input-0-15".into())),
        ];
        for (text, name) in cases {
            assert_eq!(BlockName::parse(text), name, "{text}");
        }
    }
}
