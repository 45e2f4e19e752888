//! What reads a log of a known format: bytes in, what is found in it to a sink out.

use super::chunks::Chunks;
use super::exchanges::Exchanges;
use super::places::to_the_end;
use super::{Format, Layout, Learned, Wanted};
use crate::decoder::{Decoder, Options, Paths, Sink, Stats};
use crate::error::Damage;

/// What a reader is made by.
pub(super) struct How<'a> {
    pub options: Options,
    pub wanted: Option<&'a Wanted>,
    pub layout: Option<&'a Layout>,
}

#[expect(clippy::large_enum_variant, reason = "nearly always it is the large one")]
pub(super) enum Reader {
    Plain(Decoder),
    Exchanges(Box<Exchanges>),
    Chunks(Box<Chunks>),
}

impl Reader {
    /// None if somebody has to convert it first.
    pub fn new(options: Options, wanted: &Wanted, layout: &Layout) -> Option<Self> {
        let decoder = Decoder::new(options);
        let most = wanted.max_line_bytes;
        Some(match layout.format {
            Format::Sse => Self::Plain(decoder),
            Format::Chunks => Self::Chunks(Box::new(Chunks::new(options.max_event_bytes, most, decoder))),
            Format::Exchanges | Format::Reads => {
                let is_reads = layout.format == Format::Reads;
                let (id, time) =
                    (layout.id_field.clone().filter(|_| is_reads), layout.time_field.clone().filter(|_| is_reads));
                let (has_id, has_time) = (id.is_some(), time.is_some());
                let first = std::iter::once(layout.field.clone().unwrap_or_default());
                let paths = first.chain(id).chain(time).chain(wanted.keep.iter().cloned()).collect();
                let log = Exchanges::new(options, paths, most);
                let log = if is_reads { log.in_pieces(has_id, has_time) } else { log };
                Self::Exchanges(Box::new(log))
            }
            Format::Har | Format::Vcr => return None,
        })
    }

    /// The end of a log that is read like this.
    pub fn end<S: Sink>(&mut self, layout: Option<&Layout>, sink: &mut S) {
        let Self::Plain(decoder) = self else { return self.finish(sink) };
        let more = layout.filter(|layout| layout.is_strange).map(|layout| {
            let names = layout.why.starts_with("no member");
            layout.why.clone() + if names { "; field= (--field) names the one that does" } else { "" }
        });
        decoder.finish_with(more, sink);
    }

    /// The log goes on in another file. Gives the counts of this one, if those do not go on.
    pub fn turn<S: Sink>(&mut self, how: &How<'_>, sink: &mut S) -> Option<Stats> {
        let is_in_pieces = matches!(self, Self::Exchanges(log) if log.is_in_pieces());
        let stats = if is_in_pieces {
            if let Self::Exchanges(log) = self {
                log.turn(sink);
            }
            None
        } else {
            self.end(how.layout, sink);
            let fresh = how.wanted.zip(how.layout).and_then(|(wanted, layout)| Self::new(how.options, wanted, layout));
            let mut fresh = fresh.unwrap_or_else(|| Self::Plain(Decoder::new(how.options)));
            if let (Self::Plain(old), Self::Plain(new)) = (&mut *self, &mut fresh) {
                new.set_shapes(old.take_shapes());
            }
            Some(std::mem::replace(self, fresh).stats())
        };
        sink.next_source();
        stats
    }

    pub fn decode<S: Sink>(&mut self, input: &[u8], at: &mut usize, limit: usize, sink: &mut S) -> bool {
        match self {
            Self::Plain(decoder) => decoder.decode(input, at, limit, sink),
            Self::Exchanges(log) => log.decode(input, at, limit, sink),
            Self::Chunks(log) => log.decode(input, at, limit, sink),
        }
    }

    pub fn finish<S: Sink>(&mut self, sink: &mut S) {
        match self {
            Self::Plain(decoder) => decoder.finish(sink),
            Self::Exchanges(log) => log.finish(&mut to_the_end(sink)),
            Self::Chunks(log) => log.finish(&mut to_the_end(sink)),
        }
    }

    pub fn learn(&mut self, learned: &mut Learned) {
        match self {
            Self::Plain(decoder) => decoder.set_shapes(learned.events.take()),
            Self::Exchanges(log) => {
                log.decoder().set_shapes(learned.events.take());
                log.set_shapes(learned.documents.take());
            }
            Self::Chunks(log) => log.decoder().set_shapes(learned.documents.take()),
        }
    }

    pub fn teach(&mut self, learned: &mut Learned) {
        match self {
            Self::Plain(decoder) => learned.events = decoder.take_shapes(),
            Self::Exchanges(log) => {
                learned.events = log.decoder().take_shapes();
                learned.documents = log.take_shapes();
            }
            Self::Chunks(log) => learned.documents = log.decoder().take_shapes(),
        }
    }

    pub fn stats(&self) -> Stats {
        match self {
            Self::Plain(decoder) => decoder.stats(),
            Self::Exchanges(log) => log.stats(),
            Self::Chunks(log) => log.stats(),
        }
    }

    pub fn paths(&self) -> Paths {
        match self {
            Self::Plain(decoder) => decoder.paths(),
            Self::Exchanges(log) => log.paths(),
            Self::Chunks(log) => log.paths(),
        }
    }

    pub fn decoder(&mut self) -> &mut Decoder {
        match self {
            Self::Plain(decoder) => decoder,
            Self::Exchanges(log) => log.decoder(),
            Self::Chunks(log) => log.decoder(),
        }
    }
}

/// A part of a log of lines that each stand for themselves, while it is decoded.
pub struct LinesReader(Reader);

impl LinesReader {
    /// None if the lines of such a log do not stand for themselves. Is it `inside` of the log, not its beginning?
    #[must_use]
    pub fn new(options: Options, wanted: &Wanted, layout: &Layout, inside: bool) -> Option<Self> {
        Some(Self(match Reader::new(options, wanted, layout)? {
            Reader::Chunks(log) => Reader::Chunks(if inside { Box::new(log.inside()) } else { log }),
            Reader::Exchanges(log) if layout.format == Format::Exchanges => {
                Reader::Exchanges(if inside { Box::new(log.inside()) } else { log })
            }
            Reader::Plain(_) | Reader::Exchanges(_) => return None,
        }))
    }

    /// See [`Log::decode`].
    pub fn decode<S: Sink>(&mut self, input: &[u8], at: &mut usize, limit: usize, sink: &mut S) -> bool {
        self.0.decode(input, at, limit, sink)
    }

    /// The end of the log.
    pub fn finish<S: Sink>(&mut self, sink: &mut S) {
        self.0.finish(sink);
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// How many lines have ended.
    #[must_use]
    pub fn line_ends(&self) -> u64 {
        match &self.0 {
            Reader::Plain(decoder) => decoder.lines(),
            Reader::Exchanges(log) => log.line_ends(),
            Reader::Chunks(log) => log.line_ends(),
        }
    }

    /// Counts a damage that a later room found.
    pub fn add_damage(&mut self, damage: &Damage) {
        self.0.decoder().add_damage(damage);
    }

    /// See [`Log::learn`](super::Log::learn).
    pub fn learn(&mut self, learned: &mut Learned) {
        self.0.learn(learned);
    }

    /// See [`Log::teach`](super::Log::teach).
    pub fn teach(&mut self, learned: &mut Learned) {
        self.0.teach(learned);
    }
}
