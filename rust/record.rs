//! The record room: what the decoder found, kept compactly in batches that outlive the input's cursor.
//!
//! A batch is one piece of input, the nodes of all its documents in one vector, and an item of a few words for each
//! chunk, error and damage in the order of the source. Reading a field walks the nodes; nothing is decoded before.

use crate::chunk::{Doc, Node};
use crate::decoder::{Body, Found, Sink};
use crate::error::{Damage, Place};

/// A batch of more nodes is full: events can be large, and a batch is not to be as large as many of them. What one
/// large event grew is not kept for the next.
const USUAL_NODES: usize = 1 << 16;

/// Where a document's text is.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    length: u32,
    /// In the batch's own bytes instead of the block.
    own: bool,
}

/// A document in a batch.
#[derive(Clone, Debug)]
pub struct Record {
    /// Byte offset of the event in the source.
    pub offset: u64,
    text: Span,
    first_node: u32,
    nodes: u32,
    /// The data as sent, where it is not the text.
    raw: Option<Box<[u8]>>,
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

/// A batch while the decoder fills it.
#[derive(Default)]
pub struct Builder {
    own: Vec<u8>,
    nodes: Vec<Node>,
    items: Vec<Item>,
}

impl Builder {
    /// Has nothing been found yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Finishes the batch; `block` is the input that was decoded into it.
    pub fn build<B: AsRef<[u8]>>(self, block: B) -> Batch<B> {
        let Self { own, nodes, items } = self;
        Batch { block, own, nodes, items }
    }

    fn record(&mut self, found: &Found<'_>) -> Record {
        let text = if let Some(start) = found.at {
            Span { start, length: found.text.len() as u32, own: false }
        } else {
            let start = self.own.len();
            self.own.extend_from_slice(found.text);
            Span { start, length: found.text.len() as u32, own: true }
        };
        Record {
            offset: found.place.offset,
            text,
            first_node: found.first_node as u32,
            nodes: (self.nodes.len() - found.first_node) as u32,
            raw: found.raw.map(Into::into),
        }
    }
}

impl Sink for Builder {
    fn nodes(&mut self) -> &mut Vec<Node> {
        &mut self.nodes
    }

    #[inline]
    fn chunk(&mut self, found: Found<'_>) {
        let record = self.record(&found);
        self.items.push(Item::Chunk(record));
    }

    fn is_full(&self) -> bool {
        self.nodes.len() >= USUAL_NODES
    }

    fn done(&mut self, _: Place) {}

    fn server_error(&mut self, place: Place, body: Body<'_>) {
        let body = match body {
            Body::Json(found) => ErrorBody::Json(self.record(&found)),
            Body::Text(text) => ErrorBody::Text(text.to_owned()),
        };
        self.items.push(Item::ServerError(Box::new((place, body))));
    }

    fn damage(&mut self, damage: &Damage) {
        if damage.kind.is_loss() {
            self.items.push(Item::Damage(Box::new(damage.clone())));
        }
    }
}

/// What was found in one piece of input. `B` keeps that piece alive.
pub struct Batch<B> {
    block: B,
    own: Vec<u8>,
    nodes: Vec<Node>,
    items: Vec<Item>,
}

impl<B: AsRef<[u8]>> Batch<B> {
    /// What was found, in the order of the source.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// A record's text and structure.
    #[inline]
    #[must_use]
    pub fn doc(&self, record: &Record) -> Doc<'_> {
        let from = if record.text.own { &self.own } else { self.block.as_ref() };
        let text = &from[record.text.start..record.text.start + record.text.length as usize];
        Doc::new(text, &self.nodes[record.first_node as usize..(record.first_node + record.nodes) as usize])
    }

    /// An empty builder with this batch's memory, for the next batch; what held the input is dropped.
    #[must_use]
    pub fn recycle(self) -> Builder {
        let Self { mut own, mut nodes, mut items, .. } = self;
        own.clear();
        own.shrink_to(USUAL_NODES);
        nodes.clear();
        nodes.shrink_to(2 * USUAL_NODES);
        items.clear();
        Builder { own, nodes, items }
    }

    /// A record's data, exactly as sent.
    #[must_use]
    pub fn raw<'a>(&'a self, record: &'a Record) -> &'a [u8] {
        record.raw.as_deref().unwrap_or_else(|| self.doc(record).text())
    }
}
