//! Events of Spark SQL as they stand in the log's JSON. Plans stay raw text here; `plan` takes them apart.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::events::TextMap;
use super::values::{MaybeInt, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SqlExecutionStart<'a> {
    #[serde(rename = "executionId")]
    pub(super) id: MaybeInt,
    #[serde(rename = "rootExecutionId")]
    pub(super) root: MaybeInt,
    #[serde(borrow)]
    pub(super) description: Text<'a>,
    #[serde(rename = "sparkPlanInfo", borrow)]
    pub(super) plan: Option<&'a RawValue>,
    pub(super) time: MaybeInt,
    #[serde(rename = "modifiedConfigs", borrow)]
    pub(super) modified: Option<TextMap<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AdaptiveExecutionUpdate<'a> {
    #[serde(rename = "executionId")]
    pub(super) id: MaybeInt,
    #[serde(rename = "sparkPlanInfo", borrow)]
    pub(super) plan: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AdaptiveMetricUpdates<'a> {
    #[serde(rename = "executionId")]
    pub(super) id: MaybeInt,
    #[serde(rename = "sqlPlanMetrics", borrow)]
    pub(super) metrics: Vec<NodeMetric<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DriverAccumUpdates {
    #[serde(rename = "executionId")]
    pub(super) id: MaybeInt,
    #[serde(rename = "accumUpdates")]
    pub(super) updates: Vec<(MaybeInt, MaybeInt)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SqlExecutionEnd<'a> {
    #[serde(rename = "executionId")]
    pub(super) id: MaybeInt,
    pub(super) time: MaybeInt,
    #[serde(rename = "errorMessage", borrow)]
    pub(super) error: Text<'a>,
}

/// One node of `sparkPlanInfo`, its children still raw.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node<'a> {
    #[serde(rename = "nodeName", borrow)]
    pub(super) name: Text<'a>,
    #[serde(rename = "simpleString", borrow)]
    pub(super) simple_string: Text<'a>,
    #[serde(borrow)]
    pub(super) children: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub(super) metadata: Option<TextMap<'a>>,
    #[serde(borrow)]
    pub(super) metrics: Vec<NodeMetric<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeMetric<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(rename = "accumulatorId")]
    pub(super) accumulator: MaybeInt,
    #[serde(rename = "metricType", borrow)]
    pub(super) kind: Text<'a>,
}
