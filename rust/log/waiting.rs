//! The beginning of a log, or of the next file of one, in, while it is not known how it is read; what is decided out.
//!
//! A log may go on in another file before it is recognised: then its beginning is what both have.

use std::borrow::Cow;

use super::HEAD_BYTES;
use super::early::{early, fits};
use super::reader::Reader;
use super::recognise::{Format, Layout, Request, recognise};
use crate::decoder::Stats;

/// What came so far.
#[derive(Default)]
pub(super) struct Waiting {
    pub held: Vec<u8>,
    /// So much of it is only to recognise the log by: it is not decoded.
    pub seen: usize,
    /// Where in it other files begin.
    pub turns: Vec<usize>,
    /// How the file before this one was read, with what reads on.
    pub before: Option<Box<(Layout, Reader)>>,
    /// How much there was when it was last looked at.
    pub asked: Asked,
}

/// How much there was when it was last asked what it is, and whether it fits.
#[derive(Default)]
pub(super) struct Asked {
    early: usize,
    fits: usize,
}

/// How it is read.
pub(super) enum Decision {
    /// As the file before.
    GoOn,
    New(Layout),
}

impl Waiting {
    /// Behind a file that was read like this.
    pub fn behind(layout: Layout, reader: Reader) -> Self {
        Self { before: Some(Box::new((layout, reader))), ..Self::default() }
    }

    /// Does not look before there is as much as is looked at, or all.
    pub fn wait(&mut self) {
        self.asked.early = usize::MAX;
    }

    /// Holds some more.
    pub fn hold(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// Another file begins here. What is decided by those that have ended, each of which is read by itself: only whether
    /// lines are exchanges or reads, and what the first file is, the next ones may tell.
    pub fn turn(&mut self, request: &Request) -> Option<Decision> {
        if self.held.len() <= self.turns.last().copied().unwrap_or(self.seen) {
            return None;
        }
        self.turns.push(self.held.len());
        let decision = self.decide(request).or_else(|| self.decide_at_turn(request))?;
        self.turns.pop();
        Some(decision)
    }

    /// What is counted of it before it is decoded.
    pub fn stats(&self) -> Stats {
        let before = self.before.as_ref().map(|before| before.1.stats()).unwrap_or_default();
        Stats { bytes: before.bytes + (self.held.len() - self.seen) as u64, ..before }
    }

    /// What is decided by what is held, if that is certain.
    pub fn decide(&mut self, request: &Request) -> Option<Decision> {
        let text = text(&self.held, &self.turns);
        decide(&text, self.before.as_deref(), request, &mut self.asked)
    }

    /// The same of a first piece that nobody has to hold.
    pub fn decide_by(&mut self, piece: &[u8], request: &Request) -> Option<Decision> {
        decide(piece, self.before.as_deref(), request, &mut self.asked)
    }

    fn decide_at_turn(&self, request: &Request) -> Option<Decision> {
        self.before.as_ref()?;
        match self.decide_at_end(request) {
            Decision::New(layout) if layout.format == Format::Exchanges => None,
            decision => Some(decision),
        }
    }

    /// What is decided if nothing follows.
    pub fn decide_at_end(&self, request: &Request) -> Decision {
        let text = text(&self.held, &self.turns);
        let found = recognise(&text, request);
        match self.before.as_deref() {
            Some((layout, _)) => or_as_before(found, fits(&text, layout, &mut 0, true)),
            None => Decision::New(found),
        }
    }
}

/// The beginning of the log. (A line does not go on in another file: who feeds it has seen to that.)
fn text<'a>(held: &'a [u8], turns: &[usize]) -> Cow<'a, [u8]> {
    if turns.is_empty() {
        return Cow::Borrowed(held);
    }
    let (mut text, mut start) = (Vec::with_capacity(held.len() + turns.len()), 0);
    for &end in turns {
        text.extend_from_slice(&held[start..end]);
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        start = end;
    }
    text.extend_from_slice(&held[start..]);
    Cow::Owned(text)
}

fn decide(text: &[u8], before: Option<&(Layout, Reader)>, request: &Request, asked: &mut Asked) -> Option<Decision> {
    let Some((layout, _)) = before else { return early(text, request, &mut asked.early).map(Decision::New) };
    let fits = fits(text, layout, &mut asked.fits, false);
    if fits == Some(true) {
        return Some(Decision::GoOn);
    }
    let found = early(text, request, &mut asked.early)?;
    // What is no JSON says for certain what it is only if it begins as events do.
    let is_certain = fits == Some(false) || found.format != Format::Sse || text.len() >= HEAD_BYTES;
    is_certain.then(|| or_as_before(found, fits))
}

/// What nothing was found in is read as the file before, unless it is clear that it is none like that.
fn or_as_before(found: Layout, fits: Option<bool>) -> Decision {
    let is_nothing = found.format == Format::Sse && fits != Some(false);
    if fits == Some(true) || is_nothing { Decision::GoOn } else { Decision::New(found) }
}
