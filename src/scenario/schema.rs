//! The JSON Schema of scenario files (draft 2020-12), for editors, made from the table of keys.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::grammar::{DISTRIBUTION, Key, Kind, SCENARIO, Table};
use super::level::{LEVEL, LEVELS};

/// The schema of a scenario file.
pub fn schema() -> Value {
    let mut definitions = BTreeMap::new();
    let Value::Object(root) = table(&SCENARIO, &mut definitions) else { return Value::Null };
    let mut document = Map::new();
    document.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    document.insert("title".to_owned(), json!("spillcast scenario"));
    document.extend(root);
    document.insert("$defs".to_owned(), definitions.into_iter().collect());
    Value::Object(document)
}

type Definitions = BTreeMap<String, Value>;

/// A reference to a table's definition, which is made when it is needed first.
fn reference(grammar: &Table, definitions: &mut Definitions) -> Value {
    let name = grammar.title.trim_start_matches("a ").trim_start_matches("an ").trim_start_matches("the ");
    let name = name.replace(' ', "_");
    if !definitions.contains_key(&name) {
        definitions.insert(name.clone(), Value::Null);
        let made = table(grammar, definitions);
        definitions.insert(name.clone(), made);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn table(grammar: &Table, definitions: &mut Definitions) -> Value {
    let Some(tag) = grammar.tag else {
        return object(grammar.keys.iter(), None, definitions);
    };
    let variants = grammar
        .variants
        .iter()
        .map(|(word, _)| object(grammar.keys_for(Some(word)), Some((tag, word)), definitions))
        .collect::<Vec<_>>();
    json!({ "oneOf": variants })
}

fn object<'k>(
    keys: impl Iterator<Item = &'k Key>,
    tag: Option<(&str, &str)>,
    definitions: &mut Definitions,
) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<&str> = Vec::new();
    if let Some((tag, word)) = tag {
        properties.insert(tag.to_owned(), json!({ "const": word }));
        required.push(tag);
    }
    for key in keys {
        let mut value = kind(key.kind, definitions);
        if let Value::Object(value) = &mut value {
            value.insert("description".to_owned(), json!(key.doc));
        }
        properties.insert(key.name.to_owned(), value);
        if key.required {
            required.push(key.name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn kind(kind: Kind, definitions: &mut Definitions) -> Value {
    let whole = json!({ "type": "integer", "minimum": 0 });
    let size = || {
        let units = "^\\s*[0-9]+([kKmMgGtTpP]?[bB]?)\\s*$";
        json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": units }] })
    };
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::FreeText => json!({ "type": "string" }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Whole(min, u64::MAX) => json!({ "type": "integer", "minimum": min }),
        Kind::Whole(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Signed(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Number(min, f64::MAX) => json!({ "type": "number", "minimum": min }),
        Kind::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
        Kind::Size => size(),
        Kind::Rate => json!({ "anyOf": [{ "type": "number", "minimum": 1 }, size()] }),
        Kind::Time => json!({ "type": "string", "pattern": "^\\s*[0-9]+(us|ms|s|m|min|h|d)\\s*$" }),
        Kind::Amount => json!({ "anyOf": [whole, { "type": "array", "items": whole }] }),
        Kind::Wholes => json!({ "type": "array", "items": whole }),
        Kind::Numbers => json!({ "type": "array", "items": { "type": "number", "minimum": 0 } }),
        Kind::Names => {
            let name = json!({ "type": "string", "minLength": 1 });
            json!({ "anyOf": [name, { "type": "array", "items": name }] })
        }
        Kind::Level => json!({ "anyOf": [{ "enum": LEVELS }, reference(&LEVEL, definitions)] }),
        Kind::Distribution => {
            json!({ "anyOf": [{ "const": "uniform" }, reference(&DISTRIBUTION, definitions)] })
        }
        Kind::Partitions => json!({ "anyOf": [{ "const": "conf" }, { "type": "integer", "minimum": 1 }] }),
        // Dotted keys without quotes make tables within tables.
        Kind::Properties => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean", "object"] } })
        }
        Kind::Table(grammar) => reference(grammar, definitions),
        Kind::Tables(grammar) => json!({ "type": "array", "items": reference(grammar, definitions) }),
    }
}
