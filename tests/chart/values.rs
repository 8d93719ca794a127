//! The values: each is documented, in the schema, and in what the program understands.

use std::{collections::BTreeSet, fs};

use fermata_core::annotation::TABLE;
use serde_json::Value;

use crate::stage::CHART;

/// A value that can be set, such as `tls.mode`.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) path: String,
    pub(crate) default: Value,
    pub(crate) meaning: String,
}

pub(crate) fn text(file: &str) -> String {
    fs::read_to_string(format!("{CHART}/{file}")).unwrap()
}

pub(crate) fn schema() -> Value {
    serde_json::from_str(&text("values.schema.json")).unwrap()
}

/// Every value of `values.yaml`, in its order.
pub(crate) fn settings() -> Vec<Setting> {
    let values: Value = serde_saphyr::from_str(&text("values.yaml")).unwrap();
    let meanings = meanings(&text("values.yaml"));
    let mut settings = Vec::new();
    collect("", &values, &schema(), &meanings, &mut settings);
    settings
}

/// A table goes on below as far as the schema names what may be in it.
fn collect(
    path: &str,
    value: &Value,
    schema: &Value,
    meanings: &[(String, String)],
    settings: &mut Vec<Setting>,
) {
    match (value.as_object(), schema["properties"].as_object()) {
        (Some(table), Some(properties)) if !table.is_empty() => {
            assert_eq!(schema["additionalProperties"], Value::Bool(false), "{path} is open");
            for (key, value) in table {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let schema = properties.get(key).unwrap_or_else(|| panic!("{below} is not in the schema"));
                collect(&below, value, schema, meanings, settings);
            }
        }
        _ => {
            let meaning = meanings.iter().find(|(of, _)| of == path).map(|(_, meaning)| meaning.clone());
            settings.push(Setting {
                path: path.to_owned(),
                default: value.clone(),
                meaning: meaning.unwrap_or_else(|| panic!("{path} is not documented in values.yaml")),
            });
        }
    }
}

/// The comment above each key.
fn meanings(yaml: &str) -> Vec<(String, String)> {
    let (mut path, mut comment, mut found) = (Vec::<(usize, &str)>::new(), String::new(), Vec::new());
    for line in yaml.lines() {
        let words = line.trim_start();
        let depth = line.len() - words.len();
        if let Some(said) = words.strip_prefix("# ") {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(said);
        } else if let Some((key, _)) = words.split_once(':').filter(|(key, _)| !key.contains(' ')) {
            path.retain(|(above, _)| *above < depth);
            path.push((depth, key));
            if !comment.is_empty() {
                let path: Vec<&str> = path.iter().map(|(_, key)| *key).collect();
                found.push((path.join("."), std::mem::take(&mut comment)));
            }
        } else {
            comment.clear();
        }
    }
    found
}

/// Each table of the schema, with the values of the same path.
fn tables<'a>(path: &str, schema: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    if let Some(properties) = schema["properties"].as_object() {
        found.push((path.to_owned(), schema));
        for (key, schema) in properties {
            tables(format!("{path}.{key}").trim_start_matches('.'), schema, found);
        }
    }
}

#[test]
fn every_value_is_documented_and_in_the_schema() {
    let settings = settings();
    assert!(settings.len() > 80, "only {}", settings.len());
    for Setting { path, meaning, .. } in &settings {
        assert!(meaning.ends_with('.'), "{path}: {meaning:?} is no sentence");
    }
    // A comment that no value follows is about something that has gone.
    for (path, meaning) in meanings(&text("values.yaml")) {
        let here = |setting: &Setting| setting.path == path || setting.path.starts_with(&format!("{path}."));
        assert!(settings.iter().any(here), "{path} is documented and no value: {meaning}");
    }
}

#[test]
fn everything_in_the_schema_is_a_value() {
    let values: Value = serde_saphyr::from_str(&text("values.yaml")).unwrap();
    let schema = schema();
    let mut found = Vec::new();
    tables("", &schema, &mut found);
    for (path, table) in found {
        assert_eq!(table["additionalProperties"], Value::Bool(false), "{path:?} is open");
        let values = match path.as_str() {
            "" => &values,
            // The annotations' names, which the next test compares.
            "config.defaults" => continue,
            path => values.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Value::Null),
        };
        for key in table["properties"].as_object().unwrap().keys() {
            // Helm's own, and the condition of a chart that depends on this one.
            if path.is_empty() && ["global", "enabled"].contains(&key.as_str()) {
                continue;
            }
            assert!(values.get(key).is_some(), "{path}.{key} is in the schema alone");
        }
    }
}

#[test]
fn the_defaults_are_named_as_the_annotations() {
    let schema = schema();
    let known = schema.pointer("/properties/config/properties/defaults/properties").unwrap();
    let known: BTreeSet<&str> = known.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(known, TABLE.iter().map(|row| row.name).collect());
}

#[test]
fn the_chart_has_the_program_s_version() {
    let chart: Value = serde_saphyr::from_str(&text("Chart.yaml")).unwrap();
    for key in ["version", "appVersion"] {
        assert_eq!(chart[key], env!("CARGO_PKG_VERSION"), "{key}");
    }
}
