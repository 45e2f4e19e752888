//! The template of a shape: one event's structure and text in, literals and holes to match the next event against out.
//!
//! A [`Skeleton`] is what all events of a shape share: their tokens, and which of them are the fields that users read.
//! A [`Template`] adds one event's text and says which of its scalars are holes. A template to which records point does
//! not change: a shape that learns then goes on with a copy over the same skeleton.

use std::any::Any;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use crate::chunk::doc::{Doc, Node, Type, Value};
use crate::chunk::keys::{KEY_COUNT, Key};

/// A number or node that is not there.
const NONE: u16 = u16::MAX;

/// No template has more nodes: their numbers are 16 bits wide. Longer events are left to the careful parser.
pub(super) const MAX_TEMPLATE_NODES: usize = 1 << 12;

/// The value that fills a hole: its place in the event's text, and the flags of its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Four bits of flags over 28 bits of the start.
    start: u32,
    end: u32,
}

const START_BITS: u32 = 28;
const START_MASK: u32 = (1 << START_BITS) - 1;

impl Span {
    #[inline]
    pub(super) fn new(start: usize, end: usize, flags: u32) -> Self {
        Self { start: start as u32 | flags << START_BITS, end: end as u32 }
    }

    #[inline]
    pub(super) fn start(self) -> usize {
        (self.start & START_MASK) as usize
    }

    #[inline]
    pub(super) fn end(self) -> usize {
        self.end as usize
    }

    #[inline]
    fn flags(self) -> u32 {
        self.start >> START_BITS
    }

    /// How long the value is, if it is a string with escapes or bytes outside ASCII, or a number with a fraction.
    #[inline]
    pub(super) fn hard_bytes(self) -> usize {
        if self.flags() == 0 { 0 } else { self.end().saturating_sub(self.start()) }
    }
}

/// What a slot takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotKind {
    Text,
    Number,
}

/// The flag of a number with a fraction or an exponent.
pub(super) const FLOAT: u32 = 1;

/// A scalar that may be another one in the next event: where it stands in the template's text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub start: u32,
    pub end: u32,
    pub node: u16,
    pub kind: SlotKind,
    pub is_hole: bool,
}

/// A run of bytes that have to come again, and the hole behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub start: u32,
    pub end: u32,
    /// The slot that is the hole behind it; the last run has none.
    pub slot: u16,
    pub kind: SlotKind,
}

/// Node numbers of an object's members by key: the last one of each, as `json.loads` has it.
type Fields = [u16; KEY_COUNT];

/// What all events of a shape share.
#[derive(Debug)]
struct Skeleton {
    /// The objects whose fields are asked for most: the chunk, its first choice, and that one's delta.
    objects: [u16; 3],
    fields: [Fields; 3],
    /// `choices[0].delta.content`
    content: u16,
    /// By slot: does it say to which stream the chunk belongs, or how that goes?
    tells: Box<[bool]>,
    /// Does the chunk carry usage, a cost or times? Then each one counts.
    reports: bool,
    /// Is that a usage object, and nothing else? Then the last one counts.
    reports_usage_alone: bool,
    plain: Option<Plain>,
}

/// Where a chunk that does no more than go on with its stream says which stream that is.
#[derive(Debug)]
pub struct Plain {
    /// The node number of the id, a string.
    pub id: usize,
    /// Those of the indexes of its choices; a choice without counts as the first.
    pub indexes: Box<[Option<usize>]>,
}

/// One event of a shape, as literals and holes.
#[derive(Debug)]
pub struct Template {
    number: u64,
    text: Vec<u8>,
    nodes: Vec<Node>,
    /// By node, and for the end: twice the number of holes before it, and one more for a hole itself.
    places: Vec<u16>,
    pub(super) slots: Vec<Slot>,
    pub(super) parts: Vec<Part>,
    skeleton: Arc<Skeleton>,
    /// Holes that say to which stream the chunk belongs, or how that goes.
    telling: Vec<u16>,
    attachment: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// The number of the next template.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Template {
    /// The template of a parsed event, all scalars as constants. Its text is one line, and its nodes are few enough.
    pub(super) fn new(text: &[u8], nodes: &[Node]) -> Self {
        let slots = nodes.iter().enumerate().filter_map(|(number, node)| {
            let kind = slot_kind(node.kind())?;
            Some(Slot { start: node.start, end: node.end, node: number as u16, kind, is_hole: false })
        });
        let slots: Vec<Slot> = slots.collect();
        let skeleton = Arc::new(Skeleton::new(Doc::new(text, nodes), &slots));
        let mut template = Self {
            number: 0,
            text: text.to_vec(),
            nodes: nodes.to_vec(),
            places: Vec::with_capacity(nodes.len() + 1),
            slots,
            parts: Vec::new(),
            skeleton,
            telling: Vec::new(),
            attachment: OnceLock::new(),
        };
        template.assemble();
        template
    }

    /// One of the same shape, to be [changed](Self::change).
    pub(super) fn copied(&self) -> Self {
        Self {
            number: self.number,
            text: Vec::new(),
            nodes: self.nodes.clone(),
            places: Vec::with_capacity(self.places.len()),
            slots: self.slots.clone(),
            parts: self.parts.clone(),
            skeleton: self.skeleton.clone(),
            telling: Vec::new(),
            attachment: OnceLock::new(),
        }
    }

    /// Makes it one of the same shape as another, to be [changed](Self::change), in the memory that it has.
    pub(super) fn copy(&mut self, other: &Self) {
        self.nodes.clone_from(&other.nodes);
        self.slots.clone_from(&other.slots);
        self.parts.clone_from(&other.parts);
        self.skeleton.clone_from(&other.skeleton);
    }

    /// Brings what follows from the text, the nodes and the slots up to date.
    fn assemble(&mut self) {
        let Self { parts, places, telling, .. } = self;
        parts.clear();
        places.clear();
        telling.clear();
        let mut start = 0;
        for (number, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.is_hole) {
            places.resize(slot.node as usize, 2 * parts.len() as u16);
            places.push(2 * parts.len() as u16 + 1);
            if self.skeleton.tells[number] {
                telling.push(parts.len() as u16);
            }
            parts.push(Part { start, end: slot.start, slot: number as u16, kind: slot.kind });
            start = slot.end;
        }
        places.resize(self.nodes.len() + 1, 2 * parts.len() as u16);
        parts.push(Part { start, end: self.text.len() as u32, slot: NONE, kind: SlotKind::Text });
        self.number = NEXT.fetch_add(1, Relaxed);
        self.attachment = OnceLock::new();
    }

    /// Makes it the template of `text`, whose scalars stand as in the old one but for `changes`: slots in order, each
    /// with its new span. `is_hole` says which slots become holes.
    pub(super) fn change(&mut self, text: &[u8], changes: &[(u16, Span)], is_hole: impl Fn(usize, &Slot) -> bool) {
        let Self { nodes, slots, .. } = self;
        let mut changes = changes.iter().map(|&(slot, span)| (slots[slot as usize].node as usize, span)).peekable();
        // How far everything behind the last change has moved.
        let mut shift = 0u32;
        // Containers that are open, and the number of the node behind each: its end moves as far as that.
        let mut open: Vec<(usize, usize)> = Vec::with_capacity(16);
        for number in 0..nodes.len() {
            while let Some((container, _)) = open.pop_if(|&mut (_, behind)| behind == number) {
                nodes[container].end = nodes[container].end.wrapping_add(shift);
            }
            let node = &mut nodes[number];
            if let Some((_, span)) = changes.next_if(|&(changed, _)| changed == number) {
                shift = (span.end() as u32).wrapping_sub(node.end);
                *node = filled(*node, span);
                continue;
            }
            node.start = node.start.wrapping_add(shift);
            if node.is_container() {
                open.push((number, number + node.size()));
            } else {
                node.end = node.end.wrapping_add(shift);
            }
        }
        for (container, _) in open {
            nodes[container].end = nodes[container].end.wrapping_add(shift);
        }
        for (number, slot) in slots.iter_mut().enumerate() {
            let node = nodes[slot.node as usize];
            slot.is_hole = is_hole(number, slot);
            (slot.start, slot.end) = (node.start, node.end);
        }
        self.text.clear();
        self.text.shrink_to(2 * text.len());
        self.text.extend_from_slice(text);
        self.assemble();
    }

    /// The nodes, whose holes the spans of an event fill: see [`Doc`].
    #[inline]
    pub(in crate::chunk) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A number that no other template of this process has, to know it again by.
    #[inline]
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many nodes it has: so many values and keys.
    #[must_use]
    pub fn nodes_count(&self) -> usize {
        self.nodes.len()
    }

    /// How many holes it has: so many spans an event needs.
    #[inline]
    #[must_use]
    pub fn holes(&self) -> usize {
        self.parts.len() - 1
    }

    /// The text of the event that it was made from.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// How many bytes it takes, about.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + self.nodes.len() * 14 + self.slots.len() * 16 + size_of::<(Self, Skeleton)>()
    }

    /// The node as it is in an event whose holes are filled with `spans`.
    #[inline]
    pub(in crate::chunk) fn resolve(&self, number: usize, spans: &[Span]) -> Node {
        let mut node = self.nodes[number];
        let place = self.places[number];
        let hole = place as usize / 2;
        if place & 1 == 1 {
            return filled(node, spans[hole]);
        }
        node.start = node.start.wrapping_add(self.shift(hole, spans));
        let hole = if node.is_container() { self.places[number + node.size()] as usize / 2 } else { hole };
        node.end = node.end.wrapping_add(self.shift(hole, spans));
        node
    }

    /// How far the text behind the first `holes` holes stands from its place in the template.
    #[inline]
    fn shift(&self, holes: usize, spans: &[Span]) -> u32 {
        match holes.checked_sub(1) {
            None => 0,
            // The part behind a hole starts at its end.
            Some(last) => spans[last].end.wrapping_sub(self.parts[holes].start),
        }
    }

    /// What the node is in an event whose holes are filled with `spans`.
    #[inline]
    pub(in crate::chunk) fn kind(&self, number: usize, spans: &[Span]) -> Type {
        let place = self.places[number];
        let node = self.nodes[number];
        if place & 1 == 1 { filled(node, spans[place as usize / 2]).kind() } else { node.kind() }
    }

    /// Is the node a constant, the same in every event of this template?
    #[inline]
    #[must_use]
    pub fn is_constant(&self, number: usize) -> bool {
        self.places.get(number).is_some_and(|place| place & 1 == 0)
    }

    /// The number of the hole that the node is, if it is one.
    #[must_use]
    pub fn hole(&self, number: usize) -> Option<usize> {
        self.places.get(number).filter(|place| *place & 1 == 1).map(|place| *place as usize / 2)
    }

    /// The bytes of a number without fraction and exponent, if that is what fills this hole.
    #[inline]
    #[must_use]
    pub fn digits<'a>(&self, hole: usize, text: &'a [u8], spans: &[Span]) -> Option<&'a [u8]> {
        let (part, span) = (self.parts.get(hole)?, spans.get(hole)?);
        let is_digits = part.kind == SlotKind::Number && span.flags() & FLOAT == 0;
        is_digits.then(|| &text[span.start()..span.end()])
    }

    /// Are so many nodes from this one on constants?
    #[inline]
    #[must_use]
    pub fn has_no_hole(&self, number: usize, count: usize) -> bool {
        let holes = |number: usize| self.places.get(number).map(|place| place / 2);
        holes(number) == holes(number + count)
    }

    /// A member of the object with this node number, if it is one of those whose fields are known: the node number of
    /// the value, or None inside for no such member.
    #[inline]
    pub(in crate::chunk) fn field(&self, object: usize, key: Key) -> Option<Option<usize>> {
        let known = self.skeleton.objects.iter().position(|&known| known as usize == object)?;
        let number = self.skeleton.fields[known][key as usize];
        Some((number != NONE).then_some(number as usize))
    }

    /// The node number of `choices[0].delta.content`.
    #[inline]
    #[must_use]
    pub fn content(&self) -> Option<usize> {
        (self.skeleton.content != NONE).then_some(self.skeleton.content as usize)
    }

    /// Does the chunk carry usage, a cost or times? If not, then a second chunk of this template with the same
    /// [`telling`](Self::telling) values, straight behind a first, adds nothing to its stream but itself.
    #[inline]
    #[must_use]
    pub fn reports(&self) -> bool {
        self.skeleton.reports
    }

    /// Of the chunks of a stream that are alike: does what the last one [reports](Self::reports) alone count? It does if
    /// that is nothing, or a usage object, not an empty one, where it belongs.
    #[inline]
    #[must_use]
    pub fn last_report_counts(&self) -> bool {
        !self.skeleton.reports || self.skeleton.reports_usage_alone
    }

    /// For chunks that have an id and choices, all of which go on, and that tell neither an error nor what
    /// [`reports`](Self::reports) stands for: what there is to know of them if their stream's model and time are known.
    #[inline]
    #[must_use]
    pub fn plain(&self) -> Option<&Plain> {
        self.skeleton.plain.as_ref()
    }

    /// The values of an event's holes that say to which stream it belongs, or how that goes: id, model, creation time,
    /// finish reasons and the like, as far as they are not constants.
    #[inline]
    pub fn telling<'a>(&'a self, text: &'a [u8], spans: &'a [Span]) -> impl Iterator<Item = &'a [u8]> {
        self.telling.iter().map(move |&hole| {
            let span = spans[hole as usize];
            &text[span.start()..span.end()]
        })
    }

    /// A place where a user of records can keep what depends on the template alone.
    #[must_use]
    pub fn attachment(&self) -> &OnceLock<Box<dyn Any + Send + Sync>> {
        &self.attachment
    }
}

/// The slot that a scalar makes; words such as `null` belong to the structure.
#[inline]
pub(super) fn slot_kind(kind: Type) -> Option<SlotKind> {
    match kind {
        Type::String => Some(SlotKind::Text),
        Type::Int | Type::Float => Some(SlotKind::Number),
        _ => None,
    }
}

#[inline]
fn filled(node: Node, span: Span) -> Node {
    if node.kind() == Type::String {
        return Node::new(Type::String, span.start(), span.end(), span.flags());
    }
    let kind = if span.flags() & FLOAT == 0 { Type::Int } else { Type::Float };
    Node::new(kind, span.start(), span.end(), 0)
}

impl Skeleton {
    fn new(doc: Doc<'_>, slots: &[Slot]) -> Self {
        let root = doc.root();
        let choice = root.get(Key::Choices).and_then(|choices| choices.items().next());
        let delta = choice.and_then(|choice| choice.get(Key::Delta));
        let number = |value: Option<Value<'_>>| value.map_or(NONE, |value| value.number() as u16);
        let mut telling = Telling { slots, tells: vec![false; slots.len()], reports: false, others: false };
        telling.look_at(root);
        let usage = root.get(Key::Usage).is_some_and(|usage| usage.kind() == Type::Object && usage.is_truthy());
        Self {
            objects: [0, number(choice), number(delta)],
            fields: [Some(root), choice, delta].map(fields),
            content: number(doc.content()),
            tells: telling.tells.into(),
            reports: telling.reports,
            reports_usage_alone: usage && !telling.others,
            plain: Plain::new(root).filter(|_| !telling.reports),
        }
    }
}

fn fields(object: Option<Value<'_>>) -> Fields {
    let mut fields = [NONE; KEY_COUNT];
    for (key, value) in object.into_iter().flat_map(Value::members) {
        if key.key() != Key::Unknown {
            fields[key.key() as usize] = value.number() as u16;
        }
    }
    fields
}

impl Plain {
    fn new(root: Value<'_>) -> Option<Self> {
        let [id, choices, error] = root.get_all([Key::Id, Key::Choices, Key::Error]);
        let id = id.filter(|id| id.kind() == Type::String)?.number();
        if error.is_some() {
            return None;
        }
        let indexes = choices?.items().map(|choice| {
            let [index, finish_reason] = choice.get_all([Key::Index, Key::FinishReason]);
            let goes_on = choice.kind() == Type::Object && finish_reason.is_none_or(Value::is_null);
            goes_on.then_some(index.map(Value::number))
        });
        Some(Self { id, indexes: indexes.collect::<Option<_>>()? })
    }
}

/// Finds what of a chunk matters to its stream (see `crate::stream`).
struct Telling<'a> {
    slots: &'a [Slot],
    tells: Vec<bool>,
    reports: bool,
    /// Does it report what is no usage object, or not in its place?
    others: bool,
}

impl Telling<'_> {
    fn look_at(&mut self, root: Value<'_>) {
        for (key, value) in root.members() {
            match key.key() {
                Key::Id | Key::Model | Key::Created | Key::Error => self.mark(value),
                Key::Usage => self.reports |= !value.is_null(),
                Key::XGroq | Key::Cost | Key::Timings | Key::TimeInfo | Key::Metrics | Key::SlaMetrics => {
                    (self.reports, self.others) = (true, true);
                }
                Key::Choices if value.kind() != Type::Array => self.mark(value),
                Key::Choices => {
                    for (key, value) in value.items().flat_map(Value::members) {
                        match key.key() {
                            Key::Index | Key::FinishReason => self.mark(value),
                            Key::Usage if !value.is_null() => (self.reports, self.others) = (true, true),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn mark(&mut self, value: Value<'_>) {
        let within = value.number()..value.number() + value.size();
        for (slot, tells) in self.slots.iter().zip(&mut self.tells) {
            *tells |= within.contains(&(slot.node as usize));
        }
    }
}
