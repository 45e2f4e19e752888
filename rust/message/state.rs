//! A stream's messages in the making: its chunks in their order in, its choices with whole messages out.

use std::collections::HashMap;

use super::calls::Calls;
use super::fold::{Folded, Object, members_of};
use super::rules::is_told_otherwise;
use super::trail::{Path, Shortcut, Trail};
use crate::chunk::{self, Doc, Key, Node, Type, Value};
use crate::decoder::Shaped;

/// A choice whose message is whole.
#[derive(Debug)]
pub struct Choice {
    /// Its index; where none was sent, its place in `choices`.
    pub index: i64,
    /// The last finish reason that is not empty.
    pub finish_reason: Option<Vec<u8>>,
    /// All that its deltas had, but for tool calls.
    pub message: Object,
    /// Its tool calls.
    pub tool_calls: Vec<Object>,
    /// Log probabilities; None if none were sent, null or not.
    pub logprobs: Option<Folded>,
    /// What else was sent.
    pub fields: Object,
}

/// A choice in the making.
#[derive(Debug)]
struct Making {
    index: i64,
    finish_reason: Option<Vec<u8>>,
    delta: Object,
    calls: Calls,
    logprobs: Option<Folded>,
    fields: Object,
    had_delta: bool,
    /// The last `message`, until there is a delta.
    whole: Option<Vec<u8>>,
}

/// More choices find themselves by a table.
const FEW: usize = 8;

// The parts of a choice that a path leads to.
const DELTA: usize = 0;
const CALLS: usize = 1;
const FIELDS: usize = 2;

/// All messages of a stream.
#[derive(Debug, Default)]
pub(super) struct State {
    choices: Vec<Making>,
    /// Where each choice is, once there are many.
    by_index: HashMap<i64, usize>,
    fields: Object,
    shortcut: Shortcut,
    /// Chunks that wait until it is known whose they are: their texts, and where each ends.
    waiting: Vec<u8>,
    ends: Vec<usize>,
}

impl State {
    /// Adds a chunk.
    pub(super) fn fold(&mut self, doc: Doc<'_>, trail: &mut Trail) {
        trail.clear();
        for (name, value) in members_of(doc.root()) {
            match &*name {
                b"choices" => self.fold_choices(value, trail),
                name if is_told_otherwise(name) => {}
                name => {
                    let place = self.fields.place_for(name);
                    if let Some(field) = self.fields.at(place) {
                        field.fold_last(value, trail);
                    }
                }
            }
        }
        self.shortcut.learn(doc, trail);
    }

    /// Adds a chunk that matched a shape.
    #[inline]
    pub(super) fn fold_shaped(&mut self, shaped: &Shaped<'_>, trail: &mut Trail) {
        let doc = shaped.doc();
        let Self { shortcut, choices, .. } = self;
        if !shortcut.knows(shaped.template.number()) {
            self.fold(doc, trail);
            return;
        }
        for &(number, path) in shortcut.appends() {
            // The path led there for the chunk before.
            if let Some(text) = text_at(choices, &path) {
                doc.value(number).append_to(text);
            }
        }
    }

    /// Keeps a chunk for later.
    pub(super) fn wait(&mut self, doc: Doc<'_>) {
        self.waiting.extend_from_slice(doc.text());
        self.ends.push(self.waiting.len());
    }

    /// Do chunks wait?
    #[inline]
    pub(super) fn has_waiting(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Adds the chunks that wait.
    pub(super) fn fold_waiting(&mut self, trail: &mut Trail) {
        let (waiting, ends) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.ends));
        self.fold_texts(&waiting, &ends, trail);
    }

    /// Adds the chunks of a part, all of which wait, behind its own.
    pub(super) fn fold_part(&mut self, part: &Self, trail: &mut Trail) {
        self.fold_waiting(trail);
        self.fold_texts(&part.waiting, &part.ends, trail);
    }

    fn fold_texts(&mut self, texts: &[u8], ends: &[usize], trail: &mut Trail) {
        let (mut nodes, mut start) = (Vec::new(), 0);
        for &end in ends {
            let text = &texts[start..end];
            start = end;
            nodes.clear();
            // It was parsed before; nothing can be wrong with it.
            if chunk::parse(text, text.len(), 0, &mut nodes).is_ok() {
                self.fold(Doc::new(text, &nodes), trail);
            }
        }
    }

    fn fold_choices(&mut self, choices: Value<'_>, trail: &mut Trail) {
        for (place, choice) in choices.items().enumerate() {
            if choice.kind() != Type::Object {
                continue;
            }
            let index = choice.get(Key::Index);
            if let Some(index) = index {
                trail.see(index);
            }
            let index = index.and_then(Value::integer).filter(|&index| index >= 0).unwrap_or(place as i64);
            let place = self.place_of(index);
            trail.enter(place);
            self.choices[place].fold(choice, trail);
            trail.leave();
        }
    }

    fn place_of(&mut self, index: i64) -> usize {
        let Self { choices, by_index, .. } = self;
        let known = if choices.len() <= FEW {
            choices.iter().position(|choice| choice.index == index)
        } else {
            by_index.get(&index).copied()
        };
        known.unwrap_or_else(|| {
            choices.push(Making::new(index));
            if choices.len() > FEW {
                by_index.extend(choices.iter().enumerate().skip(by_index.len()).map(|(place, one)| (one.index, place)));
            }
            choices.len() - 1
        })
    }

    /// The stream has ended: the choices in the order of their index, and the chunk's other fields.
    pub(super) fn finish(mut self, trail: &mut Trail) -> (Vec<Choice>, Object) {
        self.choices.sort_by_key(|choice| choice.index);
        (self.choices.into_iter().map(|choice| choice.finish(trail)).collect(), self.fields)
    }
}

/// The text at the end of a path.
#[inline]
fn text_at<'a>(choices: &'a mut [Making], path: &Path) -> Option<&'a mut Vec<u8>> {
    let [choice, part, steps @ ..] = path.steps() else { return None };
    let choice = choices.get_mut(*choice as usize)?;
    let (object, steps) = match *part as usize {
        DELTA => (&mut choice.delta, steps),
        FIELDS => (&mut choice.fields, steps),
        _ => {
            let (call, steps) = steps.split_first()?;
            (choice.calls.at(*call as usize)?, steps)
        }
    };
    let (first, steps) = steps.split_first()?;
    let mut value = object.at(*first as usize)?;
    for &step in steps {
        value = match value {
            Folded::Object(object) => object.at(step as usize)?,
            Folded::List(list) => list.at(step as usize)?,
            _ => return None,
        };
    }
    match value {
        Folded::Text(text) => Some(text),
        _ => None,
    }
}

impl Making {
    fn new(index: i64) -> Self {
        Self {
            index,
            finish_reason: None,
            delta: Object::default(),
            calls: Calls::default(),
            logprobs: None,
            fields: Object::default(),
            had_delta: false,
            whole: None,
        }
    }

    fn fold(&mut self, choice: Value<'_>, trail: &mut Trail) {
        for (name, value) in members_of(choice) {
            match &*name {
                b"index" | b"usage" => {}
                b"delta" => {
                    if value.kind() == Type::Object {
                        self.had_delta = true;
                        self.whole = None;
                        self.fold_delta(value, trail);
                    }
                }
                b"finish_reason" => {
                    // One that is empty may be another in the next chunk of the template.
                    trail.see(value);
                    if let Some(reason) = value.non_empty() {
                        self.finish_reason = Some(reason.into_owned());
                    }
                }
                b"logprobs" => self.fold_logprobs(value, trail),
                b"message" => {
                    if value.kind() == Type::Object && !self.had_delta {
                        trail.give_up();
                        self.whole = Some(value.raw().to_vec());
                    }
                }
                name => self.fold_field(name, value, trail),
            }
        }
    }

    fn fold_delta(&mut self, delta: Value<'_>, trail: &mut Trail) {
        for (name, value) in members_of(delta) {
            match &*name {
                b"tool_calls" => {
                    trail.enter(CALLS);
                    self.calls.fold(value, trail);
                    trail.leave();
                }
                name => {
                    trail.enter(DELTA);
                    let place = self.delta.place_for(name);
                    trail.enter(place);
                    if let Some(field) = self.delta.at(place) {
                        if name == b"content" {
                            field.fold_content(value, trail);
                        } else {
                            field.fold(value, name, 0, trail);
                        }
                    }
                    trail.leave();
                    trail.leave();
                }
            }
        }
    }

    /// Arrays in it grow; where it is no object the last one counts.
    fn fold_logprobs(&mut self, new: Value<'_>, trail: &mut Trail) {
        let logprobs = self.logprobs.get_or_insert(Folded::Null);
        match new.kind() {
            Type::Null => {}
            Type::Object => logprobs.fold_object_elements(new, trail),
            _ => logprobs.replace(new, trail),
        }
    }

    fn fold_field(&mut self, name: &[u8], value: Value<'_>, trail: &mut Trail) {
        trail.enter(FIELDS);
        let place = self.fields.place_for(name);
        trail.enter(place);
        if let Some(field) = self.fields.at(place) {
            if name == b"text" && value.kind() == Type::String {
                field.fold(value, name, 0, trail);
            } else {
                field.fold_elements(value, trail);
            }
        }
        trail.leave();
        trail.leave();
    }

    fn finish(mut self, trail: &mut Trail) -> Choice {
        if let Some(whole) = self.whole.take() {
            let mut nodes: Vec<Node> = Vec::new();
            if chunk::parse(&whole, whole.len(), 0, &mut nodes).is_ok() {
                self.fold_delta(Doc::new(&whole, &nodes).root(), trail);
            }
        }
        Choice {
            index: self.index,
            finish_reason: self.finish_reason,
            message: self.delta,
            tool_calls: self.calls.into_calls(),
            logprobs: self.logprobs,
            fields: self.fields,
        }
    }
}
