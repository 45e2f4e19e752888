//! Exchanges that are read in pieces, which take turns: the one that a line is of, while the others wait.

use std::collections::{BTreeMap, HashMap};

use super::places::Peek;
use super::time::time;
use super::unescape::{Map, unescape};
use super::words::{begun_marks, clipping};
use crate::chunk::{Doc, Node};
use crate::decoder::{Body, Decoder, Exchange, Found, KEPT_DAMAGES, Options, Paths, Shaped, Sink, Stats};
use crate::error::{Damage, Place};
use crate::written::Gauge;

/// At most so many are open; beyond it those that were silent longest are ended.
const MAX_OPEN: usize = 4096;

/// An exchange that is open.
pub(super) struct Piecewise {
    pub number: u64,
    pub offset: u64,
    pub decoder: Decoder,
    /// Where its text begins in the log.
    pub first: Option<Place>,
    /// Where what is open begins, and what may be a mark at its end: in its text and in the log.
    open: Vec<(u64, Place)>,
    /// The mark that it was clipped, if its open line ends in one: how much of the line stands before it, and its place.
    pub clipped: Option<(usize, Place)>,
    kept: Vec<Option<Vec<u8>>>,
    /// When its last piece was read, in seconds.
    pub now: Option<f64>,
    /// It is a line of its own, and ends with it.
    pub is_alone: bool,
    last: u64,
}

impl Piecewise {
    /// The place in the log of something that was found before this text.
    pub fn place(&self, place: Place) -> Place {
        let found = self.open.iter().find(|one| one.0 == place.offset).map(|one| one.1);
        let first = || self.first.unwrap_or(Place { offset: self.offset, line: place.line, event: 0 });
        Place { event: place.event, ..found.unwrap_or_else(first) }
    }

    /// Takes note of what the decoder at work left open; `global` says where something is of the text that came last.
    pub fn look(&mut self, decoder: &mut Decoder, base: u64, mut global: impl FnMut(u64) -> Place) {
        if self.first.is_none() {
            self.first = Some(global(base));
        }
        let consumed = decoder.consumed();
        let open = decoder.framer().open_place();
        let line = decoder.framer().open_line();
        let begin = consumed - line.len() as u64;
        let mut place = |offset| {
            if offset >= base { global(offset) } else { self.place(Place { offset, line: 1, event: 0 }) }
        };
        let clipped = clipping(line).map(|length| (length, place(begin + length as u64)));
        let marks = begun_marks(line).map(|at| begin + at as u64);
        let open = open.into_iter().chain(marks).map(|offset| (offset, place(offset))).collect();
        (self.open, self.clipped) = (open, clipped);
    }
}

/// All that are open.
#[derive(Default)]
pub(super) struct Reads {
    /// By id.
    open: HashMap<Vec<u8>, Box<Piecewise>>,
    /// Ids by the last line, the one that was silent longest first.
    by_silence: BTreeMap<u64, Vec<u8>>,
    lines: u64,
    /// The counts of those that have ended.
    ended: Stats,
    ended_paths: Paths,
    /// Events of all, when the last line was done, and of all but the one that is at work.
    pub events: u64,
    pub other_events: u64,
}

impl Reads {
    /// Takes the exchange of this id out, if it is open.
    pub fn take(&mut self, id: &[u8]) -> Option<Box<Piecewise>> {
        let one = self.open.remove(id)?;
        self.by_silence.remove(&one.last);
        Some(one)
    }

    /// A new one.
    pub fn begin(options: Options, number: u64, offset: u64, kept: usize) -> Box<Piecewise> {
        Box::new(Piecewise {
            number,
            offset,
            decoder: Decoder::new(options),
            first: None,
            open: Vec::new(),
            clipped: None,
            kept: vec![None; kept],
            now: None,
            is_alone: false,
            last: 0,
        })
    }

    /// Puts it back; gives one that has to be ended, if there are too many.
    pub fn put(&mut self, id: Vec<u8>, mut one: Box<Piecewise>) -> Option<Box<Piecewise>> {
        self.lines += 1;
        one.last = self.lines;
        self.by_silence.insert(self.lines, id.clone());
        self.open.insert(id, one);
        if self.open.len() <= MAX_OPEN {
            return None;
        }
        let (_, silent) = self.by_silence.pop_first()?;
        self.open.remove(&silent)
    }

    /// Takes all that are left, in the order in which they began.
    #[expect(clippy::vec_box, reason = "they are large, and are handed on")]
    pub fn take_all(&mut self) -> Vec<Box<Piecewise>> {
        self.by_silence.clear();
        let mut all: Vec<_> = self.open.drain().map(|(_, one)| one).collect();
        all.sort_by_key(|one| one.number);
        all
    }

    /// Counts one that has ended.
    pub fn end(&mut self, decoder: Decoder) {
        self.ended.append(decoder.stats(), |place| place);
        self.ended_paths += decoder.paths();
    }

    /// How many chunks of all went which way, but for the one that is at work.
    pub fn paths(&self) -> Paths {
        let mut paths = self.ended_paths;
        for one in self.open.values() {
            paths += one.decoder.paths();
        }
        paths
    }

    /// Keeps damages of the one that is at work, in the order in which they were found.
    pub fn add_damages(&mut self, damages: Vec<Damage>) {
        let room = KEPT_DAMAGES.saturating_sub(self.ended.damages.len());
        self.ended.damages.extend(damages.into_iter().take(room));
    }

    /// The counts of all, but for the one that is at work.
    pub fn stats(&self) -> Stats {
        let mut stats = self.ended.clone();
        for one in self.open.values() {
            stats.append(one.decoder.stats(), |place| place);
        }
        stats
    }

    /// Puts what a line has of the members that are to be kept to those of its exchange; true if there is news.
    pub fn keep(one: &mut Piecewise, others: &[Option<Vec<u8>>]) -> bool {
        let mut news = false;
        for (kept, value) in one.kept.iter_mut().zip(others) {
            if let Some(value) = value.as_ref().filter(|value| **value != b"null")
                && kept.as_ref() != Some(value)
            {
                *kept = Some(value.clone());
                news = true;
            }
        }
        news
    }

    pub fn kept(one: &Piecewise) -> &[Option<Vec<u8>>] {
        &one.kept
    }
}

/// What an id is told by, given as JSON; None if it is none.
pub(super) fn id(raw: Option<&[u8]>) -> Option<Vec<u8>> {
    let raw = raw?;
    match raw.first()? {
        b'"' if memchr::memchr(b'\\', raw).is_some() => {
            let mut text = Vec::new();
            unescape(raw, 1, &mut text, &mut Map::default()).ok()?;
            text.insert(0, b'"');
            Some(text)
        }
        b'"' => Some(raw[..raw.len() - 1].to_vec()),
        b'-' | b'0'..=b'9' | b'N' | b'I' => Some(raw.to_vec()),
        _ => None,
    }
}

/// The time that a member says.
pub(super) fn time_of(raw: Option<&[u8]>) -> Option<f64> {
    raw.and_then(time)
}

/// A sink in front of a sink: it tells of each chunk that has text when that was read.
pub(super) struct Timed<'a, S> {
    pub sink: &'a mut S,
    pub gauge: &'a mut Gauge,
    pub time: f64,
}

impl<S: Peek> Peek for Timed<'_, S> {
    fn forget_truncated(&mut self) {
        self.sink.forget_truncated();
    }

    fn saw_truncated(&self) -> bool {
        self.sink.saw_truncated()
    }
}

impl<S: Sink> Timed<'_, S> {
    fn tell(&mut self, has_text: bool) {
        if has_text {
            self.sink.content_at(self.time);
        }
    }
}

impl<S: Sink> Sink for Timed<'_, S> {
    fn nodes(&mut self) -> &mut Vec<Node> {
        self.sink.nodes()
    }

    fn chunk(&mut self, found: Found<'_>) {
        let doc = Doc::new(found.text, &self.sink.nodes()[found.first_node..]);
        let has_text = self.gauge.measure(doc).deltas > 0;
        self.sink.chunk(found);
        self.tell(has_text);
    }

    fn shaped(&mut self, shaped: Shaped<'_>) {
        let has_text = self.gauge.measure(shaped.doc()).deltas > 0;
        self.sink.shaped(shaped);
        self.tell(has_text);
    }

    fn completion(&mut self, found: Found<'_>) {
        self.sink.completion(found);
    }

    fn begin_exchange(&mut self, exchange: Exchange<'_>) {
        self.sink.begin_exchange(exchange);
    }

    fn end_exchange(&mut self) {
        self.sink.end_exchange();
    }

    fn done(&mut self, place: Place) {
        self.sink.done(place);
    }

    fn server_error(&mut self, place: Place, body: Body<'_>) {
        self.sink.server_error(place, body);
    }

    fn damage(&mut self, damage: &Damage) {
        self.sink.damage(damage);
    }

    fn outer_damage(&mut self, damage: &Damage) {
        self.sink.outer_damage(damage);
    }

    fn stray_damage(&mut self, damage: &Damage) {
        self.sink.stray_damage(damage);
    }

    fn is_full(&self) -> bool {
        self.sink.is_full()
    }
}
