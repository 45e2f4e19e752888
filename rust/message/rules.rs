//! How the pieces of a field become one value: the field's name in, the rule for it out.
//!
//! | where | what was sent | together |
//! |---|---|---|
//! | anywhere | null | changes nothing |
//! | `delta`, and what is in it | strings | one behind the other, if they are text |
//! | | strings that [name](is_identifier) something | the last that is not empty |
//! | | objects | member by member |
//! | | arrays | element behind element; but an object with an `index` goes on with the last one of that index, and one of [running text](is_running) without `index` with the element before it, unless their types or ids differ |
//! | | numbers, booleans, and another type than before | the last |
//! | `tool_calls` | calls | see [`Calls`](super::calls::Calls) |
//! | `executed_tools` | objects with an `index` | the last one of that index (Groq sends each again when it is done) |
//! | `content` | strings and arrays in turn (Mistral) | an array, the strings as `{"type": "text"}` |
//! | `logprobs` | arrays | element behind element |
//! | a choice's other fields | `text`; arrays | one behind the other |
//! | | anything else | the last; of objects the last of each member |
//! | the chunk's other fields | | the last; of objects the last of each member |

/// What is nested deeper than so many levels in a delta is not folded: the last one counts.
pub(super) const MAX_DEPTH: usize = 8;

/// Strings that name something, and are sent again or not, but never in pieces.
const IDENTIFIERS: &[&[u8]] = &[
    b"channel",
    b"format",
    b"id",
    b"language",
    b"mime_type",
    b"model",
    b"name",
    b"object",
    b"phase",
    b"provider",
    b"recipient",
    b"role",
    b"signature",
    b"status",
    b"type",
    b"url",
];

/// As do those whose name ends like this.
const IDENTIFIER_ENDS: &[&[u8]] = &[
    b"Id",
    b"_format",
    b"_id",
    b"_model",
    b"_name",
    b"_reason",
    b"_role",
    b"_signature",
    b"_status",
    b"_type",
    b"_url",
];

/// Does a field of this name hold a string that names something, not a piece of text?
pub(super) fn is_identifier(name: &[u8]) -> bool {
    IDENTIFIERS.contains(&name) || IDENTIFIER_ENDS.iter().any(|end| name.ends_with(end))
}

/// Do elements of this type hold pieces of one running text?
pub(super) fn is_running(kind: &[u8]) -> bool {
    matches!(kind, b"text" | b"thinking" | b"reasoning.text" | b"reasoning.summary")
}

/// The fields of a chunk that are no news of the completion: told otherwise, or padding.
pub(super) fn is_told_otherwise(name: &[u8]) -> bool {
    matches!(name, b"id" | b"object" | b"created" | b"model" | b"choices" | b"usage" | b"obfuscation" | b"p")
}
