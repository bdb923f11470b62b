//! The JSON Schema accepts what the parser accepts.

use spillcast::scenario::render;

use super::{scenario, shipped};

/// Faults of a TOML value by the schema: only the keywords that the schema uses.
fn schema_faults(
    value: &toml::Value,
    schema: &serde_json::Value,
    root: &serde_json::Value,
    path: &str,
) -> Vec<String> {
    if let Some(reference) = schema.get("$ref").and_then(|reference| reference.as_str()) {
        let target = root.pointer(&reference[1..]).expect("a definition");
        return schema_faults(value, target, root, path);
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(choices) = schema.get(keyword).and_then(|choices| choices.as_array()) {
            let faults: Vec<_> =
                choices.iter().map(|choice| schema_faults(value, choice, root, path)).collect();
            let fitting = faults.iter().filter(|faults| faults.is_empty()).count();
            return match (keyword, fitting) {
                ("oneOf", 1) => Vec::new(),
                ("anyOf", 1..) => Vec::new(),
                _ => faults.into_iter().flatten().collect(),
            };
        }
    }
    let text = value.as_str();
    if let Some(expected) = schema.get("const") {
        return (text != expected.as_str()).then(|| format!("{path}: not {expected}")).into_iter().collect();
    }
    if let Some(words) = schema.get("enum").and_then(|words| words.as_array()) {
        let known = words.iter().any(|word| word.as_str() == text);
        return (!known).then(|| format!("{path}: not in {words:?}")).into_iter().collect();
    }
    let types = match &schema["type"] {
        serde_json::Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let fits = types.iter().any(|kind| match kind.as_str() {
        Some("string") => value.is_str(),
        Some("integer") => value.is_integer(),
        Some("number") => value.is_integer() || value.is_float(),
        Some("boolean") => value.is_bool(),
        Some("array") => value.is_array(),
        Some("object") => value.is_table(),
        _ => false,
    });
    if !fits {
        return vec![format!("{path}: not {types:?}")];
    }
    let mut faults = Vec::new();
    if let (Some(table), Some(properties)) = (value.as_table(), schema.get("properties")) {
        for (key, value) in table {
            match properties.get(key) {
                Some(schema) => faults.extend(schema_faults(value, schema, root, &format!("{path}.{key}"))),
                None => faults.push(format!("{path}.{key}: unknown")),
            }
        }
        let required = schema["required"].as_array().expect("required");
        let missing = required.iter().filter_map(|key| key.as_str()).filter(|key| !table.contains_key(*key));
        faults.extend(missing.map(|key| format!("{path}.{key}: missing")));
    }
    if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
        for item in items {
            faults.extend(schema_faults(item, schema, root, path));
        }
    }
    faults
}

#[test]
fn the_schema_accepts_every_shipped_scenario_in_both_forms() {
    let schema = spillcast::scenario::schema();
    for (path, text) in shipped() {
        for text in [render(&scenario(&text)), text] {
            let value: toml::Value = toml::from_str(&text).expect("TOML");
            assert_eq!(
                schema_faults(&value, &schema, &schema, ""),
                Vec::<String>::new(),
                "{}",
                path.display()
            );
        }
    }
    let wrong: toml::Value =
        toml::from_str("[[query]]\nsteps = [{ op = \"sort\", groups = 1 }]\ncolour = 1\n").expect("TOML");
    let faults = schema_faults(&wrong, &schema, &schema, "");
    for fault in [".query.colour: unknown", ".query.from: missing", ".query.steps.groups: unknown"] {
        assert!(faults.iter().any(|found| found == fault), "{fault}: {faults:?}");
    }
}
