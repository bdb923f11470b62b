//! What computes a cached dataset: the operators below its scan, which run inside the stages that read it, in those tasks that
//! do not find their partition.
//!
//! Their rows are those of the run that computed most partitions, whichever stage computes them again. Their time is in
//! the dataset's own price ([`crate::workload::Dataset::compute_ns_per_byte`]), which a run shares out over them. Left out: lineages that read other cached
//! datasets, and those of stages that read more than one.

use super::builder::Builder;
use super::fragments::fragment_of;
use crate::workload::{Operator, OperatorKind};

impl Builder<'_> {
    pub(super) fn find_lineages(&mut self) {
        let found = self.cached.iter().map(|cached| {
            let runs = self.runs.iter().enumerate().filter_map(|(at, run)| {
                let computed = cached.computed.get(&run.record.stage_id)?;
                let count = computed.iter().filter(|&&computed| computed).count();
                (count > 0).then_some((count, at))
            });
            let (_, at) = runs.max_by_key(|&(count, at)| (count, std::cmp::Reverse(at)))?;
            let execution = self.job_of(&self.runs[at])?.sql_execution?;
            let cut = self.plans.get(&execution)?;
            Some((at, execution, fragment_of(&self.runs[at], cut.plan, &cut.fragments, true)?))
        });
        self.lineages = found.collect();
    }

    /// Puts the operators that compute a cached dataset before those of a stage that reads it.
    pub(super) fn add_lineage(&self, operators: &mut Vec<Operator>, placed: &mut Vec<Option<u32>>) {
        let scanned = operators.iter().find_map(|operator| match operator.kind {
            OperatorKind::CachedScan { dataset, .. } => Some(dataset),
            _ => None,
        });
        let Some((at, execution, index)) = scanned.and_then(|dataset| self.lineages[dataset]) else { return };
        let cut = &self.plans[&execution];
        let fragment = &cut.fragments[index];
        let mut context = self.context(cut, fragment, &self.runs[at], None);
        let Some(top) = context.add(fragment.root) else { return };
        let below = context.operators;
        if !below.iter().any(holds_memory) {
            return;
        }
        let shift = below.len();
        for operator in operators.iter_mut() {
            operator.inputs.iter_mut().for_each(|input| *input += shift);
            if let OperatorKind::CachedScan { lineage, .. } = &mut operator.kind {
                *lineage = Some(top);
            }
        }
        operators.splice(0..0, below);
        placed.splice(0..0, std::iter::repeat_n(None, shift));
    }
}

/// Whether an operator holds execution memory or a Python worker, or brings bytes of a shuffle with it.
fn holds_memory(operator: &Operator) -> bool {
    !matches!(
        operator.kind,
        OperatorKind::Scan { .. } | OperatorKind::Pipelined | OperatorKind::CachedScan { .. }
    )
}
