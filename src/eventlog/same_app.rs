//! Whether two logs run the same application on the same data: what a prediction from one to the other presumes.
//!
//! Compared is what no memory setting changes: for each query the files it reads with the filters pushed down to them, its
//! aggregations, generators and user functions; for jobs without a query the call sites of their stages. Join strategies,
//! exchanges, partition counts and the numbering of columns follow the configuration and are left out. A log that ends
//! early (it was cut, or the run died) has the first queries only.

use std::collections::BTreeSet;

use super::app_log::{AppLog, PlanNode, SqlPlan};

/// What an application does, in the order of its queries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// Application name.
    pub app_name: String,
    /// One text a query that has work to do.
    pub queries: Vec<String>,
    /// Call sites of stages that belong to no query.
    pub call_sites: BTreeSet<String>,
    /// The run ended early: what it would have done next is not in the log.
    pub cut: bool,
}

/// Takes the fingerprint of a log.
pub fn fingerprint(log: &AppLog) -> Fingerprint {
    let queries =
        log.sql.iter().filter_map(|sql| sql.initial_plan.as_ref().or(sql.final_plan())).map(of_plan);
    let planless = log.jobs.iter().filter(|job| job.sql_execution.is_none());
    let stages: BTreeSet<u32> = planless.flat_map(|job| job.stage_ids.iter().copied()).collect();
    let call_sites = log.stages.iter().filter(|stage| stages.contains(&stage.stage_id));
    Fingerprint {
        app_name: log.app_name.clone(),
        queries: queries.filter(|query| !query.is_empty()).collect(),
        call_sites: call_sites.map(|stage| stage.name.clone()).collect(),
        cut: super::observed(log).cut,
    }
}

impl Fingerprint {
    /// Why the other log cannot be of the same application; `None` when it can.
    pub fn differs_from(&self, other: &Self) -> Option<String> {
        if self.app_name != other.app_name {
            return Some(format!("one is {:?}, the other {:?}", self.app_name, other.app_name));
        }
        if let Some(at) =
            (0..self.queries.len().min(other.queries.len())).find(|&at| self.queries[at] != other.queries[at])
        {
            let (one, two) = (&self.queries[at], &other.queries[at]);
            let only = |one: &str, two: &str| {
                let theirs: BTreeSet<&str> = two.lines().collect();
                one.lines().find(|line| !theirs.contains(line)).unwrap_or("nothing more").to_owned()
            };
            return Some(format!(
                "query {} of one has [{}], of the other [{}]",
                at + 1,
                shortened(&only(one, two)),
                shortened(&only(two, one))
            ));
        }
        let (short, long) =
            if self.queries.len() <= other.queries.len() { (self, other) } else { (other, self) };
        if short.queries.len() < long.queries.len() && !short.cut {
            return Some(format!(
                "one runs {} queries, the other {}",
                short.queries.len(),
                long.queries.len()
            ));
        }
        let differ = if short.cut || long.cut {
            !self.call_sites.is_subset(&other.call_sites) && !other.call_sites.is_subset(&self.call_sites)
        } else {
            self.call_sites != other.call_sites
        };
        // With queries, jobs beside them only list and sample files.
        (differ && self.queries.is_empty())
            .then(|| "their jobs come from other places in the code".to_owned())
    }
}

fn of_plan(plan: &SqlPlan) -> String {
    let facts: BTreeSet<String> = plan.nodes.iter().filter_map(of_node).collect();
    facts.into_iter().collect::<Vec<_>>().join("\n")
}

/// What a node says that no setting changes.
fn of_node(node: &PlanNode) -> Option<String> {
    let name = node.name.trim();
    let text = without_ids(&node.simple_string);
    if name.starts_with("Scan") || name.starts_with("BatchScan") || name.starts_with("Range") {
        let place = node.metadata.get("Location").cloned().unwrap_or_default();
        let filters = node.metadata.get("PushedFilters").cloned().unwrap_or_default();
        let mut filters: Vec<&str> = filters
            .trim_matches(['[', ']'])
            .split(", ")
            .filter(|filter| !filter.starts_with("IsNotNull"))
            .collect();
        filters.sort_unstable();
        let schema = node.metadata.get("ReadSchema").cloned().unwrap_or_default();
        // A range and scans of other makers tell no metadata.
        let own = if node.metadata.is_empty() { text } else { String::new() };
        return Some(format!("{name} {place} {schema} {} {own}", filters.join(", ")).trim().to_owned());
    }
    if name.contains("Aggregate") {
        let (_, functions) = text.split_once("functions=[")?;
        let functions = functions.split("], output").next()?.trim_end_matches([')', ']']);
        let functions = functions.replace("partial_", "").replace("merge_", "").replace("finalmerge_", "");
        return (!functions.is_empty()).then(|| format!("aggregate {functions}"));
    }
    let user_code =
        ["Generate", "InPandas", "InArrow", "MapElements", "MapPartitions", "EvalPython", "ArrowEval"];
    user_code.iter().any(|part| name.contains(part)).then_some(text)
}

/// A node's text without the numbers of its columns and plans, which count up in the order of planning.
fn without_ids(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('#') {
        out.push_str(&rest[..at]);
        rest = rest[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit());
        rest = rest.strip_prefix('L').unwrap_or(rest);
    }
    out.push_str(rest);
    out
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 100;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let head: String = text.chars().take(SHOWN).collect();
    format!("{head}...")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(queries: &[&str], cut: bool) -> Fingerprint {
        Fingerprint {
            app_name: "a".to_owned(),
            queries: queries.iter().map(|&query| query.to_owned()).collect(),
            call_sites: BTreeSet::new(),
            cut,
        }
    }

    #[test]
    fn numbers_of_columns_go() {
        assert_eq!(without_ids("sum(v#12L), k#3 AS #x"), "sum(v), k AS x");
    }

    #[test]
    fn a_run_that_died_has_the_first_queries_only() {
        assert_eq!(app(&["x", "y"], false).differs_from(&app(&["x"], true)), None);
        let told = app(&["x", "y"], false).differs_from(&app(&["x"], false)).unwrap();
        assert_eq!(told, "one runs 1 queries, the other 2");
        let told = app(&["x\ny"], false).differs_from(&app(&["x\nz"], true)).unwrap();
        assert_eq!(told, "query 1 of one has [y], of the other [z]");
    }
}
