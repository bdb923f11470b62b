//! Joins in the texts of plan nodes, and what the size of a broadcast relation tells of its rows.

use std::collections::BTreeMap;

use super::columns;
use crate::workload::{JoinKind, Side, Strategy};

/// What the text of a join says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ParsedJoin {
    pub(super) kind: JoinKind,
    pub(super) left_keys: Vec<String>,
    pub(super) right_keys: Vec<String>,
    pub(super) strategy: Strategy,
    /// A null-aware anti join, which Spark has in the broadcast form only.
    pub(super) only_broadcast: bool,
}

/// Reads `SortMergeJoin [a#1L], [b#2L], Inner` and its like; `None` where Spark cut it short.
pub(super) fn parse_join(text: &str, aliases: &BTreeMap<String, String>) -> Option<ParsedJoin> {
    let left_keys = keys_of(text, 0, aliases)?;
    let right_keys = keys_of(text, 1, aliases)?;
    let rest = after_lists(text, 2)?.trim_start_matches([',', ' ']);
    let kind = match rest.split([',', ' ', '(']).next()? {
        "Inner" | "Cross" => JoinKind::Inner,
        "LeftOuter" | "LeftSingle" => JoinKind::LeftOuter,
        "RightOuter" => JoinKind::RightOuter,
        "FullOuter" => JoinKind::FullOuter,
        "LeftSemi" | "LeftAnti" | "ExistenceJoin" => JoinKind::LeftOnly,
        _ => return None,
    };
    let side = if rest.contains("BuildLeft") { Side::Left } else { Side::Right };
    let strategy = if text.starts_with("BroadcastHashJoin") {
        Strategy::Broadcast(side)
    } else if text.starts_with("ShuffledHashJoin") {
        Strategy::ShuffledHash(side)
    } else {
        Strategy::SortMerge
    };
    let only_broadcast = matches!(strategy, Strategy::Broadcast(_)) && rest.trim_end().ends_with("true");
    Some(ParsedJoin { kind, left_keys, right_keys, strategy, only_broadcast })
}

/// The columns in bracket number `list` of a text, as keys; `None` where it is cut short or absent.
pub(super) fn keys_of(text: &str, list: usize, aliases: &BTreeMap<String, String>) -> Option<Vec<String>> {
    let rest = after_lists(text, list)?;
    let found = columns::columns(rest)?;
    Some(found.iter().map(|key| columns::key(key, aliases)).collect())
}

/// What follows the first `lists` bracketed lists.
fn after_lists(text: &str, lists: usize) -> Option<&str> {
    let mut rest = text;
    for _ in 0..lists {
        let start = rest.find('[')?;
        let mut depth = 0;
        let end = rest[start..].char_indices().find_map(|(at, letter)| {
            depth += i32::from(letter == '[') - i32::from(letter == ']');
            (depth == 0).then_some(start + at + 1)
        })?;
        rest = &rest[end..];
    }
    Some(rest)
}

/// Bytes of a row of a relation over one long key, nearest to an estimate, from the relation's size: rows with 8 bytes each
/// stand in one array of a power of two of bytes, at least 1 MiB, at least half full; the rest is the index (HJ-3 to HJ-6).
pub(super) fn build_row_bytes(estimate: u64, rows: u64, relation: u64) -> u64 {
    const FIRST_ARRAY: u64 = 1 << 20;
    const ROW_HEADER: u64 = 8;
    let arrays = (0..32).map(|doublings| FIRST_ARRAY << doublings).take_while(|&array| array < relation);
    let fitting = arrays.filter_map(|array| {
        let most = (array / rows.max(1)).checked_sub(ROW_HEADER)? / 8 * 8;
        let least =
            if array == FIRST_ARRAY { 0 } else { (array / 2 / rows.max(1)).saturating_sub(ROW_HEADER) + 1 };
        (least <= most).then(|| estimate.clamp(least.next_multiple_of(8).min(most), most))
    });
    fitting.min_by_key(|row| row.abs_diff(estimate)).unwrap_or(estimate).max(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_joins_are_read() {
        let aliases = BTreeMap::from([("k#9".to_owned(), "a#1".to_owned())]);
        let join = parse_join(
            "BroadcastHashJoin [k#9L], [b#2L], LeftOuter, BuildRight, (c#3 > d#4), false",
            &aliases,
        );
        let join = join.unwrap();
        assert_eq!((join.left_keys, join.right_keys), (vec!["a#1".to_owned()], vec!["b#2".to_owned()]));
        assert_eq!((join.kind, join.strategy), (JoinKind::LeftOuter, Strategy::Broadcast(Side::Right)));
        let join =
            parse_join("SortMergeJoin(skew=true) [a#1L, x#5], [b#2L, y#6], LeftSemi", &aliases).unwrap();
        assert_eq!(
            (join.left_keys.len(), join.kind, join.strategy),
            (2, JoinKind::LeftOnly, Strategy::SortMerge)
        );
        assert_eq!(parse_join("SortMergeJoin [a#1L, ... 3 more fields], [b#2L], Inner", &aliases), None);
        assert!(
            parse_join("BroadcastHashJoin [a#1], [b#2], LeftAnti, BuildRight, true", &aliases)
                .unwrap()
                .only_broadcast
        );
    }

    #[test]
    fn relations_of_real_runs_tell_the_size_of_their_rows() {
        // 75000 rows of a long and a short text: an array of 4 MiB and a dense index of 600000 bytes.
        assert_eq!(build_row_bytes(48, 75_000, 4_794_304), 40);
        // 14951 rows of one long: the first array of rows.
        assert_eq!(build_row_bytes(16, 14_951, 1_572_864), 16);
    }
}
