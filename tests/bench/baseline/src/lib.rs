//! What Fermata is measured against: the webhook that anybody would write in an afternoon.
//!
//! It is a package apart from the bench because Cargo builds each dependency once, with all features that anybody
//! in the build asks for. One of them, `preserve_order` of `serde_json`, makes generic values a third slower, and a
//! baseline must not be slowed down by what others need. Built by itself it has the default features.

pub mod naive;

/// Whether `serde_json` keeps the order of keys, which makes a generic value more expensive.
#[must_use]
pub fn preserves_order() -> bool {
    let mut object = serde_json::Map::new();
    object.insert("b".to_owned(), serde_json::Value::Null);
    object.insert("a".to_owned(), serde_json::Value::Null);
    object.keys().next().is_some_and(|first| first == "b")
}
