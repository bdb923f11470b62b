//! Columns in the texts of plan nodes, for the size of rows between exchanges.

use std::collections::BTreeMap;

/// Bytes of a variable-length value that nobody counted, padded to words.
const VARIABLE_BYTES: u64 = 24;

/// The columns in the first bracket of a node's text, such as `Project [a#1L, (b#2 + 1) AS c#3]`; `None` when Spark cut
/// the list short.
pub(super) fn columns(simple_string: &str) -> Option<Vec<&str>> {
    let (_, rest) = simple_string.split_once('[')?;
    let (mut depth, mut start, mut found) = (0i32, 0, Vec::new());
    for (at, letter) in rest.char_indices() {
        match letter {
            '(' | '[' | '<' => depth += 1,
            ')' | '>' => depth -= 1,
            ']' if depth == 0 => {
                found.push(rest[start..at].trim());
                let whole = found.iter().all(|column| !column.contains("..."));
                return whole.then_some(found);
            }
            ']' => depth -= 1,
            ',' if depth == 0 => {
                found.push(rest[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

/// Bytes of a binary row of these columns: null words, a word each, and what strings take beyond.
pub(super) fn row_bytes(columns: &[&str], types: &BTreeMap<String, String>) -> u64 {
    let count = columns.len() as u64;
    let variable = columns.iter().filter(|column| is_variable(column, types)).count() as u64;
    count.div_ceil(64) * 8 + 8 * count + VARIABLE_BYTES * variable
}

/// Whether any column has values of variable length, as far as the schemas of scans tell.
pub(super) fn any_variable(columns: &[&str], types: &BTreeMap<String, String>) -> bool {
    columns.iter().any(|column| is_variable(column, types))
}

fn is_variable(column: &str, types: &BTreeMap<String, String>) -> bool {
    let name = column.rsplit(" AS ").next().unwrap_or(column);
    let name = name.split('#').next().unwrap_or(name).trim();
    types.get(name).is_some_and(|kind| {
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
    }
}
