//! Physical plans of SQL executions, flattened: one node after the other, parents first.
//!
//! Plans of generated queries nest hundreds of nodes deep, beyond what a recursive JSON parser may follow on an
//! ordinary stack; so nodes are parsed one at a time from a work list. Price: the text of a node is scanned once per
//! ancestor.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::events_sql::{Node, NodeMetric};

/// Deepest plan taken apart; below that, children are left out. Far above what Spark itself can plan without a larger
/// thread stack.
const DEPTH_MAX: u32 = 2_000;

/// A physical plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqlPlan {
    /// All nodes; the first is the root and each parent stands before its children.
    pub nodes: Vec<PlanNode>,
}

/// One operator of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanNode {
    /// Operator, such as `HashAggregate` or `WholeStageCodegen (3)`.
    pub name: String,
    /// Operator with its arguments, as `explain` prints it, shortened by Spark.
    pub simple_string: String,
    /// Index of the parent in [`SqlPlan::nodes`]; none for the root.
    pub parent: Option<u32>,
    /// Indexes of the children, left to right.
    pub children: Vec<u32>,
    /// Details of scans: format, location, schema.
    pub metadata: BTreeMap<String, String>,
    /// The operator's metrics.
    pub metrics: Vec<PlanMetric>,
}

/// Ties a metric of an operator to the accumulator that carries its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanMetric {
    /// Name, such as `peak memory` or `spill size`.
    pub name: String,
    /// Accumulator id, as in the tasks' updates.
    pub accumulator: u64,
    /// How Spark shows it.
    pub kind: MetricKind,
}

/// Unit of a SQL metric, `SQLMetrics` of Spark 4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricKind {
    /// A number.
    #[default]
    Sum,
    /// Bytes.
    Size,
    /// Milliseconds.
    Timing,
    /// Nanoseconds.
    NsTiming,
    /// A mean, carried ten times as large.
    Average,
    /// A kind this version does not know, such as a plug-in's own.
    Other,
}

impl PlanMetric {
    pub(super) fn new(metric: NodeMetric<'_>) -> Option<Self> {
        let kind = match metric.kind.as_str() {
            "sum" => MetricKind::Sum,
            "size" => MetricKind::Size,
            "timing" => MetricKind::Timing,
            "nsTiming" => MetricKind::NsTiming,
            "average" => MetricKind::Average,
            _ => MetricKind::Other,
        };
        Some(Self { accumulator: metric.accumulator.known()?, name: metric.name.into_string(), kind })
    }
}

impl SqlPlan {
    /// Takes `sparkPlanInfo` apart.
    pub(super) fn parse(raw: &RawValue) -> Result<Self, serde_json::Error> {
        let mut nodes: Vec<PlanNode> = Vec::new();
        let mut work: Vec<(&RawValue, Option<u32>, u32)> = vec![(raw, None, 0)];
        while let Some((raw, parent, depth)) = work.pop() {
            let node: Node<'_> = serde_json::from_str(raw.get())?;
            let index = nodes.len() as u32;
            if let Some(parent) = parent {
                nodes[parent as usize].children.push(index);
            }
            if depth < DEPTH_MAX {
                // The work list is a stack: the leftmost child goes on last, to come off first.
                work.extend(node.children.iter().rev().map(|child| (*child, Some(index), depth + 1)));
            }
            let metadata = node.metadata.unwrap_or_default();
            nodes.push(PlanNode {
                name: node.name.into_string(),
                simple_string: node.simple_string.into_string(),
                parent,
                children: Vec::new(),
                metadata: metadata
                    .into_iter()
                    .map(|(key, value)| (key.into_string(), value.into_string()))
                    .collect(),
                metrics: node.metrics.into_iter().filter_map(PlanMetric::new).collect(),
            });
        }
        Ok(Self { nodes })
    }

    /// The root, absent only in an empty plan.
    pub fn root(&self) -> Option<&PlanNode> {
        self.nodes.first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> SqlPlan {
        SqlPlan::parse(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn nodes_keep_their_order_and_parents() {
        let plan = parse(
            r#"{"nodeName":"Join","simpleString":"Join [a#1]","children":[
                {"nodeName":"Sort","children":[{"nodeName":"Scan","metadata":{"Format":"Parquet"}}],
                 "metrics":[{"name":"spill size","accumulatorId":7,"metricType":"size"}]},
                {"nodeName":"Right","metrics":[{"name":"own","accumulatorId":8,"metricType":"v2Custom_x"}]}]}"#,
        );
        let names: Vec<&str> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["Join", "Sort", "Scan", "Right"]);
        let parents: Vec<Option<u32>> = plan.nodes.iter().map(|node| node.parent).collect();
        assert_eq!(parents, [None, Some(0), Some(1), Some(0)]);
        assert_eq!(plan.nodes[0].children, [1, 3]);
        assert_eq!(plan.nodes[2].metadata["Format"], "Parquet");
        let spill = PlanMetric { name: "spill size".to_owned(), accumulator: 7, kind: MetricKind::Size };
        assert_eq!(plan.nodes[1].metrics, [spill]);
        assert_eq!(plan.nodes[3].metrics[0].kind, MetricKind::Other);
    }

    #[test]
    fn deep_plans_do_not_overflow_the_stack() {
        let depth = 5_000;
        let json = format!("{}{}", "{\"nodeName\":\"N\",\"children\":[".repeat(depth), "]}".repeat(depth));
        assert_eq!(parse(&json).nodes.len(), DEPTH_MAX as usize + 1);
    }
}
