//! What the decoder tells: chunks, ends, errors and damage, in the order of the source, to whoever takes them.

use std::sync::Arc;

use crate::chunk::shape::{Span, Template};
use crate::chunk::{Doc, Node};
use crate::error::{Damage, Place};

/// An event whose data is JSON that is worth having: its nodes are the last of [`Sink::nodes`].
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The event.
    pub place: Place,
    /// Its data.
    pub text: &'a [u8],
    /// Where the data lies in the input, if it does; else it does not outlive the call.
    pub at: Option<usize>,
    /// The data as sent, where that is not the text: it held bytes that are no UTF-8.
    pub raw: Option<&'a [u8]>,
    /// The first of its nodes.
    pub first_node: usize,
}

/// A chunk that matched a shape: see [`Doc::shaped`].
#[derive(Clone, Copy, Debug)]
pub struct Shaped<'a> {
    /// The event.
    pub place: Place,
    /// Its data.
    pub text: &'a [u8],
    /// Where the data lies in the input, if it does; else it does not outlive the call.
    pub at: Option<usize>,
    /// The template.
    pub template: &'a Arc<Template>,
    /// What fills its holes.
    pub spans: &'a [Span],
}

impl<'a> Shaped<'a> {
    /// The document.
    #[inline]
    #[must_use]
    pub fn doc(&self) -> Doc<'a> {
        Doc::shaped(self.text, self.template, self.spans)
    }
}

/// The body of an error that the server sent.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// JSON.
    Json(Found<'a>),
    /// Anything else, under `event: error`.
    Text(&'a str),
}

/// One request with its response, in a log that holds such.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Its number, from 0.
    pub number: u64,
    /// Where it begins in the log.
    pub offset: u64,
    /// What it has of the members that are to be kept, as sent.
    pub kept: &'a [Option<Vec<u8>>],
}

/// Who takes what the decoder finds, in the order of the source.
pub trait Sink {
    /// Where the decoder appends the nodes of the next event. What a sink does not keep it clears.
    fn nodes(&mut self) -> &mut Vec<Node>;
    /// A chunk.
    fn chunk(&mut self, found: Found<'_>);
    /// A chunk that matched a shape. A sink that does not care for shapes gets it as any other.
    fn shaped(&mut self, shaped: Shaped<'_>) {
        let nodes = self.nodes();
        let first_node = nodes.len();
        nodes.extend(shaped.doc().nodes());
        let Shaped { place, text, at, .. } = shaped;
        self.chunk(Found { place, text, at, raw: None, first_node });
    }
    /// Would chunks of this template, straight behind the last one, be no more to it than that many, and what the last of
    /// them [reports](Template::reports)? Then they are told by [`repeated`](Self::repeated), to a sink that no such chunk
    /// fills.
    fn counts(&self, _: &Template) -> bool {
        false
    }
    /// So many chunks of which that is true, and the last of them.
    fn repeated(&mut self, _count: u64, _last: Shaped<'_>) {}
    /// A finished completion, where that is no chunk: a stream of its own.
    fn completion(&mut self, found: Found<'_>) {
        self.chunk(found);
    }
    /// What follows is of this exchange alone.
    fn begin_exchange(&mut self, _: Exchange<'_>) {}
    /// What follows is of this exchange, which has begun already.
    fn go_back(&mut self, _number: u64) {}
    /// The members of the exchange that are to be kept are now these.
    fn keep(&mut self, _: &[Option<Vec<u8>>]) {}
    /// What follows was read at this time, in seconds, if that is known.
    fn time(&mut self, _: Option<f64>) {}
    /// The last chunk has text, and was read at this time.
    fn content_at(&mut self, _: f64) {}
    /// The exchange has ended, and all of its streams.
    fn end_exchange(&mut self) {}
    /// What follows stands in another file, where places are counted anew.
    fn next_source(&mut self) {}
    /// `[DONE]`.
    fn done(&mut self, place: Place);
    /// An error that the server sent; the decoder has counted it.
    fn server_error(&mut self, place: Place, body: Body<'_>);
    /// Damage; the decoder has counted it.
    fn damage(&mut self, damage: &Damage);
    /// Damage to what is around the events of an exchange: it harms a stream only if one is open, or if there is none.
    fn outer_damage(&mut self, damage: &Damage) {
        self.damage(damage);
    }
    /// Damage outside all exchanges, in a log that is made of such: no stream has to do with it.
    fn stray_damage(&mut self, damage: &Damage) {
        self.damage(damage);
    }
    /// Is it time to stop and empty the sink?
    fn is_full(&self) -> bool {
        false
    }
}
