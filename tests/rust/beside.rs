//! `serde_json` as the third opinion: what it read and a document in, whether they are the same out.
#![allow(dead_code)] // every test is a crate of its own and uses a part of this

use std::collections::BTreeMap;

use chunkwire::chunk::{Doc, Type, Value};

/// Is this what `serde_json` read? Numbers may differ in the last bit, since it does not round exactly.
pub fn same(value: Value<'_>, other: &serde_json::Value) -> bool {
    use serde_json::Value as Other;
    match (value.kind(), other) {
        (Type::Null, Other::Null) | (Type::True, Other::Bool(true)) | (Type::False, Other::Bool(false)) => true,
        (Type::Int | Type::Float, Other::Number(number)) => {
            let text = std::str::from_utf8(value.text()).expect("a number is ASCII");
            let (ours, theirs) = (value.number_value().expect("a number"), number.as_f64().expect("a number"));
            let integer = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            (ours == theirs || (ours - theirs).abs() <= theirs.abs() * 1e-15)
                && integer.is_none_or(|integer| value.kind() == Type::Float || text.parse() == Ok(integer))
                && value
                    .integer()
                    .is_none_or(|ours| value.kind() == Type::Float || number.as_i64().unwrap_or(0) == ours)
        }
        (Type::String, Other::String(text)) => *value.bytes() == *text.as_bytes(),
        (Type::Array, Other::Array(items)) => {
            value.items().count() == items.len() && value.items().zip(items).all(|(value, other)| same(value, other))
        }
        (Type::Object, Other::Object(members)) => {
            let ours: BTreeMap<Vec<u8>, Value<'_>> =
                value.members().map(|(key, value)| (key.bytes().into_owned(), value)).collect();
            ours.len() == members.len()
                && members.iter().all(|(name, other)| {
                    // (To compare what either way finds would double the work with every level of nesting.)
                    let member = value.get_named(name.as_bytes());
                    member.map(Value::number) == ours.get(name.as_bytes()).map(|value| value.number())
                        && member.is_some_and(|member| same(member, other))
                })
        }
        _ => false,
    }
}

/// Does the document hold what `serde_json` refuses: words that are no JSON, lone surrogates, numbers above f64,
/// 128 containers in each other?
pub fn is_beyond_serde(value: Value<'_>, depth: usize) -> bool {
    match value.kind() {
        Type::NaN | Type::Infinity | Type::NegInfinity => true,
        Type::Int | Type::Float => value.number_value().is_some_and(f64::is_infinite),
        Type::String | Type::Key => std::str::from_utf8(&value.bytes()).is_err(),
        Type::Array => depth >= 127 || value.items().any(|item| is_beyond_serde(item, depth + 1)),
        Type::Object => {
            depth >= 127
                || value.members().any(|(key, value)| is_beyond_serde(key, 0) || is_beyond_serde(value, depth + 1))
        }
        _ => false,
    }
}

/// A document that was accepted has the value that `serde_json` reads, unless it is beyond `serde_json`.
pub fn check(doc: Doc<'_>) {
    match serde_json::from_slice::<serde_json::Value>(doc.text()) {
        Ok(other) => assert!(same(doc.root(), &other), "{:?}: {other}", String::from_utf8_lossy(doc.text())),
        Err(error) => {
            assert!(is_beyond_serde(doc.root(), 0), "accepted, but {error}: {:?}", String::from_utf8_lossy(doc.text()));
        }
    }
}
