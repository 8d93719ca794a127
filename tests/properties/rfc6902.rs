//! A second implementation of JSON Patch, written from RFC 6902 and RFC 6901 alone: what both this one and the
//! json-patch crate accept, the API server's accepts too.

use serde_json::Value;

/// Applies a patch; the first operation that cannot be applied fails all.
pub(crate) fn apply(document: &Value, operations: &Value) -> Result<Value, String> {
    let mut document = document.clone();
    for operation in operations.as_array().ok_or("expected an array")? {
        let path = operation["path"].as_str().ok_or("expected a path")?;
        let value = operation.get("value").ok_or("expected a value")?.clone();
        let (parent, last) = path.rsplit_once('/').ok_or("the whole document is never patched here")?;
        let parent = resolve(&mut document, parent)?;
        let last = unescape(last);
        match (operation["op"].as_str(), parent) {
            (Some("add"), Value::Object(members)) => drop(members.insert(last, value)),
            (Some("replace"), Value::Object(members)) => {
                *members.get_mut(&last).ok_or(format!("nothing to replace at {path}"))? = value;
            }
            (Some("add"), Value::Array(elements)) if last == "-" => elements.push(value),
            (Some("add"), Value::Array(elements)) => {
                let index = last.parse().ok().filter(|index| *index <= elements.len());
                elements.insert(index.ok_or(format!("no place for an element {last}"))?, value);
            }
            (op, _) => return Err(format!("{op:?} at {path} is not an operation that Fermata writes")),
        }
    }
    Ok(document)
}

fn resolve<'a>(document: &'a mut Value, pointer: &str) -> Result<&'a mut Value, String> {
    let mut target = document;
    for name in pointer.split('/').skip(1).map(unescape) {
        target = match target {
            Value::Object(members) => members.get_mut(&name).ok_or(format!("no member {name}"))?,
            Value::Array(elements) => {
                let index: usize = name.parse().map_err(|_| format!("{name} is no index"))?;
                elements.get_mut(index).ok_or(format!("no element {index}"))?
            }
            _ => return Err(format!("nothing can be in {target}")),
        };
    }
    Ok(target)
}

fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
