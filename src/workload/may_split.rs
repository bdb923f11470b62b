//! Which shuffles adaptive execution may split for a join (AQE-2).
//!
//! `OptimizeSkewedJoin` of Spark 4.1 takes a join of two shuffles in a stage that reads no other one, where what follows in
//! the stage needs no rows of equal keys in one task. Left out: that a projection between a shuffle and its join hinders
//! it, which the operators of a stage do not show.

use super::{JoinKind, Operator, OperatorKind, ShuffleIndex, Side};

/// The shuffles of a stage whose huge partitions may be split. `join` tells the kind of a join by its position, and whether
/// its first input is the right side.
pub fn may_split(
    operators: &[Operator],
    join: impl Fn(usize) -> Option<(JoinKind, bool)>,
) -> Vec<ShuffleIndex> {
    let reads = operators.iter().filter(|o| matches!(o.kind, OperatorKind::ShuffleRead { .. })).count();
    let sources = operators.iter().filter(|operator| operator.inputs.is_empty()).count();
    let joins = operators.iter().enumerate().filter(|(_, operator)| operator.inputs.len() == 2);
    let [(at, two_sides)] = joins.collect::<Vec<_>>()[..] else { return Vec::new() };
    let Some((kind, swapped)) = join(at) else { return Vec::new() };
    if reads != 2 || sources != 2 || needs_equal_keys(&operators[at + 1..]) {
        return Vec::new();
    }
    let sorted = matches!(two_sides.kind, OperatorKind::Pipelined);
    let shuffle = |input: usize| match &operators[input] {
        Operator { kind: OperatorKind::Sort { .. }, inputs, .. } if sorted => {
            operators[inputs[0]].kind.shuffle_read()
        }
        read if !sorted => read.kind.shuffle_read(),
        _ => None,
    };
    let (Some(first), Some(second)) = (shuffle(two_sides.inputs[0]), shuffle(two_sides.inputs[1])) else {
        return Vec::new();
    };
    let sides = if swapped { [Side::Right, Side::Left] } else { [Side::Left, Side::Right] };
    if first == second {
        return Vec::new();
    }
    let found = [first, second].into_iter().zip(sides).filter(|(_, side)| kind.may_split(*side));
    found.map(|(shuffle, _)| shuffle).collect()
}

/// Whether operators above a join need rows of equal keys in one task without another shuffle: windows, joins, and
/// aggregations but for a first half whose other half follows a shuffle.
pub fn needs_equal_keys(above: &[Operator]) -> bool {
    let aggregates = above.iter().filter(|operator| {
        matches!(operator.kind, OperatorKind::HashAggregate { .. } | OperatorKind::ObjectHashAggregate { .. })
    });
    let writes = above.iter().any(|operator| matches!(operator.kind, OperatorKind::ShuffleWrite { .. }));
    above.iter().any(|operator| operator.kind == OperatorKind::Window || operator.inputs.len() > 1)
        || aggregates.count() > usize::from(writes)
}
