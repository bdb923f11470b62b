//! Columns in the texts of plan nodes, for the size of rows between exchanges.

use std::collections::BTreeMap;

/// Bytes of a variable-length value that nobody counted, padded to words.
const VARIABLE_BYTES: u64 = 24;

/// The columns in the first bracket of a node's text, such as `Project [a#1L, (b#2 + 1) AS c#3]`; `None` when Spark cut
/// the list short.
pub(super) fn columns(simple_string: &str) -> Option<Vec<&str>> {
    let (_, rest) = simple_string.split_once('[')?;
    let (columns, closed) = list(rest);
    let whole = closed && columns.iter().all(|column| !column.contains("..."));
    whole.then_some(columns)
}

/// Bytes of a binary row of these columns: null words, a word each, and what strings take beyond.
pub(super) fn row_bytes(columns: &[&str], types: &BTreeMap<String, String>) -> u64 {
    row_bytes_with(columns, types, None)
}

/// The same where the mean bytes of a text are known.
pub(super) fn row_bytes_with(columns: &[&str], types: &BTreeMap<String, String>, text: Option<u64>) -> u64 {
    let count = columns.len() as u64;
    let beyond = text.unwrap_or(VARIABLE_BYTES) * variable(columns, types);
    count.max(1).div_ceil(64) * 8 + 8 * count + beyond
}

/// Columns of variable length.
pub(super) fn variable(columns: &[&str], types: &BTreeMap<String, String>) -> u64 {
    columns.iter().filter(|column| is_variable(column, types)).count() as u64
}

/// Names and types in a schema as scans state it, such as `struct<a:bigint,b:decimal(12,2)>`.
pub(super) fn schema(text: &str) -> Vec<(String, String)> {
    let fields = text.strip_prefix("struct<").and_then(|rest| rest.strip_suffix('>')).unwrap_or_default();
    let fields = arguments(fields).into_iter().filter_map(|field| field.split_once(':'));
    fields.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// The parts of a list between commas, up to the bracket that closes it.
pub(super) fn arguments(text: &str) -> Vec<&str> {
    list(text).0
}

/// The same, and whether there is such a bracket.
fn list(text: &str) -> (Vec<&str>, bool) {
    let (mut depth, mut start, mut found) = (0i32, 0, Vec::new());
    let (mut end, mut closed) = (text.len(), false);
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        // Types have brackets of this form; elsewhere the letter is part of a comparison or an arrow.
        let of_type = !matches!(before, ' ' | '=' | '-');
        match letter {
            '(' | '[' => depth += 1,
            '<' if of_type => depth += 1,
            ')' | ']' if depth == 0 => {
                (end, closed) = (at, true);
                break;
            }
            ')' | ']' => depth -= 1,
            '>' if of_type && depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        before = letter;
    }
    let last = text[start..end].trim();
    if !last.is_empty() {
        found.push(last);
    }
    (found, closed)
}

/// Number of columns that an aggregation groups by, those included that Spark cut from its text.
pub(super) fn grouping_columns(simple_string: &str) -> u64 {
    let Some((_, rest)) = simple_string.split_once("keys=[") else { return 1 };
    let cut = |key: &str| key.strip_prefix("... ")?.split(' ').next()?.parse().ok();
    arguments(rest).into_iter().map(|key| cut(key).unwrap_or(1)).sum()
}

/// A plain column, as `name#id`; `None` for an expression.
pub(super) fn attribute(text: &str) -> Option<String> {
    let (name, id) = text.trim().rsplit_once('#')?;
    let id = id.strip_suffix('L').unwrap_or(id);
    let plain = !name.contains(['(', ' ', '#']) && !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| format!("{name}#{id}"))
}

/// A key of a join, an aggregation or a sort, under the name that its column had first.
pub(super) fn key(text: &str, aliases: &BTreeMap<String, String>) -> String {
    let named = text.rsplit(" AS ").next().unwrap_or(text);
    let plain = attribute(named).or_else(|| attribute(named.split(' ').next().unwrap_or(named)));
    let mut key = plain.unwrap_or_else(|| text.to_owned());
    // An alias of an alias; no plan has a circle, a broken log might.
    for _ in 0..aliases.len() {
        match aliases.get(&key) {
            Some(first) => key.clone_from(first),
            None => break,
        }
    }
    key
}

/// Whether all values of a type are whole numbers that a long holds (`HashJoin.rewriteKeyExpr`).
pub(super) fn is_integral(kind: &str) -> bool {
    matches!(kind, "tinyint" | "smallint" | "int" | "bigint")
}

/// Whether a value of a type is one radix-sortable prefix (SORT-2).
pub(super) fn is_radix(kind: &str) -> bool {
    is_integral(kind)
        || matches!(kind, "boolean" | "float" | "double" | "date" | "timestamp" | "timestamp_ntz")
}

/// Bytes of a value by Spark's estimate (`DataType.defaultSize`).
pub(super) fn default_type_size(kind: &str) -> u64 {
    match kind {
        "boolean" | "tinyint" => 1,
        "smallint" => 2,
        "int" | "float" | "date" => 4,
        "string" => 20,
        "binary" => 100,
        kind if kind.starts_with("char") || kind.starts_with("varchar") => 20,
        kind if kind.starts_with("decimal") => {
            let precision =
                kind.split(['(', ',']).nth(1).and_then(|digits| digits.trim().parse::<u32>().ok());
            if precision.is_some_and(|digits| digits > 18) { 16 } else { 8 }
        }
        _ => 8,
    }
}

/// The same of a column in a node's text, as far as the schemas of scans tell.
pub(super) fn default_size(column: &str, types: &BTreeMap<String, String>) -> u64 {
    types.get(name_of(column)).map_or(8, |kind| default_type_size(kind))
}

fn name_of(column: &str) -> &str {
    let name = column.rsplit(" AS ").next().unwrap_or(column);
    name.split('#').next().unwrap_or(name).trim()
}

/// Whether any column has values of variable length, as far as the schemas of scans tell.
pub(super) fn any_variable(columns: &[&str], types: &BTreeMap<String, String>) -> bool {
    columns.iter().any(|column| is_variable(column, types))
}

/// Digits of a decimal type.
fn precision(kind: &str) -> Option<u32> {
    kind.strip_prefix("decimal(")?.split(',').next()?.trim().parse().ok()
}

/// Whether keys or buffers of an aggregation have values of variable length (`UnsafeRow.isFixedLength`), as far as the
/// schemas of scans tell: texts and lists as keys, decimals of more digits than a long holds as either, to which a sum adds
/// ten digits.
pub(super) fn aggregate_varies(simple_string: &str, types: &BTreeMap<String, String>) -> bool {
    const LONG_DIGITS: u32 = 18;
    const SUM_DIGITS: u32 = 10;
    let list =
        |name: &str| simple_string.split_once(name).map(|(_, rest)| arguments(rest)).unwrap_or_default();
    let long = |column: &str, more: u32| {
        types
            .get(name_of(column))
            .and_then(|kind| precision(kind))
            .is_some_and(|digits| digits + more > LONG_DIGITS)
    };
    let keys = list("keys=[");
    let of_functions = list("functions=[").into_iter().filter_map(|function| function.split_once('('));
    keys.iter().any(|key| is_variable(key, types) || long(key, 0))
        || of_functions.into_iter().any(|(function, of)| {
            let more = if function.ends_with("sum") || function.ends_with("avg") { SUM_DIGITS } else { 0 };
            long(of.trim_end_matches(')'), more)
        })
}

fn is_variable(column: &str, types: &BTreeMap<String, String>) -> bool {
    types.get(name_of(column)).is_some_and(|kind| {
        kind == "string" || kind == "binary" || ["array", "map", "struct"].iter().any(|k| kind.starts_with(k))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_inside_calls_do_not_separate() {
        let text = "Project [k#1L, pmod(hash(id#0L, 42), 100) AS x#2, s#3]";
        assert_eq!(columns(text).unwrap().len(), 3);
        assert_eq!(columns("Project [a#1, ... 57 more fields]"), None);
        let types = BTreeMap::from([("s".to_owned(), "string".to_owned())]);
        assert_eq!(row_bytes(&columns(text).unwrap(), &types), 8 + 24 + 24);
        assert_eq!(arguments("hash(a#1, b#2), c#3, 200), ENSURE"), ["hash(a#1, b#2)", "c#3", "200"]);
    }

    #[test]
    fn comparisons_are_no_brackets() {
        let text = "Project [if ((a#1 > 5)) b#2 else c#3 AS x#4, (a#1 <=> d#5) AS y#6, (e#7 < 2) AS z#8]";
        assert_eq!(columns(text).unwrap().len(), 3);
        let text = "Project [transform(l#1, lambdafunction(v#2 -> (v#2 + 1), v#2)) AS x#3, d#4]";
        assert_eq!(columns(text).unwrap().len(), 2);
        let text = "Project [cast(s#1 as struct<a:bigint,b:array<int>>) AS t#2, d#3]";
        assert_eq!(columns(text).unwrap().len(), 2);
    }

    #[test]
    fn grouping_columns_are_counted_whole() {
        for (columns, keys) in [
            (1, "keys=[k#0L], functions=[collect_list(s#2, 0, 0)]"),
            (2, "keys=[k#0L, s#2], functions=[]"),
            (2, "keys=[l#0[0], pmod(hash(a#1L, b#2L, 42), 100)], functions=[]"),
            (28, "keys=[a#1, b#2, c#3, ... 25 more fields], functions=[]"),
        ] {
            assert_eq!(grouping_columns(&format!("ObjectHashAggregate({keys})")), columns, "{keys}");
        }
    }

    #[test]
    fn texts_and_long_decimals_vary() {
        let kinds = [("s", "string"), ("p", "decimal(12,2)"), ("k", "bigint")];
        let types = kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into();
        for (varies, text) in [
            (true, "HashAggregate(keys=[k#1L, s#2], functions=[partial_sum(k#1L)])"),
            (true, "HashAggregate(keys=[k#1L], functions=[partial_count(1), partial_sum(p#3)])"),
            (false, "HashAggregate(keys=[k#1L], functions=[partial_max(p#3), partial_sum(k#1L)])"),
            (false, "HashAggregate(keys=[p#3], functions=[])"),
        ] {
            assert_eq!(aggregate_varies(text, &types), varies, "{text}");
        }
    }

    #[test]
    fn keys_have_the_name_of_their_first_column() {
        let aliases = BTreeMap::from([("k#3".to_owned(), "id#1".to_owned())]);
        assert_eq!(key("k#3L", &aliases), "id#1");
        assert_eq!(key("k#3L ASC NULLS FIRST", &aliases), "id#1");
        assert_eq!(key("norm(x#4) AS x#5", &aliases), "x#5");
        assert_eq!(key("cast(x#4 as bigint)", &aliases), "cast(x#4 as bigint)");
    }

    #[test]
    fn types_have_the_sizes_of_sparks_estimates() {
        let fields = schema("struct<k:bigint,price:decimal(12,2),name:string,day:date>");
        let sizes: Vec<u64> = fields.iter().map(|(_, kind)| default_type_size(kind)).collect();
        assert_eq!(sizes, [8, 8, 20, 4]);
        assert_eq!(default_type_size("decimal(38,10)"), 16);
    }
}
