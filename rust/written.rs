//! The written room: a chunk in, how much of its model's text it carries out.
//!
//! That is what the tokens of a stream are estimated from where its server reported none. Text is whatever the model
//! wrote: content (or its parts), reasoning, refusals, names and arguments of calls, what was said aloud.

use std::collections::HashMap;
use std::ops::AddAssign;

use crate::chunk::{Doc, Key, Type, Value};

/// More templates than these are not remembered.
const MAX_TEMPLATES: usize = 1024;

/// Names of reasoning; a server that sends two sends the same text twice.
const REASONING: [&[u8]; 3] = [b"reasoning_content", b"reasoning", b"reasoning_text"];

/// How much text there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Deltas that have any.
    pub deltas: u64,
    /// Its bytes in UTF-8, unescaped.
    pub bytes: u64,
}

impl AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.deltas += other.deltas;
        self.bytes += other.bytes;
    }
}

/// Where a text stands in a document.
#[derive(Clone, Copy)]
struct Text {
    /// The number of its node.
    node: usize,
    /// Is it the first of a delta?
    is_first: bool,
    /// Does it count only if the one before is empty?
    is_other_name: bool,
}

/// Measures chunks. It remembers where the texts stand in those that match the same template.
#[derive(Default)]
pub struct Gauge {
    known: HashMap<u64, Box<[Text]>>,
    /// Those of the last template, and its number.
    texts: Vec<Text>,
    template: Option<u64>,
}

impl Gauge {
    /// How much text the chunk carries.
    pub fn measure(&mut self, doc: Doc<'_>) -> Written {
        let template = doc.template().map(|template| template.number());
        if template.is_none() || template != self.template {
            self.find(doc, template);
        }
        let mut written = Written::default();
        let (mut in_delta, mut last) = (0, 0);
        for text in &self.texts {
            if text.is_first {
                written.deltas += u64::from(in_delta > 0);
                in_delta = 0;
            }
            if text.is_other_name && last > 0 {
                continue;
            }
            last = length(doc.value(text.node));
            in_delta += last;
            written.bytes += last;
        }
        written.deltas += u64::from(in_delta > 0);
        written
    }

    /// Finds where the texts of a chunk stand: all of a template have them at the same nodes.
    fn find(&mut self, doc: Doc<'_>, template: Option<u64>) {
        self.template = template;
        self.texts.clear();
        if let Some(texts) = template.and_then(|number| self.known.get(&number)) {
            self.texts.extend_from_slice(texts);
            return;
        }
        let choices = doc.root().get(Key::Choices);
        for choice in choices.into_iter().flat_map(Value::items) {
            let first = self.texts.len();
            if let Some(delta) = choice.get(Key::Delta) {
                self.find_in(delta);
            }
            if let Some(text) = self.texts.get_mut(first) {
                text.is_first = true;
            }
        }
        if let Some(number) = template {
            if self.known.len() == MAX_TEMPLATES {
                self.known.clear();
            }
            self.known.insert(number, self.texts.as_slice().into());
        }
    }

    fn find_in(&mut self, delta: Value<'_>) {
        if let Some(content) = delta.get(Key::Content) {
            self.push(Some(content), false);
            for part in content.items() {
                self.push(part.get_named(b"text"), false);
                // Mistral's: a text, or a list of parts again.
                if let Some(thinking) = part.get_named(b"thinking") {
                    self.push(Some(thinking), false);
                    thinking.items().for_each(|part| self.push(part.get_named(b"text"), false));
                }
            }
        }
        let before = self.texts.len();
        for name in REASONING {
            self.push(delta.get_named(name), self.texts.len() > before);
        }
        self.push(delta.get(Key::Refusal), false);
        let calls = delta.get(Key::ToolCalls).into_iter().flat_map(Value::items);
        let functions = calls.filter_map(|call| call.get(Key::Function)).chain(delta.get(Key::FunctionCall));
        for function in functions {
            self.push(function.get(Key::Name), false);
            self.push(function.get(Key::Arguments), false);
        }
        self.push(delta.get_named(b"audio").and_then(|audio| audio.get_named(b"transcript")), false);
    }

    fn push(&mut self, text: Option<Value<'_>>, is_other_name: bool) {
        if let Some(text) = text.filter(|text| text.kind() == Type::String) {
            self.texts.push(Text { node: text.number(), is_first: false, is_other_name });
        }
    }
}

/// The bytes of a string.
fn length(text: Value<'_>) -> u64 {
    let bytes = if text.is_escaped() { text.bytes().len() } else { text.text().len() };
    bytes as u64
}
