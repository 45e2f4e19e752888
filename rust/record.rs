//! The record room: what the decoder found, kept compactly in batches that outlive the input's cursor.
//!
//! A batch is one piece of input, and an item of a few words for each chunk, error and damage in the order of the source.
//! A chunk's record says where its text is, and either where its nodes are or which template it matched and what fills
//! the holes. Reading a field looks there; nothing is decoded before.

use std::sync::Arc;

use crate::chunk::shape::{Span, Template};
use crate::chunk::{Doc, Node};
use crate::decoder::{Body, Found, Shaped, Sink};
use crate::error::{Damage, Place};

/// A batch of more nodes (or values of holes) is full: events can be large, and a batch is not to be as large as many
/// of them. What one large event grew is not kept for the next.
const USUAL_NODES: usize = 1 << 16;

/// How many of a batch's last templates are looked at for one that comes again.
const LAST_TEMPLATES: usize = 4;

/// Which bytes hold a document's text.
#[derive(Clone, Copy, Debug)]
enum Holder {
    /// The block that was decoded.
    Block,
    /// The batch's own bytes.
    Own,
}

/// A document in a batch.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Byte offset of the event in the source.
    pub offset: u64,
    start: usize,
    length: u32,
    /// The first of its nodes; if it matched a shape, the first of the values that fill the holes.
    first: u32,
    /// How many nodes it has; if it matched a shape, the number of the template.
    extent: u32,
    holder: Holder,
    is_shaped: bool,
    /// Is the data, as sent, not the text?
    has_raw: bool,
}

/// The body of an error that the server sent.
#[derive(Clone, Debug)]
pub enum ErrorBody {
    /// JSON.
    Json(Record),
    /// Anything else.
    Text(String),
}

/// One thing that was found.
#[derive(Clone, Debug)]
pub enum Item {
    /// A chunk.
    Chunk(Record),
    /// An error that the server sent, and where.
    ServerError(Box<(Place, ErrorBody)>),
    /// Damage by which an event was lost.
    Damage(Box<Damage>),
}

/// What a batch holds but for the block.
#[derive(Default)]
struct Contents {
    items: Vec<Item>,
    own: Vec<u8>,
    /// Nodes of the documents that the careful parser read.
    nodes: Vec<Node>,
    /// Templates of those that matched a shape, and what fills their holes.
    templates: Vec<Arc<Template>>,
    spans: Vec<Span>,
    /// Data that is not the text, by the first node of its document, in order. (Events that are read in pieces may come
    /// in another order than that of their offsets.)
    raws: Vec<(u32, Box<[u8]>)>,
}

/// A batch while the decoder fills it.
#[derive(Default)]
pub struct Builder {
    contents: Contents,
}

impl Builder {
    /// One with the memory of a batch that nobody looks into.
    fn emptied(mut contents: Contents) -> Self {
        contents.items.clear();
        contents.own.clear();
        contents.own.shrink_to(USUAL_NODES);
        contents.nodes.clear();
        contents.nodes.shrink_to(2 * USUAL_NODES);
        contents.templates.clear();
        contents.spans.clear();
        contents.spans.shrink_to(2 * USUAL_NODES);
        contents.raws.clear();
        Self { contents }
    }

    /// Has nothing been found yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.contents.items.is_empty()
    }

    /// How many items there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.contents.items.len()
    }

    /// Finishes the batch; `block` is the input that was decoded into it.
    pub fn build<B: AsRef<[u8]>>(self, block: B) -> Batch<B> {
        Batch { block, contents: self.contents }
    }

    /// A record of this text, to be completed.
    #[inline]
    fn record(&mut self, place: Place, text: &[u8], at: Option<usize>) -> Record {
        let (start, holder) = match at {
            Some(start) => (start, Holder::Block),
            None => {
                self.contents.own.extend_from_slice(text);
                (self.contents.own.len() - text.len(), Holder::Own)
            }
        };
        Record {
            offset: place.offset,
            start,
            length: text.len() as u32,
            first: 0,
            extent: 0,
            holder,
            is_shaped: false,
            has_raw: false,
        }
    }

    /// Puts a chunk that matched a shape in the place of the last one, which did too.
    pub fn replace(&mut self, shaped: Shaped<'_>) {
        if let Some(Item::Chunk(last)) = self.contents.items.pop() {
            debug_assert!(last.is_shaped);
            self.contents.spans.truncate(last.first as usize);
            if matches!(last.holder, Holder::Own) {
                self.contents.own.truncate(last.start);
            }
        }
        self.shaped(shaped);
    }

    fn parsed(&mut self, found: &Found<'_>) -> Record {
        let mut record = self.record(found.place, found.text, found.at);
        record.first = found.first_node as u32;
        record.extent = (self.contents.nodes.len() - found.first_node) as u32;
        if let Some(raw) = found.raw {
            record.has_raw = true;
            self.contents.raws.push((record.first, raw.into()));
        }
        record
    }

    /// The number of a template in this batch.
    #[inline]
    fn template(&mut self, template: &Arc<Template>) -> u32 {
        let templates = &mut self.contents.templates;
        let last = templates.len().saturating_sub(LAST_TEMPLATES);
        let known = templates[last..].iter().rposition(|known| Arc::ptr_eq(known, template));
        let number = known.map_or_else(
            || {
                templates.push(template.clone());
                templates.len() - 1
            },
            |place| last + place,
        );
        number as u32
    }
}

impl Sink for Builder {
    fn nodes(&mut self) -> &mut Vec<Node> {
        &mut self.contents.nodes
    }

    fn chunk(&mut self, found: Found<'_>) {
        let record = self.parsed(&found);
        self.contents.items.push(Item::Chunk(record));
    }

    // (Kept out of line it costs a decoder that has two such sinks more than what it does.)
    #[inline(always)]
    fn shaped(&mut self, shaped: Shaped<'_>) {
        let mut record = self.record(shaped.place, shaped.text, shaped.at);
        record.is_shaped = true;
        record.first = self.contents.spans.len() as u32;
        record.extent = self.template(shaped.template);
        self.contents.spans.extend_from_slice(shaped.spans);
        self.contents.items.push(Item::Chunk(record));
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.contents.nodes.len() >= USUAL_NODES || self.contents.spans.len() >= USUAL_NODES
    }

    fn done(&mut self, _: Place) {}

    fn server_error(&mut self, place: Place, body: Body<'_>) {
        let body = match body {
            Body::Json(found) => ErrorBody::Json(self.parsed(&found)),
            Body::Text(text) => ErrorBody::Text(text.to_owned()),
        };
        self.contents.items.push(Item::ServerError(Box::new((place, body))));
    }

    fn damage(&mut self, damage: &Damage) {
        if damage.kind.is_loss() {
            self.contents.items.push(Item::Damage(Box::new(damage.clone())));
        }
    }
}

/// What was found in one piece of input. `B` keeps that piece alive.
pub struct Batch<B> {
    block: B,
    contents: Contents,
}

impl<B: AsRef<[u8]>> Batch<B> {
    /// What was found, in the order of the source.
    #[inline]
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.contents.items
    }

    /// What holds the input.
    #[inline]
    #[must_use]
    pub fn block(&self) -> &B {
        &self.block
    }

    /// A record's text and structure.
    // (Given back through memory it costs more than all that is done here.)
    #[inline(always)]
    #[must_use]
    pub fn doc(&self, record: &Record) -> Doc<'_> {
        let Contents { own, nodes, templates, spans, .. } = &self.contents;
        let from = match record.holder {
            Holder::Block => self.block.as_ref(),
            Holder::Own => own,
        };
        let text = &from[record.start..record.start + record.length as usize];
        let (first, extent) = (record.first as usize, record.extent as usize);
        if record.is_shaped {
            let template = &templates[extent];
            return Doc::shaped(text, template, &spans[first..first + template.holes()]);
        }
        Doc::new(text, &nodes[first..first + extent])
    }

    /// An empty builder with this batch's memory, for the next batch; what held the input is dropped.
    #[must_use]
    pub fn recycle(self) -> Builder {
        self.into_parts().0
    }

    /// Takes the memory out, for what comes next into this same batch: see [`Batch::refill`]. Until then it is empty.
    #[must_use]
    pub fn empty(&mut self) -> Builder {
        Builder::emptied(std::mem::take(&mut self.contents))
    }

    /// Makes it another batch; gives what held the input of the one that it was.
    pub fn refill(&mut self, builder: Builder, block: B) -> B {
        self.contents = builder.contents;
        std::mem::replace(&mut self.block, block)
    }

    /// How many bytes its contents have room for, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let Contents { items, own, nodes, templates, spans, .. } = &self.contents;
        items.capacity() * size_of::<Item>()
            + own.capacity()
            + nodes.capacity() * size_of::<Node>()
            + templates.capacity() * size_of::<Arc<Template>>()
            + spans.capacity() * size_of::<Span>()
    }

    /// An empty builder with this batch's memory, and what held the input.
    #[must_use]
    pub fn into_parts(self) -> (Builder, B) {
        (Builder::emptied(self.contents), self.block)
    }

    /// A record's data, exactly as sent.
    #[must_use]
    pub fn raw(&self, record: &Record) -> &[u8] {
        if record.has_raw
            && let Ok(place) = self.contents.raws.binary_search_by_key(&record.first, |&(first, _)| first)
        {
            return &self.contents.raws[place].1;
        }
        self.doc(record).text()
    }
}
