//! The plans of SQL executions as queries: who joins whom on what, how large Spark took the tables to be, and where in the
//! stages each operator did its work. `crate::sim::replan` makes the plan anew from it under other settings.
//!
//! Left out: subqueries and nested loop joins, whose stages stay as they ran.

use std::collections::{BTreeMap, BTreeSet};

use super::builder::{Builder, CutPlan};
use super::columns;
use super::fragments::{Boundary, boundary, metric};
use super::joins::{build_row_bytes, keys_of, parse_join};
use crate::conf::Settings;
use crate::eventlog::app_log::PlanNode;
use crate::sim::join_settings;
use crate::workload::{Distribution, Join, Place, Query, Side, Stage, Step, StepKind, Strategy};

/// By run: the node of the plan that each operator of its stage stands for.
pub(super) type Placed = Vec<Vec<Option<u32>>>;

/// The queries of a log that join.
pub(super) fn queries(
    builder: &Builder<'_>,
    settings: &Settings,
    stages: &[Stage],
    placed: &Placed,
) -> Vec<Query> {
    let tables = tables(builder);
    let joining = builder.plans.iter().filter(|(_, cut)| cut.plan.nodes.iter().any(is_join));
    joining
        .map(|(&execution, cut)| {
            let jobs = (0..builder.log.jobs.len())
                .filter(|&job| builder.log.jobs[job].sql_execution == Some(execution));
            let mut query =
                Query { jobs: jobs.collect(), chosen: join_settings(settings), ..Query::default() };
            let planned = builder.log.sql.iter().find(|sql| sql.id == execution);
            let planned = planned.and_then(|sql| sql.initial_plan.as_ref()).unwrap_or(cut.plan);
            let mut walk = Walk {
                builder,
                execution,
                cut,
                stages,
                placed,
                tables: &tables,
                planned: &planned.nodes,
                chosen: query.chosen,
                steps: Vec::new(),
                exchanges: BTreeMap::new(),
                builds: BTreeMap::new(),
                aliases: aliases(cut),
                variable_bytes: None,
            };
            walk.variable_bytes = walk.mean_text();
            match walk.step(0, None) {
                Ok(Some(_)) => query.steps = walk.steps,
                Ok(None) => "its plan is empty".clone_into(&mut query.unknown),
                Err(why) => query.unknown = why,
            }
            query
        })
        .collect()
}

fn is_join(node: &PlanNode) -> bool {
    ["SortMergeJoin", "BroadcastHashJoin", "ShuffledHashJoin"].iter().any(|join| node.name.starts_with(join))
}

/// Columns of each table that any scan of the log read, by location.
fn tables(builder: &Builder<'_>) -> BTreeMap<String, BTreeSet<(String, String)>> {
    let mut tables: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for node in builder.plans.values().flat_map(|cut| &cut.plan.nodes) {
        let (Some(schema), Some(location)) = (node.metadata.get("ReadSchema"), node.metadata.get("Location"))
        else {
            continue;
        };
        tables.entry(location.clone()).or_default().extend(columns::schema(schema));
    }
    tables
}

/// Names under which projections pass columns on, to what they were called first.
fn aliases(cut: &CutPlan<'_>) -> BTreeMap<String, String> {
    let mut aliases = BTreeMap::new();
    for node in cut.plan.nodes.iter().filter(|node| node.name == "Project") {
        for column in columns::columns(&node.simple_string).unwrap_or_default() {
            if let Some((from, to)) = column.rsplit_once(" AS ")
                && let (Some(from), Some(to)) = (columns::attribute(from), columns::attribute(to))
            {
                aliases.insert(to, from);
            }
        }
    }
    aliases
}

struct Walk<'a> {
    builder: &'a Builder<'a>,
    execution: u64,
    cut: &'a CutPlan<'a>,
    stages: &'a [Stage],
    placed: &'a Placed,
    tables: &'a BTreeMap<String, BTreeSet<(String, String)>>,
    /// The plan before anything ran.
    planned: &'a [PlanNode],
    chosen: crate::workload::JoinSettings,
    steps: Vec<Step>,
    /// Steps of exchanges, by shuffle: a reused one is one step.
    exchanges: BTreeMap<usize, usize>,
    /// Topmost steps of broadcast tables, by broadcast.
    builds: BTreeMap<usize, usize>,
    aliases: BTreeMap<String, String>,
    /// Bytes of a text in the exchanges of this query, where one tells.
    variable_bytes: Option<u64>,
}

impl<'a> Walk<'a> {
    fn node(&self, node: u32) -> &'a PlanNode {
        &self.cut.plan.nodes[node as usize]
    }

    /// Adds the steps below and at a node; gives the topmost one. `clustered`: keys whose rows the parent wants together,
    /// which its sort hands down.
    fn step(&mut self, id: u32, clustered: Option<&[String]>) -> Result<Option<usize>, String> {
        let node = self.node(id);
        match boundary(node) {
            Boundary::Shuffle => return self.exchange(node).map(Some),
            Boundary::Broadcast => return Ok(None),
            Boundary::Cache | Boundary::Inner => {}
        }
        if is_join(node) {
            return self.join(id).map(Some);
        }
        let text = node.simple_string.as_str();
        let kind = match node.name.as_str() {
            "HashAggregate" | "ObjectHashAggregate" | "SortAggregate"
                if self.is_partial(id) || text.contains("(key=[]") || text.contains("(keys=[]") =>
            {
                StepKind::Rows
            }
            "HashAggregate" | "ObjectHashAggregate" | "SortAggregate" => {
                StepKind::Clustered { keys: self.grouping(text) }
            }
            "Window" | "WindowGroupLimit" => StepKind::Clustered { keys: self.second_list(text) },
            "Sort" => match clustered {
                Some(keys) => StepKind::Clustered { keys: keys.to_vec() },
                None if text.contains("], false") => {
                    StepKind::Sort { keys: keys_of(text, 0, &self.aliases).unwrap_or_default() }
                }
                None => StepKind::Rows,
            },
            _ if node.children.is_empty() => StepKind::Leaf { estimated_bytes: self.leaf_bytes(node) },
            _ => StepKind::Rows,
        };
        let wanted = match &kind {
            StepKind::Clustered { keys } => Some(keys.clone()),
            // What only wraps the operator of generated code hands its parent's wish on.
            StepKind::Rows if node.name.starts_with("WholeStage") || node.name == "InputAdapter" => {
                clustered.map(<[String]>::to_vec)
            }
            _ => None,
        };
        let mut inputs = Vec::new();
        if boundary(node) != Boundary::Cache {
            for &child in &node.children {
                inputs.extend(self.step(child, wanted.as_deref())?);
            }
        }
        let at = self.places(id);
        if at.is_empty() {
            if let [only] = inputs[..] {
                // Passed over by the stages too; it may still narrow the rows.
                if node.name == "Project" {
                    self.steps[only].row_bytes = self.row_bytes(id).unwrap_or(self.steps[only].row_bytes);
                    self.steps[only].estimated_row_bytes = self.estimated_row_bytes(id);
                }
                return Ok(Some(only));
            }
            return Err(format!("no stage of the log ran its {}", node.name.trim()));
        }
        Ok(Some(self.push(id, kind, inputs, at)))
    }

    fn push(&mut self, id: u32, kind: StepKind, inputs: Vec<usize>, at: Vec<Place>) -> usize {
        let below: u64 = inputs.first().map_or(0, |&input| self.steps[input].row_bytes);
        let row_bytes = match (&kind, self.row_bytes(id)) {
            (_, Some(bytes)) => bytes,
            (StepKind::Rows | StepKind::Sort { .. } | StepKind::Clustered { .. }, None) if below > 0 => below,
            _ => at.first().map_or(0, |place| self.stages[place.stage].operators[place.operator].row_bytes),
        };
        let estimated_row_bytes = self.estimated_row_bytes(id);
        let node = self.node(id);
        let text = &node.simple_string;
        let order = match (&kind, node.name.as_str()) {
            (_, "SortAggregate") => self.grouping(text),
            (StepKind::Clustered { .. }, "Sort") => keys_of(text, 0, &self.aliases).unwrap_or_default(),
            _ => Vec::new(),
        };
        self.steps.push(Step { kind, inputs, at, order, row_bytes, estimated_row_bytes });
        self.steps.len() - 1
    }

    /// The operators that stand for a node.
    fn places(&self, id: u32) -> Vec<Place> {
        let mut places = Vec::new();
        for (stage, nodes) in self.placed.iter().enumerate() {
            if self.builder.fragment_of[stage].is_some_and(|(execution, _)| execution == self.execution) {
                let operator = nodes.iter().position(|&node| node == Some(id));
                places.extend(operator.map(|operator| Place { stage, operator }));
            }
        }
        places
    }

    /// The last operators of the stages that ran below an exchange, and the node that they know it by.
    fn writers(&self, key: u64) -> (Vec<Place>, Option<u32>) {
        let mut places = Vec::new();
        let mut known = None;
        for (stage, fragment) in self.builder.fragment_of.iter().enumerate() {
            let Some((execution, index)) = fragment else { continue };
            let Some(writes) = self.cut.fragments.get(*index).and_then(|fragment| fragment.writes) else {
                continue;
            };
            if *execution == self.execution && metric(self.node(writes), "data size") == Some(key) {
                known = Some(writes);
                let operators = self.stages[stage].operators.len();
                places.extend(operators.checked_sub(1).map(|operator| Place { stage, operator }));
            }
        }
        (places, known)
    }

    fn exchange(&mut self, node: &PlanNode) -> Result<usize, String> {
        let never_ran = || "no stage of the log wrote one of its exchanges".to_owned();
        let key = metric(node, "data size").ok_or_else(never_ran)?;
        let facts = *self.builder.exchanges.get(&key).ok_or_else(never_ran)?;
        if let Some(&step) = self.exchanges.get(&facts.shuffle) {
            return Ok(step);
        }
        let (at, known) = self.writers(key);
        let exchange = known.ok_or_else(never_ran)?;
        let below = self.node(exchange).children.first().copied().ok_or_else(never_ran)?;
        let input = self.step(below, None)?.ok_or_else(never_ran)?;
        let shuffle = &self.builder.shuffles[facts.shuffle];
        let text = &node.simple_string;
        let keys = if shuffle.distribution == Distribution::Hash {
            let inside = text.split_once("hashpartitioning(").map_or("", |(_, rest)| rest);
            let keys = columns::arguments(inside);
            // The last argument is the number of partitions.
            keys[..keys.len().saturating_sub(1)].iter().map(|key| columns::key(key, &self.aliases)).collect()
        } else {
            Vec::new()
        };
        if facts.sizes.row_bytes > 0 {
            self.steps[input].row_bytes = facts.sizes.row_bytes;
        }
        let Step { row_bytes, estimated_row_bytes, .. } = self.steps[input];
        let required = text.contains("ENSURE_REQUIREMENTS");
        let kind = StepKind::Exchange { shuffle: facts.shuffle, keys, required };
        self.steps.push(Step {
            kind,
            inputs: vec![input],
            at,
            order: Vec::new(),
            row_bytes,
            estimated_row_bytes,
        });
        let step = self.steps.len() - 1;
        self.exchanges.insert(facts.shuffle, step);
        Ok(step)
    }

    fn join(&mut self, id: u32) -> Result<usize, String> {
        let node = self.node(id);
        let parsed = parse_join(&node.simple_string, &self.aliases)
            .ok_or_else(|| format!("the log cut the text of its {} short", node.name))?;
        let mut broadcast = None;
        let mut inputs = Vec::new();
        for &child in &node.children {
            let input = match self.broadcast_below(child) {
                Some(exchange) => {
                    let key = metric(self.node(exchange), "data size");
                    broadcast = key.and_then(|key| self.builder.broadcast_of.get(&key)).copied();
                    self.build_side(exchange, broadcast)?
                }
                None => self.step(child, None)?,
            };
            inputs.extend(input);
        }
        let at = self.places(id);
        if inputs.len() != 2 || at.is_empty() {
            return Err(format!("no stage of the log ran its {}", node.name));
        }
        let ran = parsed.strategy;
        let planned = self.planned_as(&parsed.left_keys, &parsed.right_keys).unwrap_or(ran);
        let estimate = |side: Side| self.leaf_estimate(inputs[side.input()]);
        let above = |side| matches!((estimate(side), self.chosen.broadcast_threshold), (Some(bytes), Some(most)) if bytes > most);
        let hint = parsed.only_broadcast
            || matches!(planned, Strategy::Broadcast(side) if self.chosen.broadcast_threshold.is_none() || above(side))
            // Without a hint a hashed join needs the preference for sorting to be off.
            || matches!(planned, Strategy::ShuffledHash(_)) && self.chosen.prefer_sort_merge;
        let long_key = parsed.left_keys.len() == 1
            && self.column_type(&parsed.left_keys[0]).is_none_or(|kind| columns::is_integral(&kind));
        let radix = parsed.left_keys.len() == 1
            && self.column_type(&parsed.left_keys[0]).is_none_or(|kind| columns::is_radix(&kind));
        let kind = StepKind::Join(Join {
            kind: parsed.kind,
            left_keys: parsed.left_keys,
            right_keys: parsed.right_keys,
            planned,
            ran,
            hint,
            radix,
            long_key,
            broadcast,
        });
        Ok(self.push(id, kind, inputs, at))
    }

    /// An exact size of what Spark took a generated range to be; file sizes say too little to prove a hint.
    fn leaf_estimate(&self, step: usize) -> Option<u64> {
        let mut at = step;
        loop {
            let step = &self.steps[at];
            if let StepKind::Leaf { estimated_bytes } = step.kind {
                let place = step.at.first()?;
                let operator = &self.stages[place.stage].operators[place.operator];
                return estimated_bytes.filter(|_| operator.name == "Range");
            }
            let [only] = step.inputs[..] else { return None };
            at = only;
        }
    }

    fn broadcast_below(&self, id: u32) -> Option<u32> {
        let node = self.node(id);
        match boundary(node) {
            Boundary::Broadcast => Some(id),
            Boundary::Shuffle | Boundary::Cache => None,
            Boundary::Inner if node.children.len() == 1 && !is_join(node) => {
                self.broadcast_below(node.children[0])
            }
            Boundary::Inner => None,
        }
    }

    /// The topmost step of a broadcast table.
    fn build_side(&mut self, exchange: u32, broadcast: Option<usize>) -> Result<Option<usize>, String> {
        let Some(broadcast) = broadcast else {
            return Err("the log tells no size of a table that it broadcast".to_owned());
        };
        if let Some(&step) = self.builds.get(&broadcast) {
            return Ok(Some(step));
        }
        let key = metric(self.node(exchange), "data size").unwrap_or(0);
        let (_, known) = self.writers(key);
        let below = known.and_then(|node| self.node(node).children.first().copied());
        let Some(below) = below else {
            return Err("no stage of the log collected a table that it broadcast".to_owned());
        };
        let top = self.step(below, None)?;
        if let Some(top) = top {
            self.builds.insert(broadcast, top);
            let table = &self.builder.broadcasts[broadcast];
            let exact =
                self.columns(below).is_some_and(|columns| !columns::any_variable(&columns, &self.cut.types));
            let read = matches!(self.steps[top].kind, StepKind::Exchange { .. });
            if !exact && !read {
                let estimate = self.steps[top].row_bytes;
                self.steps[top].row_bytes = build_row_bytes(estimate, table.rows, table.relation_bytes);
            }
        }
        Ok(top)
    }

    /// How Spark planned the join of these keys before anything ran.
    fn planned_as(&self, left: &[String], right: &[String]) -> Option<Strategy> {
        self.planned.iter().filter(|node| is_join(node)).find_map(|node| {
            let parsed = parse_join(&node.simple_string, &self.aliases)?;
            (parsed.left_keys == left && parsed.right_keys == right).then_some(parsed.strategy)
        })
    }

    /// The first half of an aggregation, which needs nothing of its input.
    fn is_partial(&self, id: u32) -> bool {
        let text = &self.node(id).simple_string;
        if !text.contains("functions=[]") {
            return text.contains("functions=[partial_");
        }
        // Without functions both halves read alike: the upper one stands on the lower one.
        let mut node = self.node(id);
        while let [child] = node.children[..] {
            node = self.node(child);
            if node.name.ends_with("Aggregate") {
                return false;
            }
            if is_join(node) || node.name == "Expand" {
                break;
            }
        }
        true
    }

    fn columns_after(&self, text: &str, word: &str) -> Vec<String> {
        let rest = text.split_once(word).map_or("", |(_, rest)| rest);
        keys_of(rest, 0, &self.aliases).unwrap_or_default()
    }

    /// What an aggregation groups by: `keys=[...]`, of a sort aggregation `key=[...]`.
    fn grouping(&self, text: &str) -> Vec<String> {
        self.columns_after(text, "(key")
    }

    fn second_list(&self, text: &str) -> Vec<String> {
        keys_of(text, 1, &self.aliases).unwrap_or_default()
    }

    /// The columns that come out of a node, as far as the texts tell.
    fn columns(&self, id: u32) -> Option<Vec<&'a str>> {
        let node = self.node(id);
        let text = node.simple_string.as_str();
        if node.name == "Project" || node.name.starts_with("Scan") || node.name == "LocalTableScan" {
            return columns::columns(text);
        }
        // A sort aggregation is there because its functions keep texts or lists, whose size its columns do not tell.
        if node.name.ends_with("Aggregate") && node.name != "SortAggregate" {
            let mut all = columns::columns(text.split_once("keys=")?.1)?;
            all.extend(columns::columns(text.split_once("functions=")?.1)?);
            return Some(all);
        }
        if is_join(node) {
            let [left, right] = node.children[..] else { return None };
            let left_only = ["LeftSemi", "LeftAnti"].iter().any(|kind| text.contains(kind));
            let mut all = self.columns(left)?;
            if !left_only {
                all.extend(self.columns(right)?);
            }
            return Some(all);
        }
        let same = ["Filter", "Sort", "ColumnarToRow", "InputAdapter", "AQEShuffleRead", "ShuffleQueryStage"];
        let passes = same.contains(&node.name.as_str())
            || node.name.starts_with("WholeStage")
            || boundary(node) != Boundary::Inner
            || node.name == "BroadcastQueryStage"
            || node.name == "ReusedExchange";
        match node.children[..] {
            [only] if passes => self.columns(only),
            _ => None,
        }
    }

    fn row_bytes(&self, id: u32) -> Option<u64> {
        let columns = self.columns(id)?;
        Some(columns::row_bytes_with(&columns, &self.cut.types, self.variable_bytes))
    }

    fn estimated_row_bytes(&self, id: u32) -> u64 {
        let columns = self.columns(id).unwrap_or_default();
        8 + columns.iter().map(|column| columns::default_size(column, &self.cut.types)).sum::<u64>()
    }

    fn column_type(&self, key: &str) -> Option<String> {
        self.cut.types.get(key.split('#').next().unwrap_or(key)).cloned()
    }

    /// Mean bytes of a text, from the exchanges whose columns are known.
    fn mean_text(&self) -> Option<u64> {
        let (mut bytes, mut texts) = (0, 0);
        for (at, node) in self.cut.plan.nodes.iter().enumerate() {
            if boundary(node) != Boundary::Shuffle {
                continue;
            }
            let Some(facts) = metric(node, "data size").and_then(|key| self.builder.exchanges.get(&key))
            else {
                continue;
            };
            let Some(columns) = self.columns(at as u32) else { continue };
            let variable = columns::variable(&columns, &self.cut.types);
            let fixed = columns::row_bytes_with(&columns, &self.cut.types, Some(0));
            if variable > 0 && facts.sizes.row_bytes > fixed {
                bytes += facts.sizes.row_bytes - fixed;
                texts += variable;
            }
        }
        (texts > 0).then(|| bytes / texts)
    }

    /// Bytes that Spark takes a leaf to have: of files their size, less the columns that are not read; those are the
    /// columns that some other scan of the log reads.
    fn leaf_bytes(&self, node: &PlanNode) -> Option<u64> {
        if node.name == "Range" {
            let inside = node.simple_string.split_once('(')?.1;
            let numbers = columns::arguments(inside);
            let bound = |at: usize| numbers.get(at)?.trim().parse::<i128>().ok();
            let step =
                numbers.get(2)?.trim().strip_prefix("step=")?.parse::<i128>().ok().filter(|&s| s != 0)?;
            let rows = ((bound(1)? - bound(0)?) / step).unsigned_abs();
            return u64::try_from(rows.saturating_mul(8)).ok();
        }
        let id = metric(node, "size of files read")?;
        let updates = &self.builder.log.driver_accumulators;
        let bytes = updates.iter().rfind(|update| update.accumulator == id)?.value.max(0) as u64;
        let size = |columns: &BTreeSet<(String, String)>| {
            8 + columns.iter().map(|(_, kind)| columns::default_type_size(kind)).sum::<u64>()
        };
        let read =
            node.metadata.get("ReadSchema").map(|schema| columns::schema(schema).into_iter().collect());
        let known = node.metadata.get("Location").and_then(|location| self.tables.get(location));
        match (read, known) {
            (Some(read), Some(known)) => {
                Some((u128::from(bytes) * u128::from(size(&read)) / u128::from(size(known))) as u64)
            }
            _ => Some(bytes),
        }
    }
}
